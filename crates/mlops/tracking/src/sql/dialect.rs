//! What the databases say differently.

/// Whose SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// `IN …` for the row keys in the parameter `placeholder`, which [`key_list`](Self::key_list) wrote.
    pub(super) fn in_keys(self, placeholder: &str) -> String {
        match self {
            Self::Sqlite => format!("IN (SELECT value FROM json_each({placeholder}))"),
            Self::Postgres => format!("= ANY (CAST(CAST({placeholder} AS TEXT) AS BIGINT[]))"),
        }
    }

    /// Row keys as the value of one parameter.
    pub(super) fn key_list(self, keys: &[i64]) -> String {
        let keys = keys.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::Sqlite => format!("[{keys}]"),
            Self::Postgres => format!("{{{keys}}}"),
        }
    }

    /// `(SELECT …)` of the texts in the parameter `placeholder`, which are a JSON list.
    pub(super) fn texts(self, placeholder: &str) -> String {
        match self {
            Self::Sqlite => format!("(SELECT value FROM json_each({placeholder}))"),
            Self::Postgres => {
                format!("(SELECT json_array_elements_text(CAST(CAST({placeholder} AS TEXT) AS JSON)))")
            }
        }
    }

    /// The operator for a pattern with `%` and `_`, and the pattern as that operator reads it.
    pub(super) fn like(self, pattern: &str, ignore_case: bool) -> (&'static str, String) {
        match (self, ignore_case) {
            // SQLite's LIKE ignores the case of ASCII letters, its GLOB does not.
            (Self::Sqlite, true) => ("LIKE", pattern.to_owned()),
            (Self::Sqlite, false) => ("GLOB", glob(pattern)),
            // A backslash means itself, as it does in SQLite.
            (Self::Postgres, true) => ("ILIKE", pattern.replace('\\', "\\\\")),
            (Self::Postgres, false) => ("LIKE", pattern.replace('\\', "\\\\")),
        }
    }

    /// What follows a query whose rows stay as they are until the transaction ends.
    pub(super) fn lock(self, lock: Lock) -> &'static str {
        match (self, lock) {
            // A writing transaction of SQLite has the whole file.
            (Self::Sqlite, _) | (_, Lock::None) => "",
            (Self::Postgres, Lock::Shared) => " FOR SHARE",
            (Self::Postgres, Lock::Exclusive) => " FOR NO KEY UPDATE",
        }
    }
}

/// What others may do meanwhile with a row that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Anything.
    None,
    /// Read it and rely on it.
    Shared,
    /// Read it.
    Exclusive,
}

/// A LIKE pattern (`%`, `_`) as a GLOB pattern (`*`, `?`).
fn glob(like: &str) -> String {
    let mut glob = String::with_capacity(like.len());
    for character in like.chars() {
        match character {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(character);
                glob.push(']');
            }
            _ => glob.push(character),
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What LIKE means, in the plainest way.
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
            Some(('_', rest)) => !text.is_empty() && matches(rest, &text[1..]),
            Some((first, rest)) => text.first() == Some(first) && matches(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_its_like_pattern_does(pattern in "[aA%_*?\\[\\]^-]{0,8}", text in "[aA%_*?\\[\\]^-]{0,8}") {
            let connection = rusqlite::Connection::open_in_memory().unwrap();
            let found: bool = connection.query_row("SELECT ? GLOB ?", [&text, &glob(&pattern)], |row| row.get(0)).unwrap();
            let pattern: Vec<char> = pattern.chars().collect();
            let text: Vec<char> = text.chars().collect();
            prop_assert_eq!(found, matches(&pattern, &text));
        }
    }
}
