//! How much of the references a summary holds (Lin 2004, <https://aclanthology.org/W04-1013>).

use std::sync::Arc;

use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ngrams::{ngrams, overlap};
use super::texts;
use crate::metrics::classes::divide;
use crate::metrics::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// ROUGE as Google's `rouge_score` counts it without a stemmer: the mean over samples of `rouge1_precision`, `rouge1_recall`, `rouge1_fmeasure`, …
///
/// Words are runs of `a-z0-9` after lower-casing. Of several references, the one of the best F-measure counts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RougeConfig {
    /// Which: `rouge1` and `rouge2` count words and pairs of words, `rougeL` the longest common subsequence.
    #[serde(default = "all")]
    pub(crate) rouge_keys: Vec<RougeKey>,
}

fn all() -> Vec<RougeKey> {
    vec![RougeKey::Rouge1, RougeKey::Rouge2, RougeKey::RougeL]
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum RougeKey {
    /// Words.
    #[serde(rename = "rouge1")]
    Rouge1,
    /// Pairs of words.
    #[serde(rename = "rouge2")]
    Rouge2,
    /// The longest common subsequence.
    #[serde(rename = "rougeL")]
    RougeL,
}

component! { MetricKind, "rouge", RougeConfig => |config, ()| {
    if config.rouge_keys.is_empty() {
        return Err(BuildError::setting("rouge_keys", "name one at least: rouge1, rouge2, rougeL"));
    }
    Ok(Arc::new(Rouge { keys: config.rouge_keys.clone() }))
} }

/// How much of the references a summary holds.
#[derive(Debug)]
struct Rouge {
    keys: Vec<RougeKey>,
}

impl RougeKey {
    const fn name(self) -> &'static str {
        match self {
            Self::Rouge1 => "rouge1",
            Self::Rouge2 => "rouge2",
            Self::RougeL => "rougeL",
        }
    }

    /// Precision, recall and F-measure.
    fn score(self, prediction: &[String], reference: &[String]) -> [f64; 3] {
        let (common, written, right) = match self {
            Self::RougeL => (common_subsequence(prediction, reference), prediction.len(), reference.len()),
            Self::Rouge1 | Self::Rouge2 => {
                let n = if self == Self::Rouge1 { 1 } else { 2 };
                let runs = |tokens: &[String]| (tokens.len() + 1).saturating_sub(n);
                let common = overlap(&ngrams(prediction, n), &ngrams(reference, n)) as usize;
                (common, runs(prediction), runs(reference))
            }
        };
        let (precision, recall) =
            (divide(common as f64, written as f64), divide(common as f64, right as f64));
        [precision, recall, divide(2.0 * precision * recall, precision + recall)]
    }
}

impl Metric for Rouge {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Texts
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [3 × keys] f64: precision, recall, F-measure of each.
        &[("sums", Join::Sum), ("samples", Join::Number)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let (mut sums, mut samples) = (vec![0.0; 3 * self.keys.len()], 0.0);
        for (prediction, references) in texts(observation)? {
            let prediction = tokenize(prediction);
            let references: Vec<_> = references.iter().map(|reference| tokenize(reference)).collect();
            for (sums, key) in sums.chunks_exact_mut(3).zip(&self.keys) {
                let scores = references.iter().map(|reference| key.score(&prediction, reference));
                // The first of those that are as good.
                let best = scores.reduce(|best, score| if score[2] > best[2] { score } else { best });
                for (sum, value) in sums.iter_mut().zip(best.unwrap_or_default()) {
                    *sum += value;
                }
            }
            samples += 1.0;
        }
        state.add("sums", Tensor::f_from_slice(&sums)?)?;
        state.count("samples", samples)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let samples = state.number("samples");
        let names = self
            .keys
            .iter()
            .flat_map(|key| ["precision", "recall", "fmeasure"].map(|part| format!("{}_{part}", key.name())));
        Ok(Computed::Several(
            names.zip(state.values("sums")?).map(|(name, sum)| (name, divide(sum, samples))).collect(),
        ))
    }
}

fn tokenize(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let is_letter = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    text.split(|character| !is_letter(character)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Length of the longest common subsequence.
fn common_subsequence(left: &[String], right: &[String]) -> usize {
    // lengths[j]: of what of `left` was read so far and the first j of `right`.
    let mut lengths = vec![0; right.len() + 1];
    for unit in left {
        let mut diagonal = 0;
        for (place, other) in right.iter().enumerate() {
            let longer = if unit == other { diagonal + 1 } else { lengths[place].max(lengths[place + 1]) };
            diagonal = std::mem::replace(&mut lengths[place + 1], longer);
        }
    }
    lengths[right.len()]
}
