//! Dotted keys: `a.b[0].c`.

use super::Key;

/// Splits a key such as `a.b[0].c` into its parts, as OmegaConf does; leading dots give empty parts.
pub fn split_key(key: &str) -> Vec<String> {
    let mut parts = Vec::new();
    // The head: dots, then anything up to the next dot or bracket.
    let name_start = key.len() - key.trim_start_matches('.').len();
    let head_end = key[name_start..].find(['.', '[']).map_or(key.len(), |i| name_start + i);
    parts.extend(key[..head_end].split('.').map(str::to_owned));
    if head_end == key.len() {
        return parts;
    }
    if key[head_end..].starts_with('[') && parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    let mut rest = &key[head_end..];
    while let Some(first) = rest.chars().next() {
        if first == '.' {
            let end = rest[1..].find(['.', '[']).map_or(rest.len(), |i| i + 1);
            parts.push(rest[1..end].to_owned());
            rest = &rest[end..];
        } else if let Some(end) = rest.starts_with('[').then(|| rest.find(']')).flatten() {
            parts.push(rest[1..end].to_owned());
            rest = &rest[end + 1..];
        } else {
            // Text after a bracket that belongs to no part; OmegaConf passes over it.
            rest = &rest[first.len_utf8()..];
        }
    }
    parts
}

/// The full key of a child: `a.b`, or `a[0]` in a list.
pub fn join_key(parent: &str, key: &Key, in_list: bool) -> String {
    if in_list {
        format!("{parent}[{key}]")
    } else if parent.is_empty() {
        key.to_string()
    } else {
        format!("{parent}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_split_at_dots_and_brackets() {
        for (key, parts) in [
            ("a.b", &["a", "b"][..]),
            ("a[b]", &["a", "b"]),
            (".a.b[c].d", &["", "a", "b", "c", "d"]),
            ("[a].b", &["a", "b"]),
            ("l[0][1]", &["l", "0", "1"]),
            ("a.", &["a", ""]),
            ("", &[""]),
        ] {
            assert_eq!(split_key(key), parts, "{key}");
        }
    }
}
