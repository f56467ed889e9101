//! Floating-point operations of the networks that ship, against those that torch counts: see fixtures/flops.py.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use fulmen_base::{Batch, DataSpec, Mode, ModelContext, ModelKind};
use fulmen_contracts::schema;
use fulmen_registry::registry;
use fulmen_torch::flops::FlopCounter;
use fulmen_torch::tch::{Device, Kind, Tensor, nn, no_grad};
use fulmen_worker as _;
use serde_json::{Value, json};

/// Operations of a forward pass, and of one with its backward pass.
fn counted(settings: &Value, name: &str, input: &Tensor, data: &DataSpec) -> (u64, u64) {
    let variables = nn::VarStore::new(Device::Cpu);
    let context = ModelContext { path: &variables.root(), data };
    let network = registry().unwrap().build::<ModelKind>(settings, context).unwrap();
    let batch = || Batch::new().with(name, input.shallow_clone());
    let counter = FlopCounter::begin(&[]).unwrap();
    no_grad(|| network.forward(&batch(), Mode::Eval)).unwrap();
    let forward = counter.end().total;
    let counter = FlopCounter::begin(&[]).unwrap();
    let outputs = network.forward(&batch(), Mode::Train).unwrap();
    outputs.iter().next().unwrap().1.sum(Kind::Float).backward();
    (forward, counter.end().total)
}

#[test]
fn operations_are_those_that_torch_counts() {
    let torch: Value = serde_json::from_str(include_str!("fixtures/flops.json")).unwrap();
    let image = DataSpec {
        schema: schema! { image: f32["B", "C", "H", "W"], label: i64["B"] },
        num_classes: Some(10),
        class_names: None,
    };
    let randn = |sizes: &[i64]| Tensor::randn(sizes, (Kind::Float, Device::Cpu));
    let flat = DataSpec { schema: schema! { image: f32["B", 1, 28, 28], label: i64["B"] }, ..image.clone() };
    let text =
        DataSpec { schema: schema! { tokens: i64["B", 128] }, num_classes: Some(256), class_names: None };
    let tokens = Tensor::randint(256, [2, 128], (Kind::Int64, Device::Cpu));
    let networks = [
        ("mlp", json!({"_target_": "vision.mlp"}), "image", randn(&[2, 1, 28, 28]), &flat),
        (
            "convnet",
            json!({"_target_": "vision.convnet", "in_channels": 1}),
            "image",
            randn(&[2, 1, 8, 8]),
            &image,
        ),
        (
            "resnet18",
            json!({"_target_": "vision.resnet", "depth": 18, "in_channels": 3, "num_classes": 1000}),
            "image",
            randn(&[1, 3, 224, 224]),
            &image,
        ),
        ("gpt", json!({"_target_": "nlp.gpt"}), "tokens", tokens, &text),
        (
            "lstm",
            json!({"_target_": "timeseries.lstm", "input_size": 7, "output_size": 7}),
            "series",
            randn(&[2, 96, 7]),
            &text,
        ),
    ];
    for (name, settings, input, values, data) in networks {
        let (forward, training) = counted(&settings, input, &values, data);
        // Attention in one operator makes its scores, 2·B·H·T²·D in each of four layers, anew on the way back.
        // oneDNN's layer of an LSTM always makes the gradients of its input, 2·B·T·4H·7, and of its first state, 2·B·4H·H a layer.
        let anew = match name {
            "gpt" => 4 * 2 * 2 * 4 * 128 * 128 * 64,
            "lstm" => 2 * 2 * 96 * 512 * 7 + 2 * (2 * 2 * 512 * 128),
            _ => 0,
        };
        assert_eq!(forward, torch[name]["forward"].as_u64().unwrap(), "{name}");
        assert_eq!(training, torch[name]["training"].as_u64().unwrap() + anew, "{name}");
    }
}
