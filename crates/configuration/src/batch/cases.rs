//! Cases that compose, sweep, interpolate and merge.

use serde_json::{Map as JsonMap, Value as Json, json};

use super::encode;
use super::{error_json, failure, object, texts};
use crate::compose::{Composer, RunMode, set_hydra};
use crate::config::{Config, missing_keys};
use crate::error::Result;
use crate::interpolation::{Cursor, Evaluator, Resolvers, Selected};
use crate::merge::{self, Update};
use crate::source::SearchPath;
use crate::value::{Flags, Node};
use crate::yaml;

/// Jobs up to which every one is composed.
const COMPOSED_JOBS: usize = 16;

pub(super) fn resolvers(case: &Json) -> Resolvers {
    let mut resolvers = Resolvers::default();
    for (name, value) in case["env"].as_object().into_iter().flatten() {
        resolvers.set_variable(name, value.as_str().unwrap_or_default());
    }
    resolvers
}

fn composer(case: &Json) -> Composer {
    let tree = case["tree"].as_str().unwrap_or_default();
    Composer::new(SearchPath::folder(format!("trees/{tree}")))
        .with_job_name(case["job_name"].as_str().unwrap_or("app"))
        .with_version_base(case["version_base"].as_str().unwrap_or("1.3"))
        .with_resolvers(resolvers(case))
}

pub(super) fn compose(case: &Json) -> Json {
    let config = match composer(case).compose(case["config_name"].as_str(), &texts(&case["overrides"])) {
        Ok(config) => config,
        Err(error) => return failure(&error, "compose"),
    };
    let with_hydra = case["hydra_defaults"] == true;
    let shown = |path: &str| with_hydra || !path.starts_with("hydra/");
    let defaults: Vec<_> = config
        .defaults()
        .iter()
        .filter(|step| shown(&step.config))
        .map(|step| json!({"config": step.config, "package": step.package, "parent": step.parent, "self": step.is_self}))
        .collect();
    let choices: JsonMap<_, _> = config
        .choices()
        .iter()
        .filter(|(key, _)| shown(key))
        .map(|(key, name)| (key.clone(), name.clone().into()))
        .collect();
    let mut outcome = tree_outcome(config.root());
    outcome.extend(object([("defaults_list", defaults.into()), ("choices", choices.into())]));
    let keys = texts(&case["hydra_keys"]);
    if !keys.is_empty() {
        let values = keys.into_iter().map(|key| (key.clone(), hydra_value(&config, &key)));
        outcome.insert("hydra".into(), Json::Object(values.collect()));
    }
    let raw_keys = texts(&case["hydra_raw_keys"]);
    if !raw_keys.is_empty() {
        let whole = config.whole();
        let values = raw_keys
            .into_iter()
            .map(|key| (key.clone(), whole.select(&key).map_or(Json::Null, encode::node)));
        outcome.insert("hydra_raw".into(), Json::Object(values.collect()));
    }
    with_resolved(outcome, config.resolve().map(|config| config.root().clone()))
}

/// What is seen of a tree before it is resolved.
fn tree_outcome(root: &Node) -> JsonMap<String, Json> {
    let mut missing = missing_keys(root);
    missing.sort();
    object([
        ("unresolved", encode::node(root)),
        ("yaml", yaml::to_yaml(root).into()),
        ("missing_keys", missing.into()),
    ])
}

fn with_resolved(mut outcome: JsonMap<String, Json>, resolved: Result<Node>) -> Json {
    match resolved {
        Ok(resolved) => outcome.insert("resolved".into(), encode::node(&resolved)),
        Err(error) => outcome.insert("error".into(), error_json(&error, "resolve")),
    };
    Json::Object(outcome)
}

fn hydra_value(config: &Config, key: &str) -> Json {
    match config.value(key) {
        // An enumeration in Hydra, which the corpus shows by its class.
        Ok(Some(node)) if key == "hydra.mode" && !node.is_null() => json!({ "$repr": "RunMode" }),
        Ok(Some(node)) => encode::node(&node),
        Ok(None) => Json::Null,
        Err(error) => json!({ "$error": error.kind() }),
    }
}

pub(super) fn multirun(case: &Json) -> Json {
    let composer = composer(case);
    let name = case["config_name"].as_str();
    let mut frame = match composer.compose_in_mode(name, &texts(&case["overrides"]), RunMode::Multirun) {
        Ok(frame) => frame,
        Err(error) => return failure(&error, "compose"),
    };
    // The corpus was recorded with the overrides of the frame resolved, which Hydra's own sweeper leaves alone.
    if let Ok(Some(resolved)) = frame.value("hydra.overrides.task") {
        set_hydra(frame.hydra_mut(), &["overrides", "task"], resolved.value);
    }
    let multirun = match composer.plan(name, frame) {
        Ok(multirun) => multirun,
        Err(error) => return failure(&error, "sweep"),
    };
    let mut outcome = object([("jobs", json!(multirun.jobs)), ("batch_sizes", json!(multirun.batch_sizes))]);
    if multirun.jobs.len() <= COMPOSED_JOBS {
        let (mut resolved, mut subdirs, mut dirnames) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..multirun.jobs.len() {
            let job = composer.compose_job(&multirun, index).and_then(|config| {
                let root = encode::node(config.resolve()?.root());
                let text = |key: &str| {
                    Ok(config.value(key)?.map_or(Json::Null, |node| crate::value::str_node(&node).into()))
                };
                Ok((root, text("hydra.sweep.subdir")?, text("hydra.job.override_dirname")?))
            });
            match job {
                Ok((root, subdir, dirname)) => {
                    resolved.push(root);
                    subdirs.push(subdir);
                    dirnames.push(dirname);
                }
                Err(error) => {
                    outcome.insert("error".into(), error_json(&error, &format!("job {index}")));
                    return Json::Object(outcome);
                }
            }
        }
        let jobs = [("job_resolved", resolved), ("job_subdir", subdirs), ("job_override_dirname", dirnames)];
        outcome.extend(object(jobs.map(|(key, list)| (key, Json::Array(list)))));
    }
    Json::Object(outcome)
}

pub(super) fn interpolation(case: &Json) -> Json {
    let resolvers = resolvers(case);
    let root = match yaml::load(case["yaml"].as_str().unwrap_or_default(), &"<file>".into()) {
        Ok(root) => root,
        Err(error) => return failure(&error, "load"),
    };
    let evaluator = Evaluator::new(&resolvers, None);
    let mut outcome = tree_outcome(&root);
    let keys = texts(&case["select"]);
    if !keys.is_empty() {
        let demand = case["throw_on_missing"] == true;
        let values = keys.into_iter().map(|key| (key.clone(), selected(&evaluator, &root, &key, demand)));
        outcome.insert("select".into(), Json::Object(values.collect()));
    }
    with_resolved(outcome, evaluator.resolve(&Cursor::root(&root)))
}

fn selected<'a>(evaluator: &Evaluator<'a>, root: &'a Node, key: &str, demand: bool) -> Json {
    let found = evaluator.select_from(&Cursor::root(root), key, demand).and_then(|selected| match selected {
        Selected::Found(target) if !target.node().is_missing() => evaluator.resolve_target(&target).map(Some),
        _ => Ok(None),
    });
    match found {
        Ok(node) => json!({ "value": node.as_ref().map_or(Json::Null, encode::node) }),
        Err(error) => failure(&error, "select"),
    }
}

pub(super) fn merge(case: &Json) -> Json {
    let resolvers = resolvers(case);
    let merged = merged(case, &resolvers);
    let root = match merged {
        Ok(root) => root,
        Err(error) => return failure(&error, "merge"),
    };
    let resolved = Evaluator::new(&resolvers, None).resolve(&Cursor::root(&root));
    with_resolved(tree_outcome(&root), resolved)
}

fn merged(case: &Json, resolvers: &Resolvers) -> Result<Node> {
    let mut docs = texts(&case["docs"]).into_iter().map(|text| yaml::load(&text, &"<file>".into()));
    let mut root = docs.next().transpose()?.unwrap_or_else(|| Node::empty_map(crate::Origin::Builtin));
    let rest = docs.collect::<Result<Vec<_>>>()?;
    let flags = &case["flags"];
    let flag = |name: &str| flags[name].as_bool();
    for key in texts(&flags["struct_at"]) {
        set_flags(&mut root, &key, |flags| flags.closed = Some(true));
    }
    for key in texts(&flags["readonly_at"]) {
        set_flags(&mut root, &key, |flags| flags.readonly = Some(true));
    }
    // Merging may write a read-only root; what is read-only inside it stays so.
    root.flags = Flags { closed: flag("struct"), readonly: Some(false) };
    for doc in rest {
        merge::merge(&mut root, doc, resolvers)?;
    }
    root.flags.readonly = flag("readonly");
    for op in case["ops"].as_array().into_iter().flatten() {
        apply(op, &mut root, resolvers)?;
    }
    Ok(root)
}

fn set_flags(root: &mut Node, key: &str, set: impl FnOnce(&mut Flags)) {
    let parts = crate::value::split_key(key);
    if let Some(node) = parts.iter().try_fold(root, |node, part| node.child_mut(part)) {
        set(&mut node.flags);
    }
}

fn apply(op: &Json, root: &mut Node, resolvers: &Resolvers) -> Result<()> {
    let key = op["key"].as_str().unwrap_or_default();
    match op["op"].as_str().unwrap_or_default() {
        "update" => {
            let mode = Update { merge: op["merge"] != false, force_add: op["force_add"] == true };
            merge::update(root, key, encode::from_json(&op["value"]), mode, resolvers)
        }
        "delete" => merge::delete(root, key, false),
        "dotlist" => texts(&op["items"]).iter().try_for_each(|item| {
            let (key, text) = item.split_once('=').unwrap_or((item, ""));
            let value = yaml::document(text, &"<item>".into())?;
            let value = value.unwrap_or_else(|| encode::from_json(&Json::Null));
            merge::update(root, key, value, Update { merge: true, force_add: false }, resolvers)
        }),
        "resolve" => {
            let resolved = Evaluator::new(resolvers, None).resolve_leniently(&Cursor::root(root))?;
            root.value = resolved.value;
            Ok(())
        }
        _ => Ok(()),
    }
}
