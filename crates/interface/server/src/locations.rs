//! Artifact URIs of runs and models, and the names that their files have in the place that this server serves.

use crate::frame::ApiError;

/// Names the place's content in URIs: `mlflow-artifacts:/<experiment>/<run>/artifacts`.
pub(crate) const PROXY_SCHEME: &str = "mlflow-artifacts:";

/// Which artifact URIs lie in the served place.
#[derive(Debug, Clone)]
pub(crate) struct Locations {
    /// The place as a path or URI, without a slash at its end.
    root: String,
}

impl Locations {
    /// Over the place at `root`, a path or URI.
    pub(crate) fn new(root: &str) -> Self {
        let root = root.strip_prefix("file://").unwrap_or(root);
        let absolute = if root.contains("://") {
            root.into()
        } else {
            std::path::absolute(root).unwrap_or_else(|_| root.into())
        };
        Self { root: absolute.to_string_lossy().trim_end_matches('/').to_owned() }
    }

    /// The name of `uri` in the place, empty for the place itself.
    ///
    /// Whoever creates an experiment chooses its location, so a URI may say anything; only what lies in the place is read.
    pub(crate) fn name_of(&self, uri: &str) -> Result<String, ApiError> {
        let name = match uri.strip_prefix(PROXY_SCHEME) {
            Some(rest) => match rest.strip_prefix("//") {
                // `mlflow-artifacts://host/path` names a server, which is this one as far as anybody here knows.
                Some(rest) => Some(rest.split_once('/').map_or("", |(_, path)| path)),
                None => Some(rest),
            },
            None => {
                let path = uri.strip_prefix("file://").unwrap_or(uri);
                path.strip_prefix(&self.root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        let elsewhere = || {
            ApiError::invalid(format!(
                "the artifacts lie at {uri:?}, which this server does not serve; read them there"
            ))
        };
        Ok(name.ok_or_else(elsewhere)?.trim_matches('/').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_in_the_place_have_names() {
        let locations = Locations::new("/data/artifacts/");
        for (uri, name) in [
            ("mlflow-artifacts:/0/r/artifacts", "0/r/artifacts"),
            ("mlflow-artifacts://host:5000/0/r", "0/r"),
            ("mlflow-artifacts:/", ""),
            ("/data/artifacts/0/r", "0/r"),
            ("file:///data/artifacts", ""),
        ] {
            assert_eq!(locations.name_of(uri).unwrap(), name, "{uri}");
        }
        assert_eq!(Locations::new("s3://bucket/a").name_of("s3://bucket/a/0").unwrap(), "0");
    }

    #[test]
    fn uris_elsewhere_are_refused() {
        let locations = Locations::new("/data/artifacts");
        for uri in ["/etc", "file:///etc", "/data/artifacts2/x", "s3://b/x", "relative", "", "/data"] {
            assert!(locations.name_of(uri).is_err(), "{uri}");
        }
    }
}
