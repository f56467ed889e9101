//! What prepared data is known by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StorageError;

/// The configuration of a preparation and the digests of its inputs. Equal ones are one key, whatever the order of their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheKey {
    id: String,
    config: Value,
    inputs: BTreeMap<String, String>,
}

impl CacheKey {
    /// The key of `config` and of inputs, each a name and a digest. Whatever changes the outcome belongs into the configuration,
    /// such as a version of the preparation's code.
    ///
    /// # Errors
    /// A configuration that cannot be written as JSON.
    pub fn new(
        config: &impl Serialize,
        inputs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StorageError> {
        let config = serde_json::to_value(config).map_err(|error| StorageError::Io {
            path: "cache key".into(),
            action: "write the configuration as JSON",
            source: error.into(),
        })?;
        let inputs = inputs.into_iter().collect();
        let id = digest(&config, &inputs);
        Ok(Self { id, config, inputs })
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Names and digests of the inputs.
    #[must_use]
    pub fn inputs(&self) -> &BTreeMap<String, String> {
        &self.inputs
    }

    /// Whether the id belongs to the rest.
    pub(super) fn is_consistent(&self) -> bool {
        self.id == digest(&self.config, &self.inputs)
    }
}

fn digest(config: &Value, inputs: &BTreeMap<String, String>) -> String {
    let mut parts = vec![sorted(config).to_string()];
    parts.extend(inputs.iter().flat_map(|(name, digest)| [name.clone(), digest.clone()]));
    fulmen_utils::cache::key(&parts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The same value with the fields of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let ordered: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(ordered.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(config: Value, inputs: &[(&str, &str)]) -> String {
        let inputs = inputs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned()));
        CacheKey::new(&config, inputs).unwrap().id().to_owned()
    }

    #[test]
    fn a_key_depends_on_all_but_the_order_of_fields() {
        let base = id(json!({"a": 1, "b": {"c": [1, 2], "d": 3}}), &[("x", "1"), ("y", "2")]);
        assert_eq!(base.len(), 32);
        assert_eq!(base, id(json!({"b": {"d": 3, "c": [1, 2]}, "a": 1}), &[("y", "2"), ("x", "1")]));
        for other in [
            id(json!({"a": 1, "b": {"c": [2, 1], "d": 3}}), &[("x", "1"), ("y", "2")]),
            id(json!({"a": 1, "b": {"c": [1, 2], "d": 3}}), &[("x", "2"), ("y", "1")]),
            id(json!({"a": 1, "b": {"c": [1, 2], "d": 3}}), &[("x", "1")]),
        ] {
            assert_ne!(base, other);
        }
    }
}
