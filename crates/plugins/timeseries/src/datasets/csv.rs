//! Series in a CSV file, cut into windows.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{Batch, DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_utils::{Address, nearest};
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::{gather, spec};
use super::table::Table;
use crate::preprocessors::Standardize;

/// Series in a CSV file with a header, one row a step, in the order of time. Each sample is a window of `input_length` rows; its
/// target is what `horizon` rows after it hold. The end of the file is held out, and no row of it is learnt from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The CSV file.
    pub file: PathBuf,
    /// Columns that are looked at. Left out or null: all that hold numbers.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Columns that are forecast, from among those that are looked at. Left out or null: all of them.
    #[serde(default)]
    pub target: Option<Vec<String>>,
    /// Steps that are looked at.
    #[serde(default = "default_input_length")]
    #[schemars(extend("minimum" = 1))]
    pub input_length: NonZeroUsize,
    /// Steps that are forecast. The target holds them one after the other.
    #[serde(default = "default_horizon")]
    #[schemars(extend("minimum" = 1))]
    pub horizon: NonZeroUsize,
    /// Share of the rows that is held out for validation, before those for the test.
    #[serde(default = "default_val_split")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val_split: f64,
    /// Share of the rows, at the end of the file, that is held out for the test.
    #[serde(default = "default_test_split")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub test_split: f64,
    /// Whether each column is brought to mean 0 and deviation 1, by the training rows. Errors and forecasts are then in these
    /// units, not in the file's.
    #[serde(default = "yes")]
    pub standardize: bool,
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

const fn yes() -> bool {
    true
}

component! { DatasetKind, "timeseries.csv", CsvConfig => build }

fn build(config: &CsvConfig, _: DatasetContext<'_>) -> Result<Box<dyn DataModule>, BuildError> {
    for (key, share) in [("val_split", config.val_split), ("test_split", config.test_split)] {
        if !(0.0..1.0).contains(&share) {
            let message = format!("{share} is out of range: it must be at least 0 and less than 1");
            return Err(BuildError::setting(key, message));
        }
    }
    let held_out = config.val_split + config.test_split;
    if held_out >= 1.0 {
        let message = format!(
            "val_split and test_split hold out {held_out} of all rows, which leaves none to learn from"
        );
        return Err(BuildError::setting("test_split", message));
    }
    for (key, names) in [("columns", &config.columns), ("target", &config.target)] {
        if names.as_ref().is_some_and(Vec::is_empty) {
            return Err(BuildError::setting(key, "names no column: name at least one, or leave it null"));
        }
    }
    Ok(Box::new(Csv { config: config.clone(), open: None }))
}

#[derive(Debug)]
struct Csv {
    config: CsvConfig,
    open: Option<Open>,
}

/// The file, once it is read.
#[derive(Debug)]
struct Open {
    columns: Vec<String>,
    standardize: Standardize,
    values: Arc<Vec<f32>>,
    /// Which of the columns are forecast.
    targets: Vec<usize>,
    /// Rows of each part: training, validation, test.
    parts: [Range<usize>; 3],
}

impl DataModule for Csv {
    fn setup(&mut self) -> Result<()> {
        let config = &self.config;
        let table = Table::read(&config.file, config.columns.as_deref())?;
        let targets = match &config.target {
            None => (0..table.columns.len()).collect(),
            Some(names) => names.iter().map(|name| target(&table.columns, name)).collect::<Result<_>>()?,
        };
        let rows = table.rows();
        let held_out = |share: f64| (share * rows as f64).round() as usize;
        let test = rows - held_out(config.test_split);
        let validation = test.saturating_sub(held_out(config.val_split));
        let window = config.input_length.get() + config.horizon.get();
        if validation < window {
            let message = format!(
                "has {rows} rows, of which {validation} are to learn from, and one sample takes {window}: lower dataset.input_length, or take a longer series"
            );
            return Err(Error::data(&config.file, message));
        }
        let columns = table.columns.len();
        let standardize = if config.standardize {
            Standardize::learn(&table.values[..validation * columns], columns)
        } else {
            Standardize::nothing(columns)
        };
        self.open = Some(Open {
            values: Arc::new(standardize.apply(&table.values)),
            columns: table.columns,
            standardize,
            targets,
            parts: [0..validation, validation..test, test..rows],
        });
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        let Some(open) = &self.open else { return DataSpec::default() };
        let outputs = self.config.horizon.get() * open.targets.len();
        spec(self.config.input_length.get(), open.columns.len(), outputs)
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let open = self.open.as_ref()?;
        let rows = match split {
            Split::Train => &open.parts[0],
            Split::Validation => &open.parts[1],
            Split::Test => &open.parts[2],
        };
        let (input_length, horizon) = (self.config.input_length.get(), self.config.horizon.get());
        // Targets lie in the part; what is looked at may lie before it, since it is past by then.
        let first = rows.start.saturating_sub(input_length);
        let last = (rows.end + 1).saturating_sub(input_length + horizon);
        (first < last).then(|| {
            Arc::new(Windows {
                values: open.values.clone(),
                columns: open.columns.len(),
                targets: open.targets.clone(),
                first,
                count: last - first,
                input_length,
                horizon,
            }) as Arc<dyn Dataset>
        })
    }

    /// One forecast, from the last rows of another CSV file with the same columns.
    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        let open = self
            .open
            .as_ref()
            .ok_or_else(|| Error::data(input, "is to be read before the data is set up"))?;
        let table = Table::read(input, Some(&open.columns))?;
        let (rows, input_length) = (table.rows(), self.config.input_length.get());
        if rows < input_length {
            let message = format!("has {rows} rows, and a forecast looks at {input_length}");
            return Err(Error::data(input, message));
        }
        let dataset = Windows {
            values: Arc::new(open.standardize.apply(&table.values)),
            columns: open.columns.len(),
            targets: Vec::new(),
            first: rows - input_length,
            count: 1,
            input_length,
            horizon: 0,
        };
        Ok((Arc::new(dataset), vec![input.to_path_buf()]))
    }
}

fn target(columns: &[String], name: &str) -> Result<usize> {
    columns.iter().position(|column| column == name).ok_or_else(|| {
        let hint = nearest::hint(name, columns.iter().map(String::as_str));
        let message =
            format!("'{name}' is not among the columns that are looked at{hint}: {}", columns.join(", "));
        Error::config("dataset.target", message)
    })
}

/// Windows of consecutive rows, each one row after the one before.
#[derive(Debug)]
struct Windows {
    /// Row after row.
    values: Arc<Vec<f32>>,
    columns: usize,
    targets: Vec<usize>,
    /// The row at which the first window begins.
    first: usize,
    count: usize,
    input_length: usize,
    /// Rows of the target; 0 where it is not known.
    horizon: usize,
}

impl Dataset for Windows {
    fn len(&self) -> usize {
        self.count
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        let starts = indices.iter().map(|index| (self.first + index) * self.columns);
        let series = gather(&self.values, starts, &[self.input_length, self.columns])?;
        let batch = Batch::new().with("series", series);
        if self.horizon == 0 {
            return Ok(batch);
        }
        let mut target = Vec::with_capacity(indices.len() * self.horizon * self.targets.len());
        for index in indices {
            let next = self.first + index + self.input_length;
            for row in next..next + self.horizon {
                target.extend(self.targets.iter().map(|column| self.values[row * self.columns + column]));
            }
        }
        Ok(batch.with("target", Tensor::f_from_slice(&target)?.f_view([indices.len() as i64, -1])?))
    }
}

#[cfg(test)]
mod tests;
