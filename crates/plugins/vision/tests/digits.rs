//! The quickstart's promise: a small network learns the digits that come with this crate.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use std::sync::Arc;

use fulmen_base::loader::{DataLoader, DataLoaderConfig};
use fulmen_base::{Dataset, DatasetContext, DatasetKind, Mode, ModelContext, ModelKind, Network, Split};
use fulmen_registry::registry;
use fulmen_torch::tch::nn::OptimizerConfig;
use fulmen_torch::tch::{Device, Kind, manual_seed, nn, no_grad, set_num_threads};
use fulmen_vision as _;
use serde_json::json;

fn accuracy(network: &dyn Network, dataset: &Arc<dyn Dataset>) -> f64 {
    let config = DataLoaderConfig { batch_size: 512.try_into().unwrap(), ..Default::default() };
    let right: i64 = DataLoader::eval(dataset.clone(), &config, 0)
        .batches(0, 0, u64::MAX)
        .map(|batch| {
            let batch = batch.unwrap();
            let outputs = no_grad(|| network.forward(&batch, Mode::Eval)).unwrap();
            let best = outputs.get("logits").unwrap().argmax(1, false);
            best.eq_tensor(batch.get("label").unwrap()).sum(Kind::Int64).int64_value(&[])
        })
        .sum();
    right as f64 / dataset.len() as f64
}

#[test]
fn the_convnet_reads_98_of_100_digits_that_it_has_never_seen() {
    // Threads that wait for each other on a busy machine would take ten times as long as one.
    set_num_threads(1);
    let registry = registry().unwrap();
    let mut data = registry
        .build::<DatasetKind>(&json!({"_target_": "vision.digits"}), DatasetContext { registry, seed: 1 })
        .unwrap();
    data.setup().unwrap();
    manual_seed(1);
    let variables = nn::VarStore::new(Device::Cpu);
    let context = ModelContext { path: &variables.root(), data: &data.spec() };
    let network = registry.build::<ModelKind>(&json!({"_target_": "vision.convnet"}), context).unwrap();
    let mut optimizer = nn::AdamW::default().build(&variables, 1e-3).unwrap();
    let loader =
        DataLoader::train(data.dataset(Split::Train).unwrap(), &DataLoaderConfig::default(), 1).unwrap();
    for epoch in 0..12 {
        for batch in loader.batches(epoch, 0, u64::MAX) {
            let batch = batch.unwrap();
            let outputs = network.forward(&batch, Mode::Train).unwrap();
            let loss = outputs.get("logits").unwrap().cross_entropy_for_logits(batch.get("label").unwrap());
            optimizer.backward_step(&loss);
        }
    }
    let accuracy = accuracy(network.as_ref(), &data.dataset(Split::Test).unwrap());
    assert!(accuracy >= 0.98, "{accuracy}");
}
