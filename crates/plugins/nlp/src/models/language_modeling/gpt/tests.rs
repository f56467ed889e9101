//! Names, shapes, gradients, causality and messages of the network.

use fulmen_base::DataSpec;
use fulmen_base::model::named;
use fulmen_registry::registry;
use fulmen_torch::tch::{Device, Kind, manual_seed, nn};
use serde_json::{Value, json};

use super::*;

fn build(settings: &Value) -> Result<(nn::VarStore, Box<dyn Network>), BuildError> {
    manual_seed(0);
    let variables = nn::VarStore::new(Device::Cpu);
    let data = DataSpec { num_classes: Some(11), ..Default::default() };
    let network = registry()
        .unwrap()
        .build::<ModelKind>(settings, ModelContext { path: &variables.root(), data: &data })?;
    Ok((variables, network))
}

fn small(more: Value) -> Value {
    let mut settings =
        json!({"_target_": "nlp.gpt", "n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn tokens(values: &[i64]) -> Batch {
    Batch::new().with("tokens", Tensor::from_slice(values).view([1, -1]))
}

#[test]
fn names_and_layouts_are_hugging_faces() {
    let (variables, _) = build(&small(json!({}))).unwrap();
    let named = named(&variables);
    let shape = |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.size());
    for (name, expected) in [
        ("transformer.wte.weight", vec![11, 8]),
        ("transformer.wpe.weight", vec![6, 8]),
        ("transformer.h.1.ln_1.weight", vec![8]),
        ("transformer.h.1.attn.c_attn.weight", vec![8, 24]),
        ("transformer.h.1.attn.c_attn.bias", vec![24]),
        ("transformer.h.1.attn.c_proj.weight", vec![8, 8]),
        ("transformer.h.1.mlp.c_fc.weight", vec![8, 32]),
        ("transformer.h.1.mlp.c_proj.weight", vec![32, 8]),
        ("transformer.ln_f.bias", vec![8]),
        ("lm_head.weight", vec![11, 8]),
        ("lm_head.bias", vec![11]),
    ] {
        assert_eq!(shape(name), Some(expected), "{name}");
    }
    assert_eq!(named.len(), 2 + 2 * 12 + 2 + 2);
    let (variables, _) = build(&small(json!({"tie_weights": true}))).unwrap();
    assert!(!variables.variables().keys().any(|name| name.starts_with("lm_head")));
}

#[test]
fn every_parameter_gets_a_finite_gradient() {
    let (variables, network) = build(&small(json!({"dropout": 0.1}))).unwrap();
    let outputs = network.forward(&tokens(&[1, 2, 3, 4, 5, 6]), Mode::Train).unwrap();
    let logits = outputs.get("logits").unwrap();
    assert_eq!(logits.size(), [1, 6, 11]);
    logits.view([-1, 11]).cross_entropy_for_logits(&Tensor::from_slice(&[2_i64, 3, 4, 5, 6, 7])).backward();
    for (name, parameter) in named(&variables) {
        let gradient = parameter.grad();
        assert!(gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1, "{name}");
        assert!(gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0, "{name}");
    }
}

#[test]
fn no_token_sees_those_behind_it() {
    let (_, network) = build(&small(json!({}))).unwrap();
    let logits = |values: &[i64]| {
        network.forward(&tokens(values), Mode::Eval).unwrap().get("logits").unwrap().shallow_clone()
    };
    let (one, other) = (logits(&[1, 2, 3, 4]), logits(&[1, 2, 9, 0]));
    assert!(one.narrow(1, 0, 2).allclose(&other.narrow(1, 0, 2), 1e-5, 1e-6, false));
    assert!(!one.allclose(&other, 1e-5, 1e-6, false));
}

#[test]
fn what_cannot_be_built_or_run_says_why() {
    let error = build(&small(json!({"n_embd": 9}))).unwrap_err();
    assert_eq!(error.key_below("model"), "model.n_embd");
    let (_, network) = build(&small(json!({}))).unwrap();
    let message = network.forward(&tokens(&[0; 7]), Mode::Eval).unwrap_err().to_string();
    assert!(message.contains("7 tokens") && message.contains("looks back on 6"), "{message}");
}

#[test]
fn sizes_left_open_come_from_the_data_and_must_hold_it() {
    let data = DataSpec {
        schema: schema! { tokens: i64["B", 128], target: i64["B", 128] },
        num_classes: Some(256),
        class_names: None,
    };
    let build = |settings: &Value| {
        let variables = nn::VarStore::new(Device::Cpu);
        let context = ModelContext { path: &variables.root(), data: &data };
        registry().unwrap().build::<ModelKind>(settings, context).map(|_| variables)
    };
    // 4 layers, 4 heads, width 256, as `make bench` trains it.
    let variables = build(&json!({"_target_": "nlp.gpt"})).unwrap();
    let parameters: usize = named(&variables).iter().map(|(_, tensor)| tensor.numel()).sum();
    assert_eq!(parameters, 3_323_648);
    for key in ["block_size", "vocab_size"] {
        let error = build(&json!({"_target_": "nlp.gpt", key: 100})).unwrap_err();
        assert_eq!(error.key_below("model"), format!("model.{key}"));
    }
}
