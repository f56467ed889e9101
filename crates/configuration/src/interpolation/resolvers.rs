//! Resolvers: OmegaConf's own (`oc.env`, `oc.select` …), Hydra's (`hydra`, `now`), and those of the program.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use super::cursor::Cursor;
use super::evaluate::{Evaluator, Target};
use super::parse;
use super::select::Selected;
use crate::error::{ConfigError, Result, fail, nearest};
use crate::value::{Key, Node, Value, str_node};

const BUILTIN: [&str; 9] = [
    "hydra",
    "now",
    "oc.create",
    "oc.decode",
    "oc.deprecated",
    "oc.dict.keys",
    "oc.dict.values",
    "oc.env",
    "oc.select",
];

/// A call of a resolver: its arguments, interpolations in them already evaluated.
#[derive(Debug)]
pub struct Call<'c> {
    /// The arguments.
    pub arguments: &'c [Node],
    /// The full key of the value that holds the interpolation.
    pub key: &'c str,
}

type Function = Arc<dyn Fn(&Call<'_>) -> std::result::Result<Value, String> + Send + Sync>;

/// The resolvers that interpolations may call, and what they read: environment and clock.
#[derive(Clone, Default)]
pub struct Resolvers {
    functions: HashMap<String, Function>,
    variables: HashMap<String, String>,
    /// The moment that `${now:…}` tells, one for the whole run.
    now: Arc<OnceLock<jiff::Zoned>>,
    /// Messages of `oc.deprecated`, in the order in which they were given.
    warnings: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.functions.keys().collect();
        f.debug_struct("Resolvers").field("functions", &names).finish_non_exhaustive()
    }
}

impl Resolvers {
    /// Adds a resolver, so that `${name:…}` calls it. It replaces one of the same name.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        function: impl Fn(&Call<'_>) -> std::result::Result<Value, String> + Send + Sync + 'static,
    ) {
        self.functions.insert(name.into(), Arc::new(function));
    }

    /// Sets a variable that `${oc.env:…}` sees before those of the process.
    pub fn set_variable(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.variables.insert(name.into(), value.into());
    }

    /// What `oc.deprecated` has had to say so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().map_or_else(|poisoned| poisoned.into_inner().clone(), |list| list.clone())
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    fn warn(&self, message: String) {
        if let Ok(mut list) = self.warnings.lock() {
            list.push(message);
        }
    }

    fn time(&self, format: &str) -> Option<String> {
        let now = self.now.get_or_init(jiff::Zoned::now);
        jiff::fmt::strtime::format(format, now).ok()
    }
}

impl<'a> Evaluator<'a> {
    /// `${name:arguments}` at a place.
    pub(super) fn call(&self, name: &str, arguments: &[Target<'a>], at: &Cursor<'a>) -> Result<Target<'a>> {
        let failed = |message: String| fail!(InterpolationFailed, "{name}: {message}");
        let finished = |value: Value| Ok(Target::Value(Node::new(value, at.node().origin.clone())));
        if let Some(function) = self.resolvers.functions.get(name) {
            let arguments: Vec<_> =
                arguments.iter().map(|target| self.resolve_target(target)).collect::<Result<_>>()?;
            let call = Call { arguments: &arguments, key: &at.full_key() };
            return finished(function(&call).map_err(failed)?);
        }
        match name {
            "oc.env" => finished(self.environment(count(name, arguments, 1..=2)?)?),
            "oc.decode" => self.decode(count(name, arguments, 1..=1)?[0].node(), at),
            "oc.create" => match &count(name, arguments, 0..=1)?.first().map(|target| &target.node().value) {
                None => Ok(self.made(Value::Map(Box::default()), name, at)),
                Some(value @ (Value::Map(_) | Value::List(_))) => Ok(self.made((*value).clone(), name, at)),
                Some(Value::Null) => finished(Value::Null),
                Some(Value::Str(text)) => {
                    let node = crate::yaml::load(text, &"<oc.create>".into())?;
                    Ok(self.made(node.value, name, at))
                }
                Some(_) => Err(failed("expected a mapping, a list or YAML text".into())),
            },
            "oc.select" => {
                let arguments = count(name, arguments, 1..=2)?;
                match self.select_argument(name, arguments[0].node(), at, false)? {
                    Some(target) if !target.node().is_missing() => Ok(target),
                    _ => {
                        arguments.get(1).map_or_else(|| finished(Value::Null), |default| Ok(default.clone()))
                    }
                }
            }
            "oc.deprecated" => self.deprecated(count(name, arguments, 1..=2)?, at),
            "oc.dict.keys" | "oc.dict.values" => {
                self.keys_or_values(name, count(name, arguments, 1..=1)?[0].node(), at)
            }
            "hydra" => self.hydra(string(name, count(name, arguments, 1..=1)?[0].node())?, at),
            "now" => {
                let format = string(name, count(name, arguments, 1..=1)?[0].node())?;
                finished(self.resolvers.time(format).unwrap_or_else(|| format.to_owned()).into())
            }
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> ConfigError {
        let known = BUILTIN.iter().copied().chain(self.resolvers.functions.keys().map(String::as_str));
        let mut known: Vec<_> = known.collect();
        known.sort_unstable();
        let error = fail!(InterpolationUnknownResolver, "no resolver has the name '{name}'");
        match nearest(name, known.iter().copied()) {
            Some(near) => error.with_help(format!("did you mean ${{{near}:…}}?")),
            None => error.with_help(format!("known are {}", known.join(", "))),
        }
    }

    fn environment(&self, arguments: &[Target<'a>]) -> Result<Value> {
        let name = string("oc.env", arguments[0].node())?;
        if let Some(value) = self.resolvers.variable(name) {
            return Ok(value.into());
        }
        match arguments.get(1).map(Target::node) {
            None => Err(fail!(InterpolationFailed, "oc.env: no environment variable '{name}'")
                .with_help(format!("set it, or give a default: ${{oc.env:{name},DEFAULT}}"))),
            Some(default) if default.is_null() => Ok(Value::Null),
            Some(default) => Ok(str_node(default).into()),
        }
    }

    fn decode(&self, argument: &Node, at: &Cursor<'a>) -> Result<Target<'a>> {
        if argument.is_null() {
            return Ok(Target::Value(argument.clone()));
        }
        let element = parse::single_element(string("oc.decode", argument)?)
            .map_err(|error| fail!(InterpolationFailed, "oc.decode: {}", error.report().message))?;
        Ok(Target::Value(self.element(&element, at)?))
    }

    /// The node that a key in an argument leads to; `None` if there is none.
    fn select_argument(
        &self,
        name: &str,
        key: &Node,
        at: &Cursor<'a>,
        demand: bool,
    ) -> Result<Option<Target<'a>>> {
        let (root, rest) = self.start_of(string(name, key)?, at)?;
        Ok(match self.select_from(&root, rest, demand)? {
            Selected::Found(target) => Some(target),
            Selected::NotFound { .. } | Selected::NotContainer { .. } => None,
        })
    }

    fn deprecated(&self, arguments: &[Target<'a>], at: &Cursor<'a>) -> Result<Target<'a>> {
        let old = at.full_key();
        let key = arguments[0].node();
        let message = match arguments.get(1).map(Target::node) {
            Some(message) => string("oc.deprecated", message)?,
            None => "'$OLD_KEY' is deprecated. Change your code and config to use '$NEW_KEY'",
        };
        let Some(target) = self.select_argument("oc.deprecated", key, at, false)? else {
            return Err(fail!(InterpolationFailed, "oc.deprecated: no key '{}'", str_node(key)));
        };
        let new = match &target {
            Target::Place(place) => place.full_key(),
            Target::Value(_) => str_node(key),
        };
        let fill = |name: &str, value: &str, text: String| {
            text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
        };
        self.resolvers.warn(fill("NEW_KEY", &new, fill("OLD_KEY", &old, message.to_owned())));
        Ok(target)
    }

    fn keys_or_values(&self, name: &str, key: &Node, at: &Cursor<'a>) -> Result<Target<'a>> {
        let Some(target) = self.select_argument(name, key, at, true)? else {
            return Err(fail!(InterpolationFailed, "{name}: no key '{}'", str_node(key)));
        };
        let Some(map) = target.node().as_map() else {
            return Err(fail!(
                InterpolationFailed,
                "{name}: expected a mapping, found {}",
                target.node().type_name()
            ));
        };
        let item = |value: Value| Node::new(value, at.node().origin.clone());
        let items = if name == "oc.dict.keys" {
            map.keys().map(|key| item(key_value(key))).collect()
        } else {
            // References, as in OmegaConf: a value that is an interpolation is evaluated where it stands.
            let base = str_node(key);
            let base = if base.starts_with('.') { format!(".{base}") } else { base };
            map.keys().map(|key| item(format!("${{{base}.{key}}}").into())).collect()
        };
        Ok(self.made(Value::List(items), name, at))
    }

    /// `${hydra:key}`: reads the `hydra` node, wherever the interpolation stands.
    fn hydra(&self, key: &str, at: &Cursor<'a>) -> Result<Target<'a>> {
        let whole = self.whole.and_then(|whole| Cursor::root(whole).child("hydra"));
        let Some(root) = whole else {
            return Err(fail!(InterpolationFailed, "hydra: no configuration has been composed"));
        };
        match self.select_from(&root, key, false)? {
            Selected::Found(target) if !target.node().is_missing() => Ok(target),
            _ => Ok(Target::Value(Node::new(Value::Null, at.node().origin.clone()))),
        }
    }
}

fn count<'n, T>(name: &str, arguments: &'n [T], allowed: std::ops::RangeInclusive<usize>) -> Result<&'n [T]> {
    if allowed.contains(&arguments.len()) {
        return Ok(arguments);
    }
    let expected = if allowed.start() == allowed.end() {
        allowed.start().to_string()
    } else {
        format!("{} to {}", allowed.start(), allowed.end())
    };
    Err(fail!(InterpolationFailed, "{name}: expected {expected} arguments, found {}", arguments.len()))
}

fn string<'n>(name: &str, node: &'n Node) -> Result<&'n str> {
    node.as_str()
        .ok_or_else(|| fail!(InterpolationFailed, "{name}: expected a string, found {}", node.type_name()))
}

fn key_value(key: &Key) -> Value {
    match key {
        Key::Str(text) => Value::Str(text.clone()),
        Key::Int(value) => Value::Int(*value),
        Key::Float(value) => Value::Float(*value),
        Key::Bool(value) => Value::Bool(*value),
        Key::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Key::Null => Value::Null,
    }
}
