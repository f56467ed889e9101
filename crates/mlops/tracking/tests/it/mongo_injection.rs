//! Texts that look like MongoDB's operators, fields or patterns are texts.

use fulmen_tracking::{
    ErrorKind, Metric, MongoStore, NewExperiment, NewRun, Param, RunBatch, SearchExperiments, SearchRuns,
    Tag, TrackingStore as _,
};

use crate::mongo::new_database;

const HOSTILE: [&str; 12] = [
    "$where",
    "$ne",
    "{\"$gt\": \"\"}",
    "{\"$ne\": null}",
    "$$ROOT",
    "$name",
    "a.b.c",
    "'; return true; //",
    "[$ne]=1",
    ".*",
    "^(a+)+$",
    "x\u{0}y",
];

#[test]
fn hostile_texts_are_kept_and_found_as_texts() {
    let Some(uri) = new_database() else { return };
    let store = MongoStore::open_with_artifact_root(&uri, "/artifacts").unwrap();
    let new_run =
        || store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id;
    let (plain, hostile) = (new_run(), new_run());
    let tags = |value: &str| RunBatch { tags: vec![Tag::new("t", value)], ..RunBatch::default() };
    store.log_batch(&plain, &tags("plain")).unwrap();
    for text in HOSTILE {
        store.log_batch(&hostile, &tags(text)).unwrap();
        assert!(store.run(&hostile).unwrap().data.tags.contains(&Tag::new("t", text)), "{text:?}");
        let quoted = text.replace('\'', "''");
        for (filter, found) in [
            (format!("tags.t = '{quoted}'"), vec![&hostile]),
            (format!("tags.t LIKE '{quoted}'"), vec![&hostile]),
            (format!("tags.t IN ('{quoted}')"), vec![&hostile]),
            (format!("tags.t != '{quoted}'"), vec![&plain]),
            (format!("run_name = '{quoted}'"), vec![]),
            (format!("tags.\"{}\" = 'plain'", text.replace('"', "\"\"")), vec![]),
        ] {
            let search =
                SearchRuns { experiment_ids: vec!["0".into()], filter: filter.clone(), ..Default::default() };
            let runs = store.search_runs(&search).unwrap().items;
            assert_eq!(runs.iter().map(|run| &run.info.run_id).collect::<Vec<_>>(), found, "{filter:?}");
        }
        // As ids and names they name nothing.
        assert_eq!(store.run(text).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(store.experiment(text).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(store.experiment_by_name(text).unwrap().is_none());
        let order = format!("tags.\"{}\" DESC", text.replace('"', "\"\""));
        let search =
            SearchRuns { experiment_ids: vec!["0".into()], order_by: vec![order], ..Default::default() };
        assert_eq!(store.search_runs(&search).unwrap().items.len(), 2);
    }
    // A text with a line break at its end is not the text without.
    store.log_batch(&hostile, &tags("end\n")).unwrap();
    for (filter, count) in [("tags.t LIKE 'end'", 0), ("tags.t LIKE 'end_'", 1), ("tags.t LIKE 'e%'", 1)] {
        let search =
            SearchRuns { experiment_ids: vec!["0".into()], filter: filter.into(), ..Default::default() };
        assert_eq!(store.search_runs(&search).unwrap().items.len(), count, "{filter}");
    }
    let long = format!("tags.t LIKE '{}'", "%a".repeat(20_000));
    let search = SearchRuns { experiment_ids: vec!["0".into()], filter: long, ..Default::default() };
    assert_eq!(store.search_runs(&search).unwrap_err().kind(), ErrorKind::InvalidParameter);
}

#[test]
fn names_and_keys_with_dots_and_dollars_keep_apart() {
    let Some(uri) = new_database() else { return };
    let store = MongoStore::open_with_artifact_root(&uri, "/artifacts").unwrap();
    for name in HOSTILE.into_iter().filter(|name| !name.contains('\u{0}')) {
        let tags = vec![Tag::new("a.b", name)];
        let id = store
            .create_experiment(&NewExperiment { name: name.into(), artifact_location: None, tags })
            .unwrap()
            .experiment_id;
        assert_eq!(store.experiment_by_name(name).unwrap().unwrap().experiment_id, id);
        let filter = format!("name = '{}'", name.replace('\'', "''"));
        let found =
            store.search_experiments(&SearchExperiments { filter, ..Default::default() }).unwrap().items;
        assert_eq!(found.iter().map(|found| &found.experiment_id).collect::<Vec<_>>(), [&id]);
    }
    let run =
        store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id;
    let keys = ["a", "a.b", "a.b.c", "0", "a.0", "_id"];
    let batch = RunBatch {
        metrics: keys.iter().zip(0..).map(|(key, step)| Metric::at_step(*key, 1.0, step)).collect(),
        params: keys.iter().map(|key| Param::new(*key, format!("${key}"))).collect(),
        tags: keys.iter().map(|key| Tag::new(*key, format!("$${key}"))).collect(),
        model_metrics: Vec::new(),
    };
    store.log_batch(&run, &batch).unwrap();
    let data = store.run(&run).unwrap().data;
    assert_eq!((data.metrics.len(), data.params.len(), data.tags.len()), (6, 6, 7));
    assert!(data.params.iter().all(|param| param.value == format!("${}", param.key)));
    for key in keys {
        let search = SearchRuns {
            experiment_ids: vec!["0".into()],
            filter: format!(
                "params.\"{key}\" = '${key}' AND tags.\"{key}\" = '$${key}' AND metrics.\"{key}\" = 1"
            ),
            order_by: vec![format!("metrics.\"{key}\"")],
            ..Default::default()
        };
        assert_eq!(store.search_runs(&search).unwrap().items.len(), 1, "{key}");
    }
}
