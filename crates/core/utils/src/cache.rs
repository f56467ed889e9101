//! Where things are kept that can be had again.

use std::env;
use std::path::PathBuf;

/// `$FULMEN_CACHE`, else `$XDG_CACHE_HOME/fulmen`, else `~/.cache/fulmen`; none without a home.
pub fn folder() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FULMEN_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("fulmen")))
        .or_else(|| set("HOME").map(|home| home.join(".cache").join("fulmen")))
}

/// A file name for what is kept of `parts`: 32 hexadecimal digits, the same for the same parts alone.
pub fn key(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        // The length keeps `ab, c` and `a, bc` apart.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn keys_differ_where_the_parts_do() {
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&[]).len(), 32);
    }
}
