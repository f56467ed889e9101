//! Experiments.

use super::{CaseResult, StoreFixture, all_of, new_experiment, refused};
use crate::{ErrorKind, LifecycleStage, NewExperiment, NewRun, SearchExperiments, Tag, ViewType};

pub fn an_experiment_is_found_by_id_and_by_name(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let new = NewExperiment {
        name: "Größe/1".to_owned(),
        artifact_location: Some("/data/there/".to_owned()),
        tags: vec![Tag::new("b", "2"), Tag::new("a", "zwei")],
    };
    let created = store.create_experiment(&new)?;
    assert_eq!(created.name, new.name);
    assert_eq!(created.artifact_location, "/data/there");
    assert_eq!(created.tags, [Tag::new("a", "zwei"), Tag::new("b", "2")]);
    assert_eq!(created.lifecycle_stage, LifecycleStage::Active);
    assert!(created.creation_time > 0 && created.creation_time <= created.last_update_time);
    assert_eq!(store.experiment(&created.experiment_id)?, created);
    assert_eq!(store.experiment_by_name(&new.name)?, Some(created));
    assert_eq!(store.experiment_by_name("größe/1")?, None);
    for unknown in ["987654321", "", "x", "01", "-1", "9999999999999999999999"] {
        refused(ErrorKind::NotFound, store.experiment(unknown));
    }
    Ok(())
}

pub fn the_default_experiment_exists(fixture: &dyn StoreFixture) -> CaseResult {
    let default = fixture.open().experiment("0")?;
    assert_eq!((default.name.as_str(), default.lifecycle_stage), ("Default", LifecycleStage::Active));
    Ok(())
}

pub fn names_stay_unique(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let first = new_experiment(store.as_ref(), "first")?;
    let second = new_experiment(store.as_ref(), "second")?;
    refused(ErrorKind::AlreadyExists, new_experiment(store.as_ref(), "first"));
    refused(ErrorKind::AlreadyExists, store.rename_experiment(&second, "first"));
    store.rename_experiment(&first, "first")?;
    store.rename_experiment(&first, "third")?;
    assert_eq!(store.experiment_by_name("third")?.map(|found| found.experiment_id), Some(first.clone()));
    store.delete_experiment(&first)?;
    refused(ErrorKind::AlreadyExists, new_experiment(store.as_ref(), "third"));
    Ok(())
}

pub fn deletion_hides_and_restoring_brings_back(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let id = new_experiment(store.as_ref(), "e")?;
    let new_run = NewRun { experiment_id: id.clone(), ..NewRun::default() };
    let kept = store.create_run(&new_run)?.info.run_id;
    let deleted_before = store.create_run(&new_run)?.info.run_id;
    store.delete_run(&deleted_before)?;

    store.delete_experiment(&id)?;
    assert_eq!(store.experiment(&id)?.lifecycle_stage, LifecycleStage::Deleted);
    assert_eq!(store.run(&kept)?.info.lifecycle_stage, LifecycleStage::Deleted);
    assert!(
        store
            .search_experiments(&SearchExperiments::default())?
            .items
            .iter()
            .all(|found| found.experiment_id != id)
    );
    refused(ErrorKind::InvalidState, store.create_run(&new_run));
    refused(ErrorKind::InvalidState, store.delete_experiment(&id));
    refused(ErrorKind::InvalidState, store.restore_run(&kept));
    refused(ErrorKind::InvalidState, store.set_experiment_tag(&id, &Tag::new("k", "v")));

    store.restore_experiment(&id)?;
    refused(ErrorKind::InvalidParameter, store.restore_experiment(&id));
    let runs = store.search_runs(&all_of(&id))?.items;
    assert_eq!(runs.iter().map(|run| &run.info.run_id).collect::<Vec<_>>(), [&kept]);
    assert_eq!(store.run(&deleted_before)?.info.lifecycle_stage, LifecycleStage::Deleted);

    refused(ErrorKind::InvalidParameter, store.purge_experiment(&id));
    store.delete_experiment(&id)?;
    store.purge_experiment(&id)?;
    refused(ErrorKind::NotFound, store.experiment(&id));
    refused(ErrorKind::NotFound, store.run(&kept));
    Ok(())
}

pub fn tags_are_set_overwritten_and_deleted(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let id = new_experiment(store.as_ref(), "e")?;
    for tag in [Tag::new("k", "1"), Tag::new("k", "2"), Tag::new("other", "x")] {
        store.set_experiment_tag(&id, &tag)?;
    }
    assert_eq!(store.experiment(&id)?.tags, [Tag::new("k", "2"), Tag::new("other", "x")]);
    store.delete_experiment_tag(&id, "k")?;
    refused(ErrorKind::NotFound, store.delete_experiment_tag(&id, "k"));
    assert_eq!(store.experiment(&id)?.tags, [Tag::new("other", "x")]);
    Ok(())
}

pub fn search_filters_orders_and_pages(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for number in [2, 0, 4, 1, 3] {
        let tags = vec![Tag::new("i", number.to_string())];
        store.create_experiment(&NewExperiment {
            name: format!("p-{number}"),
            tags,
            ..NewExperiment::default()
        })?;
    }
    let names = |search: &SearchExperiments| -> Result<Vec<String>, crate::TrackingError> {
        let mut search = search.clone();
        let mut names = Vec::new();
        loop {
            let page = store.search_experiments(&search)?;
            assert!(page.items.len() <= search.max_results.unwrap_or(usize::MAX));
            names.extend(page.items.into_iter().map(|found| found.name));
            search.page_token = page.next_page_token;
            if search.page_token.is_none() {
                return Ok(names);
            }
        }
    };
    let search = SearchExperiments {
        filter: "name LIKE 'p-%'".to_owned(),
        order_by: vec!["name ASC".to_owned()],
        max_results: Some(2),
        ..SearchExperiments::default()
    };
    assert_eq!(names(&search)?, ["p-0", "p-1", "p-2", "p-3", "p-4"]);
    let by_tag =
        SearchExperiments { filter: "tags.i != '1' AND name ILIKE 'P-%'".to_owned(), ..search.clone() };
    assert_eq!(names(&by_tag)?, ["p-0", "p-2", "p-3", "p-4"]);
    let by_default = SearchExperiments { max_results: Some(3), ..SearchExperiments::default() };
    assert_eq!(names(&by_default)?, ["p-3", "p-1", "p-4", "p-0", "p-2", "Default"]);
    let third = store.experiment_by_name("p-3")?.map(|found| found.experiment_id).unwrap_or_default();
    let by_id =
        SearchExperiments { filter: format!("experiment_id IN ('{third}')"), ..SearchExperiments::default() };
    assert_eq!(names(&by_id)?, ["p-3"]);
    store.delete_experiment(&third)?;
    assert_eq!(names(&SearchExperiments { view: ViewType::DeletedOnly, ..search.clone() })?, ["p-3"]);
    assert_eq!(names(&SearchExperiments { view: ViewType::All, ..search })?.len(), 5);
    Ok(())
}

pub fn bad_names_and_locations_are_refused(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for name in ["", "  ", "a\nb", &"x".repeat(501)] {
        refused(ErrorKind::InvalidParameter, new_experiment(store.as_ref(), name));
    }
    for location in ["/a/../../etc", "http:///#/../..", "mlflow-artifacts:/../.."] {
        let artifact_location = Some(location.to_owned());
        let new = NewExperiment { name: "e".to_owned(), artifact_location, tags: Vec::new() };
        refused(ErrorKind::InvalidParameter, store.create_experiment(&new));
    }
    new_experiment(store.as_ref(), &"x".repeat(500))?;
    Ok(())
}

pub fn names_and_values_that_look_like_code_mean_themselves(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let names = ["x'; DROP TABLE experiments; --", "{\"$gt\": \"\"}", "%", "$where", "a\\'b", "${jndi:x}"];
    let mut ids = Vec::new();
    for name in names {
        let tags = vec![Tag::new("t", name)];
        let new = NewExperiment { name: name.to_owned(), tags, ..NewExperiment::default() };
        ids.push(store.create_experiment(&new)?.experiment_id);
    }
    for (name, id) in names.into_iter().zip(&ids) {
        assert_eq!(
            store.experiment_by_name(name)?.map(|found| found.experiment_id).as_ref(),
            Some(id),
            "{name}"
        );
        let quoted = name.replace('\'', "''");
        for filter in [format!("name = '{quoted}'"), format!("tags.t = '{quoted}'")] {
            let search = SearchExperiments { filter: filter.clone(), ..SearchExperiments::default() };
            let found = store.search_experiments(&search)?.items;
            assert_eq!(found.iter().map(|one| &one.experiment_id).collect::<Vec<_>>(), [id], "{filter}");
        }
        store.set_experiment_tag(id, &Tag::new("again", name))?;
        let run = store.create_run(&NewRun {
            experiment_id: id.clone(),
            run_name: Some(name.to_owned()),
            user_id: name.to_owned(),
            tags: vec![Tag::new("t", name)],
            ..NewRun::default()
        })?;
        assert_eq!((run.info.run_name.as_str(), run.info.user_id.as_str()), (name, name));
        for key in [name, "a b\"; c", "$set", "a.$b"] {
            let allowed = key.chars().all(|one| one.is_alphanumeric() || "_-.:/ ".contains(one));
            let result = store.set_experiment_tag(id, &Tag::new(key, "v"));
            assert_eq!(result.is_ok(), allowed, "{key}: {result:?}");
        }
    }
    for id in ["0 OR 1=1", "{\"$ne\": null}", "0; DROP TABLE runs"] {
        refused(ErrorKind::NotFound, store.experiment(id));
        refused(ErrorKind::NotFound, store.delete_experiment(id));
        assert!(store.search_runs(&all_of(id))?.items.is_empty());
    }
    Ok(())
}
