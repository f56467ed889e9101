//! Query strings and percent-encoding.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::frame::ApiError;

/// Percent-decoded text.
pub(crate) fn decode(text: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| ApiError::invalid(format!("{text:?} is not UTF-8 once decoded")))
}

/// The fields of a query string; one that comes several times is a list.
pub(crate) fn parse_query(query: &str) -> Result<Map<String, Value>, ApiError> {
    let mut fields = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode(&key.replace('+', " "))?;
        let value = Value::String(decode(&value.replace('+', " "))?);
        match fields.get_mut(&key) {
            None => {
                fields.insert(key, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_once() {
        let fields = parse_query("a=1&b=x%20y+z&c=%2525&a=2&d").unwrap();
        assert_eq!(
            Value::Object(fields),
            serde_json::json!({"a": ["1", "2"], "b": "x y z", "c": "%25", "d": ""})
        );
        assert!(parse_query("a=%c0%ae").is_err());
    }
}
