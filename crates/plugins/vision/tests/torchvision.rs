//! ResNets against torchvision's: same names, same shapes, same numbers. `fixtures/torchvision_resnet.py` made the numbers.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use std::fs::File;
use std::path::Path;

use fulmen_base::model::named;
use fulmen_base::{Batch, DataSpec, Mode, ModelContext, ModelKind};
use fulmen_contracts::schema;
use fulmen_registry::registry;
use fulmen_torch::tch::{Device, Kind, Tensor, nn, no_grad};
use fulmen_vision as _;
use serde_json::{Value, json};

/// `count` numbers from -1 to 1, as `uniform` of the script makes them.
fn uniform(k: u64, count: usize) -> Tensor {
    let values: Vec<f32> = (0..count as u64)
        .map(|i| {
            let mask = (1 << 32) - 1;
            let mut x = (i * 2_654_435_761 + k * 40_503 + 12_345) & mask;
            for _ in 0..2 {
                x = ((x ^ (x >> 16)) * 73_244_475) & mask;
            }
            x ^= x >> 16;
            (x as f64 / (1_u64 << 32) as f64 * 2.0 - 1.0) as f32
        })
        .collect();
    Tensor::from_slice(&values)
}

/// As `fill` of the script.
fn fill(tensors: &[(String, Tensor)]) {
    for (k, (name, tensor)) in
        tensors.iter().enumerate().filter(|(_, (_, tensor))| tensor.kind() == Kind::Float)
    {
        let values = uniform(k as u64, tensor.numel()).view(tensor.size().as_slice());
        let values = if name.ends_with("running_var") || tensor.dim() == 1 && name.ends_with("weight") {
            values / 2.0 + 1.0
        } else if tensor.dim() > 1 {
            values * (3.0 / (tensor.numel() as f64 / tensor.size()[0] as f64)).sqrt()
        } else {
            values / 10.0
        };
        no_grad(|| tensor.shallow_clone().copy_(&values));
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn check_close(what: &str, found: &Tensor, expected: &Value) {
    let found: Vec<f32> = Vec::try_from(found.flatten(0, -1)).unwrap();
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        // Sums of thousands of products in another order.
        assert!((found - expected).abs() < 1e-3 + 1e-3 * expected.abs(), "{what}: {found} is not {expected}");
    }
}

#[test]
fn names_shapes_and_numbers_are_torchvisions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torchvision_resnet.json");
    let cases: Vec<Value> = serde_json::from_reader(File::open(path).unwrap()).unwrap();
    for case in cases {
        let size: Vec<i64> =
            case["image"].as_array().unwrap().iter().map(|size| size.as_i64().unwrap()).collect();
        let channels = size[1];
        let data = DataSpec {
            schema: schema! { image: f32["B", channels, "H", "W"] },
            num_classes: Some(10),
            class_names: None,
        };
        let variables = nn::VarStore::new(Device::Cpu);
        let settings = json!({"_target_": "vision.resnet", "depth": case["depth"], "stem": "imagenet"});
        let context = ModelContext { path: &variables.root(), data: &data };
        let network = registry().unwrap().build::<ModelKind>(&settings, context).unwrap();
        let tensors = named(&variables);
        let shapes: Vec<Value> = tensors.iter().map(|(name, tensor)| json!([name, tensor.size()])).collect();
        assert_eq!(Value::Array(shapes), case["tensors"]);

        fill(&tensors);
        let image = uniform(1000, size.iter().product::<i64>() as usize).view(size.as_slice());
        let batch = Batch::new().with("image", image);
        let forward = |mode| {
            let outputs = no_grad(|| network.forward(&batch, mode)).unwrap();
            outputs.get("logits").unwrap().shallow_clone()
        };
        check_close("evaluation", &forward(Mode::Eval), &case["eval_logits"]);
        check_close("training", &forward(Mode::Train), &case["train_logits"]);
        let buffer = |name: &str| tensors.iter().find(|(known, _)| known == name).unwrap().1.shallow_clone();
        check_close("mean", &buffer("bn1.running_mean").narrow(0, 0, 4), &case["bn1_running_mean"]);
        check_close("variance", &buffer("bn1.running_var").narrow(0, 0, 4), &case["bn1_running_var"]);
        assert_eq!(buffer("bn1.num_batches_tracked").int64_value(&[]), 1);
    }
}
