//! Registered models, their versions, and what marks them.

use super::{CaseResult, StoreFixture, new_run, refused};
use crate::{
    ErrorKind, ModelAlias, ModelVersion, NewLoggedModel, NewModelVersion, NewRegisteredModel, Stage, Store,
    Tag, TrackingError,
};

pub(super) fn model(store: &dyn Store, name: &str) -> CaseResult {
    let new = NewRegisteredModel { name: name.to_owned(), ..NewRegisteredModel::default() };
    store.create_registered_model(&new).map(drop)
}

pub(super) fn version(store: &dyn Store, name: &str) -> Result<ModelVersion, TrackingError> {
    store.create_model_version(&NewModelVersion {
        name: name.to_owned(),
        source: "s3://bucket/model".to_owned(),
        ..NewModelVersion::default()
    })
}

pub fn names_are_unique_and_fit_into_uris(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let new = NewRegisteredModel {
        name: "résnet 18".to_owned(),
        description: Some("what it is".to_owned()),
        tags: vec![Tag::new("b", "2"), Tag::new("a", "1"), Tag::new("a", "3")],
    };
    let created = store.create_registered_model(&new)?;
    assert_eq!((created.name.as_str(), created.description.as_deref()), ("résnet 18", Some("what it is")));
    assert_eq!(created.tags, [Tag::new("a", "3"), Tag::new("b", "2")]);
    assert!(created.creation_timestamp > 0 && created.latest_versions.is_empty());
    assert_eq!(store.registered_model(&new.name)?, created);
    refused(ErrorKind::AlreadyExists, store.create_registered_model(&new));
    for name in ["", " ", "a/b", "a:b", "..", &"n".repeat(257)] {
        refused(ErrorKind::InvalidParameter, model(store.as_ref(), name));
    }
    model(store.as_ref(), &"n".repeat(256))?;
    store.delete_registered_model(&new.name)?;
    refused(ErrorKind::NotFound, store.registered_model(&new.name));
    // A name that is free again starts over.
    model(store.as_ref(), &new.name)?;
    assert!(store.registered_model(&new.name)?.tags.is_empty());
    assert_eq!(version(store.as_ref(), &new.name)?.version, 1);
    Ok(())
}

pub fn a_model_is_renamed_with_all_it_has(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for name in ["old", "taken"] {
        model(store.as_ref(), name)?;
    }
    version(store.as_ref(), "old")?;
    store.set_registered_model_tag("old", &Tag::new("k", "v"))?;
    store.set_alias("old", "champion", 1)?;
    refused(ErrorKind::AlreadyExists, store.rename_registered_model("old", "taken"));
    refused(ErrorKind::InvalidParameter, store.rename_registered_model("old", "a/b"));
    refused(ErrorKind::NotFound, store.rename_registered_model("absent", "new"));
    let renamed = store.rename_registered_model("old", "new")?;
    assert_eq!((renamed.name.as_str(), renamed.tags.len()), ("new", 1));
    refused(ErrorKind::NotFound, store.registered_model("old"));
    let version = store.model_version_by_alias("new", "champion")?;
    assert_eq!((version.name.as_str(), version.version), ("new", 1));
    assert_eq!(store.rename_registered_model("new", "new")?.name, "new");
    Ok(())
}

pub fn version_numbers_are_never_used_again(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    model(store.as_ref(), "m")?;
    let run_id = new_run(store.as_ref())?;
    let new = NewModelVersion {
        name: "m".to_owned(),
        source: format!("runs:/{run_id}/model"),
        storage_location: Some("/artifacts/model".to_owned()),
        run_id: Some(run_id.clone()),
        run_link: Some("http://host/run".to_owned()),
        model_id: Some("m-1".to_owned()),
        description: Some("first".to_owned()),
        tags: vec![Tag::new("k", "v")],
    };
    let first = store.create_model_version(&new)?;
    assert_eq!((first.version, first.current_stage, first.name.as_str()), (1, Stage::None, "m"));
    let given = (first.run_id.clone(), first.run_link.clone(), first.model_id.clone());
    assert_eq!(given, (new.run_id.clone(), new.run_link.clone(), new.model_id.clone()));
    assert_eq!((&first.source, &first.storage_location), (&new.source, &new.storage_location));
    assert_eq!((&first.description, &first.tags), (&new.description, &new.tags));
    assert!(first.aliases.is_empty());
    assert_eq!(store.model_version("m", 1)?, first);
    assert_eq!(version(store.as_ref(), "m")?.version, 2);
    store.delete_model_version("m", 1)?;
    assert_eq!(version(store.as_ref(), "m")?.version, 3);
    store.delete_model_version("m", 3)?;
    assert_eq!(version(store.as_ref(), "m")?.version, 4);
    refused(ErrorKind::NotFound, store.model_version("m", 1));
    refused(ErrorKind::NotFound, version(store.as_ref(), "absent"));
    Ok(())
}

pub fn tags_and_descriptions_change(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    model(store.as_ref(), "m")?;
    version(store.as_ref(), "m")?;
    for value in ["1", "値 \"quoted\""] {
        store.set_registered_model_tag("m", &Tag::new("a", value))?;
        store.set_model_version_tag("m", 1, &Tag::new("b", value))?;
    }
    assert_eq!(store.registered_model("m")?.tags, [Tag::new("a", "値 \"quoted\"")]);
    assert_eq!(store.model_version("m", 1)?.tags, [Tag::new("b", "値 \"quoted\"")]);
    // An absent tag is fine.
    for _ in 0..2 {
        store.delete_registered_model_tag("m", "a")?;
        store.delete_model_version_tag("m", 1, "b")?;
    }
    assert!(store.registered_model("m")?.tags.is_empty() && store.model_version("m", 1)?.tags.is_empty());
    refused(ErrorKind::InvalidParameter, store.set_registered_model_tag("m", &Tag::new("", "v")));
    refused(ErrorKind::InvalidParameter, store.set_model_version_tag("m", 1, &Tag::new("../x", "v")));
    let long = Tag::new("long", "x".repeat(100_000));
    store.set_model_version_tag("m", 1, &long)?;
    refused(
        ErrorKind::InvalidParameter,
        store.set_model_version_tag("m", 1, &Tag::new("long", "x".repeat(100_001))),
    );
    assert_eq!(store.update_registered_model("m", "new")?.description.as_deref(), Some("new"));
    assert_eq!(store.update_model_version("m", 1, "newer")?.description.as_deref(), Some("newer"));
    assert_eq!(store.model_version("m", 1)?.description.as_deref(), Some("newer"));
    Ok(())
}

pub fn aliases_move_and_vanish_with_their_version(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    model(store.as_ref(), "m")?;
    refused(ErrorKind::NotFound, store.model_version_by_alias("m", "latest"));
    for _ in 0..2 {
        version(store.as_ref(), "m")?;
    }
    store.set_alias("m", "champion", 1)?;
    assert_eq!(store.model_version_by_alias("m", "champion")?.version, 1);
    store.set_alias("m", "champion", 2)?;
    store.set_alias("m", "Best_of-all", 2)?;
    assert_eq!(store.model_version_by_alias("m", "champion")?.version, 2);
    assert_eq!(store.model_version_by_alias("m", "latest")?.version, 2);
    let alias = |alias: &str| ModelAlias { alias: alias.to_owned(), version: 2 };
    assert_eq!(store.registered_model("m")?.aliases, [alias("Best_of-all"), alias("champion")]);
    assert_eq!(store.model_version("m", 2)?.aliases, ["Best_of-all", "champion"]);
    assert!(store.model_version("m", 1)?.aliases.is_empty());
    for alias in ["", "a b", "a/b", "latest", "LATEST", "v1", "V22", &"a".repeat(256)] {
        refused(ErrorKind::InvalidParameter, store.set_alias("m", alias, 1));
    }
    refused(ErrorKind::NotFound, store.set_alias("m", "new", 3));
    refused(ErrorKind::NotFound, store.set_alias("absent", "new", 1));
    for _ in 0..2 {
        store.delete_alias("m", "Best_of-all")?;
    }
    refused(ErrorKind::NotFound, store.delete_alias("absent", "champion"));
    store.delete_model_version("m", 2)?;
    assert!(store.registered_model("m")?.aliases.is_empty());
    refused(ErrorKind::InvalidParameter, store.model_version_by_alias("m", "champion"));
    refused(ErrorKind::NotFound, store.model_version_by_alias("absent", "champion"));
    Ok(())
}

pub fn stages_change_and_archive(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    model(store.as_ref(), "m")?;
    for _ in 0..3 {
        version(store.as_ref(), "m")?;
    }
    store.transition_stage("m", 1, Stage::Production, false)?;
    let moved = store.transition_stage("m", 2, Stage::Production, true)?;
    assert_eq!((moved.version, moved.current_stage), (2, Stage::Production));
    let stage = |version| Ok::<_, TrackingError>(store.model_version("m", version)?.current_stage);
    assert_eq!((stage(1)?, stage(2)?, stage(3)?), (Stage::Archived, Stage::Production, Stage::None));
    store.transition_stage("m", 3, Stage::Staging, true)?;
    assert_eq!((stage(1)?, stage(2)?, stage(3)?), (Stage::Archived, Stage::Production, Stage::Staging));
    for refused_stage in [Stage::None, Stage::Archived] {
        refused(ErrorKind::InvalidParameter, store.transition_stage("m", 3, refused_stage, true));
    }
    refused(ErrorKind::NotFound, store.transition_stage("m", 9, Stage::Staging, false));
    let newest = version(store.as_ref(), "m")?.version;
    store.transition_stage("m", newest, Stage::Production, false)?;
    let numbers = |stages: &[Stage]| -> Result<Vec<u64>, TrackingError> {
        let mut numbers: Vec<u64> =
            store.latest_versions("m", stages)?.iter().map(|version| version.version).collect();
        numbers.sort_unstable();
        Ok(numbers)
    };
    assert_eq!(numbers(&[Stage::Production])?, [newest]);
    assert_eq!(numbers(&[])?, [1, 3, newest]);
    assert_eq!(store.registered_model("m")?.latest_versions.len(), 3);
    assert!(numbers(&[Stage::None])?.is_empty());
    refused(ErrorKind::NotFound, store.latest_versions("absent", &[]));
    Ok(())
}

pub fn unknown_models_and_versions_are_not_found(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    model(store.as_ref(), "m")?;
    for name in ["", "absent", "M", "'; DROP TABLE registered_models; --"] {
        refused(ErrorKind::NotFound, store.registered_model(name));
        refused(ErrorKind::NotFound, store.delete_registered_model(name));
        refused(ErrorKind::NotFound, store.update_registered_model(name, "x"));
        refused(ErrorKind::NotFound, store.set_registered_model_tag(name, &Tag::new("k", "v")));
        refused(ErrorKind::NotFound, store.model_version(name, 1));
    }
    for version in [0, 1, u64::MAX] {
        refused(ErrorKind::NotFound, store.model_version("m", version));
        refused(ErrorKind::NotFound, store.delete_model_version("m", version));
        refused(ErrorKind::NotFound, store.update_model_version("m", version, "x"));
        refused(ErrorKind::NotFound, store.set_model_version_tag("m", version, &Tag::new("k", "v")));
        refused(ErrorKind::NotFound, store.set_alias("m", "a", version));
    }
    Ok(())
}

pub fn a_version_takes_the_run_of_its_logged_model(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    model(store.as_ref(), "m")?;
    let run_id = new_run(store.as_ref())?;
    let logged = store.create_logged_model(&NewLoggedModel {
        experiment_id: "0".to_owned(),
        source_run_id: Some(run_id.clone()),
        ..NewLoggedModel::default()
    })?;
    let new = NewModelVersion {
        name: "m".to_owned(),
        source: format!("models:/{}", logged.model_id),
        model_id: Some(logged.model_id),
        ..NewModelVersion::default()
    };
    assert_eq!(store.create_model_version(&new)?.run_id, Some(run_id));
    Ok(())
}
