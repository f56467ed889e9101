//! One file a command.

pub(crate) mod artifacts;
pub(crate) mod cache;
pub(crate) mod completions;
pub(crate) mod components;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod experiments;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod runs;
pub(crate) mod server;
pub(crate) mod sync;
pub(crate) mod train;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fulmen_configuration::Config;
use fulmen_manager::Interrupts;
use fulmen_tracking::Store;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::CliError;

/// Names the store in a configuration.
const TRACKING_URI: &str = "mlflow.tracking_uri";

/// The store that a configuration names.
///
/// # Errors
/// When the URI names no store, or the store cannot be opened: the message is placed where the URI was written.
pub(crate) fn open_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    fulmen_tracking::open(&tracking_uri(config)?).map_err(|error| {
        let problem = fulmen_runner::ConfigProblem::placed(config, TRACKING_URI, error.to_string());
        fulmen_runner::Problems(vec![problem]).into()
    })
}

/// The URI of the store that a configuration names.
pub(crate) fn tracking_uri(config: &Config) -> Result<String, CliError> {
    Ok(match config.value(TRACKING_URI)? {
        Some(node) if !node.is_null() => {
            fulmen_configuration::to_json(&node).as_str().map(str::to_owned).unwrap_or_default()
        }
        _ => "sqlite:///runs/fulmen.db".to_owned(),
    })
}

/// Two requests to stop are at least this far apart.
const APART: Duration = Duration::from_millis(500);

/// Counts Ctrl-C and SIGTERM from now on.
pub(crate) fn interrupts() -> Interrupts {
    let interrupts = Interrupts::default();
    // Without the handler a Ctrl-C ends this program at once, and the worker when it notices: still no harm.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
        let counted = interrupts.clone();
        std::thread::spawn(move || {
            let mut last: Option<Instant> = None;
            for _ in signals.forever() {
                // `timeout` and some supervisors send a signal twice, to the process and to its group: one request, not two.
                if last.is_none_or(|last| last.elapsed() >= APART) {
                    counted.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    last = Some(Instant::now());
                }
            }
        });
    }
    interrupts
}
