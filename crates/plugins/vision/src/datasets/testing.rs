//! A data module as a run builds it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fulmen_base::{DataModule, DatasetContext, DatasetKind};
use fulmen_registry::{BuildError, registry};
use serde_json::Value;

pub(crate) fn module(settings: &Value, seed: u64) -> Result<Box<dyn DataModule>, BuildError> {
    let registry = registry().unwrap();
    registry.build::<DatasetKind>(settings, DatasetContext { registry, seed })
}

/// An idx file of bytes.
pub(crate) fn idx(axes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    bytes.extend(axes.iter().flat_map(|axis| axis.to_be_bytes()));
    bytes.extend(values);
    bytes
}

pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
