//! A loss or a gradient that is not finite, and the first layer that made it so: `detect_anomaly`.

use fulmen_contracts::Stage;
use fulmen_torch::tch::Tensor;
use fulmen_torch::watch::{Finding, NonFinite, NonFiniteInput, Watch};

use crate::{Error, Result};

/// Follows the operators of each step.
#[derive(Debug)]
pub(super) struct Anomaly {
    watch: Watch,
    /// Of the watched tensors, by their place.
    names: Vec<String>,
}

impl Anomaly {
    /// Watches what is done with a model's parameters and buffers.
    pub(super) fn start(variables: &[(String, Tensor)]) -> Result<Self> {
        let tensors: Vec<Tensor> = variables.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
        let watch = Watch::start(&tensors)?;
        Ok(Self { watch, names: variables.iter().map(|(name, _)| name.clone()).collect() })
    }

    /// A step begins: what was found before is of another.
    pub(super) fn begin(&self) -> Result<()> {
        Ok(self.watch.look(true)?)
    }

    /// The step is over.
    pub(super) fn end(&self) -> Result<()> {
        Ok(self.watch.look(false)?)
    }

    /// An error where the loss is not finite; waits for the device.
    pub(super) fn check_loss(&self, step: u64, loss: &Tensor) -> Result<()> {
        let value = loss.f_double_value(&[])?;
        if value.is_finite() {
            return Ok(());
        }
        self.watch.look(false)?;
        let (layer, message) = self.explain(&self.watch.findings()?);
        Err(Error::NonFinite {
            stage: Stage::Train.name(),
            step,
            layer,
            message: format!("the loss is {value}{message}"),
        })
    }

    /// What failed in the backward pass, with the layer where it began, if it failed for a gradient that is not finite.
    pub(super) fn of_backward(&self, step: u64, error: Error) -> Error {
        let text = error.to_string();
        if !text.contains("returned nan values") {
            return error;
        }
        let Ok(Some(function)) = self.watch.backward_function() else { return error };
        let layer = function.tensor.map(|tensor| layer_of(&self.names[tensor]));
        let whose = match (&layer, &function.op) {
            (Some(layer), Some(op)) => format!("layer '{layer}' ({op})"),
            (None, Some(op)) => op.clone(),
            _ => "an operator that is not known".to_owned(),
        };
        let message = format!(
            "the loss is finite and a gradient is not: {} of {whose} is the first to give a NaN in the backward pass",
            function.name
        );
        Error::NonFinite { stage: Stage::Train.name(), step, layer, message }
    }

    /// The layer that was first, and a sentence about it.
    fn explain(&self, findings: &[Finding]) -> (Option<String>, String) {
        // Attention masks are made of negative infinities: they count where nothing else is to be seen.
        let first =
            findings.iter().find(|one| one.kind != NonFinite::NegativeInfinity).or_else(|| findings.first());
        let Some(first) = first else {
            return (
                None,
                ", and every operator's output is finite: the step itself made it of something else"
                    .to_owned(),
            );
        };
        let layer = |index: usize| layer_of(&self.names[index]);
        let own = first.tensor.map(layer);
        let place = match (&own, first.before.map(layer)) {
            (Some(layer), _) => format!("layer '{layer}' ({})", first.op),
            (None, Some(before)) => format!("{} after layer '{before}'", first.op),
            (None, None) => format!("{} before any layer", first.op),
        };
        let value = match first.kind {
            NonFinite::Nan => "a NaN",
            NonFinite::Infinity => "an infinity",
            NonFinite::NegativeInfinity => "a negative infinity",
        };
        let why = match first.input {
            NonFiniteInput::None => String::new(),
            NonFiniteInput::Watched(index) => format!(
                ", since '{}' itself is not finite: an optimizer step before made it so",
                self.names[index]
            ),
            NonFiniteInput::Other => {
                match findings.iter().find(|one| one.kind == NonFinite::NegativeInfinity) {
                    Some(mask) if mask != first => {
                        format!(", from a negative infinity that {} gave", mask.op)
                    }
                    _ => ", since what it was given is not finite: look at the batch".to_owned(),
                }
            }
        };
        (own.or_else(|| first.before.map(layer)), format!(": {place} gave {value} first{why}"))
    }
}

/// `layer3.1.conv2` of `layer3.1.conv2.weight`.
fn layer_of(name: &str) -> String {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer).to_owned()
}
