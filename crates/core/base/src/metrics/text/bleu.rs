//! Share of runs of words that are in the references (Papineni et al. 2002, doi:10.3115/1073083.1073135).

use std::collections::HashMap;
use std::sync::Arc;

use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ngrams::{ngrams, overlap};
use super::{texts, tokenizer_13a};
use crate::metrics::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// BLEU of the corpus, from 0 to 1: the geometric mean of the shares of runs of words that are in the references, less what is too short.
///
/// The defaults are sacreBLEU's, which says 100 times as much. `tokenize=none`, `smooth=none` is torchmetrics' `BLEUScore`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BleuConfig {
    /// Longest run of words that is looked at.
    #[serde(default = "four")]
    #[schemars(range(min = 1))]
    pub(crate) n_gram: usize,
    /// How texts are split into words.
    #[serde(default)]
    pub(crate) tokenize: Tokenize,
    /// What a length without any run in the references counts as.
    #[serde(default)]
    pub(crate) smooth: Smooth,
    /// Whether letters are compared without their case.
    #[serde(default)]
    pub(crate) lowercase: bool,
}

const fn four() -> usize {
    4
}

/// How texts are split into words.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Tokenize {
    /// As mteval-v13a.pl does: at white space and around punctuation.
    #[default]
    #[serde(rename = "13a")]
    Mteval13a,
    /// At white space.
    #[serde(rename = "none")]
    None,
}

/// What a length without any run in the references counts as (Chen & Cherry 2014, doi:10.3115/v1/W14-3346).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Smooth {
    /// One half of a run, a quarter for the next such length, and so on: their method 3.
    #[default]
    Exp,
    /// One run more in each length but the first, found and in all: their method 2.
    AddOne,
    /// None: BLEU is then 0.
    None,
}

component! { MetricKind, "bleu", BleuConfig => |config, ()| {
    if config.n_gram == 0 {
        return Err(BuildError::setting("n_gram", "n_gram is 0, and must be 1 at least"));
    }
    Ok(Arc::new(Bleu(config.clone())))
} }

/// BLEU of the corpus.
#[derive(Debug)]
struct Bleu(BleuConfig);

impl Bleu {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let text = if self.0.lowercase { text.to_lowercase() } else { text.to_owned() };
        match self.0.tokenize {
            Tokenize::Mteval13a => tokenizer_13a::tokenize(&text),
            Tokenize::None => text.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

impl Metric for Bleu {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Texts
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [2 + 2 n] i64: words written, words of the references of the nearest length; then runs found and runs in all, a length each.
        &[("counts", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let longest = self.0.n_gram;
        let mut counts = vec![0_i64; 2 + 2 * longest];
        for (prediction, references) in texts(observation)? {
            let words = self.tokenize(prediction);
            let references: Vec<_> = references.iter().map(|reference| self.tokenize(reference)).collect();
            counts[0] += words.len() as i64;
            // Of two as near, sacreBLEU takes the shorter.
            let nearest =
                references.iter().map(Vec::len).min_by_key(|length| (length.abs_diff(words.len()), *length));
            counts[1] += nearest.unwrap_or(0) as i64;
            for n in 1..=longest {
                let written = ngrams(&words, n);
                let mut right = HashMap::new();
                for (run, count) in references.iter().flat_map(|reference| ngrams(reference, n)) {
                    let most = right.entry(run).or_insert(0);
                    *most = count.max(*most);
                }
                counts[2 * n] += overlap(&written, &right) as i64;
                counts[2 * n + 1] += written.values().sum::<u64>() as i64;
            }
        }
        state.add("counts", Tensor::f_from_slice(&counts)?)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let counts = state.values("counts")?;
        let (lengths, runs) = counts.split_at(2);
        if runs.iter().step_by(2).all(|found| *found == 0.0) {
            return Ok(Computed::One(0.0));
        }
        let (mut logarithms, mut halved) = (0.0, 1.0);
        for (place, run) in runs.chunks_exact(2).enumerate() {
            let (mut found, mut all) = (run[0], run[1]);
            match self.0.smooth {
                Smooth::AddOne if place > 0 => {
                    found += 1.0;
                    all += 1.0;
                }
                Smooth::Exp if found == 0.0 && all > 0.0 => {
                    halved *= 2.0;
                    found = 1.0 / halved;
                }
                _ => {}
            }
            if found == 0.0 || all == 0.0 {
                return Ok(Computed::One(0.0));
            }
            logarithms += (found / all).ln();
        }
        let (written, right) = (lengths[0], lengths[1]);
        let brevity = if written < right { (1.0 - right / written).exp() } else { 1.0 };
        Ok(Computed::One(brevity * (logarithms / self.0.n_gram as f64).exp()))
    }
}
