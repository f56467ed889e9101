//! A component inside another's settings, not built yet.

use std::borrow::Cow;
use std::marker::PhantomData;

use fulmen_contracts::catalog::{COMPONENT_KEYWORD, TARGET};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{BuildError, Kind, Registry};

/// A field of a config that holds a component of kind `K`: `transforms: Vec<Component<Transform>>`.
pub struct Component<K> {
    value: Value,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Component<K> {
    /// The component that `value` describes.
    pub const fn new(value: Value) -> Self {
        Self { value, kind: PhantomData }
    }

    /// What `_target_` says.
    pub fn name(&self) -> &str {
        self.value.get(TARGET).and_then(Value::as_str).unwrap_or_default()
    }

    /// Builds it.
    ///
    /// # Errors
    /// As [`Registry::build`].
    pub fn build(&self, registry: &Registry, context: K::Context<'_>) -> Result<K::Product, BuildError> {
        registry.build::<K>(&self.value, context)
    }
}

// By hand, since a derive would ask the same of `K`, which is never held.
impl<K> Clone for Component<K> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Component<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<K> Serialize for Component<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, K> Deserialize<'de> for Component<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { value: Value::deserialize(deserializer)?, kind: PhantomData })
    }
}

impl<K: Kind> JsonSchema for Component<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        K::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", COMPONENT_KEYWORD: K::NAME})
    }
}
