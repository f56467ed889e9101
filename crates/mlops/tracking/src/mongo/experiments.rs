//! Experiments in MongoDB.

use mongodb::bson::{Bson, doc};

use super::{
    MongoStore,
    documents::{ExperimentDocument, pairs_of, set_pair, stage_of, tags_of},
    error::is_duplicate,
};
use crate::{Experiment, NewExperiment, Tag, TrackingError, limits::invalid, now_ms};

impl MongoStore {
    pub(super) fn create_experiment_document(
        &self,
        new: &NewExperiment,
    ) -> Result<Experiment, TrackingError> {
        let collections = self.collections()?;
        // Before a number is spent.
        self.refuse_taken_experiment(&new.name)?;
        let id = self.next_number("experiments")?;
        let location =
            new.artifact_location.as_deref().map(|location| location.trim_end_matches('/').to_owned());
        let now = now_ms();
        let document = ExperimentDocument {
            id,
            experiment_id: id.to_string(),
            revision: 0,
            name: new.name.clone(),
            artifact_location: location.unwrap_or_else(|| format!("{}/{id}", self.artifact_root)),
            creation_time: now,
            last_update_time: now,
            deleted_time: None,
            tags: pairs_of(&new.tags),
        };
        match collections.experiments.insert_one(&document).run() {
            Ok(_) => Ok(read(document)),
            Err(error) if is_duplicate(&error) => {
                self.refuse_taken_experiment(&new.name)?;
                Err(self.failed(error))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The next of the numbers 1, 2, 3 …, none of which comes twice.
    fn next_number(&self, counter: &str) -> Result<i64, TrackingError> {
        let counters = &self.collections()?.counters;
        let increment = doc! { "$inc": { "last": 1_i64 } };
        let mut tries = 0;
        let after = loop {
            let update = counters
                .find_one_and_update(doc! { "_id": counter }, increment.clone())
                .upsert(true)
                .return_document(mongodb::options::ReturnDocument::After);
            match update.run() {
                // Two first users at once: one of them may be refused, and finds the counter next time.
                Err(error) if is_duplicate(&error) && tries < 5 => tries += 1,
                result => break result.map_err(|error| self.failed(error))?,
            }
        };
        let number = after.and_then(|after| after.get_i64("last").ok());
        number.ok_or_else(|| self.not_found("counter", counter))
    }

    fn refuse_taken_experiment(&self, name: &str) -> Result<(), TrackingError> {
        match self.experiment_named(name)? {
            None => Ok(()),
            Some(taken) => Err(TrackingError::ExperimentExists {
                name: name.to_owned(),
                deleted: taken.deleted_time.is_some(),
            }),
        }
    }

    pub(super) fn experiment_named(&self, name: &str) -> Result<Option<ExperimentDocument>, TrackingError> {
        let found = self.collections()?.experiments.find_one(doc! { "name": { "$eq": name } }).run();
        found.map_err(|error| self.failed(error))
    }

    /// An experiment, deleted or not.
    pub(super) fn experiment_document(
        &self,
        experiment_id: &str,
    ) -> Result<ExperimentDocument, TrackingError> {
        let found = self
            .collections()?
            .experiments
            .find_one(doc! { "experiment_id": { "$eq": experiment_id }, "_id": self.experiment_key(experiment_id)? })
            .run();
        found.map_err(|error| self.failed(error))?.ok_or_else(|| self.not_found("experiment", experiment_id))
    }

    pub(super) fn active_experiment(&self, experiment_id: &str) -> Result<ExperimentDocument, TrackingError> {
        let found = self.experiment_document(experiment_id)?;
        refuse_deleted(&found)?;
        Ok(found)
    }

    /// The id is text to its users, any text; here it is a number.
    pub(super) fn experiment_key(&self, experiment_id: &str) -> Result<i64, TrackingError> {
        let number = experiment_id.parse::<i64>().ok().filter(|number| number.to_string() == experiment_id);
        number.ok_or_else(|| self.not_found("experiment", experiment_id))
    }

    fn modify_experiment(
        &self,
        experiment_id: &str,
        change: impl Fn(&mut ExperimentDocument) -> Result<(), TrackingError>,
    ) -> Result<ExperimentDocument, TrackingError> {
        let key = self.experiment_key(experiment_id)?;
        self.modify(&self.collections()?.experiments, "experiment", key, change)
    }

    pub(super) fn rename_experiment_document(
        &self,
        experiment_id: &str,
        name: &str,
    ) -> Result<(), TrackingError> {
        if self.active_experiment(experiment_id)?.name == name {
            return Ok(());
        }
        self.refuse_taken_experiment(name)?;
        let renamed = self.modify_experiment(experiment_id, |experiment| {
            refuse_deleted(experiment)?;
            name.clone_into(&mut experiment.name);
            experiment.last_update_time = now_ms();
            Ok(())
        });
        // Two renames to one name at once: the unique index refuses the second.
        renamed.map(drop).or_else(|error| self.refuse_taken_experiment(name).and(Err(error)))
    }

    /// Runs first, so that a call that died half-way can be repeated; and last those that were created meanwhile.
    pub(super) fn delete_experiment_document(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let key = self.active_experiment(experiment_id)?.id;
        let now = now_ms();
        let hide_runs = || {
            let update = doc! {
                "$set": { "deleted_time": now, "deleted_with_experiment": true }, "$inc": { "revision": 1_i64 },
            };
            let query = doc! { "experiment_id": key, "deleted_time": { "$exists": false } };
            self.collections()?.runs.update_many(query, update).run().map_err(|error| self.failed(error))
        };
        hide_runs()?;
        self.modify_experiment(experiment_id, |experiment| {
            refuse_deleted(experiment)?;
            experiment.deleted_time = Some(now);
            experiment.last_update_time = now;
            Ok(())
        })?;
        hide_runs().map(drop)
    }

    pub(super) fn restore_experiment_document(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let experiment = self.experiment_document(experiment_id)?;
        let refuse_active = |experiment: &ExperimentDocument| match experiment.deleted_time {
            None => Err(invalid("experiment", experiment_id, "it is not deleted")),
            Some(_) => Ok(()),
        };
        refuse_active(&experiment)?;
        let update = doc! {
            "$unset": { "deleted_time": "", "deleted_with_experiment": "" }, "$inc": { "revision": 1_i64 },
        };
        let query = doc! { "experiment_id": experiment.id, "deleted_with_experiment": true };
        self.collections()?.runs.update_many(query, update).run().map_err(|error| self.failed(error))?;
        self.modify_experiment(experiment_id, |experiment| {
            refuse_active(experiment)?;
            experiment.deleted_time = None;
            experiment.last_update_time = now_ms();
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn purge_experiment_document(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let experiment = self.experiment_document(experiment_id)?;
        if experiment.deleted_time.is_none() {
            return Err(invalid(
                "experiment",
                experiment_id,
                "delete it before its rows are removed for good",
            ));
        }
        let collections = self.collections()?;
        let failed = |error| self.failed(error);
        let of_experiment = doc! { "experiment_id": experiment.id };
        let ids = collections.runs.clone_with_type::<IdOnly>();
        for run in ids.find(of_experiment.clone()).projection(doc! { "_id": 1 }).run().map_err(failed)? {
            self.remove_run(&run.map_err(failed)?.id)?;
        }
        collections.datasets.delete_many(of_experiment.clone()).run().map_err(failed)?;
        collections.logged_models.delete_many(of_experiment).run().map_err(failed)?;
        let query = doc! { "_id": experiment.id, "revision": experiment.revision };
        collections.experiments.delete_one(query).run().map_err(failed)?;
        Ok(())
    }

    pub(super) fn set_tag_of_experiment(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError> {
        self.modify_experiment(experiment_id, |experiment| {
            refuse_deleted(experiment)?;
            set_pair(&mut experiment.tags, &tag.key, &tag.value);
            experiment.last_update_time = now_ms();
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn delete_tag_of_experiment(
        &self,
        experiment_id: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        self.modify_experiment(experiment_id, |experiment| {
            refuse_deleted(experiment)?;
            let count = experiment.tags.len();
            experiment.tags.retain(|pair| pair.k != key);
            if experiment.tags.len() == count {
                return Err(self.not_found("tag", key));
            }
            experiment.last_update_time = now_ms();
            Ok(())
        })?;
        Ok(())
    }

    /// The keys of these experiments; an id that is no number names none.
    pub(super) fn experiment_keys(experiment_ids: &[String]) -> Vec<Bson> {
        experiment_ids.iter().filter_map(|id| id.parse::<i64>().ok()).map(Bson::from).collect()
    }
}

/// A document of which only the id is read.
#[derive(Debug, serde::Deserialize)]
struct IdOnly {
    #[serde(rename = "_id")]
    id: String,
}

fn refuse_deleted(experiment: &ExperimentDocument) -> Result<(), TrackingError> {
    match experiment.deleted_time {
        Some(_) => Err(TrackingError::Deleted { what: "experiment", id: experiment.experiment_id.clone() }),
        None => Ok(()),
    }
}

pub(super) fn read(document: ExperimentDocument) -> Experiment {
    Experiment {
        experiment_id: document.experiment_id,
        name: document.name,
        artifact_location: document.artifact_location,
        lifecycle_stage: stage_of(document.deleted_time),
        creation_time: document.creation_time,
        last_update_time: document.last_update_time,
        tags: tags_of(document.tags),
    }
}
