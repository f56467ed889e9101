//! Evaluates interpolations: follows keys, calls resolvers, finds cycles and names them.

use std::cell::{Cell, RefCell};

use super::cursor::Cursor;
use super::parse;
use super::resolvers::Resolvers;
use super::select::Selected;
use super::syntax::{Element, Interpolation, Part};
use crate::error::{ConfigError, Result, fail};
use crate::origin::Origin;
use crate::value::{MISSING, Map, Node, Value, str_node};

/// Interpolations that may lead to one another before it must be a cycle.
const MAX_CHAIN: usize = 100;

/// Values that one tree may resolve to: enough for any configuration, too few for a bomb.
const MAX_NODES: usize = 1_000_000;

/// Containers inside containers that a tree may resolve to.
const MAX_DEPTH: usize = 300;

/// Evaluates the interpolations of one tree.
#[derive(Debug)]
pub(crate) struct Evaluator<'a> {
    pub(super) resolvers: &'a Resolvers,
    /// The whole configuration, for `${hydra:…}`.
    pub(super) whole: Option<&'a Node>,
    /// The interpolated nodes being evaluated, innermost last, with their keys.
    chain: RefCell<Vec<(*const Node, String)>>,
    /// The containers being written out, outermost first.
    expanding: RefCell<Vec<*const Node>>,
    nodes: Cell<usize>,
    /// Whether an interpolation to an unset value is itself unset, rather than an error.
    lenient: Cell<bool>,
}

/// What an interpolation leads to.
#[derive(Debug, Clone)]
pub(crate) enum Target<'a> {
    /// A node with a place of its own.
    Place(Cursor<'a>),
    /// A finished value, in which nothing more is evaluated.
    Value(Node),
}

impl Target<'_> {
    pub(crate) fn node(&self) -> &Node {
        match self {
            Target::Place(cursor) => cursor.node(),
            Target::Value(node) => node,
        }
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(resolvers: &'a Resolvers, whole: Option<&'a Node>) -> Self {
        Self {
            resolvers,
            whole,
            chain: RefCell::default(),
            expanding: RefCell::default(),
            nodes: Cell::new(0),
            lenient: Cell::new(false),
        }
    }

    /// Follows the node's interpolation, if it is one, to its end.
    pub(crate) fn dereference(&self, cursor: &Cursor<'a>) -> Result<Target<'a>> {
        let node = cursor.node();
        if !node.is_interpolation() {
            return Ok(Target::Place(cursor.clone()));
        }
        self.enter(cursor)?;
        let result = parse::text(node.as_str().unwrap_or_default())
            .and_then(|parts| self.text(&parts, cursor))
            .map_err(|error| error.or_at(&node.origin));
        self.chain.borrow_mut().pop();
        result
    }

    fn enter(&self, cursor: &Cursor<'a>) -> Result<()> {
        let mut chain = self.chain.borrow_mut();
        let identity = cursor.identity();
        let key = cursor.full_key();
        if let Some(start) = chain.iter().position(|(seen, _)| *seen == identity) {
            let circle: Vec<_> =
                chain[start..].iter().map(|(_, key)| key.as_str()).chain([key.as_str()]).collect();
            return Err(fail!(
                InterpolationCycle,
                "values refer to each other in a circle: {}",
                circle.join(" → ")
            )
            .at(cursor.node().origin.clone())
            .with_help("give one of them a value of its own"));
        }
        if chain.len() >= MAX_CHAIN {
            return Err(fail!(
                InterpolationCycle,
                "interpolations lead on more than {MAX_CHAIN} times, last to '{key}'"
            )
            .at(cursor.node().origin.clone()));
        }
        chain.push((identity, key));
        Ok(())
    }

    /// Resolves a node and everything in it to plain values. An unset `???` stays as it is.
    pub(crate) fn resolve(&self, cursor: &Cursor<'a>) -> Result<Node> {
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > MAX_NODES {
            return Err(fail!(
                InterpolationFailed,
                "the configuration resolves to more than {MAX_NODES} values"
            ));
        }
        let place = match self.dereference(cursor) {
            Ok(Target::Value(node)) => return Ok(node),
            Ok(Target::Place(place)) => place,
            Err(ConfigError::InterpolationToMissing(_)) if self.lenient.get() => {
                return Ok(Node::new(MISSING.into(), cursor.node().origin.clone()));
            }
            Err(error) => return Err(error),
        };
        let node = place.node();
        if !node.is_container() {
            return Ok(node.clone());
        }
        if self.expanding.borrow().contains(&place.identity()) {
            return Err(
                fail!(InterpolationCycle, "'{}' contains itself", place.full_key()).at(node.origin.clone())
            );
        }
        if self.expanding.borrow().len() >= MAX_DEPTH {
            return Err(fail!(
                InterpolationFailed,
                "'{}' is nested deeper than {MAX_DEPTH} levels",
                place.full_key()
            ));
        }
        self.expanding.borrow_mut().push(place.identity());
        let value = self.resolve_children(&place);
        self.expanding.borrow_mut().pop();
        Ok(Node { value: value?, origin: node.origin.clone(), flags: node.flags })
    }

    /// Resolves as `OmegaConf.resolve`: an interpolation to an unset value becomes unset itself.
    pub(crate) fn resolve_leniently(&self, cursor: &Cursor<'a>) -> Result<Node> {
        self.lenient.set(true);
        let result = self.resolve(cursor);
        self.lenient.set(false);
        result
    }

    /// Resolves what an interpolation or a key has led to.
    pub(crate) fn resolve_target(&self, target: &Target<'a>) -> Result<Node> {
        match target {
            Target::Place(cursor) => self.resolve(cursor),
            Target::Value(node) => Ok(node.clone()),
        }
    }

    fn resolve_children(&self, place: &Cursor<'a>) -> Result<Value> {
        let mut items =
            place.keys().into_iter().filter_map(|key| place.child_at(&key).map(|child| (key, child)));
        if matches!(place.node().value, Value::List(_)) {
            return Ok(Value::List(items.map(|(_, child)| self.resolve(&child)).collect::<Result<_>>()?));
        }
        let map = items.try_fold(Map::new(), |mut map, (key, child)| {
            map.insert(key, self.resolve(&child)?);
            Ok::<_, ConfigError>(map)
        })?;
        Ok(map.into())
    }

    /// A text: one interpolation is its value, anything else is a string.
    pub(super) fn text(&self, parts: &[Part], at: &Cursor<'a>) -> Result<Target<'a>> {
        match parts {
            [Part::Interpolation(inner)] => self.interpolation(inner, at),
            _ => {
                let text = self.joined(parts, at)?;
                Ok(Target::Value(Node::new(text.into(), at.node().origin.clone())))
            }
        }
    }

    fn joined(&self, parts: &[Part], at: &Cursor<'a>) -> Result<String> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Interpolation(inner) => text.push_str(&str_node(self.interpolation(inner, at)?.node())),
            }
        }
        Ok(text)
    }

    fn interpolation(&self, interpolation: &Interpolation, at: &Cursor<'a>) -> Result<Target<'a>> {
        match interpolation {
            Interpolation::Key(parts) => self.follow(&self.key_text(parts, at, "a key")?, at),
            Interpolation::Call { name, arguments } => {
                let name = self.key_text(name, at, "the name of a resolver")?;
                let arguments: Vec<_> =
                    arguments.iter().map(|element| self.argument(element, at)).collect::<Result<_>>()?;
                self.call(&name, &arguments, at)
            }
        }
    }

    /// A key or name in pieces; an interpolation inside it must give a string.
    fn key_text(&self, parts: &[Part], at: &Cursor<'a>, role: &str) -> Result<String> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Interpolation(inner) => {
                    let target = self.interpolation(inner, at)?;
                    let node = target.node();
                    let piece = node.as_str().ok_or_else(|| {
                        fail!(InterpolationFailed, "expected a string for {role}, found {}", node.type_name())
                    })?;
                    text.push_str(piece);
                }
            }
        }
        Ok(text)
    }

    /// An argument; a node that it refers to keeps its place.
    fn argument(&self, element: &Element, at: &Cursor<'a>) -> Result<Target<'a>> {
        match element {
            Element::Interpolation(inner) => self.interpolation(inner, at),
            other => self.element(other, at).map(Target::Value),
        }
    }

    pub(super) fn element(&self, element: &Element, at: &Cursor<'a>) -> Result<Node> {
        let origin = at.node().origin.clone();
        let value = match element {
            Element::Literal(value) => value.clone(),
            Element::Interpolation(inner) => return Ok(self.interpolation(inner, at)?.node().clone()),
            Element::Text(parts) => self.joined(parts, at)?.into(),
            Element::List(items) => {
                Value::List(items.iter().map(|item| self.element(item, at)).collect::<Result<_>>()?)
            }
            Element::Dict(pairs) => {
                let mut map = Map::new();
                for (key, item) in pairs {
                    map.insert(key.clone(), self.element(item, at)?);
                }
                map.into()
            }
        };
        Ok(Node::new(value, origin))
    }

    /// `${key}`: the node at a key, which is relative if it starts with a dot.
    fn follow(&self, key: &str, at: &Cursor<'a>) -> Result<Target<'a>> {
        let (root, rest) = self.start_of(key, at)?;
        match self.select_from(&root, rest, true)? {
            Selected::Found(target) => {
                self.refuse_own_parent(&target, at)?;
                Ok(target)
            }
            Selected::NotFound { suggestion } => {
                let error = fail!(InterpolationKey, "interpolation to a key that does not exist: '{key}'")
                    .at(at.node().origin.clone());
                Err(match suggestion {
                    Some(near) => error.with_help(format!("did you mean '{near}'?")),
                    None if key.starts_with("hydra.") => error
                        .with_help(format!("write ${{hydra:{}}} to read Hydra's own settings", &key[6..])),
                    None => error,
                })
            }
            Selected::NotContainer { message } => Err(fail!(InterpolationFailed, "{message}")),
        }
    }

    /// Where a key starts: at the root, or some levels above the interpolation.
    pub(super) fn start_of<'k>(&self, key: &'k str, at: &Cursor<'a>) -> Result<(Cursor<'a>, &'k str)> {
        let container = at.parent().cloned().unwrap_or_else(|| at.clone());
        let Some(mut rest) = key.strip_prefix('.') else { return Ok((container.top(), key)) };
        let mut root = container;
        while let Some(upper) = rest.strip_prefix('.') {
            rest = upper;
            root = root.parent().cloned().ok_or_else(|| {
                fail!(InterpolationKey, "'{key}' leads above the root").with_help("remove a dot")
            })?;
        }
        Ok((root, rest))
    }

    fn refuse_own_parent(&self, target: &Target<'a>, at: &Cursor<'a>) -> Result<()> {
        let Target::Place(place) = target else { return Ok(()) };
        let mut parent = at.parent();
        while let Some(cursor) = parent {
            if cursor.identity() == place.identity() {
                return Err(fail!(
                    InterpolationFailed,
                    "interpolation to '{}', of which it is a part",
                    place.full_key()
                ));
            }
            parent = cursor.parent();
        }
        Ok(())
    }

    /// A value made by a resolver, with the place where it stands.
    pub(super) fn made(&self, value: Value, resolver: &str, at: &Cursor<'a>) -> Target<'a> {
        Target::Place(Cursor::made(Node::new(value, Origin::Resolver(resolver.into())), at))
    }
}
