//! tmp
#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout, clippy::allow_attributes)]
use fulmen_base::loader::*;
use fulmen_base::*;
use fulmen_registry::registry;
use fulmen_vision as _;
use serde_json::json;
use std::time::Instant;
fn main() {
    let registry = registry().unwrap();
    let s = json!({"_target_": "vision.random", "shape": [1, 28, 28], "samples": 8192});
    let mut d = registry.build::<DatasetKind>(&s, DatasetContext { registry, seed: 0 }).unwrap();
    d.setup().unwrap();
    let c: DataLoaderConfig = serde_json::from_value(json!({"batch_size": 64})).unwrap();
    let l = DataLoader::train(d.dataset(Split::Train).unwrap(), &c, 0).unwrap();
    for e in 0..5 {
        let t = Instant::now();
        let b = l.batches(e, 0, 9999);
        let start = t.elapsed().as_secs_f64() * 1e6;
        let t = Instant::now();
        let mut n = 0;
        for x in b {
            x.unwrap();
            n += 1;
        }
        println!("start {start:.1} us, batch {:.1} us", t.elapsed().as_secs_f64() * 1e6 / n as f64);
    }
    let t = fulmen_torch::tch::Tensor::randn(
        [8192, 784],
        (fulmen_torch::tch::Kind::Float, fulmen_torch::tch::Device::Cpu),
    );
    let i = fulmen_torch::tch::Tensor::randint(
        8192,
        [64],
        (fulmen_torch::tch::Kind::Int64, fulmen_torch::tch::Device::Cpu),
    );
    for _ in 0..3 {
        let s = Instant::now();
        for _ in 0..1000 {
            let _ = t.index_select(0, &i);
        }
        println!("index_select {:.1} us", s.elapsed().as_secs_f64() * 1e3);
    }
}
