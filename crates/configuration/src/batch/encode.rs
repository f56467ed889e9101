//! Trees as the corpus writes them in JSON, where types and odd keys must show, and back.

use serde_json::{Value as Json, json};

use crate::Origin;
use crate::value::{Key, Map, Node, Value};

pub(super) fn node(node: &Node) -> Json {
    value(&node.value)
}

pub(super) fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::BigInt(digits) => match digits.parse::<u64>() {
            Ok(value) => Json::from(value),
            Err(_) => json!({ "$bigint": digits }),
        },
        Value::Float(value) => float(*value),
        Value::Str(text) => Json::from(&**text),
        Value::Bytes(bytes) => bytes_json(bytes),
        Value::Map(map) => mapping(map.iter().map(|(key, child)| (key, node(child)))),
        Value::List(items) => items.iter().map(node).collect(),
    }
}

pub(super) fn float(value: f64) -> Json {
    match serde_json::Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None => json!({ "$float": crate::value::number::float_repr(value) }),
    }
}

/// A mapping; one with a key that is no plain text becomes a list of pairs.
pub(super) fn mapping<'k>(pairs: impl Iterator<Item = (&'k Key, Json)>) -> Json {
    let pairs: Vec<_> = pairs.collect();
    let plain = |key: &Key| key.as_str().is_some_and(|text| !text.starts_with('$'));
    if pairs.iter().all(|(key, _)| plain(key)) {
        return Json::Object(pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect());
    }
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| json!([key_json(key), value])).collect();
    json!({ "$map": pairs })
}

fn key_json(key: &Key) -> Json {
    match key {
        Key::Str(text) => Json::from(&**text),
        Key::Int(value) => Json::from(*value),
        Key::Float(value) => float(*value),
        Key::Bool(value) => Json::Bool(*value),
        Key::Bytes(bytes) => bytes_json(bytes),
        Key::Null => Json::Null,
    }
}

fn bytes_json(bytes: &[u8]) -> Json {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "$bytes": hex })
}

/// A value that a case gives in JSON.
pub(super) fn from_json(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(pairs) => {
            let map: Map =
                pairs.iter().map(|(key, child)| (Key::from(key.as_str()), from_json(child))).collect();
            map.into()
        }
    };
    Node::new(value, Origin::Builtin)
}
