//! Completion candidates for the last word of a command line: groups, options, keys.

use crate::compose::{Composer, RunMode};
use crate::error::Result;
use crate::overrides::parse_all;
use crate::repository::Repository;
use crate::value::{Node, Value, join_key};

/// What the word that is being typed may become: `group=`, `group=option`, `key=`, `section.`.
///
/// # Errors
/// A search path that cannot be read.
pub fn complete(
    composer: &Composer,
    config_name: Option<&str>,
    words: &[String],
    word: &str,
) -> Result<Vec<String>> {
    let mut repository = composer.repository();
    if let Ok(parsed) = parse_all(words) {
        composer.extend_search_path(&mut repository, config_name, &parsed)?;
    }
    let (mut candidates, is_option) = complete_group(&repository, word);
    if !is_option && !word.starts_with('+') {
        let (prefix, bare) = word.strip_prefix('~').map_or(("", word), |bare| ("~", bare));
        // A command line that does not compose yet still has groups to offer.
        if let Ok(config) = composer.compose_in_mode(config_name, words, RunMode::Multirun) {
            let keys = complete_key(&config.whole(), bare, prefix.is_empty());
            candidates.extend(keys.into_iter().map(|key| format!("{prefix}{key}")));
        }
    }
    candidates.sort();
    candidates.dedup();
    Ok(candidates)
}

/// Groups or, after `=`, options; the flag says that the word names a group's option.
fn complete_group(repository: &Repository, word: &str) -> (Vec<String>, bool) {
    let bare = word.trim_start_matches(['+', '~']);
    let prefix = &word[..word.len() - bare.len()];
    if let Some((group, start)) = bare.rsplit_once('=') {
        let folder = group.split('@').next().unwrap_or_default();
        let options = repository.options(folder).into_iter().filter(|option| option.starts_with(start));
        let is_group = !folder.is_empty() && repository.group_exists(folder);
        return (
            options.map(|option| format!("{prefix}{group}={option}")).filter(|_| is_group).collect(),
            is_group,
        );
    }
    let (parent, _) = bare.rsplit_once('/').unwrap_or(("", bare));
    let mut candidates = Vec::new();
    for name in repository.groups(parent) {
        let group = if parent.is_empty() { name } else { format!("{parent}/{name}") };
        if !group.starts_with(bare) {
            continue;
        }
        let (has_groups, has_options) =
            (!repository.groups(&group).is_empty(), !repository.options(&group).is_empty());
        let ending = match (has_groups, has_options) {
            (false, true) if prefix != "~" => "=",
            (true, false) => "/",
            _ => "",
        };
        candidates.push(format!("{prefix}{group}{ending}"));
    }
    (candidates, false)
}

/// Keys whose name starts as the word does: `section.` for containers, `key=` for values.
fn complete_key(root: &Node, word: &str, with_equal: bool) -> Vec<String> {
    if let Some(key) = word.strip_suffix('=') {
        let value = root.select(key).filter(|node| !node.is_container() && !node.is_missing());
        let text = value.map(|node| match &node.value {
            Value::Bool(value) => value.to_string(),
            _ => crate::value::str_node(node),
        });
        return text.map(|text| format!("{word}{text}")).into_iter().collect();
    }
    let (parent, start) = word.rsplit_once('.').unwrap_or(("", word));
    let Some(node) = (if parent.is_empty() { Some(root) } else { root.select(parent) }) else {
        return Vec::new();
    };
    let candidate = |name: String, child: &Node| {
        let key = join_key(parent, &name.as_str().into(), false);
        let ending = match (child.is_container(), with_equal) {
            (true, true) => ".",
            (false, true) => "=",
            (_, false) => "",
        };
        name.starts_with(start).then(|| format!("{key}{ending}"))
    };
    match &node.value {
        Value::Map(map) => map.iter().filter_map(|(key, child)| candidate(key.to_string(), child)).collect(),
        Value::List(items) => items
            .iter()
            .enumerate()
            .filter_map(|(index, child)| candidate(index.to_string(), child))
            .collect(),
        _ => Vec::new(),
    }
}
