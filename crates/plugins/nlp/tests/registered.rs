//! What this plugin brings: a component that is not linked would be missing without a word.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use fulmen_nlp as _;
use fulmen_registry::registry;

#[test]
fn every_component_of_the_plugin_is_linked() {
    let names = |kind| {
        let names = registry().unwrap().names(kind).into_iter();
        names.filter_map(|name| name.strip_prefix("nlp.")).collect::<Vec<_>>()
    };
    assert_eq!(names("model"), ["gpt"]);
    assert_eq!(names("dataset"), ["char_text", "random_tokens"]);
}
