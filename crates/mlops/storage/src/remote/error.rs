//! What an object store says, sorted by what can be done about it.

use std::error::Error as _;

use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};

use crate::StorageError;

/// Sorts an error of a request about `uri`.
pub(super) fn sort(uri: &str, variables: &'static str, action: &'static str, error: Error) -> StorageError {
    let uri = uri.to_owned();
    let source = Box::new(error);
    match *source {
        // S3 and Azure have codes for it; Google says `The specified bucket does not exist.`
        Error::NotFound { source: ref words, .. } => {
            let words = words.to_string();
            let of_bucket = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"];
            if of_bucket.iter().any(|code| words.contains(code)) {
                StorageError::NoBucket { uri }
            } else {
                StorageError::Missing { path: uri.into() }
            }
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            StorageError::Denied { uri, action, variables, source }
        }
        _ if is_transient(&source) => StorageError::Unavailable { uri, action, source },
        _ => StorageError::Remote { uri, action, source },
    }
}

/// Whether the store could not be reached, or was too busy. It was tried several times by then.
fn is_transient(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(below) = cause {
        if let Some(error) = below.downcast_ref::<HttpError>() {
            return error.kind() != HttpErrorKind::Decode;
        }
        // The type that holds the status is object_store's own affair; its text is not.
        let text = below.to_string();
        if ["status code: 5", "status code: 429", "status code: 408", "SlowDown"]
            .iter()
            .any(|code| text.contains(code))
        {
            return true;
        }
        cause = below.source();
    }
    false
}
