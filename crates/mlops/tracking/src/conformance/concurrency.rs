//! Many writers at once.

use std::{collections::HashSet, sync::Barrier, thread};

use super::{CaseResult, StoreFixture, all_of, history, metrics, new_experiment, new_run, point};
use crate::{ErrorKind, NewModelVersion, NewRegisteredModel, NewRun, Param, RunBatch, TrackingError};

const WRITERS: usize = 8;

pub fn eight_writers_over_two_connections_lose_and_double_nothing(fixture: &dyn StoreFixture) -> CaseResult {
    eight_writers(fixture, 25, 40)
}

/// As the case above, with so many batches of so many points from each writer to a run of all, and as many to its own.
pub fn eight_writers(fixture: &dyn StoreFixture, batches: usize, points: usize) -> CaseResult {
    let stores = [fixture.open(), fixture.open()];
    let shared = new_run(stores[0].as_ref())?;
    let start = Barrier::new(WRITERS);
    let own_runs = thread::scope(|scope| {
        let write = |writer: usize| {
            let store = &stores[writer % stores.len()];
            let (shared, start) = (&shared, &start);
            move || -> Result<String, TrackingError> {
                start.wait();
                let own = store
                    .create_run(&NewRun { experiment_id: "0".to_owned(), ..NewRun::default() })?
                    .info
                    .run_id;
                for batch in 0..batches {
                    let steps = (batch * points..(batch + 1) * points).map(|step| step as i64);
                    store.log_batch(
                        shared,
                        &metrics(steps.clone().map(|step| point("m", writer as f64, 1, step))),
                    )?;
                    store.log_batch(&own, &metrics(steps.map(|step| point("m", 1.0, 1, step))))?;
                }
                Ok(own)
            }
        };
        let threads: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(write(writer))).collect();
        threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let reader = fixture.open();
    let each = batches * points;
    let stored = history(reader.as_ref(), &shared, "m")?;
    assert_eq!(stored.len(), WRITERS * each);
    let distinct: HashSet<_> = stored.iter().map(|point| (point.step, point.value.to_bits())).collect();
    assert_eq!(distinct.len(), stored.len());
    for run_id in &own_runs {
        assert_eq!(history(reader.as_ref(), run_id, "m")?.len(), each);
    }
    let latest = &reader.run(&shared)?.data.metrics[0];
    assert_eq!((latest.step, latest.value), ((each - 1) as i64, (WRITERS - 1) as f64));
    assert_eq!(reader.search_runs(&all_of("0"))?.items.len(), WRITERS + 1);
    Ok(())
}

pub fn writers_of_one_param_agree(fixture: &dyn StoreFixture) -> CaseResult {
    let stores = [fixture.open(), fixture.open()];
    let run_id = new_run(stores[0].as_ref())?;
    let start = Barrier::new(WRITERS);
    let results = thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, run_id, start) = (&stores[writer % stores.len()], &run_id, &start);
                scope.spawn(move || {
                    start.wait();
                    let params = vec![Param::new("p", writer.to_string())];
                    store.log_batch(run_id, &RunBatch { params, ..RunBatch::default() })
                })
            })
            .collect();
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    let winners: Vec<usize> = (0..WRITERS).filter(|&writer| results[writer].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    assert_eq!(stores[1].run(&run_id)?.data.params, [Param::new("p", winners[0].to_string())]);
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{error}");
    }
    Ok(())
}

pub fn readers_see_whole_batches(fixture: &dyn StoreFixture) -> CaseResult {
    let (writing, reading) = (fixture.open(), fixture.open());
    let run_id = new_run(writing.as_ref())?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> CaseResult {
            for step in 0..100 {
                writing.log_batch(
                    &run_id,
                    &metrics(["a", "b"].map(|key| point(key, step as f64, step, step))),
                )?;
            }
            Ok(())
        });
        loop {
            let is_last = writer.is_finished();
            let latest = reading.run(&run_id)?.data.metrics;
            assert_eq!(latest.first().map(|a| a.step), latest.get(1).map(|b| b.step));
            if is_last {
                assert_eq!(latest.first().map(|a| a.step), Some(99));
                return join(writer);
            }
        }
    })
}

pub fn an_experiment_name_goes_to_one_creator(fixture: &dyn StoreFixture) -> CaseResult {
    let stores = [fixture.open(), fixture.open()];
    let start = Barrier::new(WRITERS);
    let created = thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, start) = (&stores[writer % stores.len()], &start);
                scope.spawn(move || {
                    start.wait();
                    new_experiment(store.as_ref(), "wanted")
                })
            })
            .collect();
        threads.into_iter().map(join).filter(Result::is_ok).count()
    });
    assert_eq!(created, 1);
    Ok(())
}

pub fn versions_of_one_model_get_different_numbers(fixture: &dyn StoreFixture) -> CaseResult {
    const EACH: usize = 5;
    let stores = [fixture.open(), fixture.open()];
    let new = NewRegisteredModel { name: "m".to_owned(), ..NewRegisteredModel::default() };
    stores[0].create_registered_model(&new)?;
    let start = Barrier::new(WRITERS);
    let mut numbers = thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, start) = (&stores[writer % stores.len()], &start);
                scope.spawn(move || -> Result<Vec<u64>, TrackingError> {
                    start.wait();
                    let new = NewModelVersion {
                        name: "m".to_owned(),
                        source: "s3://bucket/model".to_owned(),
                        ..NewModelVersion::default()
                    };
                    (0..EACH).map(|_| Ok(store.create_model_version(&new)?.version)).collect()
                })
            })
            .collect();
        threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=(WRITERS * EACH) as u64).collect::<Vec<_>>());
    Ok(())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
