//! Tells what the model is made of.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};

/// Tells what the model is made of, before training: parts, parameters, bytes, shapes and floating-point operations.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSummaryConfig {
    /// How deep parts are told apart; 0 tells only the sums, -1 every layer.
    #[serde(default = "one")]
    #[schemars(range(min = -1))]
    pub max_depth: i64,
}

const fn one() -> i64 {
    1
}

component! { CallbackKind, "model_summary", ModelSummaryConfig => |config, ()| {
    Ok(Box::new(ModelSummary(config.max_depth)))
} }

/// Tells what the model is made of.
#[derive(Debug)]
pub struct ModelSummary(i64);

impl Callback for ModelSummary {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        context.request_model_summary(self.0);
        Ok(())
    }
}
