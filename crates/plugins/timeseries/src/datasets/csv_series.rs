//! Series in the columns of a CSV file.

mod table;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_contracts::schema;
use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::windows::{Series, Windows};
use crate::preprocessors::Standardize;
use table::Table;

/// Series in the columns of a CSV file with a header, one row a moment, the oldest first. From each window of `input_length` rows, the
/// `target` columns of the next `horizon` rows are to be predicted. Training, validation and test are parts of the file in this order;
/// all columns are standardised by mean and deviation of the training part, so predictions and errors count in deviations.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSeriesConfig {
    /// The file.
    pub file: PathBuf,
    /// Columns that the network sees. Left out or null: all columns of numbers.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Columns to predict. Left out or null: those that the network sees.
    #[serde(default)]
    pub target: Option<Vec<String>>,
    /// Rows that the network sees.
    #[serde(default = "default_input_length")]
    #[schemars(extend("minimum" = 1))]
    pub input_length: NonZeroUsize,
    /// Rows to predict.
    #[serde(default = "default_horizon")]
    #[schemars(extend("minimum" = 1))]
    pub horizon: NonZeroUsize,
    /// Share of the rows for validation, behind the training part.
    #[serde(default = "default_val_split")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val_split: f64,
    /// Share of the rows for the test, at the end of the file.
    #[serde(default = "default_test_split")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub test_split: f64,
}

fn default_input_length() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(95)
}

const fn default_horizon() -> NonZeroUsize {
    NonZeroUsize::MIN
}

const fn default_val_split() -> f64 {
    0.1
}

const fn default_test_split() -> f64 {
    0.2
}

component! { DatasetKind, "timeseries.csv", CsvSeriesConfig => build }

fn build(config: &CsvSeriesConfig, _: DatasetContext<'_>) -> Result<Box<dyn DataModule>, BuildError> {
    let shares = [("val_split", config.val_split), ("test_split", config.test_split)];
    if let Some((key, share)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
        return Err(BuildError::setting(
            key,
            format!("{share} is out of range: it must be at least 0 and less than 1"),
        ));
    }
    if config.val_split + config.test_split >= 1.0 {
        return Err(BuildError::setting(
            "val_split",
            "validation and test together leave no rows to learn from",
        ));
    }
    Ok(Box::new(CsvSeries { config: config.clone(), open: None }))
}

#[derive(Debug)]
struct CsvSeries {
    config: CsvSeriesConfig,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// Names of the columns that are seen or predicted.
    columns: Vec<String>,
    inputs: Vec<usize>,
    targets: Vec<usize>,
    standardize: Standardize,
    series: Arc<Series>,
    /// Rows at which validation and test begin.
    boundaries: [usize; 2],
}

impl DataModule for CsvSeries {
    fn setup(&mut self) -> Result<()> {
        let config = &self.config;
        let table = Table::open(&config.file)?;
        let inputs = config.columns.clone().map_or_else(|| table.numeric_columns(), Ok)?;
        let targets = config.target.clone().unwrap_or_else(|| inputs.clone());
        let mut columns = inputs.clone();
        columns.extend(targets.iter().filter(|name| !inputs.contains(name)).cloned());
        let place = |names: &[String]| {
            names.iter().filter_map(|name| columns.iter().position(|known| known == name)).collect::<Vec<_>>()
        };
        let (input_places, target_places) = (place(&inputs), place(&targets));
        if inputs.is_empty() || targets.is_empty() {
            let key = if inputs.is_empty() { "columns" } else { "target" };
            return Err(Error::config(
                format!("dataset.{key}"),
                "is empty: name at least one column, or leave it out",
            ));
        }
        let values = table.numbers(&columns)?;
        let rows = values.len() / columns.len();
        let train = ((1.0 - config.val_split - config.test_split) * rows as f64).round() as usize;
        let test = rows - (config.test_split * rows as f64).round() as usize;
        let needed = config.input_length.get() + config.horizon.get();
        if train < needed {
            let message = format!(
                "has {rows} rows, {train} of them to learn from: one window and what follows it are {needed}; lower dataset.input_length or horizon"
            );
            return Err(Error::data(&config.file, message));
        }
        let standardize = Standardize::from_rows(&values[..train * columns.len()], columns.len());
        self.open = Some(Open {
            inputs: input_places,
            targets: target_places,
            series: Arc::new(Series { values: standardize.apply(&values), width: columns.len() }),
            standardize,
            columns,
            boundaries: [train, test],
        });
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        let Some(open) = &self.open else { return DataSpec::default() };
        let length = self.config.input_length.get() as i64;
        let channels = open.inputs.len() as i64;
        let outputs = (self.config.horizon.get() * open.targets.len()) as i64;
        let schema = schema! { series: f32["B", length, channels], target: f32["B", outputs] };
        DataSpec { schema, num_classes: None, class_names: None }
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let open = self.open.as_ref()?;
        let (input_length, horizon) = (self.config.input_length.get(), self.config.horizon.get());
        let [train, test] = open.boundaries;
        // What is predicted lies in the part; what is seen before may reach back into the part before.
        let (first, last) = match split {
            Split::Train => (input_length, train),
            Split::Validation => (train, test),
            Split::Test => (test, open.series.values.len() / open.series.width),
        };
        let starts: Vec<usize> =
            (first..(last + 1).saturating_sub(horizon)).map(|target| target - input_length).collect();
        (!starts.is_empty()).then(|| {
            Arc::new(Windows {
                series: open.series.clone(),
                starts,
                input_length,
                inputs: open.inputs.clone(),
                targets: open.targets.clone(),
                horizon,
            }) as Arc<dyn Dataset>
        })
    }

    /// The last rows of a file: what comes after them is predicted.
    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        let open =
            self.open.as_ref().ok_or_else(|| Error::data(input, "was read before the data was set up"))?;
        let values = Table::open(input)?.numbers(&open.columns)?;
        let (width, input_length) = (open.columns.len(), self.config.input_length.get());
        let rows = values.len() / width;
        let Some(start) = rows.checked_sub(input_length) else {
            return Err(Error::data(input, format!("has {rows} rows, and the network sees {input_length}")));
        };
        let windows = Windows {
            series: Arc::new(Series { values: open.standardize.apply(&values), width }),
            starts: vec![start],
            input_length,
            inputs: open.inputs.clone(),
            targets: open.targets.clone(),
            horizon: 0,
        };
        Ok((Arc::new(windows), vec![input.to_path_buf()]))
    }
}

#[cfg(test)]
mod tests;
