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

/// Values as JSON, which has no word for those that are not finite: these are the texts `NaN`, `inf` and `-inf`.
mod numbers {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Values;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(values: &Values, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| {
            let written =
                if value.is_finite() { Written::Number(*value) } else { Written::Text(value.to_string()) };
            (name, written)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        let written = BTreeMap::<String, Written>::deserialize(deserializer)?.into_iter();
        let value = |(name, written)| match written {
            Written::Number(value) => Ok((name, value)),
            Written::Text(text) => match text.parse::<f64>() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(D::Error::custom(format!("'{text}' is no number"))),
            },
        };
        written.map(value).collect()
    }
}

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
        #[serde(with = "numbers")]
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
        #[serde(with = "numbers")]
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
        #[serde(with = "numbers")]
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
    /// Where the time of training went.
    Profile {
        /// What was measured.
        profile: Profile,
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
        /// What is known about it, where a report was written.
        #[serde(default)]
        report: Option<FailureNote>,
    },
}

/// A failure report in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureNote {
    /// The report's file, relative to the run's folder.
    pub path: String,
    /// What to do about it, in a few lines.
    pub advice: Vec<String>,
}

/// Where the time of training went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// From the beginning of training to its end.
    pub wall_seconds: f64,
    /// Training batches within it.
    pub batches: u64,
    /// Parts of it that do not overlap, `rest` among them: their sum is the whole.
    pub phases: Vec<Timed>,
    /// Hooks and phases by name, the longest first; what is within another counts in both.
    pub actions: Vec<Timed>,
    /// Operators, those with the most time of their own first; none where they were not recorded.
    pub operators: Vec<OperatorTime>,
    /// Files with all of it, relative to the run's folder.
    pub files: Vec<String>,
}

/// How often something was done, and how long it took in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// What.
    pub name: String,
    /// How often.
    pub calls: u64,
    /// Seconds in all.
    pub seconds: f64,
}

/// What an operator took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorTime {
    /// `aten::addmm`.
    pub name: String,
    /// How often.
    pub calls: u64,
    /// Seconds on the CPU without the operators that it called.
    pub self_cpu_seconds: f64,
    /// Seconds on the CPU in all.
    pub cpu_seconds: f64,
    /// Seconds of a device's kernel of this name.
    pub device_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_to_the_bit_also_where_they_are_not_finite() {
        let numbers = [0.1 + 0.2, 5e-324, f64::MAX, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let values: Values = numbers.iter().map(|value| (format!("m{value}"), *value)).collect();
        let event = Event::Metrics { axis: Axis::Step, at: 1, step: 1, time_ms: 1, values: values.clone() };
        let line = serde_json::to_string(&event).unwrap();
        let Event::Metrics { values: back, .. } = serde_json::from_str(&line).unwrap() else {
            panic!("{line}")
        };
        let bits = |values: &Values| values.values().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&values));
    }

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
