//! A composed configuration.

use indexmap::IndexMap;

use crate::defaults::{DefaultsTree, ResultDefault};
use crate::error::Result;
use crate::interpolation::{Cursor, Evaluator, Resolvers, Selected, Target};
use crate::source::SearchPathEntry;
use crate::value::{Key, Map, Node, Value, number};
use crate::yaml;

/// A composed configuration: the tree, the `hydra` node beside it, and how both came to be.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) root: Node,
    pub(crate) hydra: Node,
    pub(crate) defaults: Vec<ResultDefault>,
    pub(crate) tree: DefaultsTree,
    pub(crate) choices: IndexMap<String, Option<String>>,
    pub(crate) sources: Vec<SearchPathEntry>,
    pub(crate) warnings: Vec<String>,
    pub(crate) resolvers: Resolvers,
}

impl Config {
    /// The tree, without the `hydra` node. Interpolations are as written, unless it has been resolved.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The `hydra` node: folders, name and surroundings of the job.
    pub fn hydra(&self) -> &Node {
        &self.hydra
    }

    /// The `hydra` node, to fill in what only the launcher knows, such as `runtime.output_dir`.
    pub fn hydra_mut(&mut self) -> &mut Node {
        &mut self.hydra
    }

    /// The configs that were composed, in order, Hydra's own first.
    pub fn defaults(&self) -> &[ResultDefault] {
        &self.defaults
    }

    /// The tree of defaults lists from which `defaults` follows.
    pub fn defaults_tree(&self) -> &DefaultsTree {
        &self.tree
    }

    /// The chosen option of every config group, by override key; `None` is `null`.
    pub fn choices(&self) -> &IndexMap<String, Option<String>> {
        &self.choices
    }

    /// The roots that were searched, in order.
    pub fn search_path(&self) -> &[SearchPathEntry] {
        &self.sources
    }

    /// What is worth telling and no error, such as a root of the search path that does not exist.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The node at a key such as `a.b[0].c`, with its origin. Interpolations on the way are not followed.
    pub fn select(&self, key: &str) -> Option<&Node> {
        if key.is_empty() { Some(&self.root) } else { self.root.select(key) }
    }

    /// The resolved value at a key, interpolations on the way followed; `None` if it is not there or `???`.
    /// A key that starts with `hydra.` reads the `hydra` node.
    ///
    /// # Errors
    /// An interpolation that cannot be resolved.
    pub fn value(&self, key: &str) -> Result<Option<Node>> {
        let whole = self.whole();
        let evaluator = Evaluator::new(&self.resolvers, Some(&whole));
        match evaluator.select_from(&Cursor::root(&whole), key, false)? {
            Selected::Found(target) if target.node().is_missing() => Ok(None),
            Selected::Found(target) => evaluator.resolve_target(&target).map(Some),
            _ => Ok(None),
        }
    }

    /// Resolves every interpolation. The `hydra` node keeps its own: much of it is known only later.
    ///
    /// # Errors
    /// The first interpolation that cannot be resolved, with its place.
    pub fn resolve(&self) -> Result<Config> {
        let whole = self.whole();
        let root = Evaluator::new(&self.resolvers, Some(&whole)).resolve(&Cursor::root(&self.root))?;
        Ok(Config { root, ..self.clone() })
    }

    /// Resolves the subtree at a key (empty: the whole tree) as `OmegaConf.resolve` does, an interpolation to an
    /// unset value being unset itself; `None` if the key is not there.
    ///
    /// # Errors
    /// An interpolation that cannot be resolved.
    pub fn resolve_leniently(&self, key: &str) -> Result<Option<Node>> {
        let whole = self.whole();
        let evaluator = Evaluator::new(&self.resolvers, Some(&whole));
        match evaluator.select_from(&Cursor::root(&self.root), key, false)? {
            Selected::Found(Target::Place(cursor)) => evaluator.resolve_leniently(&cursor).map(Some),
            Selected::Found(Target::Value(node)) => Ok(Some(node)),
            _ => Ok(None),
        }
    }

    /// The node at a key, interpolations on the way followed but those inside it kept; `None` if it is not there.
    ///
    /// # Errors
    /// An interpolation on the way that cannot be resolved.
    pub fn follow(&self, key: &str) -> Result<Option<Node>> {
        let whole = self.whole();
        let evaluator = Evaluator::new(&self.resolvers, Some(&whole));
        match evaluator.select_from(&Cursor::root(&self.root), key, false)? {
            Selected::Found(target) => Ok(Some(target.node().clone())),
            _ => Ok(None),
        }
    }

    /// The tree as JSON. What JSON cannot hold becomes text: infinities, NaN, bytes, integers beyond 64 bits.
    pub fn to_json(&self) -> serde_json::Value {
        to_json(&self.root)
    }

    /// The tree as YAML, in the form of `OmegaConf.to_yaml`.
    pub fn to_yaml(&self) -> String {
        yaml::to_yaml(&self.root)
    }

    /// The keys of every mandatory value (`???`) that nobody has set.
    pub fn missing_keys(&self) -> Vec<String> {
        missing_keys(&self.root)
    }

    /// The files that Hydra writes into a run's `.hydra` folder, by name: the configuration with its interpolations,
    /// the `hydra` node, and the overrides of the task.
    pub fn record(&self) -> [(&'static str, String); 3] {
        let mut hydra = Map::new();
        hydra.insert(Key::from("hydra"), self.hydra.clone());
        let overrides =
            self.hydra.select("overrides.task").cloned().unwrap_or_else(|| Node::builtin(Vec::new()));
        [
            ("config.yaml", self.to_yaml()),
            ("hydra.yaml", yaml::to_yaml(&Node::builtin(hydra))),
            ("overrides.yaml", yaml::to_yaml(&overrides)),
        ]
    }

    /// The resolvers that its interpolations call.
    pub fn resolvers(&self) -> &Resolvers {
        &self.resolvers
    }

    /// The tree with the `hydra` node in it, as Hydra itself sees it.
    pub fn whole(&self) -> Node {
        let mut map = Map::new();
        map.insert(Key::from("hydra"), self.hydra.clone());
        map.extend(self.root.as_map().into_iter().flatten().map(|(key, node)| (key.clone(), node.clone())));
        Node::new(map.into(), self.root.origin.clone())
    }
}

/// A tree as JSON.
pub fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::BigInt(digits) => digits.parse::<u64>().map_or_else(|_| Json::from(&**digits), Json::from),
        Value::Float(value) => serde_json::Number::from_f64(*value)
            .map_or_else(|| Json::from(number::float_repr(*value)), Json::Number),
        Value::Str(text) => Json::from(&**text),
        Value::Bytes(bytes) => Json::from(bytes.escape_ascii().to_string()),
        Value::Map(map) => {
            Json::Object(map.iter().map(|(key, child)| (key.to_string(), to_json(child))).collect())
        }
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
    }
}

/// The keys of every unset mandatory value, such as `a.b[0]`.
pub fn missing_keys(node: &Node) -> Vec<String> {
    fn gather(node: &Node, path: &str, keys: &mut Vec<String>) {
        let mut child = |key: &Key, child: &Node, in_list: bool| {
            let path = crate::value::join_key(path, key, in_list);
            if child.is_missing() {
                keys.push(path);
            } else {
                gather(child, &path, keys);
            }
        };
        match &node.value {
            Value::Map(map) => map.iter().for_each(|(key, node)| child(key, node, false)),
            Value::List(items) => {
                items.iter().zip(0i64..).for_each(|(node, index)| child(&Key::Int(index), node, true));
            }
            _ => {}
        }
    }
    let mut keys = Vec::new();
    gather(node, "", &mut keys);
    keys
}
