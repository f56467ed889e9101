//! Values as a table, in the layout of Lightning's `CSVLogger`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use fulmen_registry::component;
use fulmen_utils::atomic::{self, WriteError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::version;
use crate::logger::{Logger, LoggerKind, LoggerStart, MetricsRecord};
use crate::{Error, Result};

/// Writes `metrics.csv`, one row a record and one column a metric, and the configuration as `hparams.yaml`, to
/// `<run>/<name>/version_<n>/`, as Lightning's `CSVLogger` does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvLoggerConfig {
    /// The folder below the run's own.
    #[serde(default = "default_name")]
    pub name: String,
    /// The folder below `name`; left null: `version_0`, or the first number that is free.
    #[serde(default)]
    pub version: Option<String>,
    /// Put before the names of metrics, with a dash between.
    #[serde(default)]
    pub prefix: String,
    /// Records after which the file is written, also within an epoch.
    #[serde(default = "default_flush")]
    #[schemars(range(min = 1))]
    pub flush_logs_every_n_steps: u64,
}

fn default_name() -> String {
    "csv".to_owned()
}

const fn default_flush() -> u64 {
    100
}

component! { LoggerKind, "csv", CsvLoggerConfig => |config: &CsvLoggerConfig, ()| Ok(Box::new(CsvLogger::new(config))) }

/// Writes values as a table.
#[derive(Debug)]
pub struct CsvLogger {
    config: CsvLoggerConfig,
    /// None before the start.
    path: Option<PathBuf>,
    /// The table's columns, in order, as they are in the file.
    columns: Vec<String>,
    /// What is not in the file yet.
    rows: Vec<BTreeMap<String, String>>,
    /// Rows of the step that the run goes on from: what comes again is not written twice.
    kept: Vec<BTreeMap<String, String>>,
}

impl CsvLogger {
    /// A logger that has nowhere to write yet.
    pub fn new(config: &CsvLoggerConfig) -> Self {
        Self { config: config.clone(), path: None, columns: Vec::new(), rows: Vec::new(), kept: Vec::new() }
    }

    /// What the file holds up to `step`; a last line that was cut off when the run was killed is passed over.
    fn cut_back(&mut self, path: &PathBuf, step: u64) -> Result<()> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::data(path, format!("cannot be read: {error}"))),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines().map(split);
        self.columns = lines.next().unwrap_or_default();
        let rows: Vec<BTreeMap<String, String>> = lines
            .map(|cells| {
                self.columns.iter().cloned().zip(cells).filter(|(_, cell)| !cell.is_empty()).collect()
            })
            .collect();
        let at = |row: &BTreeMap<String, String>| row.get("step").and_then(|cell| cell.parse::<u64>().ok());
        let rows: Vec<_> = rows.into_iter().filter(|row| at(row).is_some_and(|at| at <= step)).collect();
        self.kept = rows.iter().filter(|row| at(row) == Some(step)).cloned().collect();
        Ok(atomic::write(path, table(&self.columns, &rows).as_bytes())?)
    }
}

impl Logger for CsvLogger {
    fn start(&mut self, start: &LoggerStart<'_>) -> Result<()> {
        let CsvLoggerConfig { name, version, .. } = &self.config;
        let folder = version::begin(start, name, version.as_deref())?;
        let path = folder.join("metrics.csv");
        match start.resumed_at {
            Some(step) => self.cut_back(&path, step)?,
            // A version of this name that was there is of another run.
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(WriteError::new(&path, error).into());
                }
                _ => {}
            },
        }
        self.path = Some(path);
        Ok(())
    }

    fn log_metrics(&mut self, record: &MetricsRecord<'_>) -> Result<()> {
        let named = |name: &str| version::prefixed(&self.config.prefix, name);
        let mut row: BTreeMap<_, _> =
            record.values.iter().map(|(name, value)| (named(name), value.to_string())).collect();
        row.insert("epoch".to_owned(), record.epoch.to_string());
        row.insert("step".to_owned(), record.step.to_string());
        if let Some(place) =
            self.kept.iter().position(|kept| kept.keys().eq(row.keys()) && kept["step"] == row["step"])
        {
            self.kept.swap_remove(place);
            return Ok(());
        }
        self.rows.push(row);
        if self.rows.len() as u64 >= self.config.flush_logs_every_n_steps { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| !self.rows.is_empty()) else { return Ok(()) };
        let known: BTreeSet<&String> = self.columns.iter().collect();
        let new: BTreeSet<&String> =
            self.rows.iter().flat_map(BTreeMap::keys).filter(|name| !known.contains(name)).collect();
        if new.is_empty() {
            let text: String = self.rows.iter().map(|row| line(&self.columns, row)).collect();
            OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(|error| WriteError::new(path, error))?;
        } else {
            // A column more: the table is written anew, in the order that Lightning gives the columns.
            let columns: BTreeSet<String> = known.into_iter().chain(new).cloned().collect();
            let columns: Vec<String> = columns.into_iter().collect();
            let text = fs::read_to_string(path).unwrap_or_default();
            let before = text
                .lines()
                .skip(1)
                .map(|cells| self.columns.iter().cloned().zip(split(cells)).collect::<BTreeMap<_, _>>());
            let rows: Vec<_> = before.chain(self.rows.iter().cloned()).collect();
            atomic::write(path, table(&columns, &rows).as_bytes())?;
            self.columns = columns;
        }
        self.rows.clear();
        Ok(())
    }
}

fn table(columns: &[String], rows: &[BTreeMap<String, String>]) -> String {
    let header = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(",");
    let rows: String = rows.iter().map(|row| line(columns, row)).collect();
    format!("{header}\n{rows}")
}

fn line(columns: &[String], row: &BTreeMap<String, String>) -> String {
    let cells = columns.iter().map(|column| row.get(column).map_or("", String::as_str));
    let mut line = cells.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A name as a cell; cells of rows are numbers.
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// A line's cells.
fn split(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut inside) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if inside && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => inside = !inside,
            ',' if !inside => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_contracts::event::Values;
    use serde_json::json;
    use std::path::Path;

    fn logger(run: &Path, resumed_at: Option<u64>) -> CsvLogger {
        let mut logger = CsvLogger::new(&serde_json::from_value(json!({})).unwrap());
        logger.start(&LoggerStart { folder: run, hparams: &json!({"seed": 1}), resumed_at }).unwrap();
        logger
    }

    fn log<const N: usize>(logger: &mut CsvLogger, step: u64, values: [(&str, f64); N]) {
        let values: Values = values.map(|(name, value)| (name.to_owned(), value)).into();
        logger.log_metrics(&MetricsRecord { epoch: step / 10, step, time_ms: 0, values: &values }).unwrap();
    }

    fn text(run: &Path) -> String {
        fs::read_to_string(run.join("csv/version_0/metrics.csv")).unwrap()
    }

    #[test]
    fn the_table_is_wide_and_gets_a_column_when_a_metric_comes_up() {
        let run = tempfile::tempdir().unwrap();
        let mut logger = logger(run.path(), None);
        log(&mut logger, 5, [("train/loss_step", 0.5)]);
        logger.save().unwrap();
        log(&mut logger, 10, [("train/loss_step", 0.25)]);
        log(&mut logger, 10, [("val/loss", f64::NAN), ("a,b", 1.0)]);
        logger.save().unwrap();
        assert_eq!(
            text(run.path()),
            "\"a,b\",epoch,step,train/loss_step,val/loss\n,0,5,0.5,\n,1,10,0.25,\n1,1,10,,NaN\n"
        );
        let hparams = fs::read_to_string(run.path().join("csv/version_0/hparams.yaml")).unwrap();
        assert_eq!(hparams, "seed: 1\n");
    }

    #[test]
    fn a_run_that_goes_on_has_each_row_once() {
        let whole = tempfile::tempdir().unwrap();
        let resumed = tempfile::tempdir().unwrap();
        for (run, killed) in [(whole.path(), false), (resumed.path(), true)] {
            let mut logger = logger(run, None);
            log(&mut logger, 5, [("loss", 0.5)]);
            log(&mut logger, 10, [("loss", 0.25)]);
            log(&mut logger, 10, [("val/loss", 0.3)]);
            logger.save().unwrap();
            if killed {
                log(&mut logger, 15, [("loss", 0.125)]);
                logger.save().unwrap();
                // Cut off in its middle by the kill.
                let path = run.join("csv/version_0/metrics.csv");
                fs::write(&path, format!("{}2,20,0.0", text(run))).unwrap();
                logger = super::tests::logger(run, Some(10));
                // Validation comes again after a checkpoint that was saved before it.
                log(&mut logger, 10, [("val/loss", 0.3)]);
            }
            log(&mut logger, 15, [("loss", 0.125)]);
            log(&mut logger, 20, [("loss", 0.1)]);
            logger.save().unwrap();
        }
        assert_eq!(text(whole.path()), text(resumed.path()));
        assert_eq!(text(whole.path()).lines().count(), 6);
    }
}
