//! Finds a learning rate.

mod plot;

use fulmen_registry::{BuildError, component};
use fulmen_utils::atomic;

use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::trainer::{LearningRateCurve, LearningRateSearch, Tuning};

component! { CallbackKind, "learning_rate_finder", LearningRateSearch => |config, ()| {
    if config.max_lr <= config.min_lr {
        return Err(BuildError::setting("max_lr", format!("{} is not more than min_lr={}", config.max_lr, config.min_lr)));
    }
    Ok(Box::new(LearningRateFinder(config.clone())))
} }

/// Finds a learning rate.
#[derive(Debug)]
pub struct LearningRateFinder(LearningRateSearch);

impl Callback for LearningRateFinder {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        context.request_tuning(Tuning::LearningRate(self.0.clone()));
        Ok(())
    }

    fn on_learning_rate_found(
        &mut self,
        curve: &LearningRateCurve,
        context: &mut HookContext<'_>,
    ) -> Result<()> {
        let rows: String =
            curve.lr.iter().zip(&curve.loss).map(|(lr, loss)| format!("{lr:e},{loss}\n")).collect();
        let write = |name: &str, text: String| {
            atomic::write(&context.folder.join(format!("learning_rate_finder.{name}")), text.as_bytes())
        };
        write("csv", format!("lr,loss\n{rows}"))?;
        write("svg", plot::svg(curve))?;
        if let Some(rate) = curve.suggested() {
            context.log([("learning_rate_finder/suggestion".to_owned(), rate)].into());
        }
        Ok(())
    }
}
