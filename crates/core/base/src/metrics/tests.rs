//! Every metric against its reference, on batches of uneven size, over ranks, and across a checkpoint.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fulmen_registry::registry;
use fulmen_torch::tch::{Kind, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Meter;
use crate::{Computed, Detections, GroundTruth, Metric, MetricKind, Observation, weights};

/// What `tests/vectors/metrics.py` froze.
#[derive(Deserialize)]
struct Vectors {
    data: BTreeMap<String, Data>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Data {
    kind: String,
    batches: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    reference: String,
    metric: Value,
    expected: BTreeMap<String, Value>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/metrics.json")).unwrap()
}

fn build(metric: &Value) -> Arc<dyn Metric> {
    registry().unwrap().build::<MetricKind>(metric, ()).unwrap()
}

/// A tensor of nested arrays.
fn tensor(value: &Value, kind: Kind) -> Tensor {
    fn flatten(value: &Value, shape: &mut Vec<i64>, depth: usize, numbers: &mut Vec<f64>) {
        match value {
            Value::Array(items) => {
                if shape.len() == depth {
                    shape.push(items.len() as i64);
                }
                items.iter().for_each(|item| flatten(item, shape, depth + 1, numbers));
            }
            Value::Bool(yes) => numbers.push(f64::from(u8::from(*yes))),
            number => numbers.push(number.as_f64().unwrap()),
        }
    }
    let (mut shape, mut numbers) = (Vec::new(), Vec::new());
    flatten(value, &mut shape, 0, &mut numbers);
    Tensor::from_slice(&numbers).view(shape.as_slice()).to_kind(kind)
}

fn observation(kind: &str, batch: &Map<String, Value>) -> Observation {
    let (predictions, targets) = (batch.get("predictions"), batch.get("targets"));
    match kind {
        "classes" => Observation::Classes {
            logits: tensor(&batch["logits"], Kind::Float),
            targets: tensor(targets.unwrap(), Kind::Int64),
        },
        "values" => Observation::Values {
            predictions: tensor(predictions.unwrap(), Kind::Double),
            targets: tensor(targets.unwrap(), Kind::Double),
        },
        "forecasts" => Observation::Forecasts {
            predictions: tensor(predictions.unwrap(), Kind::Double),
            targets: tensor(targets.unwrap(), Kind::Double),
            history: tensor(&batch["history"], Kind::Double),
        },
        "texts" => Observation::Texts {
            predictions: serde_json::from_value(predictions.unwrap().clone()).unwrap(),
            references: serde_json::from_value(batch["references"].clone()).unwrap(),
        },
        "boxes" => {
            let found = |image: &Value| Detections {
                boxes: tensor(&image["boxes"], Kind::Float),
                scores: tensor(&image["scores"], Kind::Float),
                labels: tensor(&image["labels"], Kind::Int64),
            };
            let there = |image: &Value| GroundTruth {
                boxes: tensor(&image["boxes"], Kind::Float),
                labels: tensor(&image["labels"], Kind::Int64),
                crowd: image.get("crowd").map(|crowd| tensor(crowd, Kind::Bool)),
                area: image.get("area").map(|area| tensor(area, Kind::Float)),
            };
            Observation::Boxes {
                predictions: predictions.unwrap().as_array().unwrap().iter().map(found).collect(),
                targets: targets.unwrap().as_array().unwrap().iter().map(there).collect(),
            }
        }
        other => panic!("{other}"),
    }
}

impl Data {
    /// Each sample as a batch of its own.
    fn samples(&self) -> Vec<Map<String, Value>> {
        let samples = self.batches.iter().flat_map(|batch| {
            let size = batch.values().next().unwrap().as_array().unwrap().len();
            (0..size).map(|sample| {
                batch.iter().map(|(name, rows)| (name.clone(), json!([rows[sample].clone()]))).collect()
            })
        });
        samples.collect()
    }
}

/// By name; `""` is an unnamed value.
fn computed(meter: &Meter) -> BTreeMap<String, f64> {
    match meter.compute().unwrap().unwrap() {
        Computed::One(value) => BTreeMap::from([(String::new(), value)]),
        Computed::Several(values) => values.into_iter().collect(),
    }
}

fn near(left: f64, right: f64) -> bool {
    left == right || (left.is_nan() && right.is_nan()) || (left - right).abs() <= 1e-6 * right.abs().max(1.0)
}

fn assert_expected(case: &Case, found: &BTreeMap<String, f64>) {
    let what = format!("{} on {} ({})", case.metric, case.data, case.reference);
    assert!(found.keys().eq(case.expected.keys()), "{what}: {:?}", found.keys());
    for (name, expected) in &case.expected {
        let expected = match expected {
            Value::Null => f64::NAN,
            Value::String(_) => f64::INFINITY,
            number => number.as_f64().unwrap(),
        };
        assert!(near(found[name], expected), "{what} {name}: {} and not {expected}", found[name]);
    }
}

fn counted<'a>(case: &Case, kind: &str, batches: impl IntoIterator<Item = &'a Map<String, Value>>) -> Meter {
    let mut meter = Meter::new(build(&case.metric));
    for batch in batches {
        meter.update(&observation(kind, batch)).unwrap();
    }
    meter
}

fn dict(meter: &Meter) -> HashMap<String, Tensor> {
    meter.state_dict().unwrap().into_iter().collect()
}

fn bits(values: &BTreeMap<String, f64>) -> Vec<u64> {
    values.values().map(|value| value.to_bits()).collect()
}

#[test]
fn every_metric_says_what_its_reference_says_of_batches_of_uneven_size() {
    let Vectors { data, cases } = vectors();
    for case in &cases {
        let Data { kind, batches } = &data[&case.data];
        assert_expected(case, &computed(&counted(case, kind, batches)));
    }
}

#[test]
fn every_metric_is_held_against_a_reference() {
    let tested: BTreeSet<_> =
        vectors().cases.iter().map(|case| case.metric["_target_"].to_string()).collect();
    for name in registry().unwrap().names("metric") {
        assert!(tested.contains(&format!("{name:?}")), "{name} is in no frozen vector");
    }
}

/// What is counted in whole numbers is the same to the bit however samples are shared out; sums of fractions to their rounding.
const FRACTIONS: [&str; 9] = [
    "calibration_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_absolute_scaled_error",
    "mean_squared_error",
    "perplexity",
    "r2_score",
    "root_mean_squared_error",
    "symmetric_mean_absolute_percentage_error",
];

#[test]
fn samples_shared_out_over_ranks_give_the_same_values() {
    let Vectors { data, cases } = vectors();
    for case in &cases {
        let of = &data[&case.data];
        let samples = of.samples();
        let whole = computed(&counted(case, &of.kind, &of.batches));
        for world in [1, 2, 3] {
            let ranks = (0..world).map(|rank| {
                let share = samples.iter().enumerate().filter(|(sample, _)| match of.kind.as_str() {
                    // Detections as sure stay in the order of their images, so that order must stay.
                    "boxes" => sample * world / samples.len() == rank,
                    _ => sample % world == rank,
                });
                counted(case, &of.kind, share.map(|(_, sample)| sample))
            });
            let mut joined = Meter::new(build(&case.metric));
            ranks.for_each(|rank| joined.merge(&dict(&rank)).unwrap());
            let joined = computed(&joined);
            assert_expected(case, &joined);
            let target = case.metric["_target_"].as_str().unwrap();
            if !FRACTIONS.contains(&target) && target != "rouge" {
                assert_eq!(
                    bits(&joined),
                    bits(&whole),
                    "{} on {} over {world} ranks",
                    case.metric,
                    case.data
                );
            }
        }
    }
}

#[test]
fn a_metric_that_is_saved_between_two_batches_ends_with_the_same_bits() {
    let Vectors { data, cases } = vectors();
    let folder = tempfile::tempdir().unwrap();
    let mut resumed = BTreeSet::new();
    for case in &cases {
        let Data { kind, batches } = &data[&case.data];
        let (first, rest) = batches.split_at(1);
        if rest.is_empty() || !resumed.insert((case.metric["_target_"].to_string(), case.data.clone())) {
            continue;
        }
        let path = folder.path().join("metrics.safetensors");
        weights::save(&path, &counted(case, kind, first).state_dict().unwrap()).unwrap();
        let mut meter = Meter::new(build(&case.metric));
        meter.load_state_dict(&weights::load(&path).unwrap()).unwrap();
        rest.iter().for_each(|batch| meter.update(&observation(kind, batch)).unwrap());
        assert_eq!(
            bits(&computed(&meter)),
            bits(&computed(&counted(case, kind, batches))),
            "{}",
            case.metric
        );
    }
    assert!(resumed.len() > 50);
}

#[test]
fn before_the_first_sample_and_after_a_reset_there_is_no_value() {
    let Vectors { data, cases } = vectors();
    for case in &cases {
        let of = &data[&case.data];
        let mut meter = Meter::new(build(&case.metric));
        assert_eq!(meter.compute().unwrap(), None);
        meter.update(&observation(&of.kind, &of.batches[0])).unwrap();
        meter.reset();
        assert!(meter.compute().unwrap().is_none() && dict(&meter).is_empty());
    }
}

#[test]
fn what_was_saved_stays_as_it_was_while_counting_goes_on() {
    let Vectors { data, cases } = vectors();
    for case in &cases {
        let Data { kind, batches } = &data[&case.data];
        let mut meter = counted(case, kind, &batches[..1]);
        let saved = dict(&meter);
        let before: HashMap<_, _> = saved.iter().map(|(name, tensor)| (name, tensor.copy())).collect();
        batches.iter().for_each(|batch| meter.update(&observation(kind, batch)).unwrap());
        assert!(before.iter().all(|(name, tensor)| tensor.equal(&saved[*name])), "{}", case.metric);
    }
}

#[test]
fn shapes_that_do_not_fit_are_told_and_what_is_shown_wrongly_is_named() {
    let accuracy = build(&json!({"_target_": "accuracy"}));
    let classes = |logits: &[i64], targets: &[i64]| {
        let options = (Kind::Float, fulmen_torch::tch::Device::Cpu);
        let (logits, targets) =
            (Tensor::zeros(logits, options), Tensor::zeros(targets, options).to_kind(Kind::Int64));
        Observation::Classes { logits, targets }
    };
    let refusal =
        |metric: &Arc<dyn Metric>, shown| Meter::new(metric.clone()).update(&shown).unwrap_err().to_string();
    assert!(refusal(&accuracy, classes(&[4, 3], &[5])).contains("[4, 3] and targets [5] do not fit"));
    let error = build(&json!({"_target_": "mean_squared_error"}));
    assert!(
        refusal(&error, classes(&[4, 3], &[4])).contains("it takes values, and was shown scores of classes")
    );
    let mut matrix = Meter::new(build(&json!({"_target_": "confusion_matrix"})));
    matrix.update(&classes(&[4, 3], &[4])).unwrap();
    let message = matrix.update(&classes(&[4, 2], &[4])).unwrap_err().to_string();
    assert!(message.contains("the number of classes changed"), "{message}");
}
