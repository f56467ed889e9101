//! Experiments on an MLflow server.

use serde::Deserialize;
use serde_json::json;

use super::{
    RemoteStore,
    client::Again,
    our_token, servers_token, tags_json,
    wire::{ExperimentWire, Nothing},
};
use crate::{
    ErrorKind, Experiment, LifecycleStage, NewExperiment, Page, SearchExperiments, Tag, TrackingError,
    limits::{self, invalid},
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 1000;
/// MLflow's largest page.
const LARGEST_PAGE: usize = 50_000;

#[derive(Debug, Deserialize)]
struct Found {
    experiment: ExperimentWire,
}

impl RemoteStore {
    pub(super) fn create_experiment_there(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Created {
            experiment_id: String,
        }
        let mut body = json!({ "name": new.name, "tags": tags_json(&new.tags) });
        if let Some(location) = &new.artifact_location {
            body["artifact_location"] = location.trim_end_matches('/').into();
        }
        match self.client.post::<Created>("experiments/create", &body, Again::IfUnsent) {
            Ok(created) => self.find_experiment(&created.experiment_id),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(self.taken(&new.name)?.unwrap_or(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The error for a name that is taken, if it is.
    fn taken(&self, name: &str) -> Result<Option<TrackingError>, TrackingError> {
        let taken = self.find_experiment_named(name)?;
        Ok(taken.map(|taken| TrackingError::ExperimentExists {
            name: name.to_owned(),
            deleted: taken.lifecycle_stage == LifecycleStage::Deleted,
        }))
    }

    pub(super) fn find_experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        let not_found = || self.not_found("experiment", experiment_id);
        // MLflow's database knows no larger number, and fails at it.
        let is_number = experiment_id.bytes().all(|byte| byte.is_ascii_digit());
        if experiment_id.is_empty() || is_number && experiment_id.parse::<i64>().is_err() {
            return Err(not_found());
        }
        let found: Result<Found, _> = self.client.get("experiments/get", &[("experiment_id", experiment_id)]);
        match found {
            Ok(found) => {
                let experiment = Experiment::from(found.experiment);
                // To MLflow `01` is `1`.
                if experiment.experiment_id == experiment_id { Ok(experiment) } else { Err(not_found()) }
            }
            Err(error) => match error.kind() {
                // An id of another form names nothing.
                ErrorKind::NotFound | ErrorKind::InvalidParameter => Err(not_found()),
                _ => Err(error),
            },
        }
    }

    pub(super) fn find_experiment_named(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        match self.client.get::<Found>("experiments/get-by-name", &[("experiment_name", name)]) {
            Ok(found) => Ok(Some(found.experiment.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn find_experiments(
        &self,
        search: &SearchExperiments,
    ) -> Result<Page<Experiment>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            experiments: Vec<ExperimentWire>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let identity = format!("experiments {:?} {:?} {:?}", search.filter, search.view, search.order_by);
        let mut body = json!({
            "filter": search.filter,
            "view_type": search.view,
            "order_by": search.order_by,
            "max_results": limits::page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
        });
        if let Some(token) = servers_token(&identity, search.page_token.as_deref())? {
            body["page_token"] = token.into();
        }
        let found: Found = self.client.post("experiments/search", &body, Again::Harmless)?;
        let items = found.experiments.into_iter().map(Experiment::from).collect();
        Ok(Page { items, next_page_token: our_token(&identity, found.next_page_token) })
    }

    pub(super) fn rename_experiment_there(
        &self,
        experiment_id: &str,
        name: &str,
    ) -> Result<(), TrackingError> {
        if self.active_experiment(experiment_id)?.name == name {
            return Ok(());
        }
        if let Some(taken) = self.taken(name)? {
            return Err(taken);
        }
        let body = json!({ "experiment_id": experiment_id, "new_name": name });
        self.client.post::<Nothing>("experiments/update", &body, Again::Harmless).map(drop)
    }

    /// An experiment that is not deleted.
    pub(super) fn active_experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        let experiment = self.find_experiment(experiment_id)?;
        match experiment.lifecycle_stage {
            LifecycleStage::Active => Ok(experiment),
            LifecycleStage::Deleted => {
                Err(TrackingError::Deleted { what: "experiment", id: experiment_id.to_owned() })
            }
        }
    }

    pub(super) fn delete_experiment_there(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.active_experiment(experiment_id)?;
        let body = json!({ "experiment_id": experiment_id });
        self.client.post::<Nothing>("experiments/delete", &body, Again::IfUnsent).map(drop)
    }

    pub(super) fn restore_experiment_there(&self, experiment_id: &str) -> Result<(), TrackingError> {
        if self.find_experiment(experiment_id)?.lifecycle_stage == LifecycleStage::Active {
            return Err(invalid("experiment", experiment_id, "it is not deleted"));
        }
        let body = json!({ "experiment_id": experiment_id });
        self.client.post::<Nothing>("experiments/restore", &body, Again::IfUnsent).map(drop)
    }

    pub(super) fn set_tag_of_experiment(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError> {
        let body = json!({ "experiment_id": experiment_id, "key": tag.key, "value": tag.value });
        let set = self.client.post::<Nothing>("experiments/set-experiment-tag", &body, Again::Harmless);
        set.map(drop).or_else(|error| self.active_experiment(experiment_id).and(Err(error)))
    }

    pub(super) fn delete_tag_of_experiment(
        &self,
        experiment_id: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let body = json!({ "experiment_id": experiment_id, "key": key });
        let deleted =
            self.client.post::<Nothing>("experiments/delete-experiment-tag", &body, Again::IfUnsent);
        deleted.map(drop).or_else(|error| self.active_experiment(experiment_id).and(Err(error)))
    }
}
