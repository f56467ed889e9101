//! Where the server is, and how to be let in.

use std::{fmt, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

use crate::{TrackingError, UriError};

/// Where the server is, and how to be let in.
pub(super) struct Address {
    /// Scheme, host, port and path, without secrets and without a last `/`.
    pub(super) base: String,
    /// The header `Authorization`.
    pub(super) authorization: Option<String>,
    /// Do not check the server's certificate.
    pub(super) is_insecure: bool,
    /// Certificates to trust in place of the usual ones.
    pub(super) server_certificate: Option<PathBuf>,
    /// Certificate and key to show to the server.
    pub(super) client_certificate: Option<PathBuf>,
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Address").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads a URI; `variable` gives the value of an environment variable.
    pub(super) fn read(uri: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, TrackingError> {
        let invalid = |reason: &str| {
            let shown = uri.split_once("://").map_or("", |(scheme, _)| scheme);
            TrackingError::from(UriError::Invalid {
                uri: format!("{shown}://…"), reason: reason.to_owned()
            })
        };
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Err(invalid("`://` has to follow the scheme"));
        };
        if rest.contains(['?', '#'])
            || rest.chars().any(|character| character.is_whitespace() || character.is_control())
        {
            return Err(invalid("options, spaces and `#` have no meaning here; write http://host:port/path"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (secrets, host) = match authority.rsplit_once('@') {
            Some((secrets, host)) => (Some(secrets), host),
            None => (None, authority),
        };
        if host.is_empty() || host.starts_with(':') {
            return Err(invalid("it names no host; write http://host:port/path"));
        }
        let base = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
        if base.parse::<ureq::http::Uri>().is_err() {
            return Err(invalid("it is no URI; write http://host:port/path"));
        }
        let basic =
            |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        // As in MLflow's client: what the URI says, then user and password, then the token.
        let authorization =
            match (secrets, variable("MLFLOW_TRACKING_USERNAME"), variable("MLFLOW_TRACKING_TOKEN")) {
                (Some(secrets), ..) => {
                    let (user, password) = secrets.split_once(':').unwrap_or((secrets, ""));
                    Some(basic(&decode(user), &decode(password)))
                }
                (None, Some(user), _) => {
                    Some(basic(&user, &variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()))
                }
                (None, None, Some(token)) => Some(format!("Bearer {token}")),
                (None, None, None) => None,
            };
        let is_true = |text: String| ["1", "true", "yes"].contains(&text.to_ascii_lowercase().as_str());
        Ok(Self {
            base,
            authorization,
            is_insecure: variable("MLFLOW_TRACKING_INSECURE_TLS").is_some_and(is_true),
            server_certificate: variable("MLFLOW_TRACKING_SERVER_CERT_PATH").map(PathBuf::from),
            client_certificate: variable("MLFLOW_TRACKING_CLIENT_CERT_PATH").map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, variables: &[(&str, &str)]) -> Result<Address, TrackingError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Address::read(uri, &variable)
    }

    #[test]
    fn secrets_of_the_uri_go_before_those_of_the_environment() {
        let variables = [
            ("MLFLOW_TRACKING_USERNAME", "ada"),
            ("MLFLOW_TRACKING_PASSWORD", "x"),
            ("MLFLOW_TRACKING_TOKEN", "t"),
        ];
        let address = read("https://bob:p%40ss@host:5000/mlflow/", &variables).unwrap();
        assert_eq!(address.base, "https://host:5000/mlflow");
        assert_eq!(address.authorization.as_deref(), Some("Basic Ym9iOnBAc3M="));
        assert!(!format!("{address:?}").contains("Ym9i"));
        assert_eq!(read("http://h", &variables).unwrap().authorization.as_deref(), Some("Basic YWRhOng="));
        assert_eq!(read("http://h", &variables[2..]).unwrap().authorization.as_deref(), Some("Bearer t"));
        assert_eq!(read("http://h", &[]).unwrap().authorization, None);
    }

    #[test]
    fn a_wrong_uri_is_refused_without_its_password() {
        for uri in [
            "http://",
            "http://u:geheim@",
            "http://u:geheim@h:1/x?y=1",
            "http:/h",
            "http://:5000",
            "http://u:geheim@h h",
        ] {
            let error = read(uri, &[]).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
