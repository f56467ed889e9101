//! What can go wrong between here and an MLflow server.

use std::path::PathBuf;

use crate::ErrorKind;

/// Why a request to an MLflow server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No server answers.
    #[error("{uri}: the tracking server does not answer; start it, or check host and port")]
    Unreachable {
        /// The tracking URI, without secrets.
        uri: String,
        /// The client's own words.
        source: Box<ureq::Error>,
    },
    /// The server refuses the request, or fails at it.
    #[error("{uri}: {message} ({code}, HTTP {status})")]
    Refused {
        /// The tracking URI, without secrets.
        uri: String,
        /// The HTTP status.
        status: u16,
        /// MLflow's error code.
        code: String,
        /// The server's own words.
        message: String,
    },
    /// Something answers, but not as an MLflow server does.
    #[error(
        "{uri}: what answers is no MLflow server (HTTP {status}: {text}); check port and path of the URI"
    )]
    NotMlflow {
        /// The tracking URI, without secrets.
        uri: String,
        /// The HTTP status.
        status: u16,
        /// How its answer begins.
        text: String,
    },
    /// MLflow's servers have no request for it.
    #[error("{uri}: an MLflow server cannot {what} on request; run `mlflow gc` where the server runs")]
    Unsupported {
        /// The tracking URI, without secrets.
        uri: String,
        /// What was wanted.
        what: &'static str,
    },
    /// A certificate cannot be read.
    #[error("{}: cannot be used as the certificate that {variable} names; it has to be a PEM file", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The variable that names it.
        variable: &'static str,
        /// What is wrong with it.
        source: Box<ureq::Error>,
    },
    /// A file of this machine failed while an artifact went through it.
    #[error("{}: {action} failed", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The artifacts of this URI do not go through the tracking server.
    #[error(
        "{uri}: the tracking server does not hand through the artifacts of {artifact_uri:?}; it does those of mlflow-artifacts:"
    )]
    ForeignArtifacts {
        /// The tracking URI, without secrets.
        uri: String,
        /// The artifact URI.
        artifact_uri: String,
    },
}

impl RemoteError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } | Self::File { .. } => ErrorKind::Unavailable,
            Self::NotMlflow { .. } | Self::Certificate { .. } => ErrorKind::Broken,
            Self::Unsupported { .. } | Self::ForeignArtifacts { .. } => ErrorKind::InvalidParameter,
            Self::Refused { status, code, .. } => kind_of(code, *status),
        }
    }
}

/// The sort of an error by MLflow's code for it, or by its HTTP status.
fn kind_of(code: &str, status: u16) -> ErrorKind {
    match code {
        "RESOURCE_DOES_NOT_EXIST" | "NOT_FOUND" | "ENDPOINT_NOT_FOUND" => ErrorKind::NotFound,
        "RESOURCE_ALREADY_EXISTS" | "ALREADY_EXISTS" => ErrorKind::AlreadyExists,
        "INVALID_PARAMETER_VALUE" | "BAD_REQUEST" | "MALFORMED_REQUEST" | "NOT_IMPLEMENTED" => {
            ErrorKind::InvalidParameter
        }
        "INVALID_STATE" | "INVALID_STATE_TRANSITION" | "RESOURCE_CONFLICT" | "ABORTED" => {
            ErrorKind::InvalidState
        }
        "PERMISSION_DENIED" | "UNAUTHENTICATED" | "CUSTOMER_UNAUTHORIZED" | "FEATURE_DISABLED" => {
            ErrorKind::Broken
        }
        _ => match status {
            400 | 405 | 413 | 415 | 422 => ErrorKind::InvalidParameter,
            401 | 403 => ErrorKind::Broken,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::InvalidState,
            _ => ErrorKind::Unavailable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_statuses() {
        for (code, status, kind) in [
            ("RESOURCE_DOES_NOT_EXIST", 404, ErrorKind::NotFound),
            ("RESOURCE_ALREADY_EXISTS", 400, ErrorKind::AlreadyExists),
            ("INVALID_PARAMETER_VALUE", 400, ErrorKind::InvalidParameter),
            ("INVALID_STATE", 500, ErrorKind::InvalidState),
            ("INTERNAL_ERROR", 500, ErrorKind::Unavailable),
            ("", 503, ErrorKind::Unavailable),
            ("", 401, ErrorKind::Broken),
            ("REQUEST_LIMIT_EXCEEDED", 429, ErrorKind::Unavailable),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code} {status}");
        }
    }
}
