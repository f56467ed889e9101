//! Searches over registered models and their versions.

use super::{
    CaseResult, StoreFixture, refused,
    registry::{model, version},
};
use crate::{ErrorKind, NewModelVersion, NewRegisteredModel, SearchRegistry, Store, Tag, TrackingError};

fn search(filter: &str, order_by: &[&str], max_results: Option<usize>) -> SearchRegistry {
    SearchRegistry {
        filter: filter.to_owned(),
        order_by: order_by.iter().map(|&key| key.to_owned()).collect(),
        max_results,
        page_token: None,
    }
}

/// Names of the models found, over all pages.
fn models(store: &dyn Store, mut search: SearchRegistry) -> Result<Vec<String>, TrackingError> {
    let mut found = Vec::new();
    loop {
        let page = store.search_registered_models(&search)?;
        found.extend(page.items.into_iter().map(|model| model.name));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(found);
        }
    }
}

/// `name/version` of the versions found, over all pages.
fn versions(store: &dyn Store, mut search: SearchRegistry) -> Result<Vec<String>, TrackingError> {
    let mut found = Vec::new();
    loop {
        let page = store.search_model_versions(&search)?;
        found.extend(page.items.iter().map(|version| format!("{}/{}", version.name, version.version)));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(found);
        }
    }
}

pub fn models_are_filtered_ordered_and_paged(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for (number, name) in ["b-1", "a-2", "B-3", "c_4", "a-5"].into_iter().enumerate() {
        store.create_registered_model(&NewRegisteredModel {
            name: name.to_owned(),
            tags: vec![Tag::new("i", number.to_string())],
            ..NewRegisteredModel::default()
        })?;
    }
    let found = |filter: &str| models(store.as_ref(), search(filter, &["name ASC"], None));
    assert_eq!(found("")?, ["B-3", "a-2", "a-5", "b-1", "c_4"]);
    assert_eq!(found("name = 'a-2'")?, ["a-2"]);
    assert_eq!(found("name LIKE 'b%'")?, ["b-1"]);
    assert_eq!(found("name ILIKE 'b%'")?, ["B-3", "b-1"]);
    assert_eq!(found("name != 'a-2' AND name LIKE 'a-%'")?, ["a-5"]);
    assert_eq!(found("name LIKE 'a-%' and tags.i = '4'")?, ["a-5"]);
    assert_eq!(found("name IN ('a-2', 'c_4')")?, ["a-2", "c_4"]);
    assert_eq!(found("tags.`i` != '0' AND tags.i != '1'")?, ["B-3", "a-5", "c_4"]);
    for size in [1, 2, 5] {
        assert_eq!(
            models(store.as_ref(), search("name LIKE '%-%'", &["name DESC"], Some(size)))?,
            ["b-1", "a-5", "a-2", "B-3"]
        );
        assert_eq!(
            models(store.as_ref(), search("", &["last_updated_timestamp DESC"], Some(size)))?.len(),
            5
        );
        assert_eq!(models(store.as_ref(), search("", &[], Some(size)))?, found("")?);
    }
    for bad in ["run_id = 'x'", "metrics.a > 1", "name > 'a'", "name = a"] {
        refused(ErrorKind::InvalidParameter, found(bad));
    }
    for size in [0, 1001] {
        refused(ErrorKind::InvalidParameter, models(store.as_ref(), search("", &[], Some(size))));
    }
    refused(ErrorKind::InvalidParameter, models(store.as_ref(), search("", &["nonsense"], None)));
    Ok(())
}

pub fn versions_are_filtered_ordered_and_paged(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for (name, run, tag) in [("a", "r1", "x"), ("a", "r2", "y"), ("b", "r1", "x"), ("a", "r3", "x")] {
        if store.registered_model(name).is_err() {
            model(store.as_ref(), name)?;
        }
        store.create_model_version(&NewModelVersion {
            name: name.to_owned(),
            source: format!("runs:/{run}/model"),
            run_id: Some(run.to_owned()),
            tags: vec![Tag::new("t", tag)],
            ..NewModelVersion::default()
        })?;
    }
    let found = |filter: &str| versions(store.as_ref(), search(filter, &[], None));
    assert_eq!(found("")?, ["a/3", "a/2", "a/1", "b/1"]);
    assert_eq!(found("name = 'a'")?, ["a/3", "a/2", "a/1"]);
    assert_eq!(found("run_id = 'r1'")?, ["a/1", "b/1"]);
    assert_eq!(found("run_id IN ('r2', 'r3')")?, ["a/3", "a/2"]);
    assert_eq!(found("source_path LIKE 'runs:/r1/%'")?, ["a/1", "b/1"]);
    assert_eq!(found("version_number >= 2")?, ["a/3", "a/2"]);
    assert_eq!(found("tags.t = 'x' AND name = 'a'")?, ["a/3", "a/1"]);
    for size in [1, 3, 4] {
        let ordered = search("", &["version_number ASC", "name DESC"], Some(size));
        assert_eq!(versions(store.as_ref(), ordered)?, ["b/1", "a/1", "a/2", "a/3"]);
        assert_eq!(versions(store.as_ref(), search("", &["creation_timestamp DESC"], Some(size)))?.len(), 4);
    }
    for bad in ["status = 'READY'", "version_number = 'x'", "params.a = '1'", "run_id > 'a'"] {
        refused(ErrorKind::InvalidParameter, found(bad));
    }
    refused(ErrorKind::InvalidParameter, versions(store.as_ref(), search("", &[], Some(200_001))));
    Ok(())
}

pub fn prompts_are_found_only_when_asked_for(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let is_prompt = Tag::new("mlflow.prompt.is_prompt", "true");
    model(store.as_ref(), "model")?;
    let tags = vec![is_prompt.clone()];
    store.create_registered_model(&NewRegisteredModel {
        name: "prompt".to_owned(),
        tags,
        description: None,
    })?;
    version(store.as_ref(), "model")?;
    let number = version(store.as_ref(), "prompt")?.version;
    store.set_model_version_tag("prompt", number, &is_prompt)?;
    for (filter, name) in [
        ("", "model"),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", "model"),
        ("tags.`mlflow.prompt.is_prompt` = 'false'", "model"),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", "prompt"),
    ] {
        assert_eq!(models(store.as_ref(), search(filter, &[], None))?, [name], "{filter}");
        assert_eq!(versions(store.as_ref(), search(filter, &[], None))?, [format!("{name}/1")], "{filter}");
    }
    assert_eq!(store.registered_model("prompt")?.name, "prompt");
    Ok(())
}

pub fn quotes_in_names_and_values_mean_themselves(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let name = "it's \"%_*?[a]\" -- ; $where {\"$gt\": 1}".replace(':', "");
    model(store.as_ref(), &name)?;
    model(store.as_ref(), "other")?;
    let tag = Tag::new("t", "{\"$ne\": null}' OR '1'='1");
    store.set_registered_model_tag(&name, &tag)?;
    let quoted = name.replace('\'', "''");
    for filter in [
        format!("name = '{quoted}'"),
        "tags.t = '{\"$ne\": null}'' OR ''1''=''1'".to_owned(),
        "name LIKE '%\"\\%_*?[a]\"%'".replace('\\', ""),
    ] {
        assert_eq!(models(store.as_ref(), search(&filter, &[], None))?, [name.as_str()], "{filter}");
    }
    for filter in ["name = '' OR 1=1 --'", "name = 'x'; DROP TABLE registered_models"] {
        refused(ErrorKind::InvalidParameter, models(store.as_ref(), search(filter, &[], None)));
    }
    for filter in ["name = '{\"$ne\": null}'", "tags.\"$where\" = '1'", "name LIKE '.*'"] {
        assert!(models(store.as_ref(), search(filter, &[], None))?.is_empty(), "{filter}");
    }
    assert_eq!(store.registered_model(&name)?.tags, [tag]);
    Ok(())
}
