//! What a worker offers: every component with its documentation and the schema of its settings.

use schemars::Schema;
use serde::{Deserialize, Serialize};

/// The extension keyword by which a schema says that a value is a component of a kind: `{"x-component": "transform"}`.
pub const COMPONENT_KEYWORD: &str = "x-component";

/// The key by which a config names a component, as Hydra's users know it.
pub const TARGET: &str = "_target_";

/// One component that a config can name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// `model`, `dataset`, `optimizer`, …
    pub kind: String,
    /// What `_target_` says: `vision.resnet`.
    pub name: String,
    /// The crate that brings it.
    pub provider: String,
    /// What it is for, from its documentation.
    pub description: String,
    /// JSON schema of its settings.
    pub schema: Schema,
}

/// All components of a worker, and the shape of a whole config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// [`crate::CONTRACT_VERSION`] of the worker.
    pub contract_version: u32,
    /// JSON schema of the root of a config.
    pub root: Schema,
    /// Sorted by kind and name.
    pub components: Vec<ComponentInfo>,
}

impl Catalog {
    /// The component of this kind and name.
    pub fn get(&self, kind: &str, name: &str) -> Option<&ComponentInfo> {
        self.components.iter().find(|component| component.kind == kind && component.name == name)
    }

    /// All components of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a ComponentInfo> {
        self.components.iter().filter(move |component| component.kind == kind)
    }

    /// The kinds that there are, in order.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.components.iter().map(|component| component.kind.as_str()).collect();
        kinds.dedup();
        kinds
    }
}
