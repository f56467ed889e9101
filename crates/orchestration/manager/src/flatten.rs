//! A configuration as params: one a leaf, under its dotted key.

use fulmen_tracking::{MAX_PARAM_VALUE, Param};
use serde_json::Value;

/// Every leaf of `config`: `model.depth = 18`, `dataset.transforms.0._target_ = vision.normalize`.
pub fn params(config: &Value) -> Vec<Param> {
    let mut params = Vec::new();
    flatten(String::new(), config, &mut params);
    params
}

fn flatten(key: String, value: &Value, params: &mut Vec<Param>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| flatten(below(name), value, params));
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| flatten(below(&index.to_string()), item, params));
        }
        leaf => {
            let text = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
            params.push(Param::new(key, text.chars().take(MAX_PARAM_VALUE).collect::<String>()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn each_leaf_is_a_param_under_its_dotted_key() {
        let config =
            json!({"model": {"depth": 18, "hidden": [1, 2]}, "t": [{"a": null}], "name": "x", "none": {}});
        let params: Vec<_> = super::params(&config)
            .into_iter()
            .map(|param| format!("{}={}", param.key, param.value))
            .collect();
        assert_eq!(params, ["model.depth=18", "model.hidden=[1,2]", "t.0.a=null", "name=x", "none={}"]);
    }
}
