//! A node together with the way to it, so that relative interpolations find their siblings.

use std::rc::Rc;

use crate::value::{Key, Node, Value, join_key};

/// A node in a tree, or in a value that a resolver made, with its parents.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a>(Rc<Inner<'a>>);

#[derive(Debug)]
struct Inner<'a> {
    node: Held<'a>,
    parent: Option<Cursor<'a>>,
    /// The key under the parent; `None` at a root.
    key: Option<Key>,
}

#[derive(Debug)]
enum Held<'a> {
    InTree(&'a Node),
    Made(Node),
}

impl<'a> Cursor<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self(Rc::new(Inner { node: Held::InTree(node), parent: None, key: None }))
    }

    /// A value that a resolver made for the interpolation at `place`.
    pub(super) fn made(node: Node, place: &Cursor<'a>) -> Self {
        Self(Rc::new(Inner {
            node: Held::Made(node),
            parent: place.0.parent.clone(),
            key: place.0.key.clone(),
        }))
    }

    pub(crate) fn node(&self) -> &Node {
        match &self.0.node {
            Held::InTree(node) => node,
            Held::Made(node) => node,
        }
    }

    pub(super) fn parent(&self) -> Option<&Cursor<'a>> {
        self.0.parent.as_ref()
    }

    pub(super) fn top(&self) -> Cursor<'a> {
        let mut top = self;
        while let Some(parent) = top.parent() {
            top = parent;
        }
        top.clone()
    }

    /// What tells this node from every other one.
    pub(super) fn identity(&self) -> *const Node {
        self.node()
    }

    /// The child at a key written as text: a string key, or an index of a list.
    pub(crate) fn child(&self, key: &str) -> Option<Cursor<'a>> {
        let name = match &self.node().value {
            Value::List(_) => Key::Int(i64::try_from(crate::value::number::parse_python_int(key)?).ok()?),
            _ => Key::from(key),
        };
        self.child_at(&name)
    }

    /// The child under a key, or at an index of a list.
    pub(super) fn child_at(&self, key: &Key) -> Option<Cursor<'a>> {
        fn find<'n>(node: &'n Node, key: &Key) -> Option<&'n Node> {
            match (&node.value, key) {
                (Value::Map(map), key) => map.get(key),
                (Value::List(items), Key::Int(index)) => items.get(usize::try_from(*index).ok()?),
                _ => None,
            }
        }
        let node = match &self.0.node {
            Held::InTree(node) => Held::InTree(find(node, key)?),
            Held::Made(node) => Held::Made(find(node, key)?.clone()),
        };
        Some(Self(Rc::new(Inner { node, parent: Some(self.clone()), key: Some(key.clone()) })))
    }

    /// The keys or indices of the children.
    pub(super) fn keys(&self) -> Vec<Key> {
        match &self.node().value {
            Value::Map(map) => map.keys().cloned().collect(),
            Value::List(items) => (0i64..).take(items.len()).map(Key::Int).collect(),
            _ => Vec::new(),
        }
    }

    /// The keys from the root of the tree; `None` in a value that a resolver made.
    pub(crate) fn path(&self) -> Option<Vec<Key>> {
        let mut keys = Vec::new();
        let mut cursor = self;
        loop {
            if matches!(cursor.0.node, Held::Made(_)) {
                return None;
            }
            let Some(parent) = cursor.parent() else { break };
            keys.extend(cursor.0.key.clone());
            cursor = parent;
        }
        keys.reverse();
        Some(keys)
    }

    /// The full key, such as `a.b[0]`.
    pub(crate) fn full_key(&self) -> String {
        match (&self.0.key, self.parent()) {
            (Some(key), Some(parent)) => {
                join_key(&parent.full_key(), key, matches!(parent.node().value, Value::List(_)))
            }
            _ => String::new(),
        }
    }
}
