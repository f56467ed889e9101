//! Searches over runs.

use super::{CaseResult, StoreFixture, metrics, new_experiment, point, refused};
use crate::{
    ErrorKind, NewRun, Param, RunBatch, RunStatus, RunUpdate, SearchRuns, Tag, TrackingError, TrackingStore,
};

/// Twelve runs, `run-00` to `run-11`, that differ in what can be searched.
struct Data {
    experiment_id: String,
    run_ids: Vec<String>,
}

fn data(store: &dyn TrackingStore) -> Result<Data, TrackingError> {
    let experiment_id = new_experiment(store, "searched")?;
    let mut run_ids = Vec::new();
    for number in 0..12_i32 {
        let group = if number % 2 == 0 { "even" } else { "odd" };
        let run = store.create_run(&NewRun {
            experiment_id: experiment_id.clone(),
            run_name: Some(format!("run-{number:02}")),
            start_time: Some(1000 + i64::from(number)),
            tags: vec![Tag::new("grp", group), Tag::new("x y", format!("it's {number}"))],
            ..NewRun::default()
        })?;
        let run_id = run.info.run_id;
        let mut points = vec![point("acc", f64::from(number) / 10.0, 1, 1)];
        if number < 6 {
            points.push(point("part", f64::from(number), 1, 1));
        }
        if number == 6 {
            points.push(point("part", f64::NAN, 1, 1));
        }
        let optimizer = if number < 4 { "Adam" } else { "sgd" };
        let params =
            vec![Param::new("lr", ["1", "0.1", "0.01"][number as usize % 3]), Param::new("opt", optimizer)];
        store.log_batch(&run_id, &RunBatch { metrics: points, params, ..RunBatch::default() })?;
        if number == 7 {
            store.log_batch(
                &run_id,
                &RunBatch { params: vec![Param::new("rare", "100%_*?[a]")], ..RunBatch::default() },
            )?;
        }
        if number % 4 == 0 {
            let end_time = Some(5000 + i64::from(number));
            store.update_run(
                &run_id,
                &RunUpdate { status: Some(RunStatus::Finished), end_time, run_name: None },
            )?;
        }
        run_ids.push(run_id);
    }
    // Another experiment's runs are never found.
    let other = new_experiment(store, "other")?;
    let run = store.create_run(&NewRun { experiment_id: other, ..NewRun::default() })?;
    store.log_batch(&run.info.run_id, &metrics([point("acc", 9.0, 1, 1)]))?;
    Ok(Data { experiment_id, run_ids })
}

impl Data {
    fn search(&self, filter: &str, order_by: &[&str]) -> SearchRuns {
        SearchRuns {
            experiment_ids: vec![self.experiment_id.clone()],
            filter: filter.to_owned(),
            order_by: order_by.iter().map(|&key| key.to_owned()).collect(),
            ..SearchRuns::default()
        }
    }

    /// Numbers of the runs found, over all pages.
    fn find(&self, store: &dyn TrackingStore, mut search: SearchRuns) -> Result<Vec<usize>, TrackingError> {
        let mut found = Vec::new();
        loop {
            let page = store.search_runs(&search)?;
            for run in page.items {
                found.extend(self.run_ids.iter().position(|run_id| *run_id == run.info.run_id));
            }
            search.page_token = page.next_page_token;
            if search.page_token.is_none() {
                return Ok(found);
            }
        }
    }
}

pub fn filters_select_the_runs_they_describe(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    let by_id = format!("attributes.run_id IN ('{}', '{}')", data.run_ids[1], data.run_ids[5]);
    let by_uri = format!("artifact_uri LIKE '%{}/artifacts'", data.run_ids[3]);
    let cases: Vec<(&str, Vec<usize>)> = vec![
        ("metrics.acc > 0.85", vec![9, 10, 11]),
        ("metrics.acc >= 0.3 and metrics.acc <= 0.5", vec![3, 4, 5]),
        ("metrics.acc != 0.3", (0..12).filter(|&number| number != 3).collect()),
        ("metric.part >= 0", (0..6).collect()),
        // NaN differs from every number.
        ("metrics.part != 3", vec![0, 1, 2, 4, 5, 6]),
        ("params.opt = 'Adam'", vec![0, 1, 2, 3]),
        ("params.opt LIKE 'A%'", vec![0, 1, 2, 3]),
        ("params.opt LIKE 'a%'", vec![]),
        ("params.opt ILIKE 'aDa%'", vec![0, 1, 2, 3]),
        ("params.opt LIKE '_gd'", (4..12).collect()),
        ("params.opt IN ('Adam', 'x')", vec![0, 1, 2, 3]),
        ("params.opt NOT IN ('Adam', 'x')", (4..12).collect()),
        ("params.rare IS NOT NULL", vec![7]),
        ("params.rare IS NULL and metrics.acc > 0.65", vec![8, 9, 10, 11]),
        ("tags.grp = 'odd' AND metrics.acc < 0.4", vec![1, 3]),
        ("tags.grp != 'odd' AND params.opt = 'sgd'", vec![4, 6, 8, 10]),
        ("attributes.status = 'FINISHED'", vec![0, 4, 8]),
        ("status != 'FINISHED' and tags.grp = 'even'", vec![2, 6, 10]),
        ("attributes.start_time >= 1010", vec![10, 11]),
        ("end_time > 5000", vec![4, 8]),
        ("run_name = 'run-07'", vec![7]),
        ("attributes.run_name LIKE 'run-1%'", vec![10, 11]),
        ("metrics.`acc` = 0.2", vec![2]),
        ("params.\"opt\" = \"Adam\" and metrics.acc < 0.15", vec![0, 1]),
        ("metrics.nothing > 1", vec![]),
        (&by_id, vec![1, 5]),
        (&by_uri, vec![3]),
    ];
    for (filter, expected) in cases {
        let mut found = data.find(store.as_ref(), data.search(filter, &[]))?;
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
    assert!(store.search_runs(&SearchRuns::default())?.items.is_empty());
    Ok(())
}

pub fn quotes_and_signs_in_values_mean_themselves(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    for (filter, expected) in [
        ("tags.\"x y\" = \"it's 4\"", vec![4]),
        ("tags.\"x y\" LIKE 'it''s 1_'", vec![10, 11]),
        ("params.rare LIKE '100%*?[a]'", vec![7]),
        ("params.rare LIKE '1__*%'", vec![]),
        ("params.rare = '100%_*?[a]'", vec![7]),
        ("tags.grp = 'odd'' OR 1=1 --'", vec![]),
        ("tags.\"grp' OR 1=1 --\" = 'odd'", vec![]),
    ] {
        let mut found = data.find(store.as_ref(), data.search(filter, &[]))?;
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
    Ok(())
}

pub fn the_newest_run_comes_first(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    assert_eq!(data.find(store.as_ref(), data.search("", &[]))?, (0..12).rev().collect::<Vec<_>>());
    Ok(())
}

pub fn what_lacks_the_key_comes_last(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    let rest = (6..12).rev();
    let expected: Vec<usize> = (0..6).rev().chain(rest.clone()).collect();
    assert_eq!(data.find(store.as_ref(), data.search("", &["metrics.part DESC"]))?, expected);
    let expected: Vec<usize> = (0..6).chain(rest).collect();
    assert_eq!(data.find(store.as_ref(), data.search("", &["metrics.part ASC"]))?, expected);
    let found = data.find(store.as_ref(), data.search("", &["params.opt ASC", "metrics.acc DESC"]))?;
    assert_eq!(found, [3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 5, 4]);
    Ok(())
}

pub fn pages_cover_all_runs_once_in_any_order(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    for order_by in [
        vec![],
        vec!["metrics.acc ASC"],
        vec!["metrics.part DESC"],
        vec!["metrics.part"],
        vec!["params.rare", "tags.grp DESC", "metrics.part"],
        vec!["end_time DESC", "params.lr"],
    ] {
        let whole = data.find(store.as_ref(), data.search("", &order_by))?;
        assert_eq!(whole.len(), 12);
        for size in [1, 5, 12] {
            let search = SearchRuns { max_results: Some(size), ..data.search("", &order_by) };
            assert_eq!(data.find(store.as_ref(), search)?, whole, "{order_by:?} by {size}");
        }
    }
    Ok(())
}

pub fn new_runs_do_not_shift_pages(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    let mut search = SearchRuns { max_results: Some(5), ..data.search("", &[]) };
    let first = store.search_runs(&search)?;
    // The newest of all: with offsets, the second page would begin with the last run of the first.
    store.create_run(&NewRun { experiment_id: data.experiment_id.clone(), ..NewRun::default() })?;
    search.page_token = first.next_page_token;
    assert_eq!(data.find(store.as_ref(), search)?, [6, 5, 4, 3, 2, 1, 0]);
    Ok(())
}

pub fn tokens_belong_to_their_search(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    let search = SearchRuns { max_results: Some(5), ..data.search("", &["metrics.acc"]) };
    let token = store.search_runs(&search)?.next_page_token;
    let other = SearchRuns { order_by: vec!["metrics.part".to_owned()], page_token: token, ..search.clone() };
    refused(ErrorKind::InvalidParameter, store.search_runs(&other));
    let nonsense = SearchRuns { page_token: Some("nonsense".to_owned()), ..search.clone() };
    refused(ErrorKind::InvalidParameter, store.search_runs(&nonsense));
    for size in [0, 50_001] {
        refused(
            ErrorKind::InvalidParameter,
            store.search_runs(&SearchRuns { max_results: Some(size), ..search.clone() }),
        );
    }
    Ok(())
}

pub fn bad_filters_are_invalid_parameters(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let data = data(store.as_ref())?;
    for filter in [
        "metrics.acc >",
        "params.opt > 'a'",
        "foo.bar = 'x'",
        "metrics.acc = 'abc'",
        "attributes.nope = 'x'",
        "params.opt = Adam",
        "metrics.acc > 0.1 OR metrics.acc < 0.5",
    ] {
        refused(ErrorKind::InvalidParameter, store.search_runs(&data.search(filter, &[])));
    }
    refused(ErrorKind::InvalidParameter, store.search_runs(&data.search("", &["nonsense.x SIDEWAYS"])));
    Ok(())
}
