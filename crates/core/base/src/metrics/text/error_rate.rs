//! Edits that make of what was written what is right, as in speech recognition.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::texts;
use crate::metrics::{Join, State};
use crate::{Computed, Error, Metric, MetricKind, Observation, ObservationKind, Result};

/// Words inserted, left out or replaced, for each word of the references, WER. Words are what white space separates.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WordErrorRateConfig {}

/// Characters inserted, left out or replaced, for each character of the references, CER. White space counts too.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CharErrorRateConfig {}

component! { MetricKind, "word_error_rate", WordErrorRateConfig => |_, ()| Ok(Arc::new(ErrorRate::Words)) }
component! { MetricKind, "char_error_rate", CharErrorRateConfig => |_, ()| Ok(Arc::new(ErrorRate::Characters)) }

/// Edits for each unit of the references.
#[derive(Debug, Clone, Copy)]
enum ErrorRate {
    Words,
    Characters,
}

impl ErrorRate {
    /// The edits, and the units of the reference.
    fn count(self, prediction: &str, reference: &str) -> (usize, usize) {
        match self {
            Self::Words => {
                let reference: Vec<_> = reference.split_whitespace().collect();
                (edit_distance(prediction.split_whitespace(), &reference), reference.len())
            }
            Self::Characters => {
                let reference: Vec<_> = reference.chars().collect();
                (edit_distance(prediction.chars(), &reference), reference.len())
            }
        }
    }
}

impl Metric for ErrorRate {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Texts
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [2] i64: edits, units of the references.
        &[("counts", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let (mut edits, mut units) = (0, 0);
        for (prediction, references) in texts(observation)? {
            let [reference] = references else {
                let message =
                    format!("an error rate is of one reference, and a text has {}", references.len());
                return Err(Error::Metric(message));
            };
            let (edited, of) = self.count(prediction, reference);
            edits += edited as i64;
            units += of as i64;
        }
        state.add("counts", Tensor::f_from_slice(&[edits, units])?)
    }

    /// As torchmetrics and jiwer have it: infinite where words were written and none was right.
    fn compute(&self, state: &State) -> Result<Computed> {
        let counts = state.values("counts")?;
        Ok(Computed::One(counts[0] / counts[1]))
    }
}

/// The fewest insertions, deletions and replacements that make the one of the other (Levenshtein 1966).
fn edit_distance<T: PartialEq>(left: impl Iterator<Item = T>, right: &[T]) -> usize {
    // distances[j]: from what of `left` was read so far to the first j of `right`.
    let mut distances: Vec<usize> = (0..=right.len()).collect();
    for (read, unit) in left.enumerate() {
        let mut diagonal = read;
        distances[0] = read + 1;
        for (place, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(unit != *other);
            diagonal = distances[place + 1];
            distances[place + 1] = replaced.min(diagonal + 1).min(distances[place] + 1);
        }
    }
    distances[right.len()]
}
