//! Composes a tree as a training run has it: eight files, an experiment, one value, everything resolved.
//! `benches/compose_hydra.py` times the real Hydra on the same tree.
#![allow(missing_docs, clippy::unwrap_used, clippy::allow_attributes, reason = "a benchmark may panic")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fulmen_configuration::overrides::Override;
use fulmen_configuration::{Composer, SearchPath};

const OVERRIDES: [&str; 2] = ["experiment=big", "trainer.max_epochs=5"];

fn compose(criterion: &mut Criterion) {
    let composer = Composer::new(SearchPath::folder(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tree")));
    criterion.bench_function("compose", |bench| {
        bench.iter(|| composer.compose("config", black_box(&OVERRIDES)).unwrap());
    });
    let config = composer.compose("config", &OVERRIDES).unwrap();
    criterion.bench_function("resolve", |bench| bench.iter(|| black_box(&config).resolve().unwrap()));
    criterion.bench_function("to_yaml", |bench| bench.iter(|| black_box(&config).to_yaml()));
    let texts = ["a.b=1", "+x=[1,2,{a: b}]", "model=vit", "~y", "lr=choice(0.1,0.2)"];
    criterion.bench_function("parse 5 overrides", |bench| {
        bench.iter(|| texts.iter().map(|text| Override::parse(text).unwrap()).collect::<Vec<_>>());
    });
}

criterion_group!(benches, compose);
criterion_main!(benches);
