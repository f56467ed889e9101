//! The configuration as Lightning's loggers keep it, in `hparams.yaml`.

use std::fmt::Write as _;

use serde_json::Value;

/// `value` as a YAML document.
pub(super) fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    write_block(&mut text, value, 0);
    text
}

fn write_block(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let _ = write!(text, "{indent}{}:", scalar(&Value::String(name.clone())));
                write_value(text, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "{indent}-");
                write_value(text, item, depth);
            }
        }
        other => {
            let _ = writeln!(text, "{indent}{}", scalar(other));
        }
    }
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        write_block(text, value, depth + 1);
    } else {
        let _ = writeln!(text, " {}", scalar(value));
    }
}

/// Plain where it cannot be taken for anything else, else quoted as in JSON, which YAML reads too.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(word) if is_plain(word) => word.clone(),
        other => other.to_string(),
    }
}

fn is_plain(word: &str) -> bool {
    // Words of YAML 1.1, which PyYAML reads as truth values and nothing.
    const RESERVED: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf"];
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "_./-".contains(letter))
        && !RESERVED.contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_could_be_read_as_something_else_is_quoted() {
        let value = json!({"model": {"_target_": "vision.resnet", "widths": [1, 2.5], "none": null, "empty": {}},
            "tags": ["no", "a: b", "1e3"], "seed": 42});
        let expected = "model:\n  _target_: vision.resnet\n  widths:\n    - 1\n    - 2.5\n  none: null\n  empty: {}\n\
            tags:\n  - \"no\"\n  - \"a: b\"\n  - \"1e3\"\nseed: 42\n";
        assert_eq!(to_yaml(&value), expected);
    }
}
