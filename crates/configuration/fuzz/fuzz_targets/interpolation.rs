//! Any text as a value with interpolations, among values that it can refer to.
#![no_main]

use fulmen_configuration::interpolation::{Resolvers, resolve};
use fulmen_configuration::yaml;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let document = format!("a: {{x: 1, y: [2, 3]}}\nb: ${{a}}\nc: '{}'\n", text.replace('\'', "''"));
    if let Ok(root) = yaml::load(&document, &"<fuzz>".into()) {
        let _ = resolve(&root, &Resolvers::default());
    }
});
