//! Any text as an override: an error or a value whose canonical text reads back.
#![no_main]

use fulmen_configuration::overrides::Override;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(parsed) = Override::parse(text) else { return };
    let Some(canonical) = parsed.value.as_ref().and_then(|value| value.to_text()) else { return };
    assert!(Override::parse(&format!("a={canonical}")).is_ok() || !canonical.is_ascii(), "{canonical}");
});
