//! Runs in MongoDB, and what they log.

use std::collections::HashMap;

use mongodb::bson::{Document, doc};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    MongoStore,
    documents::{
        DatasetDocument, JournalPosition, Pending, Point, RunDocument, keep_latest, pair, pairs_of,
        params_of, set_pair, tags_of,
    },
    points,
};
use crate::{
    JournalBatch, NewRun, Run, RunBatch, RunData, RunInfo, RunUpdate, Tag, TrackingError, limits::invalid,
    now_ms, run_name,
};

/// What reads leave out: points under way, which only histories need.
pub(super) fn projection() -> Document {
    doc! { "pending": 0 }
}

impl MongoStore {
    pub(super) fn create_run_document(&self, new: &NewRun, name: &str) -> Result<Run, TrackingError> {
        let experiment = self.active_experiment(&new.experiment_id)?;
        let run_id = Uuid::new_v4().simple().to_string();
        let mut tags = pairs_of(&new.tags);
        set_pair(&mut tags, run_name::TAG, name);
        let document = RunDocument {
            artifact_uri: format!("{}/{run_id}/artifacts", experiment.artifact_location),
            run_id,
            revision: 0,
            experiment_id: experiment.id,
            run_name: name.to_owned(),
            user_id: new.user_id.clone(),
            status: new.status,
            start_time: new.start_time.unwrap_or_else(now_ms),
            end_time: None,
            deleted_time: None,
            deleted_with_experiment: false,
            metrics: Vec::new(),
            params: Vec::new(),
            tags,
            datasets: Vec::new(),
            input_models: Vec::new(),
            outputs: Vec::new(),
            journals: Vec::new(),
        };
        let runs = &self.collections()?.runs;
        runs.insert_one(&document).run().map_err(|error| self.failed(error))?;
        // Deleted meanwhile: its runs are hidden, and this one may have come too late for that.
        if let Err(error) = self.active_experiment(&new.experiment_id) {
            runs.delete_one(doc! { "_id": &document.run_id }).run().map_err(|error| self.failed(error))?;
            return Err(error);
        }
        Ok(read(document, &HashMap::new()))
    }

    /// A run, deleted or not.
    pub(super) fn run_document(&self, run_id: &str) -> Result<RunDocument, TrackingError> {
        let found =
            self.collections()?.runs.find_one(doc! { "_id": { "$eq": run_id } }).projection(projection());
        let found = found.run().map_err(|error| self.failed(error))?;
        found.ok_or_else(|| self.not_found("run", run_id))
    }

    pub(super) fn update_run_document(
        &self,
        run_id: &str,
        update: &RunUpdate,
    ) -> Result<RunInfo, TrackingError> {
        let changed = self.modify_run(run_id, None, |run| {
            refuse_deleted(run)?;
            run.status = update.status.unwrap_or(run.status);
            run.end_time = update.end_time.or(run.end_time);
            if let Some(name) = &update.run_name {
                set_tag(run, &Tag::new(run_name::TAG, name.as_str()));
            }
            Ok(())
        })?;
        Ok(changed.info())
    }

    pub(super) fn delete_run_document(&self, run_id: &str) -> Result<(), TrackingError> {
        self.modify_run(run_id, None, |run| {
            refuse_deleted(run)?;
            run.deleted_time = Some(now_ms());
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn restore_run_document(&self, run_id: &str) -> Result<(), TrackingError> {
        self.modify_run(run_id, None, |run| {
            if run.deleted_time.is_none() {
                return Err(invalid("run", run_id, "it is not deleted"));
            }
            self.active_experiment(&run.experiment_id.to_string())?;
            run.deleted_time = None;
            run.deleted_with_experiment = false;
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn purge_run_document(&self, run_id: &str) -> Result<(), TrackingError> {
        if self.run_document(run_id)?.deleted_time.is_none() {
            return Err(invalid("run", run_id, "delete it before its rows are removed for good"));
        }
        self.remove_run(run_id)
    }

    /// Removes a deleted run: first the run, so that nobody finds it by halves, then its points.
    pub(super) fn remove_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let collections = self.collections()?;
        let failed = |error| self.failed(error);
        let query = doc! { "_id": run_id, "deleted_time": { "$exists": true } };
        if collections.runs.delete_one(query).run().map_err(failed)?.deleted_count == 0 {
            return Ok(());
        }
        self.forget(run_id);
        collections.points.delete_many(doc! { "run_id": run_id }).run().map_err(failed)?;
        self.forget_measurements(run_id)
    }

    pub(super) fn log(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError> {
        self.refuse_unknown_models(batch)?;
        let pending = points::pending(run_id, batch);
        self.modify_run(run_id, pending.as_ref(), |run| apply(run, batch))?;
        pending.map_or(Ok(()), |pending| self.settle(run_id, &pending))
    }

    pub(super) fn log_records(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        self.refuse_unknown_models(&records.batch)?;
        let pending = points::pending(run_id, &records.batch);
        self.modify_run(run_id, pending.as_ref(), |run| {
            refuse_deleted(run)?;
            let position = position(run, &records.journal_id);
            if records.after != position || records.last <= position {
                let (run_id, journal_id) = (run_id.to_owned(), records.journal_id.clone());
                return Err(TrackingError::JournalOrder {
                    run_id,
                    journal_id,
                    position,
                    after: records.after,
                });
            }
            apply(run, &records.batch)?;
            if let Some(finish) = records.finish {
                run.status = finish.status;
                run.end_time = Some(finish.end_time);
            }
            let last = records.last.cast_signed();
            match run.journals.iter_mut().find(|journal| journal.id == records.journal_id) {
                Some(journal) => journal.position = last,
                None => run.journals.push(JournalPosition { id: records.journal_id.clone(), position: last }),
            }
            Ok(())
        })?;
        pending.map_or(Ok(()), |pending| self.settle(run_id, &pending))
    }

    pub(super) fn delete_tag_of_run(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        self.modify_run(run_id, None, |run| {
            refuse_deleted(run)?;
            if key == run_name::TAG {
                return Err(invalid("tag key", key, "it holds the run's name and can only be changed"));
            }
            let count = run.tags.len();
            run.tags.retain(|pair| pair.k != key);
            if run.tags.len() == count { Err(self.not_found("tag", key)) } else { Ok(()) }
        })?;
        Ok(())
    }

    /// Settles what waits in a run's document: batches of writers that died, or that are not done yet.
    pub(super) fn settle_all(&self, run_id: &str) -> Result<(), TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Waiting {
            #[serde(default)]
            pending: Vec<Pending>,
        }
        let runs = self.collections()?.runs.clone_with_type::<Waiting>();
        let found = runs.find_one(doc! { "_id": { "$eq": run_id } }).projection(doc! { "pending": 1 }).run();
        let found = found.map_err(|error| self.failed(error))?;
        let waiting = found.ok_or_else(|| self.not_found("run", run_id))?.pending;
        waiting.iter().try_for_each(|pending| self.settle(run_id, pending))
    }

    /// Runs as their users see them, with their datasets.
    pub(super) fn read_runs(&self, documents: Vec<RunDocument>) -> Result<Vec<Run>, TrackingError> {
        let datasets = self.datasets_of(&documents)?;
        Ok(documents.into_iter().map(|document| read(document, &datasets)).collect())
    }
}

fn read(document: RunDocument, datasets: &HashMap<String, DatasetDocument>) -> Run {
    let info = document.info();
    let (inputs, outputs) = super::lineage::of_run(&document, datasets);
    let metrics = document.metrics.into_iter().map(|latest| latest.point().metric(latest.k)).collect();
    let data = RunData { metrics, params: params_of(document.params), tags: tags_of(document.tags) };
    Run { info, data, inputs, outputs }
}

pub(super) fn refuse_deleted(run: &RunDocument) -> Result<(), TrackingError> {
    match run.deleted_time {
        Some(_) => Err(TrackingError::Deleted { what: "run", id: run.run_id.clone() }),
        None => Ok(()),
    }
}

/// Position of a journal in a run.
pub(super) fn position(run: &RunDocument, journal_id: &str) -> u64 {
    let journal = run.journals.iter().find(|journal| journal.id == journal_id);
    journal.map_or(0, |journal| journal.position.cast_unsigned())
}

/// What a batch does to its run's document.
fn apply(run: &mut RunDocument, batch: &RunBatch) -> Result<(), TrackingError> {
    refuse_deleted(run)?;
    for param in &batch.params {
        match pair(&run.params, &param.key) {
            Some(stored) if stored != param.value => {
                return Err(TrackingError::ParamConflict {
                    run_id: run.run_id.clone(),
                    key: param.key.clone(),
                    stored: stored.to_owned(),
                    given: param.value.clone(),
                });
            }
            Some(_) => {}
            None => set_pair(&mut run.params, &param.key, &param.value),
        }
    }
    batch.tags.iter().for_each(|tag| set_tag(run, tag));
    for metric in &batch.metrics {
        keep_latest(&mut run.metrics, &metric.key, Point::of(metric));
    }
    Ok(())
}

/// Sets a tag; the one that holds the run's name renames the run.
fn set_tag(run: &mut RunDocument, tag: &Tag) {
    set_pair(&mut run.tags, &tag.key, &tag.value);
    if tag.key == run_name::TAG {
        run.run_name.clone_from(&tag.value);
    }
}
