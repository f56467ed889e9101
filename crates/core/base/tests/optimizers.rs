//! Optimizers against torch's own over 100 steps, and what holds for all of them: exact resume, parameter groups, mixed types.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use std::collections::HashMap;
use std::path::Path;

use fulmen_base::{Optimizer, OptimizerKind, weights};
use fulmen_registry::{BuildError, registry};
use fulmen_torch::gradients;
use fulmen_torch::tch::{self, Device, Kind, Tensor};
use serde_json::{Value, json};

const STEPS: usize = 100;

/// The small fixed problem of fixtures/optimizers.py, and the cases that torch was run on.
struct Fixture {
    names: Vec<String>,
    period: usize,
    tensors: HashMap<String, Tensor>,
    cases: Vec<(String, Value)>,
}

impl Fixture {
    fn load() -> Self {
        // The tensors are tiny: threads would only wait for each other.
        tch::set_num_threads(1);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let listed: Value =
            serde_json::from_slice(&std::fs::read(folder.join("optimizers.json")).unwrap()).unwrap();
        let case = |case: &Value| (case["name"].as_str().unwrap().to_owned(), case["config"].clone());
        Self {
            names: serde_json::from_value(listed["parameters"].clone()).unwrap(),
            period: listed["period"].as_u64().unwrap() as usize,
            tensors: weights::load(&folder.join("optimizers.safetensors")).unwrap(),
            cases: listed["cases"].as_array().unwrap().iter().map(case).collect(),
        }
    }

    /// The parameters at the start.
    fn start(&self, kind: impl Fn(usize) -> Kind) -> Vec<(String, Tensor)> {
        let start = |(index, name): (usize, &String)| {
            let param = self.tensors[&format!("start/{name}")].to_kind(kind(index));
            (name.clone(), param.set_requires_grad(true))
        };
        self.names.iter().enumerate().map(start).collect()
    }

    /// Backward pass and step number `step`.
    fn step(&self, params: &[(String, Tensor)], optimizer: &mut dyn Optimizer, step: usize) {
        for (name, param) in params {
            if name == "rare.weight" && (step < 2 || step.is_multiple_of(3)) {
                continue;
            }
            let target = self.tensors[&format!("target/{name}")].get((step % self.period) as i64);
            let curvature = self.tensors[&format!("curvature/{name}")].to_kind(param.kind());
            let off = param - target.to_kind(param.kind());
            (curvature * &off * &off * 0.5).sum(param.kind()).backward();
        }
        optimizer.step().unwrap();
        let tensors: Vec<_> = params.iter().map(|(_, param)| param.shallow_clone()).collect();
        gradients::clear(&tensors).unwrap();
    }
}

fn build(config: &Value, params: &[(String, Tensor)]) -> Result<Box<dyn Optimizer>, BuildError> {
    registry().unwrap().build::<OptimizerKind>(config, params)
}

fn values(params: &[(String, Tensor)]) -> Vec<f64> {
    let flat: Vec<_> = params.iter().map(|(_, param)| param.detach().flatten(0, -1)).collect();
    Vec::try_from(Tensor::cat(&flat, 0).to_kind(Kind::Double)).unwrap()
}

fn double(_: usize) -> Kind {
    Kind::Double
}

#[test]
fn every_optimizer_agrees_with_torch_over_100_steps() {
    let fixture = Fixture::load();
    let mut compared = 0;
    for (name, config) in &fixture.cases {
        let params = fixture.start(double);
        let mut optimizer = build(config, &params).unwrap();
        for step in 0..STEPS {
            fixture.step(&params, optimizer.as_mut(), step);
            let Some(expected) = fixture.tensors.get(&format!("{name}/{}", step + 1)) else { continue };
            let expected: Vec<f64> = Vec::try_from(expected).unwrap();
            for (index, (found, wanted)) in values(&params).iter().zip(&expected).enumerate() {
                assert!(
                    (found - wanted).abs() <= 1e-6 * wanted.abs(),
                    "{name}, step {}, value {index}: {found} is not {wanted}",
                    step + 1
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, fixture.cases.len() * 3 * values(&fixture.start(double)).len());
    let registered = registry().unwrap().names("optimizer");
    let missing = |name: &&&str| !fixture.cases.iter().any(|(_, config)| config["_target_"] == **name);
    assert_eq!(registered.iter().find(missing), None, "an optimizer has no vectors");
}

#[test]
fn resume_ends_with_the_same_bits() {
    let fixture = Fixture::load();
    for (name, config) in &fixture.cases {
        // Each type in turn, as in a model of mixed precision.
        let kind = |index: usize| [Kind::Float, Kind::BFloat16, Kind::Double][index % 3];
        let whole = fixture.start(kind);
        let mut optimizer = build(config, &whole).unwrap();
        (0..STEPS).for_each(|step| fixture.step(&whole, optimizer.as_mut(), step));

        let halves = fixture.start(kind);
        let mut first = build(config, &halves).unwrap();
        // Also a state in which one parameter has seen no step yet.
        for (from, to) in [(0, 1), (1, 50), (50, STEPS)] {
            (from..to).for_each(|step| fixture.step(&halves, first.as_mut(), step));
            let file = tempfile::NamedTempFile::new().unwrap();
            weights::save(file.path(), &first.state_dict()).unwrap();
            first = build(config, &halves).unwrap();
            first.load_state_dict(&weights::load(file.path()).unwrap()).unwrap();
        }
        let bits = |params| values(params).into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&halves), bits(&whole), "{name}");
        assert_ne!(bits(&whole), bits(&fixture.start(kind)), "{name}");
        assert!(values(&whole).iter().all(|value| value.is_finite()), "{name}");
    }
}

#[test]
fn a_parameter_without_gradient_keeps_its_value_and_its_state() {
    let fixture = Fixture::load();
    for (name, config) in &fixture.cases {
        let params = fixture.start(double);
        let mut optimizer = build(config, &params).unwrap();
        (0..6).for_each(|step| fixture.step(&params, optimizer.as_mut(), step));
        let rare = |optimizer: &dyn Optimizer| {
            let state = optimizer.state_dict().into_iter().filter(|(key, _)| key.starts_with("rare.weight."));
            let of_param = params.iter().filter(|(key, _)| key == "rare.weight");
            state
                .map(|(key, tensor)| (key, tensor.copy()))
                .chain(of_param.map(|(key, tensor)| (key.clone(), tensor.detach().copy())))
                .collect::<Vec<_>>()
        };
        let before = rare(optimizer.as_ref());
        fixture.step(&params, optimizer.as_mut(), 6);
        for ((key, before), (_, after)) in before.iter().zip(rare(optimizer.as_ref())) {
            assert_eq!(*before, after, "{name}: {key}");
        }
        fixture.step(&params, optimizer.as_mut(), 7);
        let last = before.last().unwrap();
        assert_ne!(last.1, rare(optimizer.as_ref()).pop().unwrap().1, "{name}");
    }
}

#[test]
fn state_of_another_model_or_optimizer_is_refused_by_name() {
    let fixture = Fixture::load();
    let params = fixture.start(double);
    let mut adamw = build(&json!({"_target_": "adamw"}), &params).unwrap();
    let refusal = adamw.load_state_dict(&HashMap::new()).unwrap_err().to_string();
    assert!(refusal.contains("no 'blocks.0.conv.weight.exp_avg'"), "{refusal}");
    let mut state: HashMap<_, _> = adamw.state_dict().into_iter().collect();
    state.insert("head.bias.exp_avg".to_owned(), Tensor::zeros([5], (Kind::Double, Device::Cpu)));
    let refusal = adamw.load_state_dict(&state).unwrap_err().to_string();
    assert!(refusal.contains("'head.bias.exp_avg' is [5], not [4]"), "{refusal}");
}

/// Name, rate, decay and parameters of a group.
type Group = (String, f64, f64, Vec<String>);

/// The groups that `config` makes of parameters of these names and shapes.
fn groups(config: &Value, names: &[(&str, &[i64])]) -> Result<Vec<Group>, BuildError> {
    let param = |(name, shape): &(&str, &[i64])| {
        (String::from(*name), Tensor::zeros(*shape, (Kind::Float, Device::Cpu)).set_requires_grad(true))
    };
    let params: Vec<_> = names.iter().map(param).collect();
    let optimizer = build(config, &params)?;
    let group = |group: &fulmen_base::ParamGroup| {
        assert_eq!((group.lr, group.names.len()), (group.initial_lr, group.params.len()));
        (group.name.clone(), group.lr, group.weight_decay, group.names.clone())
    };
    Ok(optimizer.param_groups().iter().map(group).collect())
}

const VIT: [(&str, &[i64]); 6] = [
    ("blocks.0.mlp.weight", &[2, 2]),
    ("blocks.0.norm.bias", &[2]),
    ("blocks.1.mlp.weight", &[2, 2]),
    ("head.weight", &[2, 2]),
    ("patch_embed.weight", &[2, 2]),
    ("pos_embed", &[1, 2, 2]),
];

#[test]
fn norm_and_bias_and_named_parameters_are_spared_from_decay() {
    let config = json!({"_target_": "adamw", "weight_decay": 0.5, "param_groups":
        {"decay_norm_and_bias": false, "no_weight_decay": ["pos_embed"]}});
    let groups = groups(&config, &VIT).unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!((groups[0].0.as_str(), groups[0].2), ("default", 0.5));
    assert_eq!((groups[1].0.as_str(), groups[1].2), ("default.no_decay", 0.0));
    assert_eq!(groups[1].3, ["blocks.0.norm.bias", "pos_embed"]);
}

#[test]
fn layer_wise_rates_fall_from_head_to_stem() {
    let config = json!({"_target_": "sgd", "lr": 1.0, "param_groups": {"layer_decay": 0.5, "groups":
        [{"name": "first", "pattern": "*.0.norm.*", "lr": 7.0}]}});
    let groups = groups(&config, &VIT).unwrap();
    let rate = |name: &str| groups.iter().find(|group| group.0 == name).unwrap().1;
    assert_eq!(["layer_0", "layer_1", "layer_2", "layer_3"].map(rate), [0.125, 0.25, 0.5, 1.0]);
    assert_eq!(rate("first"), 7.0);
    let flat: [(&str, &[i64]); 1] = [("fc.weight", &[2, 2])];
    let refusal = self::groups(&config, &flat).unwrap_err().to_string();
    assert!(refusal.contains("matches '*.0.norm.*'"), "{refusal}");
    let config = json!({"_target_": "sgd", "param_groups": {"layer_decay": 0.5}});
    assert!(self::groups(&config, &flat).unwrap_err().to_string().contains("groups with lr_factor"));
}

#[test]
fn the_first_pattern_that_matches_has_the_parameter() {
    let config = |groups: Value| json!({"_target_": "sgd", "lr": 1.0, "param_groups": {"groups": groups}});
    let narrow = json!({"name": "norms", "pattern": "*.norm.*", "weight_decay": 0.25});
    let wide = json!({"pattern": "blocks.*", "lr_factor": 0.5});
    let found = groups(&config(json!([narrow, wide])), &VIT).unwrap();
    let names: Vec<_> = found.iter().map(|group| (group.0.as_str(), group.1, group.2)).collect();
    assert_eq!(names, [("blocks.*", 0.5, 0.0), ("norms", 1.0, 0.25), ("default", 1.0, 0.0)]);
    let refusal = groups(&config(json!([wide, narrow])), &VIT).unwrap_err();
    assert_eq!(refusal.key_below("optimizer"), "optimizer.param_groups.groups[1].pattern");
    assert!(refusal.to_string().contains("put this group first"), "{refusal}");
}

#[test]
fn a_pattern_without_parameters_names_the_near_ones() {
    let config = |groups: Value| json!({"_target_": "muon", "param_groups": groups});
    let refusal = |config: Value| groups(&config, &VIT).unwrap_err();
    let slip = refusal(config(json!({"groups": [{"pattern": "block.*.weight"}]})));
    assert!(slip.to_string().contains("did you mean blocks.0.mlp.weight"), "{slip}");
    let slip = refusal(config(json!({"no_weight_decay": ["pos_embd"]})));
    assert_eq!(slip.key_below("optimizer"), "optimizer.param_groups.no_weight_decay[0]");
    assert!(slip.to_string().contains("did you mean pos_embed"), "{slip}");
    let slip = refusal(json!({"_target_": "muon", "adamw": {"patterns": ["haed.*"]}}));
    assert!(slip.to_string().contains("did you mean head.weight"), "{slip}");
    let unknown = refusal(config(json!({"group": []})));
    assert!(unknown.to_string().contains("unknown field `group`"), "{unknown}");
    let both = refusal(config(json!({"groups": [{"pattern": "*", "lr": 1, "lr_factor": 2}]})));
    assert_eq!(both.key_below("optimizer"), "optimizer.param_groups.groups[0].lr_factor");
    assert!(groups(&json!({"_target_": "sgd"}), &[]).unwrap_err().to_string().contains("no trainable"));
}

#[test]
fn muon_moves_matrices_and_adamw_the_rest() {
    let config = json!({"_target_": "muon", "lr": 0.5, "adamw": {"lr": 0.25, "patterns": ["*embed*"]}});
    let groups = groups(&config, &VIT).unwrap();
    let names: Vec<_> = groups.iter().map(|group| (group.0.as_str(), group.1)).collect();
    assert_eq!(names, [("default", 0.5), ("default.adamw", 0.25)]);
    assert_eq!(groups[1].3, ["blocks.0.norm.bias", "patch_embed.weight", "pos_embed"]);
}
