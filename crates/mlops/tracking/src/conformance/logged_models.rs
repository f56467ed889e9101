//! Logged models and the metrics that were measured on them.

use super::{CaseResult, StoreFixture, new_experiment, new_run, point, refused};
use crate::{
    ErrorKind, LoggedModelOrder, LoggedModelStatus, ModelMetric, NewLoggedModel, Param, RunBatch,
    SearchLoggedModels, Store, Tag, TrackingError, ViewType,
};

fn create(store: &dyn Store, name: &str) -> Result<String, TrackingError> {
    let new = NewLoggedModel {
        experiment_id: "0".to_owned(),
        name: Some(name.to_owned()),
        ..NewLoggedModel::default()
    };
    Ok(store.create_logged_model(&new)?.model_id)
}

fn measured(model_id: &str, value: f64, step: i64, dataset: Option<(&str, &str)>) -> ModelMetric {
    ModelMetric {
        model_id: model_id.to_owned(),
        metric: point("acc", value, 1, step),
        dataset: dataset.map(|(name, digest)| (name.to_owned(), digest.to_owned())),
    }
}

fn log(store: &dyn Store, run_id: &str, points: Vec<ModelMetric>) -> CaseResult {
    let metrics = points.iter().map(|point| point.metric.clone()).collect();
    store.log_batch(run_id, &RunBatch { metrics, model_metrics: points, ..RunBatch::default() })
}

pub fn a_new_model_has_what_it_was_given(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let new = NewLoggedModel {
        experiment_id: "0".to_owned(),
        name: Some("résnet".to_owned()),
        model_type: Some("Agent".to_owned()),
        source_run_id: Some(run_id.clone()),
        params: vec![Param::new("lr", "0.1"), Param::new("depth", "18")],
        tags: vec![Tag::new("b", "2"), Tag::new("a", "1")],
    };
    let model = store.create_logged_model(&new)?;
    assert!(model.model_id.len() == 34 && model.model_id.starts_with("m-"), "{}", model.model_id);
    assert_eq!((model.name.as_str(), model.status), ("résnet", LoggedModelStatus::Pending));
    assert_eq!(
        (model.model_type.as_deref(), model.source_run_id.as_deref()),
        (Some("Agent"), Some(&*run_id))
    );
    assert_eq!(model.params, [Param::new("depth", "18"), Param::new("lr", "0.1")]);
    assert_eq!(model.tags, [Tag::new("a", "1"), Tag::new("b", "2")]);
    assert!(model.metrics.is_empty() && model.creation_timestamp_ms > 0);
    let location = store.experiment("0")?.artifact_location;
    assert_eq!(model.artifact_uri, format!("{location}/models/{}/artifacts", model.model_id));
    assert_eq!(store.logged_model(&model.model_id)?, model);
    for status in [LoggedModelStatus::Ready, LoggedModelStatus::UploadFailed, LoggedModelStatus::Pending] {
        assert_eq!(store.finalize_logged_model(&model.model_id, status)?.status, status);
    }

    let nameless = NewLoggedModel { experiment_id: "0".to_owned(), ..NewLoggedModel::default() };
    assert!(!store.create_logged_model(&nameless)?.name.is_empty());
    for name in ["", "a/b", "a:b", "a.b", "50%", "\"", "'"] {
        refused(ErrorKind::InvalidParameter, create(store.as_ref(), name));
    }
    let elsewhere = NewLoggedModel { experiment_id: "77".to_owned(), ..NewLoggedModel::default() };
    refused(ErrorKind::NotFound, store.create_logged_model(&elsewhere));
    Ok(())
}

pub fn params_stay_and_tags_change(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let id = create(store.as_ref(), "m")?;
    store.log_logged_model_params(&id, &[Param::new("lr", "0.1")])?;
    store.log_logged_model_params(&id, &[Param::new("lr", "0.1"), Param::new("new", "x")])?;
    refused(
        ErrorKind::InvalidParameter,
        store.log_logged_model_params(&id, &[Param::new("other", "y"), Param::new("lr", "0.2")]),
    );
    assert_eq!(store.logged_model(&id)?.params, [Param::new("lr", "0.1"), Param::new("new", "x")]);
    for value in ["1", "2"] {
        store.set_logged_model_tags(&id, &[Tag::new("k", value), Tag::new("l", "z")])?;
    }
    store.delete_logged_model_tag(&id, "l")?;
    refused(ErrorKind::NotFound, store.delete_logged_model_tag(&id, "l"));
    assert_eq!(store.logged_model(&id)?.tags, [Tag::new("k", "2")]);
    Ok(())
}

pub fn a_deleted_model_is_hidden(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let (kept, deleted) = (create(store.as_ref(), "kept")?, create(store.as_ref(), "deleted")?);
    store.delete_logged_model(&deleted)?;
    refused(ErrorKind::NotFound, store.logged_model(&deleted));
    refused(ErrorKind::NotFound, store.delete_logged_model(&deleted));
    refused(ErrorKind::NotFound, store.set_logged_model_tags(&deleted, &[]));
    let search =
        |view| SearchLoggedModels { experiment_ids: vec!["0".to_owned()], view, ..Default::default() };
    let ids = |view| -> Result<Vec<String>, TrackingError> {
        Ok(store.search_logged_models(&search(view))?.items.into_iter().map(|model| model.model_id).collect())
    };
    assert_eq!(ids(ViewType::ActiveOnly)?, [kept]);
    assert_eq!(ids(ViewType::DeletedOnly)?, [deleted]);
    assert_eq!(ids(ViewType::All)?.len(), 2);
    Ok(())
}

pub fn the_latest_point_of_each_dataset_is_kept(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let (run_id, other_run) = (new_run(store.as_ref())?, new_run(store.as_ref())?);
    let id = create(store.as_ref(), "m")?;
    let points = vec![
        measured(&id, 0.1, 1, None),
        measured(&id, 0.3, 3, None),
        measured(&id, 0.2, 2, None),
        measured(&id, 0.9, 1, Some(("train", "d1"))),
        measured(&id, f64::NAN, 2, Some(("test", "d2"))),
    ];
    log(store.as_ref(), &run_id, points)?;
    log(store.as_ref(), &other_run, vec![measured(&id, 0.4, 4, None)])?;
    let metrics = store.logged_model(&id)?.metrics;
    let shown = |name: &str| {
        let found =
            metrics.iter().find(|metric| metric.dataset.as_ref().map_or("", |(name, _)| name) == name);
        found.map(|found| (found.metric.value, found.metric.step, found.run_id.clone()))
    };
    assert_eq!(metrics.len(), 3, "{metrics:?}");
    assert_eq!(shown(""), Some((0.4, 4, other_run.clone())));
    assert_eq!(shown("train"), Some((0.9, 1, run_id.clone())));
    assert!(shown("test").is_some_and(|(value, ..)| value.is_nan()));

    refused(
        ErrorKind::InvalidParameter,
        log(store.as_ref(), &run_id, vec![measured("m-none", 1.0, 9, None)]),
    );
    assert_eq!(super::history(store.as_ref(), &run_id, "acc")?.len(), 5);
    store.delete_run(&other_run)?;
    store.purge_run(&other_run)?;
    let metrics = store.logged_model(&id)?.metrics;
    assert_eq!(
        metrics.iter().find(|metric| metric.dataset.is_none()).map(|metric| metric.metric.step),
        Some(3)
    );
    Ok(())
}

pub fn searches_filter_order_and_page(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let mut ids = Vec::new();
    for number in 0..5_i32 {
        let new = NewLoggedModel {
            experiment_id: "0".to_owned(),
            name: Some(format!("model-{number}")),
            params: vec![Param::new("depth", number.to_string())],
            tags: vec![Tag::new("kind", if number < 2 { "small" } else { "Large" })],
            ..NewLoggedModel::default()
        };
        let id = store.create_logged_model(&new)?.model_id;
        if number > 0 {
            log(
                store.as_ref(),
                &run_id,
                vec![
                    measured(&id, f64::from(number) / 10.0, i64::from(number), Some(("test", "d"))),
                    measured(&id, 0.9, i64::from(number) + 10, Some(("train", "e"))),
                ],
            )?;
        }
        ids.push(id);
    }
    store.finalize_logged_model(&ids[3], LoggedModelStatus::Ready)?;
    let other = new_experiment(store.as_ref(), "other")?;
    store.create_logged_model(&NewLoggedModel { experiment_id: other, ..NewLoggedModel::default() })?;
    let find = |search: SearchLoggedModels| -> Result<Vec<usize>, TrackingError> {
        let mut search = SearchLoggedModels { experiment_ids: vec!["0".to_owned()], ..search };
        let mut found = Vec::new();
        loop {
            let page = store.search_logged_models(&search)?;
            found.extend(
                page.items.iter().filter_map(|model| ids.iter().position(|id| *id == model.model_id)),
            );
            search.page_token = page.next_page_token;
            if search.page_token.is_none() {
                return Ok(found);
            }
        }
    };
    let filter = |filter: &str| SearchLoggedModels { filter: filter.to_owned(), ..Default::default() };
    let by_id = format!("model_id = '{}'", ids[1]);
    for (text, expected) in [
        ("name = 'model-2'", vec![2]),
        ("name LIKE 'model-%' AND params.depth = '4'", vec![4]),
        ("tags.kind ILIKE 'LARGE'", vec![2, 3, 4]),
        ("status = 'READY'", vec![3]),
        ("metrics.acc < 0.25", vec![1, 2]),
        ("metrics.acc > 0.85", vec![1, 2, 3, 4]),
        ("creation_timestamp > 0 AND attributes.name != 'model-0'", vec![1, 2, 3, 4]),
        (by_id.as_str(), vec![1]),
        ("name = 'x'' OR 1=1 --'", vec![]),
    ] {
        let mut found = find(filter(text))?;
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
    let on = |datasets: &[(&str, Option<&str>)]| SearchLoggedModels {
        datasets: datasets
            .iter()
            .map(|(name, digest)| ((*name).to_owned(), digest.map(str::to_owned)))
            .collect(),
        ..Default::default()
    };
    assert_eq!(find(on(&[("test", None)]))?.len(), 4);
    assert_eq!(find(on(&[("test", Some("other"))]))?.len(), 0);
    let order = |field: &str, ascending| LoggedModelOrder {
        field: field.to_owned(),
        ascending,
        ..Default::default()
    };
    let order_on = |name: Option<&str>, digest: Option<&str>, ascending| LoggedModelOrder {
        dataset_name: name.map(str::to_owned),
        dataset_digest: digest.map(str::to_owned),
        ..order("metrics.acc", ascending)
    };
    for size in [2, 100] {
        let by = |order_by: Vec<LoggedModelOrder>| SearchLoggedModels {
            order_by,
            max_results: Some(size),
            ..Default::default()
        };
        assert_eq!(find(by(vec![order("name", true)]))?, [0, 1, 2, 3, 4]);
        assert_eq!(find(by(vec![order("name", false)]))?, [4, 3, 2, 1, 0]);
        let by_metric = find(by(vec![order("metrics.acc", true), order("name", false)]))?;
        assert_eq!(by_metric, [4, 3, 2, 1, 0], "the one without the metric comes last");
        for (name, digest, ascending, expected) in [
            (Some("test"), None, true, [1, 2, 3, 4, 0]),
            (Some("test"), Some("d"), false, [4, 3, 2, 1, 0]),
            (None, Some("d"), true, [1, 2, 3, 4, 0]),
            (Some("test"), Some("$e"), true, [0, 1, 2, 3, 4]),
        ] {
            let keys = vec![order_on(name, digest, ascending), order("name", true)];
            assert_eq!(find(by(keys))?, expected, "on {name:?} {digest:?}");
        }
    }
    for bad in ["nonsense", "metrics.acc >", "foo.bar = 'x'"] {
        refused(ErrorKind::InvalidParameter, find(filter(bad)));
    }
    refused(
        ErrorKind::InvalidParameter,
        find(SearchLoggedModels { order_by: vec![order("nonsense", true)], ..Default::default() }),
    );
    Ok(())
}

pub fn unknown_models_are_not_found(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for id in ["", "m-0", "'; DROP TABLE logged_models; --"] {
        refused(ErrorKind::NotFound, store.logged_model(id));
        refused(ErrorKind::NotFound, store.delete_logged_model(id));
        refused(ErrorKind::NotFound, store.log_logged_model_params(id, &[]));
        refused(ErrorKind::NotFound, store.finalize_logged_model(id, LoggedModelStatus::Ready));
    }
    Ok(())
}
