//! Values as Python's `str` and `repr` write them, which is what an interpolation inside a string shows.

use super::number::float_repr;
use super::{Key, Node, Value};

/// `str(value)`.
pub(crate) fn str_node(node: &Node) -> String {
    match &node.value {
        Value::Str(text) => text.to_string(),
        _ => repr_node(node),
    }
}

/// `repr(value)`; interpolations inside stay as they are written.
fn repr_node(node: &Node) -> String {
    match &node.value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Int(value) => value.to_string(),
        Value::BigInt(digits) => digits.to_string(),
        Value::Float(value) => float_repr(*value),
        Value::Str(text) => repr_str(text),
        Value::Bytes(bytes) => repr_bytes(bytes),
        Value::Map(map) => {
            let items: Vec<_> =
                map.iter().map(|(k, v)| format!("{}: {}", repr_element_key(k), repr_node(v))).collect();
            format!("{{{}}}", items.join(", "))
        }
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(repr_node).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// `repr(key)`.
fn repr_element_key(key: &Key) -> String {
    match key {
        Key::Str(text) => repr_str(text),
        Key::Bytes(bytes) => repr_bytes(bytes),
        other => other.to_string(),
    }
}

fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c as u32 == 0xad => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c if c.is_control() || matches!(c as u32, 0x2028 | 0x2029 | 0xfeff) => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn repr_bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut out = format!("b{quote}");
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b if char::from(*b) == quote => {
                out.push('\\');
                out.push(quote);
            }
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}
