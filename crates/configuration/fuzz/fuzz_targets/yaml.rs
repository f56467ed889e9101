//! Any text as a file: an error, or a tree that is written and read again.
#![no_main]

use fulmen_configuration::yaml;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let file = "<fuzz>".into();
    let Ok(root) = yaml::load(text, &file) else { return };
    let _ = yaml::load(&yaml::to_yaml(&root), &file);
});
