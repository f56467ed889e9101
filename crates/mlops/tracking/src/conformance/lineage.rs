//! What runs were given and what they made.

use super::{CaseResult, StoreFixture, new_experiment, new_run, refused};
use crate::{
    Dataset, DatasetInput, DatasetSummary, ErrorKind, ModelOutput, NewRun, RunInputs, SearchRuns, Tag,
    TrackingError, TrackingStore,
};

fn dataset(name: &str, digest: &str) -> Dataset {
    Dataset {
        name: name.to_owned(),
        digest: digest.to_owned(),
        source_type: "local".to_owned(),
        source: "{\"path\": \"/data\"}".to_owned(),
        schema: Some("{}".to_owned()),
        profile: None,
    }
}

fn input(name: &str, digest: &str, context: Option<&str>) -> DatasetInput {
    let tags = context.map(|context| Tag::new("mlflow.data.context", context)).into_iter().collect();
    DatasetInput { tags, dataset: dataset(name, digest) }
}

fn datasets(datasets: Vec<DatasetInput>) -> RunInputs {
    RunInputs { datasets, models: Vec::new() }
}

pub fn datasets_are_kept_once_and_found_with_their_run(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let (first, second) = (new_run(store.as_ref())?, new_run(store.as_ref())?);
    let mut train = input("digits", "d1", Some("training"));
    train.tags.push(Tag::new("b", "2"));
    train.tags.insert(0, Tag::new("a", "größe"));
    let inputs = datasets(vec![train.clone(), input("digits", "d2", Some("validation"))]);
    store.log_inputs(&first, &inputs)?;
    // What is there already stays as it is.
    store.log_inputs(&first, &datasets(vec![input("digits", "d1", Some("test"))]))?;
    store.log_inputs(&second, &datasets(vec![input("digits", "d1", None)]))?;

    let mut stored = store.run(&first)?.inputs.datasets;
    stored.sort_by(|left, right| left.dataset.digest.cmp(&right.dataset.digest));
    train.tags.sort_by(|left, right| left.key.cmp(&right.key));
    assert_eq!(stored, [train, input("digits", "d2", Some("validation"))]);
    let found = store.search_runs(&super::all_of("0"))?.items;
    let of_second = found.into_iter().find(|run| run.info.run_id == second).map(|run| run.inputs);
    assert_eq!(of_second, Some(datasets(vec![input("digits", "d1", None)])));

    store.delete_run(&first)?;
    refused(ErrorKind::InvalidState, store.log_inputs(&first, &inputs));
    refused(ErrorKind::NotFound, store.log_inputs("absent", &inputs));
    Ok(())
}

pub fn models_are_inputs_and_outputs(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let inputs = RunInputs { models: vec!["m-1".to_owned(), "m-2".to_owned()], datasets: Vec::new() };
    store.log_inputs(&run_id, &inputs)?;
    store.log_inputs(&run_id, &inputs)?;
    let output = |id: &str, step| ModelOutput { model_id: id.to_owned(), step };
    store.log_outputs(&run_id, &[output("m-3", 5)])?;
    store.log_outputs(&run_id, &[output("m-4", 2), output("m-3", 5)])?;
    let run = store.run(&run_id)?;
    assert_eq!(run.inputs, inputs);
    let mut outputs = run.outputs;
    outputs.sort_by_key(|output| output.step);
    assert_eq!(outputs, [output("m-4", 2), output("m-3", 5)]);
    store.delete_run(&run_id)?;
    refused(ErrorKind::InvalidState, store.log_outputs(&run_id, &[output("m-5", 1)]));
    refused(ErrorKind::NotFound, store.log_outputs("absent", &[]));
    Ok(())
}

pub fn datasets_are_listed_once_per_context(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let other = new_experiment(store.as_ref(), "other")?;
    let run_in = |experiment_id: &str| -> Result<String, TrackingError> {
        let new = NewRun { experiment_id: experiment_id.to_owned(), ..NewRun::default() };
        Ok(store.create_run(&new)?.info.run_id)
    };
    for context in [Some("training"), Some("training"), Some("test"), None] {
        store.log_inputs(&run_in("0")?, &datasets(vec![input("a", "1", context)]))?;
    }
    store.log_inputs(&run_in(&other)?, &datasets(vec![input("b", "2", None)]))?;
    let summary = |experiment_id: &str, name: &str, digest: &str, context: Option<&str>| DatasetSummary {
        experiment_id: experiment_id.to_owned(),
        name: name.to_owned(),
        digest: digest.to_owned(),
        context: context.map(str::to_owned),
    };
    let mut found = store.search_datasets(&["0".to_owned(), other.clone()])?;
    found.sort_by(|left, right| (&left.name, &left.context).cmp(&(&right.name, &right.context)));
    let expected = [
        summary("0", "a", "1", None),
        summary("0", "a", "1", Some("test")),
        summary("0", "a", "1", Some("training")),
        summary(&other, "b", "2", None),
    ];
    assert_eq!(found, expected);
    assert_eq!(store.search_datasets(&[other])?.len(), 1);
    assert!(store.search_datasets(&[])?.is_empty());
    Ok(())
}

pub fn runs_are_found_by_their_datasets(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let ids = [new_run(store.as_ref())?, new_run(store.as_ref())?, new_run(store.as_ref())?];
    store.log_inputs(&ids[0], &datasets(vec![input("digits", "d1", Some("training"))]))?;
    store.log_inputs(
        &ids[1],
        &datasets(vec![input("digits", "d2", Some("test")), input("it's", "d3", None)]),
    )?;
    let find = |filter: &str| -> Result<Vec<usize>, TrackingError> {
        let search = SearchRuns { filter: filter.to_owned(), ..super::all_of("0") };
        let found = store.search_runs(&search)?.items;
        Ok((0..ids.len()).filter(|&index| found.iter().any(|run| run.info.run_id == ids[index])).collect())
    };
    for (filter, expected) in [
        ("datasets.name = 'digits'", vec![0, 1]),
        ("dataset.digest = 'd1'", vec![0]),
        ("datasets.digest IN ('d1', 'd3')", vec![0, 1]),
        ("datasets.context = 'test'", vec![1]),
        ("datasets.context LIKE 'TRAIN%'", vec![]),
        ("datasets.context ILIKE 'TRAIN%'", vec![0]),
        ("datasets.name = 'digits' AND datasets.context = 'training'", vec![0]),
        ("datasets.name = \"it's\"", vec![1]),
        ("datasets.name = 'digits'' OR 1=1'", vec![]),
    ] {
        assert_eq!(find(filter)?, expected, "{filter}");
    }
    for filter in ["datasets.size = '1'", "datasets.name > 'a'", "datasets.name IS NULL"] {
        refused(ErrorKind::InvalidParameter, find(filter));
    }
    Ok(())
}

pub fn datasets_beyond_the_limits_are_refused(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let log = |input: DatasetInput| store.log_inputs(&run_id, &datasets(vec![input]));
    refused(ErrorKind::InvalidParameter, log(input("", "d", None)));
    refused(ErrorKind::InvalidParameter, log(input(&"n".repeat(501), "d", None)));
    refused(ErrorKind::InvalidParameter, log(input("n", &"d".repeat(37), None)));
    refused(ErrorKind::InvalidParameter, log(input("n", "d", Some(&"x".repeat(501)))));
    assert_eq!(store.run(&run_id)?.inputs, RunInputs::default());
    log(input(&"n".repeat(500), &"d".repeat(36), Some(&"x".repeat(500))))
}

pub fn purging_takes_the_inputs_along(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let (gone, kept) = (new_run(store.as_ref())?, new_run(store.as_ref())?);
    for run_id in [&gone, &kept] {
        store.log_inputs(run_id, &datasets(vec![input("a", "1", Some("training"))]))?;
        store.log_outputs(run_id, &[ModelOutput { model_id: "m-1".to_owned(), step: 0 }])?;
    }
    store.delete_run(&gone)?;
    store.purge_run(&gone)?;
    let run = store.run(&kept)?;
    assert_eq!((run.inputs.datasets.len(), run.outputs.len()), (1, 1));
    let experiment_id = new_experiment(store.as_ref(), "e")?;
    let new = NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() };
    let run_id = store.create_run(&new)?.info.run_id;
    store.log_inputs(&run_id, &datasets(vec![input("b", "1", None)]))?;
    purge_experiment(store.as_ref(), &experiment_id)?;
    assert!(store.search_datasets(&[experiment_id])?.is_empty());
    Ok(())
}

fn purge_experiment(store: &dyn TrackingStore, experiment_id: &str) -> CaseResult {
    store.delete_experiment(experiment_id)?;
    store.purge_experiment(experiment_id)
}
