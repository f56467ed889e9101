//! The kind `metric`: what says how good predictions are, exact over batches of uneven size.

use std::fmt::Debug;
use std::sync::Arc;

use fulmen_registry::Kind;
use fulmen_torch::tch::Tensor;

use crate::metrics::{Join, State};
use crate::{Error, Result};

/// How good predictions are. It holds settings only; what it has counted is a [`State`], and a
/// [`Meter`](crate::metrics::Meter) is the two together.
///
/// State stays on the device of the predictions: nothing waits for the device before [`Self::compute`].
pub trait Metric: Debug + Send + Sync {
    /// What it wants to be shown.
    fn takes(&self) -> ObservationKind;

    /// What it counts: the name of each state, and how those of several ranks become one.
    fn states(&self) -> &'static [(&'static str, Join)];

    /// Counts a batch. Called in every training step: few tensor operations, none that waits for the device.
    ///
    /// # Errors
    /// When it is shown something else than it takes, or predictions and targets do not fit.
    fn update(&self, state: &mut State, observation: &Observation) -> Result<()>;

    /// The metric over all that `state` has counted, which is one batch at least.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn compute(&self, state: &State) -> Result<Computed>;
}

/// A metric's value or values.
#[derive(Debug, Clone, PartialEq)]
pub enum Computed {
    /// One, told under the metric's own name: `val/accuracy`.
    One(f64),
    /// Several, told below it: `val/rouge/rouge1_fmeasure`.
    Several(Vec<(String, f64)>),
}

/// What a task shows its metrics of a batch. Gradients do not flow through it.
#[derive(Debug)]
pub enum Observation {
    /// Scores of classes, and the class that each sample is of.
    Classes {
        /// Not normalised: `[N, K, …]` floating, one score a class; or `[N, …]` or `[N, 1, …]`, where one score says yes.
        logits: Tensor,
        /// `[N, …] i64`, from 0.
        targets: Tensor,
    },
    /// Numbers and what they should be.
    Values {
        /// `[N, …]` floating.
        predictions: Tensor,
        /// Of the same shape.
        targets: Tensor,
    },
    /// What comes next in a series, beside what came before.
    Forecasts {
        /// `[N, H, …]` floating: `H` steps ahead.
        predictions: Tensor,
        /// Of the same shape.
        targets: Tensor,
        /// `[N, T, …]` floating: the `T` steps before.
        history: Tensor,
    },
    /// Texts that were written, and those that would have been right.
    Texts {
        /// One a sample.
        predictions: Vec<String>,
        /// One or several a sample.
        references: Vec<Vec<String>>,
    },
    /// Objects that were found in images, and those that are there.
    Boxes {
        /// One a image.
        predictions: Vec<Detections>,
        /// One a image.
        targets: Vec<GroundTruth>,
    },
}

/// What was found in one image.
#[derive(Debug)]
pub struct Detections {
    /// `[N, 4]` floating, in pixels: left, top, right, bottom.
    pub boxes: Tensor,
    /// `[N]` floating: how sure.
    pub scores: Tensor,
    /// `[N] i64`: classes.
    pub labels: Tensor,
}

/// What is in one image.
#[derive(Debug)]
pub struct GroundTruth {
    /// `[M, 4]` floating, in pixels: left, top, right, bottom.
    pub boxes: Tensor,
    /// `[M] i64`: classes.
    pub labels: Tensor,
    /// `[M] bool`: whether a box is around a crowd, in which any number of detections is right. None: no box is.
    pub crowd: Option<Tensor>,
    /// `[M]` floating, in square pixels: by which an object is small or large. None: the box's own.
    pub area: Option<Tensor>,
}

/// What sort of observation a metric takes and a task shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservationKind {
    /// [`Observation::Classes`].
    Classes,
    /// [`Observation::Values`].
    Values,
    /// [`Observation::Forecasts`].
    Forecasts,
    /// [`Observation::Texts`].
    Texts,
    /// [`Observation::Boxes`].
    Boxes,
}

impl ObservationKind {
    /// Whether a metric that takes `self` can be shown `shown`: a forecast is also values.
    pub fn accepts(self, shown: Self) -> bool {
        self == shown || (self, shown) == (Self::Values, Self::Forecasts)
    }

    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Classes => "scores of classes",
            Self::Values => "values",
            Self::Forecasts => "forecasts with the series before them",
            Self::Texts => "texts",
            Self::Boxes => "boxes in images",
        }
    }
}

impl Observation {
    /// Which sort it is.
    pub const fn kind(&self) -> ObservationKind {
        match self {
            Self::Classes { .. } => ObservationKind::Classes,
            Self::Values { .. } => ObservationKind::Values,
            Self::Forecasts { .. } => ObservationKind::Forecasts,
            Self::Texts { .. } => ObservationKind::Texts,
            Self::Boxes { .. } => ObservationKind::Boxes,
        }
    }

    /// That it is not what a metric takes.
    pub(crate) fn is_no(&self, wanted: ObservationKind) -> Error {
        Error::Metric(format!("it takes {}, and was shown {}", wanted.describe(), self.kind().describe()))
    }
}

/// The kind `metric`.
#[derive(Debug)]
pub struct MetricKind;

impl Kind for MetricKind {
    const NAME: &'static str = "metric";
    type Product = Arc<dyn Metric>;
    type Context<'context> = ();
}
