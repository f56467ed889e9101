//! The kind `logger`: where values go beside the tracking store.

use std::fmt::Debug;
use std::path::Path;

use fulmen_contracts::event::Values;
use fulmen_registry::Kind;
use serde_json::Value;

use crate::Result;

/// Takes the values that training records. The tracking store has them all without one; a logger writes them for another
/// reader, such as a spreadsheet or TensorBoard.
///
/// Training waits for it: keep values in memory and write them in [`Self::save`]. One that fails is left out, with a
/// warning; training goes on.
pub trait Logger: Debug + Send {
    /// Training begins, or goes on.
    ///
    /// # Errors
    /// When it cannot write where it is to.
    fn start(&mut self, start: &LoggerStart<'_>) -> Result<()>;

    /// Takes values.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn log_metrics(&mut self, record: &MetricsRecord<'_>) -> Result<()>;

    /// Writes what it holds: at the end of each epoch, before each checkpoint, and at the end. What is not written when a
    /// run is killed is logged again by the run that resumes.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&mut self) -> Result<()>;
}

/// What a logger begins with.
#[derive(Debug, Clone, Copy)]
pub struct LoggerStart<'a> {
    /// The run's own folder, whose files are the run's artifacts.
    pub folder: &'a Path,
    /// The composed configuration.
    pub hparams: &'a Value,
    /// Optimizer steps that the checkpoint holds which the run goes on from. What was logged after them is logged again,
    /// so it is to be cut off. None for a new run.
    pub resumed_at: Option<u64>,
}

/// Values of one moment.
#[derive(Debug, Clone, Copy)]
pub struct MetricsRecord<'a> {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// By name, as in `val/loss`.
    pub values: &'a Values,
}

/// The kind `logger`.
#[derive(Debug)]
pub struct LoggerKind;

impl Kind for LoggerKind {
    const NAME: &'static str = "logger";
    type Product = Box<dyn Logger>;
    type Context<'context> = ();
}
