//! Errors in MLflow's form: a status, an `error_code` and a message.

use fulmen_storage::StorageError;
use fulmen_tracking::{ErrorKind, RunBatch, TrackingError};
use hyper::{StatusCode, http::request::Parts};
use serde::Serialize;

use super::{Reply, json, words};

/// HTTP status and MLflow's `error_code` of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) StatusCode, pub(crate) &'static str);

impl Code {
    pub(crate) const INVALID: Self = Self(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    pub(crate) const EXISTS: Self = Self(StatusCode::BAD_REQUEST, "RESOURCE_ALREADY_EXISTS");
    pub(crate) const FORBIDDEN: Self = Self(StatusCode::FORBIDDEN, "PERMISSION_DENIED");
    pub(crate) const MISSING: Self = Self(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST");
    pub(crate) const NO_ENDPOINT: Self = Self(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND");
    pub(crate) const WRONG_METHOD: Self = Self(StatusCode::METHOD_NOT_ALLOWED, "ENDPOINT_NOT_FOUND");
    pub(crate) const TOO_SLOW: Self = Self(StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED");
    pub(crate) const TOO_LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_PARAMETER_VALUE");
    pub(crate) const NO_RANGE: Self = Self(StatusCode::RANGE_NOT_SATISFIABLE, "INVALID_PARAMETER_VALUE");
    pub(crate) const INTERNAL: Self = Self(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR");
    pub(crate) const DAMAGED: Self = Self(StatusCode::INTERNAL_SERVER_ERROR, "DATA_LOSS");
    pub(crate) const UNSUPPORTED: Self = Self(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED");
    pub(crate) const UNAVAILABLE: Self = Self(StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE");
    pub(crate) const FULL: Self = Self(StatusCode::INSUFFICIENT_STORAGE, "RESOURCE_EXHAUSTED");
}

/// Longest message that a client is sent, in characters.
const LONGEST: usize = 4000;

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The request has a wrong value.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::INVALID, message)
    }

    /// An entry of a batch has a wrong key: says which entry it is.
    pub(crate) fn invalid_in(batch: &RunBatch, what: &str, value: String, reason: String) -> Self {
        let entry = match what {
            "metric key" => {
                batch.metrics.iter().position(|metric| metric.key == value).map(|at| ("metrics", at, "name"))
            }
            "param key" => {
                batch.params.iter().position(|param| param.key == value).map(|at| ("params", at, "key"))
            }
            "tag key" => batch.tags.iter().position(|tag| tag.key == value).map(|at| ("tags", at, "key")),
            _ => None,
        };
        let place = entry.map(|(list, at, field)| format!("{list}[{at}].{field}"));
        Self::invalid(words::invalid(place.as_deref().unwrap_or(what), &value, &reason))
    }

    /// Nothing is served under the request's path.
    pub(crate) fn no_endpoint(request: &Parts) -> Self {
        Self::new(Code::NO_ENDPOINT, format!("no endpoint {} {:?}", request.method, request.uri.path()))
    }

    /// An answer has no JSON form.
    pub(crate) fn unwritable(error: &serde_json::Error) -> Self {
        Self::new(Code::INTERNAL, format!("cannot write the answer: {error}"))
    }

    /// What the client is told.
    pub(crate) fn reply(&self) -> Reply {
        #[derive(Serialize)]
        struct Body<'a> {
            error_code: &'static str,
            message: &'a str,
        }
        // What was sent may stand in the message, whatever its length.
        let end = self.message.char_indices().nth(LONGEST).map_or(self.message.len(), |(end, _)| end);
        let body = Body { error_code: self.code.1, message: &self.message[..end] };
        // Two texts always have a JSON form.
        let mut reply = json(serde_json::to_vec(&body).unwrap_or_default());
        *reply.status_mut() = self.code.0;
        reply
    }
}

impl From<TrackingError> for ApiError {
    fn from(error: TrackingError) -> Self {
        let code = match error.kind() {
            // MLflow answers a write to something deleted as it answers a wrong value.
            ErrorKind::InvalidParameter | ErrorKind::InvalidState => Code::INVALID,
            ErrorKind::NotFound => Code::MISSING,
            ErrorKind::AlreadyExists => Code::EXISTS,
            ErrorKind::Unavailable => Code::UNAVAILABLE,
            _ => Code::INTERNAL,
        };
        Self::new(code, words::of(&error))
    }
}

impl From<StorageError> for ApiError {
    /// Paths of this machine are nobody's business but its owner's, so the messages leave them out.
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Name { .. } => Self::invalid(error.to_string()),
            StorageError::Escape { .. } => {
                Self::invalid("the path leads out of the artifact root through a symbolic link")
            }
            StorageError::Missing { .. } => Self::new(Code::MISSING, "no such artifact"),
            StorageError::Type { found, expected, .. } => {
                Self::invalid(format!("the artifact path is {found}, expected {expected}"))
            }
            StorageError::Full { .. } => Self::new(Code::FULL, "no space left for artifacts on the server"),
            StorageError::ReadOnly { .. } => {
                Self::new(Code::INTERNAL, "the server's artifact root cannot be written to")
            }
            StorageError::Digest { expected, found, .. } => {
                Self::new(Code::DAMAGED, format!("the artifact has digest {found}, recorded was {expected}"))
            }
            StorageError::Unavailable { .. } | StorageError::Changed { .. } => Self::new(
                Code::UNAVAILABLE,
                "the place where the server keeps artifacts does not answer; try again",
            ),
            StorageError::Encryption(_) => Self::new(Code::DAMAGED, "the artifact cannot be decrypted"),
            _ => Self::new(Code::INTERNAL, "the place where the server keeps artifacts failed"),
        }
    }
}
