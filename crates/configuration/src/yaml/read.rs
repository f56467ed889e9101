//! Text to tree: runs the YAML parser's events through the builder.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScanError, Span};

use super::builder::Builder;
use crate::error::{ConfigError, Result, fail};
use crate::interpolation;
use crate::origin::Origin;
use crate::value::{Key, Map, Node, Value};

/// Containers inside containers; beyond it lies no configuration, only a stack overflow.
pub(super) const MAX_DEPTH: usize = 128;

/// Reads a configuration as `OmegaConf.load` does: an empty text is an empty mapping, a lone string is a key
/// without a value, and anything else must be a mapping or a list.
///
/// # Errors
/// Text that is not YAML, duplicate keys, malformed interpolations, a document that is no container.
pub fn load(text: &str, file: &Arc<str>) -> Result<Node> {
    let start = Origin::File { file: file.clone(), line: 1, column: 1 };
    let node = match document(text, file)? {
        Some(Node { value: Value::Str(inner), .. }) => match document(&inner, file)? {
            Some(Node { value: Value::Str(key), origin, .. }) => {
                let mut map = Map::new();
                map.insert(Key::Str(key), Node::new(Value::Null, origin.clone()));
                Node::new(map.into(), origin)
            }
            other => other.unwrap_or_else(|| Node::empty_map(start.clone())),
        },
        Some(Node { value: Value::Null, origin, .. }) => Node::empty_map(origin),
        other => other.unwrap_or_else(|| Node::empty_map(start.clone())),
    };
    if !node.is_container() {
        return Err(fail!(Io, "expected a mapping or a list, found {}", node.type_name())
            .at(node.origin)
            .with_help("write `key: value` lines"));
    }
    check_interpolations(&node)?;
    Ok(node)
}

/// Reads one YAML document; `None` if there is nothing in the text.
///
/// # Errors
/// Text that is not YAML, more than one document, duplicate keys.
pub fn document(text: &str, file: &Arc<str>) -> Result<Option<Node>> {
    let mut builder = Builder::new(text, file);
    let mut documents = 0;
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| syntax_error(&error, file))?;
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                return Err(fail!(Yaml, "expected one document, found a second one")
                    .at(position(file, &span))
                    .with_help("keep one document in a file: remove the `---` line or split the file"));
            }
        }
        builder.event(event, &span)?;
    }
    Ok(builder.finish())
}

/// Every `${…}` must be well formed, or the mistake would show only when the value is used.
fn check_interpolations(node: &Node) -> Result<()> {
    match &node.value {
        Value::Str(text) => interpolation::check_syntax(text).map_err(|error| error.or_at(&node.origin)),
        Value::Map(map) => map.values().try_for_each(check_interpolations),
        Value::List(items) => items.iter().try_for_each(check_interpolations),
        _ => Ok(()),
    }
}

pub(super) fn position(file: &Arc<str>, span: &Span) -> Origin {
    let column = u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX);
    let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
    Origin::File { file: file.clone(), line, column }
}

fn syntax_error(error: &ScanError, file: &Arc<str>) -> ConfigError {
    let origin = position(file, &Span::empty(*error.marker()));
    let info = error.info();
    let failure = fail!(Yaml, "{info}").at(origin);
    match help_for(info) {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// The way out of the mistakes that are made most.
fn help_for(info: &str) -> Option<&'static str> {
    if info.contains("mapping values are not allowed") {
        Some("give keys of one mapping the same indentation; put a text that holds ': ' in quotes")
    } else if info.contains("tab") {
        Some("indent with spaces, not with tabs")
    } else if info.contains("could not find expected ':'") || info.contains("simple key expected") {
        Some("end the key with ': ', or put a text over several lines in quotes")
    } else if info.contains("flow") {
        Some("close every bracket, put a comma between the items, and quote a text that holds one of ,[]{}?")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node> {
        load(text, &"<test>".into())
    }

    fn position_of(error: ConfigError) -> (u32, u32) {
        let (_, line, column) = error.origin().unwrap().file_position().unwrap();
        (line, column)
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let root = read("a: 1\nb:\n  c: [x, y]\n").unwrap();
        let at = |key: &str| {
            root.select(key).unwrap().origin().file_position().map(|(_, line, column)| (line, column))
        };
        assert_eq!(at("a"), Some((1, 4)));
        assert_eq!(at("b.c"), Some((3, 6)));
        assert_eq!(at("b.c[1]"), Some((3, 10)));
    }

    #[test]
    fn a_duplicate_key_is_refused_where_it_stands() {
        let error = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.kind(), "yaml_duplicate_key");
        assert!(error.to_string().contains("line 1"), "{error}");
        assert_eq!(position_of(error), (3, 1));
    }

    #[test]
    fn a_duplicate_anchor_is_refused() {
        assert_eq!(position_of(read("a: &x 1\nb: &x 2\nc: *x\n").unwrap_err()).0, 2);
        assert_eq!(read("a: &x {k: 1}\nb: &y\n  k: 2\nc: &x [1]\n").unwrap_err().kind(), "yaml");
        assert!(read("a: &x 1\nb: &y 2\nc: [*x, *y]\n").is_ok());
    }

    #[test]
    fn merge_keys_yield_to_the_mapping_they_stand_in() {
        let root = read("b: &b {x: 1, y: 2}\nd:\n  <<: *b\n  y: 3\n").unwrap();
        assert_eq!(root.select("d.x").unwrap().value, Value::Int(1));
        assert_eq!(root.select("d.y").unwrap().value, Value::Int(3));
    }

    #[test]
    fn bombs_are_errors() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let inner = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{inner}]\n");
        }
        assert_eq!(read(&bomb).unwrap_err().kind(), "yaml");
        assert_eq!(read(&"[".repeat(100_000)).unwrap_err().kind(), "yaml");
        assert_eq!(read("a: &x [*x]\n").unwrap_err().kind(), "yaml");
    }

    #[test]
    fn a_malformed_interpolation_is_refused_where_it_stands() {
        assert_eq!(position_of(read("a: 1\nb: x${c\n").unwrap_err()), (2, 4));
    }
}
