//! Names of artifacts: relative paths that stay inside their folder on every platform.

use std::fmt;

use crate::StorageError;

/// Longest folder or file name that common file systems take, in bytes.
const LONGEST_PART: usize = 255;

/// Begins the name of a file that is still being written; such files are neither listed nor addressable.
pub(crate) const UNFINISHED_PREFIX: &str = ".fulmen-unfinished-";

/// A checked artifact name such as `model/weights.safetensors`: relative, `/` between parts, no `.` or `..`, no
/// control characters, no backslash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactName(String);

impl ArtifactName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`StorageError::Name`] says what is wrong with it.
    pub fn new(name: &str) -> Result<Self, StorageError> {
        match fault(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(StorageError::Name { name: name.to_owned(), reason }),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.starts_with('/') {
        return Some("it is an absolute path");
    }
    // `C:…` is absolute on Windows, where a run's folder may be opened later.
    if name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic() {
        return Some("it begins with a drive letter");
    }
    if name.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    if name.contains('\\') {
        return Some("it holds a backslash");
    }
    for part in name.split('/') {
        match part {
            "" => return Some("it has an empty folder or file name"),
            "." | ".." => return Some("it has a `.` or `..` part"),
            _ if part.len() > LONGEST_PART => return Some("a part of it is longer than 255 bytes"),
            _ if part.starts_with(UNFINISHED_PREFIX) => {
                return Some("it begins like a file that is still being written");
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "a",
            "a/b.txt",
            "model/MLmodel",
            "ünïcode/文.bin",
            "percent%25.txt",
            "..a",
            "a..",
            ".hidden",
            "a b",
        ] {
            assert_eq!(ArtifactName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in
            ["", "/a", "..", "a/..", "a/../../b", "./a", "a//b", "a/", "a\\b", "a\0b", "C:/x", "c:x", "a\nb"]
        {
            assert!(matches!(ArtifactName::new(name), Err(StorageError::Name { .. })), "{name:?}");
        }
        assert!(ArtifactName::new(&"x".repeat(256)).is_err());
        assert!(ArtifactName::new(&format!("{UNFINISHED_PREFIX}1")).is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_name_has_only_ordinary_components(name in "[./a-c\\\\:\0 ]{0,12}") {
            if let Ok(accepted) = ArtifactName::new(&name) {
                let joined = Path::new(accepted.as_str());
                prop_assert!(joined.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(joined.components().count(), name.split('/').count());
            }
        }
    }
}
