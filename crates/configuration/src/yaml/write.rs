//! Tree to text, to the byte as `OmegaConf.to_yaml` writes it: PyYAML's block style, width 80, no sorting.

mod analysis;
mod scalar;

use super::scalar::pyyaml_resolves;
use crate::value::number::{float_repr, parse_python_float, python_int_digits};
use crate::value::{Key, Node, Value};
use scalar::{Place, Style};

/// Writes a tree as `OmegaConf.to_yaml` does; interpolations stay as they are.
pub fn to_yaml(node: &Node) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    match &node.value {
        Value::Map(map) if map.is_empty() => writer.text("{}"),
        Value::List(items) if items.is_empty() => writer.text("[]"),
        Value::Map(_) | Value::List(_) => {
            writer.block(node, 0, false);
            return writer.out;
        }
        _ => {
            writer.leaf(node, 0);
            // A plain scalar at the root leaves the document open; PyYAML then ends it.
            if !writer.out.starts_with(['\'', '"']) {
                writer.out.push_str("\n...");
            }
        }
    }
    writer.out.push('\n');
    writer.out
}

/// The text so far, and the column in characters at which it ends.
struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn new_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// Writes a mapping or a list that is not empty; `inline` where its first line has been begun by `- `.
    fn block(&mut self, node: &Node, indent: usize, inline: bool) {
        let mut fresh = inline;
        let mut start_line = |writer: &mut Writer| {
            if !std::mem::take(&mut fresh) {
                writer.out.extend(std::iter::repeat_n(' ', indent));
                writer.column = indent;
            }
        };
        match &node.value {
            Value::Map(map) => {
                for (key, child) in map.iter() {
                    start_line(self);
                    self.key(key, indent);
                    // A list under a key is not indented.
                    let inside = if matches!(child.value, Value::List(_)) { indent } else { indent + 2 };
                    self.value(child, indent, inside, false);
                }
            }
            Value::List(items) => {
                for child in items {
                    start_line(self);
                    self.text("-");
                    self.value(child, indent, indent + 2, true);
                }
            }
            _ => {}
        }
    }

    /// Writes what follows a key's `:` or an item's `-`, up to the end of the line.
    fn value(&mut self, child: &Node, indent: usize, inside: usize, in_list: bool) {
        match &child.value {
            Value::Map(map) if map.is_empty() => self.text(" {}"),
            Value::List(items) if items.is_empty() => self.text(" []"),
            Value::Map(_) | Value::List(_) if in_list => {
                self.text(" ");
                return self.block(child, inside, true);
            }
            Value::Map(_) | Value::List(_) => {
                self.out.push('\n');
                return self.block(child, inside, false);
            }
            _ => {
                self.text(" ");
                self.leaf(child, indent + 2);
            }
        }
        self.out.push('\n');
    }

    fn key(&mut self, key: &Key, indent: usize) {
        let (text, quoted) = match key {
            Key::Str(text) => (text.to_string(), true),
            Key::Int(value) => (value.to_string(), false),
            Key::Float(value) => (yaml_float(*value), false),
            Key::Bool(value) => (value.to_string(), false),
            Key::Null => ("null".into(), false),
            Key::Bytes(bytes) => {
                self.text("? ");
                self.binary(bytes, indent + 2);
                self.new_line(indent);
                self.text(":");
                return;
            }
        };
        if !quoted {
            self.text(&text);
        } else if analysis::is_simple_key(&text) {
            self.scalar(&text, Place::Key, indent);
        } else {
            // Long keys and keys with line breaks take YAML's explicit form.
            self.text("? ");
            self.scalar(&text, Place::Value, indent + 2);
            self.new_line(indent);
        }
        self.text(":");
    }

    fn leaf(&mut self, node: &Node, indent: usize) {
        match &node.value {
            Value::Null => self.text("null"),
            Value::Bool(value) => self.text(if *value { "true" } else { "false" }),
            Value::Int(value) => self.text(&value.to_string()),
            Value::BigInt(digits) => self.text(digits),
            Value::Float(value) => self.text(&yaml_float(*value)),
            Value::Str(text) => self.scalar(text, Place::Value, indent),
            Value::Bytes(bytes) => self.binary(bytes, indent),
            Value::Map(_) | Value::List(_) => {}
        }
    }

    fn scalar(&mut self, text: &str, place: Place, indent: usize) {
        let wanted = if must_quote(text) {
            Style::SingleQuoted
        } else if pyyaml_resolves(text) {
            // Plain would read back as something else; PyYAML then quotes.
            Style::NotPlain
        } else {
            Style::Plain
        };
        scalar::write(self, text, wanted, place, indent);
    }

    fn binary(&mut self, bytes: &[u8], indent: usize) {
        self.text("!!binary |");
        for line in encode_base64(bytes).as_bytes().chunks(76) {
            self.new_line(indent);
            self.text(&String::from_utf8_lossy(line));
        }
    }
}

/// Text that OmegaConf itself puts in quotes: a word of YAML 1.1's booleans, or a number to Python.
fn must_quote(text: &str) -> bool {
    const WORDS: [&str; 22] = [
        "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True", "TRUE", "false", "False",
        "FALSE", "on", "On", "ON", "off", "Off", "OFF",
    ];
    WORDS.contains(&text) || python_int_digits(text).is_some() || parse_python_float(text).is_some()
}

/// A float as PyYAML writes it: `1.0e+20`, `.inf`.
fn yaml_float(value: f64) -> String {
    if value.is_nan() {
        return ".nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf".into() } else { "-.inf".into() };
    }
    let text = float_repr(value);
    if text.contains('.') { text } else { text.replacen('e', ".0e", 1) }
}

fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| (bits << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}
