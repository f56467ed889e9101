//! What a worker tells while it runs: one JSON object a line, in the order in which things happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A part of a run's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A few validation batches before training, to find faults early.
    SanityCheck,
    /// Training.
    Train,
    /// Validation, within training or alone.
    Validate,
    /// The held-out test set.
    Test,
    /// Predictions on new input.
    Predict,
}

impl Stage {
    /// The word for people and for the prefix of metric names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SanityCheck => "sanity",
            Self::Train => "train",
            Self::Validate => "val",
            Self::Test => "test",
            Self::Predict => "predict",
        }
    }
}

/// What a metric is counted along, so that no plot can mix two of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Optimizer steps since the run began; also what MLflow's clients mean.
    #[default]
    Step,
    /// Whole passes over the training data.
    Epoch,
    /// Samples seen.
    Sample,
}

/// Named values; a name is `stage/metric`, as in `val/accuracy`.
pub type Values = BTreeMap<String, f64>;

/// A part of a model, such as a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPart {
    /// What the names of its parameters begin with.
    pub name: String,
    /// Values that training may change.
    pub trainable: u64,
    /// Values that it may not, buffers among them.
    pub frozen: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Sizes of what goes in, for one sample; none where no operator was seen to use it.
    pub input: Option<Vec<i64>>,
    /// Sizes of what comes out.
    pub output: Option<Vec<i64>>,
    /// Floating-point operations of a forward pass of one sample.
    pub flops: Option<u64>,
}

/// One thing that happened in a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The parts are built and fit together; training is about to begin.
    Started {
        /// What the run depends on beyond its config: libtorch's version, threads, CPU capability.
        environment: BTreeMap<String, String>,
    },
    /// What the model is made of.
    ModelSummary {
        /// Component name.
        name: String,
        /// Values that training may change.
        trainable: u64,
        /// Values that it may not.
        frozen: u64,
        /// Bytes of all of them.
        bytes: u64,
        /// Floating-point operations of a forward pass of one sample; none where they could not be counted.
        flops: Option<u64>,
        /// Its parts, as deep as was asked for; none where only the sums are wanted.
        parts: Vec<ModelPart>,
    },
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: Stage,
        /// The epoch, from 0.
        epoch: u64,
        /// Epochs in all, where a limit is set.
        epochs: Option<u64>,
        /// Batches of this stage.
        batches: u64,
    },
    /// How far a stage has come; at most some ten a second.
    Progress {
        /// Which.
        stage: Stage,
        /// The epoch, from 0.
        epoch: u64,
        /// Batches done.
        batch: u64,
        /// Batches of this stage.
        batches: u64,
        /// Batches a second, over the last of them.
        rate: f64,
        /// Latest values, without the stage's prefix.
        values: Values,
    },
    /// A stage ended.
    StageFinished {
        /// Which.
        stage: Stage,
        /// The epoch, from 0.
        epoch: u64,
        /// Batches done.
        batches: u64,
        /// Seconds that it took.
        seconds: f64,
        /// Its results.
        values: Values,
    },
    /// Values to be recorded.
    Metrics {
        /// What `at` counts.
        axis: Axis,
        /// Where on the axis.
        at: u64,
        /// Optimizer steps done.
        step: u64,
        /// Milliseconds since 1970.
        time_ms: i64,
        /// The values.
        values: Values,
    },
    /// A checkpoint is on the disk.
    Checkpoint {
        /// Its folder, relative to the run's.
        path: String,
        /// Optimizer steps done.
        step: u64,
        /// Why it was kept, for people: `best val/loss 0.031`.
        reason: String,
    },
    /// How far a download has come.
    Download {
        /// What is fetched.
        name: String,
        /// Bytes that are here.
        received: u64,
        /// Bytes in all, where the server says so.
        total: Option<u64>,
    },
    /// One prediction.
    Prediction {
        /// As it is printed.
        record: serde_json::Value,
    },
    /// Something to tell people.
    Log {
        /// How grave.
        level: Level,
        /// What.
        message: String,
    },
    /// The end: nothing follows.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// All is done.
    Completed {
        /// Why training ended: `max_epochs=10 reached`, `val/loss did not improve …`.
        reason: String,
    },
    /// Asked to stop; state saved.
    Interrupted {
        /// The checkpoint to go on from, relative to the run's folder; none where training had not begun.
        checkpoint: Option<String>,
    },
    /// What was asked for cannot be done as it was asked: found before any training.
    BadInput {
        /// One clear message.
        message: String,
        /// The config key it is about, if it is about one.
        key: Option<String>,
    },
    /// It broke while it ran.
    Failed {
        /// One clear message.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_and_comes_back_equal() {
        let event = Event::Finished {
            outcome: Outcome::BadInput { message: "no\nsuch".into(), key: Some("dataset.root".into()) },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
