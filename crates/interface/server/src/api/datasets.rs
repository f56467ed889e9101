//! Datasets that runs have read.

use super::{Call, Route, list, post};
use crate::{frame::ApiError, wire::WireDatasetSummary};

/// Most experiments that one request may ask for, as in MLflow.
const MAX_EXPERIMENTS: usize = 20;

pub(super) const ROUTES: &[Route] = &[post("experiments/search-datasets", search)];

fn search(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let experiments = call.fields.texts("experiment_ids")?;
    match experiments.len() {
        0 => {
            return Err(ApiError::invalid("SearchDatasets request must specify at least one experiment_id."));
        }
        1..=MAX_EXPERIMENTS => {}
        count => {
            let message = format!(
                "SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids. Received {count}."
            );
            return Err(ApiError::invalid(message));
        }
    }
    let found = call.store.search_datasets(&call.experiment_ids()?)?;
    list("dataset_summaries", found.iter().map(WireDatasetSummary::from).collect())
}
