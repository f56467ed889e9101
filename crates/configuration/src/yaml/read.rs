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
    fail!(Yaml, "{}", error.info()).at(origin)
}
