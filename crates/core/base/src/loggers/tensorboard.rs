//! Values as curves in TensorBoard.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fulmen_registry::component;
use fulmen_utils::atomic::{self, WriteError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{tfevents, version};
use crate::logger::{Logger, LoggerKind, LoggerStart, MetricsRecord};
use crate::{Error, Result};

/// Writes an event file for TensorBoard, and the configuration as `hparams.yaml`, to `<run>/<name>/version_<n>/`, as
/// Lightning's `TensorBoardLogger` does: `tensorboard --logdir <run>/tensorboard`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TensorBoardLoggerConfig {
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
    #[serde(default = "default_queue")]
    #[schemars(range(min = 1))]
    pub max_queue: u64,
}

fn default_name() -> String {
    "tensorboard".to_owned()
}

/// As torch's `SummaryWriter`.
const fn default_queue() -> u64 {
    10
}

component! { LoggerKind, "tensorboard", TensorBoardLoggerConfig => |config: &TensorBoardLoggerConfig, ()| Ok(Box::new(TensorBoardLogger::new(config))) }

/// Writes an event file.
#[derive(Debug)]
pub struct TensorBoardLogger {
    config: TensorBoardLoggerConfig,
    /// None before the start.
    path: Option<PathBuf>,
    /// Records that are not in the file yet, and how many.
    waiting: Vec<u8>,
    count: u64,
    /// What the file has of the step that the run goes on from: what comes again is not written twice.
    kept: BTreeSet<(u64, String)>,
}

impl TensorBoardLogger {
    /// A logger that has nowhere to write yet.
    pub fn new(config: &TensorBoardLoggerConfig) -> Self {
        Self { config: config.clone(), path: None, waiting: Vec::new(), count: 0, kept: BTreeSet::new() }
    }

    /// The event file of the run that goes on, without what came after `step`; none where there is no such file.
    fn cut_back(&mut self, folder: &Path, step: u64) -> Result<Option<PathBuf>> {
        let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = files.filter(|path| is_event_file(path)).collect();
        files.sort();
        for path in &files {
            let bytes =
                fs::read(path).map_err(|error| Error::data(path, format!("cannot be read: {error}")))?;
            let mut kept = Vec::new();
            for event in tfevents::records(&bytes) {
                match tfevents::step_and_tags(event) {
                    Some((at, _)) if at > step => continue,
                    Some((at, tags)) if at == step => {
                        self.kept.extend(tags.into_iter().map(|tag| (at, tag)));
                    }
                    _ => {}
                }
                kept.extend(tfevents::record(event));
            }
            atomic::write(path, &kept)?;
        }
        Ok(files.pop())
    }
}

fn is_event_file(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("events.out.tfevents."))
}

impl Logger for TensorBoardLogger {
    fn start(&mut self, start: &LoggerStart<'_>) -> Result<()> {
        let TensorBoardLoggerConfig { name, version, .. } = &self.config;
        let folder = version::begin(start, name, version.as_deref())?;
        let old = start.resumed_at.map(|step| self.cut_back(&folder, step)).transpose()?.flatten();
        self.path = Some(match old {
            Some(path) => path,
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                // As TensorFlow names them: seconds, host, process, a number of its own.
                let name = format!("events.out.tfevents.{}.fulmen.{}.0", now.as_secs(), std::process::id());
                let path = folder.join(name);
                atomic::write(&path, &tfevents::record(&tfevents::file_version(now.as_secs_f64())))?;
                path
            }
        });
        Ok(())
    }

    fn log_metrics(&mut self, record: &MetricsRecord<'_>) -> Result<()> {
        let named = |name: &str| version::prefixed(&self.config.prefix, name);
        let epoch = ("epoch".to_owned(), record.epoch as f64);
        let mut values: Vec<(String, f64)> =
            record.values.iter().map(|(name, value)| (named(name), *value)).chain([epoch]).collect();
        if !self.kept.is_empty() {
            values.retain(|(name, _)| !self.kept.contains(&(record.step, name.clone())));
        }
        if values.is_empty() {
            return Ok(());
        }
        let seconds = record.time_ms as f64 / 1e3;
        let values = values.iter().map(|(name, value)| (name.as_str(), *value));
        self.waiting.extend(tfevents::record(&tfevents::scalars(seconds, record.step, values)));
        self.count += 1;
        if self.count >= self.config.max_queue { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> Result<()> {
        if let Some(path) = self.path.as_ref().filter(|_| !self.waiting.is_empty()) {
            OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(&self.waiting))
                .map_err(|error| WriteError::new(path, error))?;
            self.waiting.clear();
            self.count = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_contracts::event::Values;
    use serde_json::json;

    fn logger(run: &Path, resumed_at: Option<u64>) -> TensorBoardLogger {
        let mut logger = TensorBoardLogger::new(&serde_json::from_value(json!({})).unwrap());
        logger.start(&LoggerStart { folder: run, hparams: &json!({}), resumed_at }).unwrap();
        logger
    }

    fn log(logger: &mut TensorBoardLogger, step: u64, name: &str) {
        let values: Values = [(name.to_owned(), 1.0)].into();
        logger.log_metrics(&MetricsRecord { epoch: 0, step, time_ms: 1500, values: &values }).unwrap();
    }

    fn steps(run: &Path) -> Vec<(u64, Vec<String>)> {
        let entries = fs::read_dir(run.join("tensorboard/version_0")).unwrap();
        let files: Vec<_> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| is_event_file(path)).collect();
        assert_eq!(files.len(), 1);
        let bytes = fs::read(&files[0]).unwrap();
        tfevents::records(&bytes).into_iter().filter_map(tfevents::step_and_tags).collect()
    }

    #[test]
    fn a_run_that_goes_on_has_each_value_once() {
        let run = tempfile::tempdir().unwrap();
        let mut first = logger(run.path(), None);
        log(&mut first, 1, "loss");
        log(&mut first, 2, "loss");
        log(&mut first, 2, "val/loss");
        log(&mut first, 3, "loss");
        first.save().unwrap();
        drop(first);
        let mut second = logger(run.path(), Some(2));
        log(&mut second, 2, "val/loss");
        log(&mut second, 3, "loss");
        second.save().unwrap();
        let names = |name: &str| vec![name.to_owned(), "epoch".to_owned()];
        assert_eq!(
            steps(run.path()),
            [(1, names("loss")), (2, names("loss")), (2, names("val/loss")), (3, names("loss"))]
        );
    }
}
