//! Builds the tree from YAML events: tags, anchors, merge keys and duplicate keys, as PyYAML treats them.

use std::collections::HashMap;
use std::sync::Arc;

use libyaml_safer::{Event, EventData, MappingStyle, SequenceStyle};

use super::read::{MAX_DEPTH, position};
use super::scalar::{self, Scalar};
use crate::error::{Result, fail};
use crate::origin::Origin;
use crate::value::{Key, Map, Node, Value};

/// Nodes that aliases may expand to: enough for any configuration, too few for a bomb.
const MAX_ALIASED_NODES: usize = 1_000_000;

pub(super) struct Builder<'a> {
    file: &'a Arc<str>,
    stack: Vec<Frame>,
    /// The finished nodes that have an anchor.
    anchors: HashMap<String, Node>,
    /// The line of every anchor so far.
    anchor_lines: HashMap<String, u64>,
    aliased_nodes: usize,
    root: Option<Node>,
}

/// A container that is not finished yet.
struct Frame {
    origin: Origin,
    anchor: Option<String>,
    /// Written with brackets or braces.
    flow: bool,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        map: Map,
        /// What `<<` brought, in the order of precedence: later wins.
        merged: Vec<Map>,
        key: Option<PendingKey>,
    },
}

enum PendingKey {
    Key(Key),
    Merge(Origin),
}

/// What an event gave: a value, or one of the two special plain scalars.
enum Item {
    Node(Node),
    Merge(Origin),
    Default(Origin),
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: &'a Arc<str>) -> Self {
        let (anchors, anchor_lines) = (HashMap::new(), HashMap::new());
        Self { file, stack: Vec::new(), anchors, anchor_lines, aliased_nodes: 0, root: None }
    }

    pub(super) fn finish(self) -> Option<Node> {
        self.root
    }

    pub(super) fn event(&mut self, event: Event) -> Result<()> {
        let origin = position(self.file, event.start_mark);
        let line = event.start_mark.line + 1;
        match event.data {
            EventData::Scalar { anchor, tag, value, plain_implicit, .. } => {
                // A lone `!` asks for what a plain scalar would be.
                let tag = tag.filter(|tag| tag != "!");
                let item =
                    self.scalar(value, plain_implicit && tag.is_none(), tag.as_deref(), origin.clone())?;
                if let Some(anchor) = anchor {
                    self.note_anchor(&anchor, line, &origin)?;
                    if let Item::Node(node) = &item {
                        self.anchors.insert(anchor, node.clone());
                    }
                }
                self.add(item)
            }
            EventData::SequenceStart { anchor, tag, style, .. } => {
                check_collection_tag(tag.as_deref(), "seq", &origin)?;
                self.push(origin, anchor, line, style == SequenceStyle::Flow, Content::List(Vec::new()))
            }
            EventData::MappingStart { anchor, tag, style, .. } => {
                check_collection_tag(tag.as_deref(), "map", &origin)?;
                let content = Content::Map { map: Map::new(), merged: Vec::new(), key: None };
                self.push(origin, anchor, line, style == MappingStyle::Flow, content)
            }
            EventData::SequenceEnd | EventData::MappingEnd => self.close(),
            EventData::Alias { anchor } => {
                let node = self.alias(&anchor, &origin)?;
                self.add(Item::Node(node))
            }
            _ => Ok(()),
        }
    }

    fn push(
        &mut self,
        origin: Origin,
        anchor: Option<String>,
        line: u64,
        flow: bool,
        content: Content,
    ) -> Result<()> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(fail!(Yaml, "nested deeper than {MAX_DEPTH} levels").at(origin));
        }
        if let Some(anchor) = &anchor {
            self.note_anchor(anchor, line, &origin)?;
        }
        self.stack.push(Frame { origin, anchor, flow, content });
        Ok(())
    }

    /// An anchor may be given once, as in PyYAML; later YAML lets a second one hide the first.
    fn note_anchor(&mut self, anchor: &str, line: u64, origin: &Origin) -> Result<()> {
        match self.anchor_lines.insert(anchor.to_owned(), line) {
            None => Ok(()),
            Some(first) => Err(fail!(Yaml, "anchor '{anchor}' is there already (line {first})")
                .at(origin.clone())
                .with_help("give every anchor a name of its own")),
        }
    }

    fn close(&mut self) -> Result<()> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map { map, merged, .. } if merged.is_empty() => map.into(),
            Content::Map { map, merged, .. } => {
                let mut whole = Map::new();
                whole.extend(merged.into_iter().flatten());
                whole.extend(map);
                whole.into()
            }
        };
        let node = Node::new(value, frame.origin);
        if let Some(anchor) = frame.anchor {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(Item::Node(node))
    }

    fn alias(&mut self, anchor: &str, origin: &Origin) -> Result<Node> {
        let Some(node) = self.anchors.get(anchor) else {
            let error = if self.anchor_lines.contains_key(anchor) {
                fail!(Yaml, "'*{anchor}' inside the value that it names")
            } else {
                fail!(Yaml, "no anchor '&{anchor}' before '*{anchor}'")
            };
            return Err(error
                .at(origin.clone())
                .with_help(format!("put a text that starts with '*' in quotes: '*{anchor}'")));
        };
        self.aliased_nodes += count(node);
        if self.aliased_nodes > MAX_ALIASED_NODES {
            return Err(
                fail!(Yaml, "aliases expand to more than {MAX_ALIASED_NODES} values").at(origin.clone())
            );
        }
        Ok(node.clone())
    }

    fn add(&mut self, item: Item) -> Result<()> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(value_of(item)?);
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(value_of(item)?),
            Content::Map { map, merged, key } => match key.take() {
                None => *key = Some(as_key(item, map)?),
                Some(PendingKey::Key(name)) => {
                    map.insert(name, value_of(item)?);
                }
                Some(PendingKey::Merge(origin)) => merged.extend(as_merged(value_of(item)?, &origin)?),
            },
        }
        Ok(())
    }

    fn scalar(&self, text: String, plain: bool, tag: Option<&str>, origin: Origin) -> Result<Item> {
        if plain && text.contains('?') && self.stack.last().is_some_and(|frame| frame.flow) {
            return Err(fail!(Yaml, "'{text}' between brackets needs quotes")
                .at(origin)
                .with_help(format!("put it in quotes: '{text}'")));
        }
        let value = match tag {
            Some(tag) => tagged(tag, &text, &origin)?,
            None if !plain => text.into(),
            None => match scalar::plain(&text) {
                Scalar::Value(value) => value,
                Scalar::Merge => return Ok(Item::Merge(origin)),
                Scalar::Default => return Ok(Item::Default(origin)),
            },
        };
        Ok(Item::Node(Node::new(value, origin)))
    }
}

fn value_of(item: Item) -> Result<Node> {
    let (text, origin) = match item {
        Item::Node(node) => return Ok(node),
        Item::Merge(origin) => ("<<", origin),
        Item::Default(origin) => ("=", origin),
    };
    Err(fail!(Yaml, "'{text}' means something else than text here")
        .at(origin)
        .with_help(format!("put it in quotes: '{text}'")))
}

fn as_key(item: Item, map: &Map) -> Result<PendingKey> {
    let node = match item {
        Item::Merge(origin) => return Ok(PendingKey::Merge(origin)),
        Item::Default(origin) => Node::new("=".into(), origin),
        Item::Node(node) => node,
    };
    let origin = node.origin;
    let key = match node.value {
        Value::Str(text) => {
            if let Some(first) = map.get(&*text) {
                let before = first
                    .origin
                    .file_position()
                    .map_or(String::new(), |(_, line, _)| format!(" (line {line})"));
                return Err(fail!(YamlDuplicateKey, "key '{text}' is there already{before}")
                    .at(origin)
                    .with_help(format!("keep one of the two '{text}' keys")));
            }
            Key::Str(text)
        }
        Value::Int(value) => Key::Int(value),
        Value::Float(value) => Key::Float(value),
        Value::Bool(value) => Key::Bool(value),
        Value::Bytes(bytes) => Key::Bytes(bytes),
        Value::BigInt(digits) => Key::Float(digits.parse().unwrap_or(f64::INFINITY)),
        Value::Null => {
            return Err(fail!(Type, "null cannot be a key").at(origin).with_help("put it in quotes: 'null'"));
        }
        Value::Map(_) | Value::List(_) => {
            return Err(fail!(Yaml, "a mapping or a list cannot be a key").at(origin));
        }
    };
    Ok(PendingKey::Key(key))
}

/// What `<<: value` brings: one mapping, or the mappings of a list, of which the first wins.
fn as_merged(node: Node, origin: &Origin) -> Result<Vec<Map>> {
    let wrong = |found: &Node| {
        fail!(Yaml, "'<<' takes a mapping or a list of mappings, not {}", found.type_name())
            .at(origin.clone())
    };
    match node.value {
        Value::Map(map) => Ok(vec![*map]),
        Value::List(items) => items
            .into_iter()
            .rev()
            .map(|item| match item.value {
                Value::Map(map) => Ok(*map),
                _ => Err(wrong(&item)),
            })
            .collect(),
        _ => Err(wrong(&node)),
    }
}

/// The name after `!!`, if the tag is one of YAML's own.
fn core_name(tag: &str) -> Option<&str> {
    tag.strip_prefix("tag:yaml.org,2002:")
}

/// The tag as it is written.
fn written(tag: &str) -> String {
    core_name(tag).map_or_else(|| tag.to_owned(), |name| format!("!!{name}"))
}

fn check_collection_tag(tag: Option<&str>, expect: &str, origin: &Origin) -> Result<()> {
    match tag {
        None | Some("!") => Ok(()),
        Some(tag) if core_name(tag) == Some(expect) => Ok(()),
        Some(tag) => match core_name(tag) {
            Some("set" | "omap" | "pairs") => {
                Err(fail!(Type, "a value of type '{}' is not supported", written(tag)).at(origin.clone()))
            }
            _ => Err(unknown_tag(tag, origin)),
        },
    }
}

fn tagged(tag: &str, text: &str, origin: &Origin) -> Result<Value> {
    let value = match core_name(tag) {
        Some("str") => Some(text.into()),
        Some("int") => scalar::tagged_int(text),
        Some("float") => scalar::float(text),
        Some("bool") => scalar::tagged_bool(text).map(Value::Bool),
        Some("null") => Some(Value::Null),
        Some("binary") => Some(Value::Bytes(decode_base64(text).into())),
        Some("timestamp") => {
            return Err(fail!(Type, "a timestamp is not supported")
                .at(origin.clone())
                .with_help("write it as text"));
        }
        _ => return Err(unknown_tag(tag, origin)),
    };
    value.ok_or_else(|| fail!(Yaml, "'{text}' is not of the type '{}'", written(tag)).at(origin.clone()))
}

fn unknown_tag(tag: &str, origin: &Origin) -> crate::ConfigError {
    fail!(Yaml, "unknown tag '{}'", written(tag))
        .at(origin.clone())
        .with_help("remove it; only !!str, !!int, !!float, !!bool, !!null and !!binary are known")
}

/// Decodes base 64, passing over anything outside its alphabet, as PyYAML does.
fn decode_base64(text: &str) -> Vec<u8> {
    let sextets = text.bytes().filter_map(|b| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let (mut bits, mut held, mut bytes) = (0u32, 0u32, Vec::new());
    for sextet in sextets {
        bits = (bits << 6) | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    bytes
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Map(map) => map.values().map(count).sum(),
        Value::List(items) => items.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}
