//! What the metrics of classes share: reading logits and targets, and averages over classes.

use fulmen_torch::tch::{Kind, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Computed, Error, Observation, ObservationKind, Result};

/// The target that torch's cross-entropy leaves out, and every metric of classes with it.
pub(super) const fn ignore_index() -> i64 {
    -100
}

/// How the values of the classes become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Average {
    /// Over all samples, whatever their class.
    Micro,
    /// The mean of the classes that occur, in targets or predictions.
    #[default]
    Macro,
    /// The mean of the classes, each weighing as many targets as it has.
    Weighted,
    /// No average: one value a class, by its number.
    None,
}

impl Average {
    /// The values of the classes as one, or each by its number: `weights` for [`Average::Weighted`], `occurs` for
    /// [`Average::Macro`]. Without any class to average it is 0, as torchmetrics has it.
    pub(super) fn of(self, values: &[f64], weights: &[f64], occurs: impl Fn(usize) -> bool) -> Computed {
        let weight = |class: usize| match self {
            Self::Weighted => weights.get(class).copied().unwrap_or(0.0),
            _ => f64::from(u8::from(occurs(class))),
        };
        if self == Self::None {
            let named = values.iter().enumerate().map(|(class, value)| (class.to_string(), *value));
            return Computed::Several(named.collect());
        }
        let (sum, total) = values.iter().enumerate().fold((0.0, 0.0), |(sum, total), (class, value)| {
            (sum + weight(class) * value, total + weight(class))
        });
        Computed::One(divide(sum, total))
    }
}

/// `numerator / denominator`, and 0 where there is nothing to divide by, as torchmetrics has it.
pub(super) fn divide(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { 0.0 } else { numerator / denominator }
}

/// Logits beside the classes that they are about.
#[derive(Debug)]
pub(super) enum Scored<'a> {
    /// One score says yes: `[N, …]`, targets 0 or 1 of the same shape.
    Binary(Tensor, &'a Tensor),
    /// One score a class: `[N, K, …]`, targets `[N, …]`.
    Multiclass(&'a Tensor, &'a Tensor),
}

impl<'a> Scored<'a> {
    /// Reads what is observed.
    ///
    /// # Errors
    /// When it is no classes, or the shapes do not fit.
    pub(super) fn of(observation: &'a Observation) -> Result<Self> {
        let Observation::Classes { logits, targets } = observation else {
            return Err(observation.is_no(ObservationKind::Classes));
        };
        let (scores, classes) = (logits.size(), targets.size());
        if scores == classes {
            return Ok(Self::Binary(logits.shallow_clone(), targets));
        }
        let fits = scores.len() == classes.len() + 1
            && !classes.is_empty()
            && scores[0] == classes[0]
            && scores[2..] == classes[1..];
        if !fits {
            return Err(Error::Metric(format!(
                "logits {scores:?} and targets {classes:?} do not fit: expected [N, K, …] or [N, …] beside [N, …]"
            )));
        }
        if scores[1] == 1 {
            return Ok(Self::Binary(logits.f_squeeze_dim(1)?, targets));
        }
        Ok(Self::Multiclass(logits, targets))
    }

    /// The classes that are there, `[N, …] i64`.
    pub(super) fn targets(&self) -> &'a Tensor {
        match self {
            Self::Binary(_, targets) | Self::Multiclass(_, targets) => targets,
        }
    }

    /// How many classes there are.
    pub(super) fn classes(&self) -> i64 {
        match self {
            Self::Binary(..) => 2,
            Self::Multiclass(logits, _) => logits.size()[1],
        }
    }

    /// The likeliest class, `[N, …] i64`; with `top_k` above 1 the right class, where it is among the `top_k` likeliest.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub(super) fn predictions(&self, top_k: i64) -> Result<Tensor> {
        match self {
            // A probability above one half is a logit above 0.
            Self::Binary(logits, _) => Ok(logits.f_gt(0.0)?.f_to_kind(Kind::Int64)?),
            Self::Multiclass(logits, _) if top_k == 1 => Ok(logits.f_argmax(1, false)?),
            Self::Multiclass(logits, targets) => {
                let (_, likeliest) = logits.f_topk(top_k.min(self.classes()), 1, true, true)?;
                let hit = likeliest.f_eq_tensor(&targets.f_unsqueeze(1)?)?.f_any_dim(1, false)?;
                Ok(targets.f_where_self(&hit, &likeliest.f_select(1, 0)?)?)
            }
        }
    }

    /// Probabilities in f32: `[M, K]`, or `[M]` where one score says yes; `M` counts the samples of all further axes too.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub(super) fn probabilities(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Binary(logits, _) => logits.f_to_kind(Kind::Float)?.f_sigmoid()?.f_reshape([-1])?,
            Self::Multiclass(logits, _) => {
                let probabilities = logits.f_softmax(1, Kind::Float)?;
                let flat = probabilities.dim() == 2;
                if flat {
                    probabilities
                } else {
                    probabilities.f_movedim_int(1, -1)?.f_reshape([-1, self.classes()])?
                }
            }
        })
    }
}
