//! Artifact names in requests.

use fulmen_storage::ArtifactName;

use crate::{frame::ApiError, wire::decode};

/// Longest name in bytes: that of a key in an object store, and well below what a file system takes.
const LONGEST: usize = 1024;

/// A file's name, decoded once already. However often it is decoded further, it stays below its root: what reads the name
/// later may decode once more than it should.
pub(super) fn file(name: &str) -> Result<String, ApiError> {
    if name.len() > LONGEST {
        let message = format!("Invalid path: it is longer than {LONGEST} bytes");
        return Err(ApiError::invalid(message));
    }
    let mut layer = name.to_owned();
    // Each layer makes the text shorter, so this ends.
    loop {
        let mut steps = layer.split(['/', '\\', ';', '?', '#']);
        if layer.starts_with('/') || steps.any(|step| matches!(step, ".." | ".")) {
            // MLflow's words, which its clients know.
            return Err(ApiError::invalid("Invalid path"));
        }
        ArtifactName::new(&layer)?;
        match decode(&layer) {
            Ok(next) if next != layer => layer = next,
            // What is no longer UTF-8 is no path to anywhere; a plain `%` is.
            _ => return Ok(name.to_owned()),
        }
    }
}

/// A folder's name; empty is the root.
pub(super) fn folder(name: &str) -> Result<String, ApiError> {
    match name.strip_suffix('/').unwrap_or(name) {
        "" if name.len() < 2 && name != "/" => Ok(String::new()),
        "." => Ok(String::new()),
        trimmed => file(trimmed),
    }
}

/// `folder/name`, either of which may be empty.
pub(super) fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_but_harmless_names_pass() {
        for name in
            ["a b.txt", "plus+sign", "日本語.txt", "percent%25.txt", "50%", "a;b", "x..y", "%ff", "a#b"]
        {
            assert_eq!(file(name).unwrap(), name);
        }
        assert_eq!(folder("").unwrap(), "");
        assert_eq!(folder("a/b/").unwrap(), "a/b");
    }

    #[test]
    fn names_that_climb_in_any_encoding_are_refused() {
        for name in [
            "..",
            "../x",
            "a/../../x",
            "/etc/passwd",
            "%2e%2e/x",
            "%252e%252e%252fx",
            "%25252e%25252e/x",
            "..%2fx",
            "..%5cx",
            "a\\..\\x",
            "%2fetc",
            "//etc",
            ";/../x",
            "a;/../x",
            "a?/../x",
            "x%00",
            "C:/x",
            "a//b",
            "./x",
            "a/.",
            "a#/../x",
        ] {
            assert!(file(name).is_err(), "{name}");
            assert!(folder(name).is_err(), "{name}");
        }
        assert!(folder("/").is_err() && folder("//").is_err());
        assert!(file(&"a/".repeat(600)).is_err() && file(&format!("{}b", "a/".repeat(500))).is_ok());
    }

    proptest! {
        #[test]
        fn what_passes_stays_below_after_any_decoding(name in "(\\.|/|%2e|%2f|%25|%5c|a|;|\\\\|2e|2f){0,12}") {
            if let Ok(accepted) = file(&name) {
                let mut layer = accepted;
                for _ in 0..20 {
                    prop_assert!(!layer.split(['/', '\\']).any(|part| part == ".."), "{layer}");
                    prop_assert!(!layer.starts_with('/'), "{layer}");
                    layer = decode(&layer).unwrap_or_default();
                }
            }
        }
    }
}
