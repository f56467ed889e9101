//! What runs were given and what they made: datasets, and the ids of logged models.

use std::collections::{BTreeSet, HashMap};

use mongodb::bson::{Bson, doc};
use serde::Deserialize;

use super::{
    MongoStore,
    documents::{DatasetDocument, RunDataset, RunDocument, pair, pairs_of, tags_of},
    error::are_duplicates,
    runs::refuse_deleted,
};
use crate::{
    Dataset, DatasetInput, DatasetSummary, ModelOutput, RunInputs, TrackingError,
    lineage::{CONTEXT_TAG, MOST_SUMMARIES},
};

impl MongoStore {
    pub(super) fn log_inputs_of_run(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        let run = self.run_document(run_id)?;
        refuse_deleted(&run)?;
        let datasets: Vec<DatasetDocument> =
            inputs.datasets.iter().map(|input| document(run.experiment_id, &input.dataset)).collect();
        if !datasets.is_empty() {
            match self.collections()?.datasets.insert_many(&datasets).ordered(false).run() {
                Err(error) if !are_duplicates(&error) => return Err(self.failed(error)),
                _ => {}
            }
        }
        self.modify_run(run_id, None, |run| {
            refuse_deleted(run)?;
            for (input, dataset) in inputs.datasets.iter().zip(&datasets) {
                if run.datasets.iter().all(|known| known.id != dataset.id) {
                    run.datasets.push(RunDataset {
                        id: dataset.id.clone(),
                        name: dataset.name.clone(),
                        digest: dataset.digest.clone(),
                        tags: pairs_of(&input.tags),
                    });
                }
            }
            run.input_models.extend(inputs.models.iter().cloned());
            run.input_models.sort_unstable();
            run.input_models.dedup();
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn log_outputs_of_run(
        &self,
        run_id: &str,
        models: &[ModelOutput],
    ) -> Result<(), TrackingError> {
        self.modify_run(run_id, None, |run| {
            refuse_deleted(run)?;
            run.outputs.extend(models.iter().cloned());
            run.outputs.sort_unstable_by(|left, right| {
                (left.step, &left.model_id).cmp(&(right.step, &right.model_id))
            });
            run.outputs.dedup();
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn dataset_summaries(
        &self,
        experiment_ids: &[String],
    ) -> Result<Vec<DatasetSummary>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Given {
            experiment_id: i64,
            datasets: Vec<RunDataset>,
        }
        let runs = self.collections()?.runs.clone_with_type::<Given>();
        let query = doc! {
            "experiment_id": { "$in": Self::experiment_keys(experiment_ids) }, "datasets.0": { "$exists": true },
        };
        let found = runs.find(query).projection(doc! { "experiment_id": 1, "datasets": 1 }).run();
        let mut summaries = BTreeSet::new();
        for run in found.map_err(|error| self.failed(error))? {
            let run = run.map_err(|error| self.failed(error))?;
            for dataset in run.datasets {
                let context = pair(&dataset.tags, CONTEXT_TAG).map(str::to_owned);
                summaries.insert((run.experiment_id, dataset.name, dataset.digest, context));
            }
        }
        let summaries = summaries.into_iter().take(MOST_SUMMARIES);
        Ok(summaries
            .map(|(experiment_id, name, digest, context)| DatasetSummary {
                experiment_id: experiment_id.to_string(),
                name,
                digest,
                context,
            })
            .collect())
    }

    /// The datasets of runs, by id.
    pub(super) fn datasets_of(
        &self,
        runs: &[RunDocument],
    ) -> Result<HashMap<String, DatasetDocument>, TrackingError> {
        let ids: BTreeSet<&str> =
            runs.iter().flat_map(|run| run.datasets.iter().map(|dataset| dataset.id.as_str())).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Bson> = ids.into_iter().map(Bson::from).collect();
        let found = self.collections()?.datasets.find(doc! { "_id": { "$in": ids } }).run();
        let found = found.map_err(|error| self.failed(error))?;
        found
            .map(|dataset| {
                dataset.map(|dataset| (dataset.id.clone(), dataset)).map_err(|error| self.failed(error))
            })
            .collect()
    }
}

/// A dataset's document; its id says experiment, name and digest.
fn document(experiment_id: i64, dataset: &Dataset) -> DatasetDocument {
    let identity = format!("{experiment_id}\0{}\0{}", dataset.name, dataset.digest);
    DatasetDocument {
        id: blake3::hash(identity.as_bytes()).to_hex().to_string(),
        experiment_id,
        name: dataset.name.clone(),
        digest: dataset.digest.clone(),
        source_type: dataset.source_type.clone(),
        source: dataset.source.clone(),
        schema: dataset.schema.clone(),
        profile: dataset.profile.clone(),
    }
}

/// Inputs and outputs of a run.
pub(super) fn of_run(
    run: &RunDocument,
    datasets: &HashMap<String, DatasetDocument>,
) -> (RunInputs, Vec<ModelOutput>) {
    let inputs = run.datasets.iter().filter_map(|given| {
        let stored = datasets.get(&given.id)?.clone();
        let dataset = Dataset {
            name: stored.name,
            digest: stored.digest,
            source_type: stored.source_type,
            source: stored.source,
            schema: stored.schema,
            profile: stored.profile,
        };
        Some(DatasetInput { tags: tags_of(given.tags.clone()), dataset })
    });
    (RunInputs { datasets: inputs.collect(), models: run.input_models.clone() }, run.outputs.clone())
}
