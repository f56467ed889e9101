//! Metric points, their history and the limits of a batch.

use super::{CaseResult, StoreFixture, history, metrics, new_run, point, refused};
use crate::{Axis, ErrorKind, HistoryQuery, Metric, Param, RunBatch, Tag};

pub fn the_latest_point_is_by_step_then_time_then_value(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let latest = || store.run(&run_id).map(|run| run.data.metrics.first().map(|metric| metric.value));
    let log =
        |value, timestamp, step| store.log_batch(&run_id, &metrics([point("m", value, timestamp, step)]));
    log(10.0, 100, 5)?;
    log(20.0, 200, 2)?;
    assert_eq!(latest()?, Some(10.0));
    log(30.0, 101, 5)?;
    log(40.0, 99, 5)?;
    assert_eq!(latest()?, Some(30.0));
    log(29.0, 101, 5)?;
    log(f64::NAN, 101, 5)?;
    assert_eq!(latest()?, Some(30.0));
    log(31.0, 101, 5)?;
    assert_eq!(latest()?, Some(31.0));
    // Within one batch as well, whatever the order.
    store.log_batch(
        &run_id,
        &metrics([point("m", 1.0, 1, 9), point("m", 3.0, 1, 10), point("m", 2.0, 1, 9)]),
    )?;
    assert_eq!(latest()?, Some(3.0));
    log(-1e300, 1, -3)?;
    assert_eq!(latest()?, Some(3.0));
    assert_eq!(history(store.as_ref(), &run_id, "m")?[0], point("m", -1e300, 1, -3));
    Ok(())
}

pub fn nan_and_infinities_are_kept(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let values = [
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
        ("ninf", f64::NEG_INFINITY),
        ("tiny", 5e-324),
        ("top", f64::MAX),
    ];
    store.log_batch(&run_id, &metrics(values.map(|(key, value)| point(key, value, 1, i64::MIN))))?;
    let latest = store.run(&run_id)?.data.metrics;
    assert_eq!(latest.len(), values.len());
    for ((key, value), latest) in values.iter().zip(latest) {
        assert_eq!(latest.key, *key);
        assert_eq!(latest.value.to_bits(), value.to_bits(), "{key}");
        let history = history(store.as_ref(), &run_id, key)?;
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].value.to_bits(), value.to_bits(), "{key}");
        assert_eq!(history[0].step, i64::MIN);
    }
    Ok(())
}

pub fn the_axis_is_kept(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let points = [Axis::Step, Axis::Epoch, Axis::Sample].map(|axis| Metric { axis, ..point("m", 1.0, 1, 1) });
    store.log_batch(&run_id, &metrics(points.clone()))?;
    assert_eq!(history(store.as_ref(), &run_id, "m")?, points);
    store.log_batch(&run_id, &metrics([Metric { axis: Axis::Epoch, ..point("m", 1.0, 1, 2) }]))?;
    assert_eq!(store.run(&run_id)?.data.metrics[0].axis, Axis::Epoch);
    Ok(())
}

pub fn an_identical_point_is_stored_once(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let points = [point("m", 1.25, 77, 4), point("m", f64::NAN, 77, 4), point("m", f64::INFINITY, 77, 4)];
    for _ in 0..2 {
        store.log_batch(&run_id, &metrics(points.iter().chain(&points).cloned()))?;
    }
    assert_eq!(history(store.as_ref(), &run_id, "m")?.len(), 3);
    Ok(())
}

pub fn histories_are_paged_in_order(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    // Arrives backwards, with several points per step.
    let points =
        (0..25).rev().map(|number| point("k", f64::from(number), i64::from(number), i64::from(number / 3)));
    store.log_batch(&run_id, &metrics(points))?;
    store.log_batch(&run_id, &metrics([point("other", 0.0, 0, 0)]))?;
    let mut query = HistoryQuery { run_id, key: "k".to_owned(), max_results: Some(10), page_token: None };
    let mut values = Vec::new();
    let mut pages = 0;
    loop {
        let page = store.metric_history(&query)?;
        pages += 1;
        values.extend(page.items.iter().map(|metric| metric.value));
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(values, (0..25).map(f64::from).collect::<Vec<_>>());
    let exact = HistoryQuery { max_results: Some(25), page_token: None, ..query.clone() };
    assert_eq!(store.metric_history(&exact)?.next_page_token, None);
    let unknown = HistoryQuery { key: "never".to_owned(), ..exact };
    assert!(store.metric_history(&unknown)?.items.is_empty());
    refused(
        ErrorKind::InvalidParameter,
        store.metric_history(&HistoryQuery { max_results: Some(0), ..unknown.clone() }),
    );
    let wrong = HistoryQuery { page_token: Some("zz".to_owned()), ..unknown };
    refused(ErrorKind::InvalidParameter, store.metric_history(&wrong));
    Ok(())
}

pub fn limits_hold_and_nothing_is_written_beyond_them(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let points =
        |count: i32| metrics((0..count).map(|number| point("k", f64::from(number), 1, i64::from(number))));
    refused(ErrorKind::InvalidParameter, store.log_batch(&run_id, &points(1001)));
    assert!(history(store.as_ref(), &run_id, "k")?.is_empty());
    store.log_batch(&run_id, &points(1000))?;
    assert_eq!(history(store.as_ref(), &run_id, "k")?.len(), 1000);

    let params =
        |count: i32| (0..count).map(|number| Param::new(format!("p{number}"), "v")).collect::<Vec<_>>();
    refused(
        ErrorKind::InvalidParameter,
        store.log_batch(&run_id, &RunBatch { params: params(101), ..RunBatch::default() }),
    );
    store.log_batch(&run_id, &RunBatch { params: params(100), ..RunBatch::default() })?;
    let long = |length| vec![Tag::new("t", "x".repeat(length))];
    refused(
        ErrorKind::InvalidParameter,
        store.log_batch(&run_id, &RunBatch { tags: long(8001), ..RunBatch::default() }),
    );
    store.log_batch(&run_id, &RunBatch { tags: long(8000), ..RunBatch::default() })?;
    let long = |length| vec![Param::new("long", "x".repeat(length))];
    refused(
        ErrorKind::InvalidParameter,
        store.log_batch(&run_id, &RunBatch { params: long(6001), ..RunBatch::default() }),
    );
    store.log_batch(&run_id, &RunBatch { params: long(6000), ..RunBatch::default() })?;
    store.log_batch(&run_id, &metrics([point(&"k".repeat(250), 1.0, 1, 1)]))?;
    refused(
        ErrorKind::InvalidParameter,
        store.log_batch(&run_id, &metrics([point(&"k".repeat(251), 1.0, 1, 1)])),
    );
    for key in ["../x", "a//b", "/abs", "a/../b", "bad\nname", ""] {
        refused(ErrorKind::InvalidParameter, store.log_batch(&run_id, &metrics([point(key, 1.0, 1, 1)])));
    }
    Ok(())
}

pub fn one_bad_entry_refuses_the_whole_batch(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    store.log_batch(&run_id, &RunBatch { params: vec![Param::new("p", "1")], ..RunBatch::default() })?;
    let batch = RunBatch {
        metrics: vec![point("m", 1.0, 1, 1)],
        params: vec![Param::new("q", "1"), Param::new("p", "2")],
        tags: vec![Tag::new("t", "v")],
        ..RunBatch::default()
    };
    let before = store.run(&run_id)?;
    refused(ErrorKind::InvalidParameter, store.log_batch(&run_id, &batch));
    assert_eq!(store.run(&run_id)?, before);
    assert!(history(store.as_ref(), &run_id, "m")?.is_empty());
    Ok(())
}
