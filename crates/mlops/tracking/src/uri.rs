//! Tracking URIs: from `sqlite:///fulmen.db` to a store.

use std::{path::Path, sync::Arc};

use crate::{MongoStore, PostgresStore, RemoteStore, SqliteStore, Store, TrackingError};

/// The schemes that [`open`] knows, and what follows them.
const SCHEMES: [(&str, &str); 5] =
    [("sqlite", ":///…"), ("postgresql", "://…"), ("mongodb", "://…"), ("http", "://…"), ("https", "://…")];

/// Why a tracking URI cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// No store has this scheme.
    #[error("tracking URI {uri:?}: unknown scheme {scheme:?}; known: {known}{}", near.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    UnknownScheme {
        /// The URI.
        uri: String,
        /// Its scheme.
        scheme: String,
        /// What could stand there.
        known: String,
        /// The URI with the nearest known scheme.
        near: Option<String>,
    },
    /// A path stands where a URI should.
    #[error("tracking URI {uri:?} has no scheme; write a file as {suggestion:?}")]
    PlainPath {
        /// What was given.
        uri: String,
        /// The same path as a URI.
        suggestion: String,
    },
    /// A PostgreSQL URI cannot be understood.
    #[error("tracking URI {uri:?}: {reason}; write postgresql://user:password@host:5432/database")]
    Postgres {
        /// The URI, without secrets.
        uri: String,
        /// What is wrong.
        reason: String,
    },
    /// It is not what its scheme asks for.
    #[error("tracking URI {uri:?}: {reason}")]
    Invalid {
        /// The URI, without secrets.
        uri: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The slashes of a SQLite URI do not add up.
    #[error(
        "tracking URI {uri:?}: {reason}; write sqlite:///relative/path.db or sqlite:////absolute/path.db"
    )]
    Sqlite {
        /// The URI.
        uri: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Opens the store that a tracking URI names: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`,
/// `postgresql://user:password@host:5432/database`, `mongodb://host:27017/database`, or `http://host:5000` for a tracking
/// server.
///
/// # Errors
/// [`UriError`] where the URI names no store, and whatever opening that store may fail with.
pub fn open(uri: &str) -> Result<Arc<dyn Store>, TrackingError> {
    open_with_artifact_root(uri, &artifact_root(uri)?)
}

/// As [`open`], where experiments without a location of their own keep their artifacts below `artifact_root`, a path or URI.
/// A tracking server has its own place for them.
///
/// # Errors
/// As [`open`], and where `artifact_root` is no location.
pub fn open_with_artifact_root(uri: &str, artifact_root: &str) -> Result<Arc<dyn Store>, TrackingError> {
    if is_postgres(uri) {
        return Ok(Arc::new(PostgresStore::open(uri, artifact_root)?));
    }
    match scheme(uri) {
        "mongodb" | "mongodb+srv" => Ok(Arc::new(MongoStore::open_with_artifact_root(uri, artifact_root)?)),
        "http" | "https" => Ok(Arc::new(RemoteStore::open(uri)?)),
        _ => Ok(Arc::new(SqliteStore::open_with_artifact_root(Path::new(sqlite_path(uri)?), artifact_root)?)),
    }
}

/// Where the store that a tracking URI names keeps artifacts if nothing else is said: `mlartifacts` beside a SQLite file, and
/// in the working folder for a database on a server.
///
/// # Errors
/// [`UriError`] where the URI names no store.
pub fn artifact_root(uri: &str) -> Result<String, TrackingError> {
    let beside = match scheme(uri) {
        "mongodb" | "mongodb+srv" | "http" | "https" => Path::new("fulmen.db"),
        _ if is_postgres(uri) => Path::new("fulmen.db"),
        _ => Path::new(sqlite_path(uri)?),
    };
    let absolute = std::path::absolute(beside).unwrap_or_else(|_| beside.to_path_buf());
    Ok(absolute.with_file_name("mlartifacts").to_string_lossy().into_owned())
}

fn scheme(uri: &str) -> &str {
    uri.split_once("://").map_or("", |(scheme, _)| scheme)
}

/// `postgresql://`, its short form, and the form that SQLAlchemy gives it.
fn is_postgres(uri: &str) -> bool {
    scheme(uri) == "postgres" || scheme(uri).split('+').next() == Some("postgresql")
}

/// The path in a `sqlite:` URI.
fn sqlite_path(uri: &str) -> Result<&str, UriError> {
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        let path = uri.trim_start_matches("./");
        let suffix = if path.ends_with(".db") || path.ends_with(".sqlite") { "" } else { "/fulmen.db" };
        let suggestion = format!("sqlite:///{}{suffix}", path.trim_end_matches('/'));
        return Err(UriError::PlainPath { uri: uri.to_owned(), suggestion });
    };
    if scheme != "sqlite" {
        return Err(UriError::UnknownScheme {
            uri: uri.to_owned(),
            scheme: scheme.to_owned(),
            known: SCHEMES.map(|(known, rest)| format!("{known}{rest}")).join(", "),
            near: near_scheme(scheme).map(|near| format!("{near}:{rest}")),
        });
    }
    let fail = |reason| Err(UriError::Sqlite { uri: uri.to_owned(), reason });
    let Some(path) = rest.strip_prefix("///") else {
        return fail("three slashes follow `sqlite:`, then the path");
    };
    if path.is_empty() || path.ends_with('/') {
        return fail("it names no file");
    }
    if path == ":memory:" {
        return fail("a database in memory would be lost with its process");
    }
    if path.contains(['?', '#']) {
        return fail("options after `?` or `#` are not known");
    }
    Ok(path)
}

/// A drive letter (`C:\runs`) is no scheme.
fn is_scheme(scheme: &str) -> bool {
    scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
}

fn near_scheme(scheme: &str) -> Option<&'static str> {
    let scheme = scheme.to_ascii_lowercase();
    let near = SCHEMES.into_iter().map(|(known, _)| (strsim::damerau_levenshtein(known, &scheme), known));
    near.min().filter(|(distance, _)| *distance <= 2).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_slashes_are_relative_and_four_absolute() {
        assert_eq!(sqlite_path("sqlite:///a/b.db").unwrap(), "a/b.db");
        assert_eq!(sqlite_path("sqlite:////a/b.db").unwrap(), "/a/b.db");
    }

    #[test]
    fn a_near_scheme_is_suggested() {
        for uri in ["sqlit:///a.db", "SQLite:///a.db", "sqlite3:///a.db"] {
            let message = sqlite_path(uri).unwrap_err().to_string();
            assert!(message.contains("did you mean \"sqlite:///a.db\"?"), "{message}");
        }
        for (uri, near) in
            [("mongo://h", "mongodb://h"), ("htpp://h:1", "http://h:1"), ("HTTPS://h", "https://h")]
        {
            let message = open(uri).unwrap_err().to_string();
            assert!(message.contains(&format!("did you mean {near:?}?")), "{message}");
        }
        let message = sqlite_path("file://host/x").unwrap_err().to_string();
        assert!(message.contains("known: sqlite:///…") && !message.contains("did you mean"), "{message}");
    }

    #[test]
    fn a_plain_path_is_shown_as_a_uri() {
        for (path, uri) in [
            ("runs.db", "sqlite:///runs.db"),
            ("./mlruns/", "sqlite:///mlruns/fulmen.db"),
            ("/data/mlruns", "sqlite:////data/mlruns/fulmen.db"),
        ] {
            let expected = UriError::PlainPath { uri: path.into(), suggestion: uri.into() };
            assert_eq!(sqlite_path(path).unwrap_err(), expected);
        }
        assert!(matches!(sqlite_path(r"C:\runs"), Err(UriError::PlainPath { .. })));
    }

    #[test]
    fn wrong_slashes_and_memory_are_refused() {
        for uri in [
            "sqlite://a.db",
            "sqlite:a.db",
            "sqlite:///",
            "sqlite:///a/",
            "sqlite:///:memory:",
            "sqlite:///a?mode=ro",
        ] {
            assert!(matches!(sqlite_path(uri), Err(UriError::Sqlite { .. })), "{uri}");
        }
    }
}
