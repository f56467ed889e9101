//! As the dataset has them.

use fulmen_registry::component;
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Dataset;
use crate::sampler::{Order, Sampler, SamplerKind};

/// The samples in the order of the dataset.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequentialConfig {}

component! { SamplerKind, "sequential", SequentialConfig => |_: &SequentialConfig, dataset: &dyn Dataset| {
    Ok(Box::new(Sequential(dataset.len())) as Box<dyn Sampler>)
} }

/// So many samples in the order of the dataset.
#[derive(Debug, Clone, Copy)]
pub struct Sequential(pub usize);

impl Sampler for Sequential {
    fn len(&self) -> usize {
        self.0
    }

    fn order(&self, _: usize, _: Address) -> Order {
        Order::Ascending(self.0)
    }
}
