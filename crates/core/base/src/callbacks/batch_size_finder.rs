//! Finds the greatest batch that the memory holds.

use fulmen_registry::component;

use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::trainer::{BatchSizeSearch, Tuning};

component! { CallbackKind, "batch_size_finder", BatchSizeSearch => |config, ()| {
    Ok(Box::new(BatchSizeFinder(config.clone())))
} }

/// Finds the greatest batch that the memory holds.
#[derive(Debug)]
pub struct BatchSizeFinder(BatchSizeSearch);

impl Callback for BatchSizeFinder {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        context.request_tuning(Tuning::BatchSize(self.0.clone()));
        Ok(())
    }
}
