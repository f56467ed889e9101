//! Runs, their params and their tags.

use super::{CaseResult, StoreFixture, all_of, metrics, new_run, point, refused};
use crate::{
    ErrorKind, LifecycleStage, NewRun, Param, RunBatch, RunStatus, RunUpdate, SearchRuns, Tag, ViewType,
    compare,
};

pub fn a_new_run_has_what_it_was_given(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let new = NewRun {
        experiment_id: "0".to_owned(),
        run_name: Some("my run".to_owned()),
        user_id: "ada".to_owned(),
        start_time: Some(1_234_567),
        status: RunStatus::Scheduled,
        tags: vec![Tag::new("x", "y")],
    };
    let run = store.create_run(&new)?;
    let info = &run.info;
    assert!(
        info.run_id.len() == 32 && info.run_id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{}",
        info.run_id
    );
    assert_eq!((info.start_time, info.end_time, info.status), (1_234_567, None, RunStatus::Scheduled));
    assert_eq!((info.experiment_id.as_str(), info.user_id.as_str()), ("0", "ada"));
    assert_eq!(run.data.tags, [Tag::new("mlflow.runName", "my run"), Tag::new("x", "y")]);
    let location = store.experiment("0")?.artifact_location;
    assert_eq!(info.artifact_uri, format!("{location}/{}/artifacts", info.run_id));
    assert_eq!(store.run(&info.run_id)?, run);
    refused(ErrorKind::NotFound, store.create_run(&NewRun { experiment_id: "77".to_owned(), ..new }));
    Ok(())
}

pub fn names_are_made_up_and_follow_the_tag(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run = store.run(&new_run(store.as_ref())?)?;
    assert!(!run.info.run_name.is_empty());
    assert_eq!(run.data.tags, [Tag::new("mlflow.runName", run.info.run_name.as_str())]);

    let run_id = &run.info.run_id;
    let tags = vec![Tag::new("mlflow.runName", "by tag")];
    store.log_batch(run_id, &RunBatch { tags: tags.clone(), ..RunBatch::default() })?;
    assert_eq!(store.run(run_id)?.info.run_name, "by tag");
    store
        .update_run(run_id, &RunUpdate { run_name: Some("by update".to_owned()), ..RunUpdate::default() })?;
    assert_eq!(store.run(run_id)?.data.tags, [Tag::new("mlflow.runName", "by update")]);
    refused(ErrorKind::InvalidParameter, store.delete_tag(run_id, "mlflow.runName"));

    let new = NewRun { experiment_id: "0".to_owned(), tags, ..NewRun::default() };
    assert_eq!(store.create_run(&new)?.info.run_name, "by tag");
    let torn = NewRun { run_name: Some("other".to_owned()), ..new };
    refused(ErrorKind::InvalidParameter, store.create_run(&torn));
    Ok(())
}

pub fn updates_change_only_what_they_name(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let before = store.run(&run_id)?.info;
    for status in RunStatus::ALL {
        let info = store.update_run(&run_id, &RunUpdate { status: Some(status), ..RunUpdate::default() })?;
        assert_eq!((info.status, info.end_time), (status, None));
    }
    let info = store.update_run(&run_id, &RunUpdate { end_time: Some(99), ..RunUpdate::default() })?;
    assert_eq!((info.status, info.end_time, &info.run_name), (RunStatus::Killed, Some(99), &before.run_name));
    assert_eq!(store.run(&run_id)?.info, info);
    // A run that has ended may still be written to.
    store.log_batch(&run_id, &metrics([point("late", 1.0, 1, 1)]))
}

pub fn a_deleted_run_refuses_writes_until_restored(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    refused(ErrorKind::InvalidParameter, store.restore_run(&run_id));
    store.delete_run(&run_id)?;
    let info = store.run(&run_id)?.info;
    assert_eq!(info.lifecycle_stage, LifecycleStage::Deleted);
    assert!(info.deleted_time.is_some());
    refused(ErrorKind::InvalidState, store.delete_run(&run_id));
    refused(ErrorKind::InvalidState, store.log_batch(&run_id, &metrics([point("m", 1.0, 1, 1)])));
    refused(ErrorKind::InvalidState, store.update_run(&run_id, &RunUpdate::default()));
    refused(ErrorKind::InvalidState, store.delete_tag(&run_id, "t"));
    assert!(store.search_runs(&all_of("0"))?.items.is_empty());
    let deleted = SearchRuns { view: ViewType::DeletedOnly, ..all_of("0") };
    assert_eq!(store.search_runs(&deleted)?.items.len(), 1);
    store.restore_run(&run_id)?;
    store.log_batch(&run_id, &metrics([point("m", 1.0, 1, 1)]))?;
    assert_eq!(store.search_runs(&all_of("0"))?.items.len(), 1);
    Ok(())
}

pub fn purging_needs_deletion_and_is_final(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let (run_id, other) = (new_run(store.as_ref())?, new_run(store.as_ref())?);
    for id in [&run_id, &other] {
        store.log_batch(id, &metrics([point("m", 1.0, 1, 1)]))?;
    }
    refused(ErrorKind::InvalidParameter, store.purge_run(&run_id));
    store.delete_run(&run_id)?;
    store.purge_run(&run_id)?;
    refused(ErrorKind::NotFound, store.run(&run_id));
    refused(ErrorKind::NotFound, store.purge_run(&run_id));
    refused(ErrorKind::NotFound, super::history(store.as_ref(), &run_id, "m"));
    assert_eq!(super::history(store.as_ref(), &other, "m")?.len(), 1);
    Ok(())
}

pub fn params_never_change(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let params = |params: &[(&str, &str)]| {
        let params = params.iter().map(|(key, value)| Param::new(*key, *value)).collect();
        RunBatch { params, ..RunBatch::default() }
    };
    let long = "ü".repeat(6000);
    store.log_batch(
        &run_id,
        &params(&[("lr", "0.1"), ("empty", ""), ("ключ", "значение 🚀"), ("long", &long)]),
    )?;
    store.log_batch(&run_id, &params(&[("lr", "0.1")]))?;
    let error = store.log_batch(&run_id, &params(&[("new", "1"), ("lr", "0.2")]));
    assert!(error.as_ref().is_err_and(|error| error.to_string().contains("\"0.1\"")), "{error:?}");
    refused(ErrorKind::InvalidParameter, error);
    let stored = store.run(&run_id)?.data.params;
    let expected = [("empty", ""), ("long", long.as_str()), ("lr", "0.1"), ("ключ", "значение 🚀")];
    assert_eq!(stored, expected.map(|(key, value)| Param::new(key, value)));
    Ok(())
}

pub fn tags_are_overwritten_and_deleted(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let name = Tag::new("mlflow.runName", store.run(&run_id)?.info.run_name);
    for value in ["1", "値\n二行目 \"quoted\" \\ back"] {
        store.log_batch(&run_id, &RunBatch { tags: vec![Tag::new("タグ", value)], ..RunBatch::default() })?;
        assert_eq!(store.run(&run_id)?.data.tags, [name.clone(), Tag::new("タグ", value)]);
    }
    store.delete_tag(&run_id, "タグ")?;
    refused(ErrorKind::NotFound, store.delete_tag(&run_id, "タグ"));
    assert_eq!(store.run(&run_id)?.data.tags, [name]);
    Ok(())
}

pub fn unknown_runs_are_not_found(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    for run_id in ["", "0", &"0".repeat(32), "'; DROP TABLE runs; --"] {
        refused(ErrorKind::NotFound, store.run(run_id));
        refused(ErrorKind::NotFound, store.delete_run(run_id));
        refused(ErrorKind::NotFound, store.log_batch(run_id, &RunBatch::default()));
        refused(ErrorKind::NotFound, store.journal_position(run_id, "j"));
    }
    Ok(())
}

pub fn comparison_shows_only_differences(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let (first, second) = (new_run(store.as_ref())?, new_run(store.as_ref())?);
    for (run_id, lr, loss) in [(&first, "0.1", 1.0), (&second, "0.2", 2.0)] {
        let params = vec![Param::new("lr", lr), Param::new("same", "x")];
        let metrics = vec![point("loss", loss, 1, 1), point("nan", f64::NAN, 1, 1)];
        store.log_batch(run_id, &RunBatch { metrics, params, ..RunBatch::default() })?;
    }
    store.log_batch(&second, &metrics([point("only", 3.0, 1, 1)]))?;
    let comparison = compare(store.as_ref(), &[&first, &second])?;
    let keys = |keys: Vec<&String>| keys.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(keys(comparison.params.iter().map(|difference| &difference.key).collect()), "lr");
    assert_eq!(comparison.params[0].values, [Some("0.1".to_owned()), Some("0.2".to_owned())]);
    assert_eq!(keys(comparison.metrics.iter().map(|difference| &difference.key).collect()), "loss only");
    assert_eq!(comparison.metrics[1].values, [None, Some(3.0)]);
    refused(ErrorKind::NotFound, compare(store.as_ref(), &[&first, "absent"]));
    Ok(())
}
