//! What a URI says about the connection.

use std::{fmt, path::PathBuf, str::FromStr as _, time::Duration};

use postgres::{
    Config, NoTls,
    config::{Host, SslMode},
};

use super::{connection::PostgresConnection, error::failed, tls};
use crate::{TrackingError, UriError};

/// How long one address may take to answer, unless the URI says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Data that nobody acknowledges for this long ends a connection whose other end has vanished.
const SILENCE: Duration = Duration::from_secs(30);
/// Said on each new connection: who waits longer for a lock gets an error, which the sender of a journal tries again.
const SETTINGS: &str = "SET lock_timeout = '30s'; SET client_min_messages = 'warning'";

/// How to connect.
pub(crate) struct Options {
    /// Without the password.
    uri: String,
    config: Config,
    encryption: Encryption,
}

/// What libpq's `sslmode` and `sslrootcert` ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Encryption {
    None,
    /// Against listeners only: whoever answers is believed.
    Unverified,
    /// The server shows a certificate that one of these roots has signed, for this host unless only the signer counts.
    Verified {
        roots: Option<PathBuf>,
        host: bool,
    },
}

impl Options {
    /// Reads `postgresql://user:password@host:port/database?…`; SQLAlchemy's `postgresql+psycopg2://` is the same.
    pub(crate) fn read(uri: &str) -> Result<Self, UriError> {
        let shown = without_password(uri);
        let wrong = |reason: String| UriError::Invalid {
            uri: shown.clone(),
            reason: format!("{reason}; write postgresql://user:password@host:5432/database"),
        };
        let (_, rest) = uri.split_once("://").ok_or_else(|| wrong("`//` follows the scheme".to_owned()))?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let mut mode = "prefer";
        let mut roots = None;
        let mut others = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(unescape(value))),
                _ => others.push(parameter),
            }
        }
        let (ssl_mode, encryption) = match (mode, roots) {
            ("disable", _) => (SslMode::Disable, Encryption::None),
            ("allow" | "prefer", _) => (SslMode::Prefer, Encryption::Unverified),
            // As in libpq: a root certificate that is named is used.
            ("require", None) => (SslMode::Require, Encryption::Unverified),
            ("require" | "verify-ca", roots) => {
                (SslMode::Require, Encryption::Verified { roots, host: false })
            }
            ("verify-full", roots) => (SslMode::Require, Encryption::Verified { roots, host: true }),
            (other, _) => {
                return Err(wrong(format!(
                    "sslmode {other:?} is not one of disable, allow, prefer, require, verify-ca, verify-full"
                )));
            }
        };
        let plain = format!("postgresql://{place}?{}", others.join("&"));
        let mut config = Config::from_str(&plain).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            wrong(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("it names no host".to_owned()));
        }
        config.ssl_mode(ssl_mode);
        if config.get_application_name().is_none() {
            config.application_name("fulmen");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        // The server does not encrypt on a socket of this machine.
        let is_local = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
        let encryption =
            if is_local && encryption == Encryption::Unverified { Encryption::None } else { encryption };
        Ok(Self { uri: shown, config, encryption })
    }

    /// The URI, without secrets.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Connects to the server.
    pub(super) fn connect(&self) -> Result<PostgresConnection, TrackingError> {
        let client = match &self.encryption {
            Encryption::None => self.config.connect(NoTls),
            Encryption::Unverified => self.config.connect(tls::unverified()?),
            Encryption::Verified { roots, host } => {
                self.config.connect(tls::verified(roots.as_deref(), *host, &self.uri)?)
            }
        };
        let failed = |error| failed(&self.uri, error);
        let mut connection = PostgresConnection::new(client.map_err(failed)?);
        connection.batch(SETTINGS).map_err(failed)?;
        Ok(connection)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("uri", &self.uri)
            .field("encryption", &self.encryption)
            .finish()
    }
}

/// The URI as messages show it: the password may stand before `@`, or after `?`.
fn without_password(uri: &str) -> String {
    let (place, parameters) = uri.split_once('?').unwrap_or((uri, ""));
    let shown = match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((user, host))) => {
            let user = user.split_once("://").map_or(user, |(_, user)| user);
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}://{user}@{host}")
        }
        _ => place.to_owned(),
    };
    let parameters: Vec<&str> =
        parameters.split('&').filter(|one| !one.is_empty() && !one.starts_with("password=")).collect();
    if parameters.is_empty() { shown } else { format!("{shown}?{}", parameters.join("&")) }
}

/// `%2F` as `/`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let code =
            others.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryption(parameters: &str) -> Encryption {
        Options::read(&format!("postgresql://ada:secret@db.example.org/x?{parameters}")).unwrap().encryption
    }

    #[test]
    fn sslmode_means_what_it_means_to_libpq() {
        let verified =
            |roots: Option<&str>, host| Encryption::Verified { roots: roots.map(PathBuf::from), host };
        assert_eq!(encryption(""), Encryption::Unverified);
        assert_eq!(encryption("sslmode=disable"), Encryption::None);
        assert_eq!(encryption("sslmode=require"), Encryption::Unverified);
        assert_eq!(encryption("sslmode=require&sslrootcert=%2Fa%20b"), verified(Some("/a b"), false));
        assert_eq!(encryption("sslmode=verify-ca"), verified(None, false));
        assert_eq!(encryption("sslrootcert=r.pem&sslmode=verify-full"), verified(Some("r.pem"), true));
        assert!(Options::read("postgresql://h/x?sslmode=sometimes").is_err());
    }

    #[test]
    fn no_message_shows_a_password() {
        for (uri, shown) in [
            ("postgresql://ada:se:cr@et@h:5/x", "postgresql://ada@h:5/x"),
            ("postgresql://ada@h/x?password=secret&sslmode=disable", "postgresql://ada@h/x?sslmode=disable"),
            ("postgresql+psycopg2://ada:secret@h/x", "postgresql+psycopg2://ada@h/x"),
            (
                "postgresql://h/x?options=-c%20search_path%3Da",
                "postgresql://h/x?options=-c%20search_path%3Da",
            ),
        ] {
            assert_eq!(without_password(uri), shown);
            let options = Options::read(uri).map(|options| format!("{options:?}"));
            let text = options.unwrap_or_else(|error| error.to_string());
            assert!(!text.contains("secret") && !text.contains("se:cr"), "{text}");
        }
        let error = Options::read("postgresql://ada:secret@h:port/x").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for uri in ["postgresql:x", "postgresql:///x", "postgresql://h/x?nonsense=1", "postgresql://h:x/y"] {
            assert!(matches!(Options::read(uri), Err(UriError::Invalid { .. })), "{uri}");
        }
        Options::read("postgresql://%2Ftmp%2Fsocket/x").unwrap();
        Options::read("postgres://[::1]:5433/x?connect_timeout=3").unwrap();
    }
}
