//! Answers: JSON, text, or a file that is streamed.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    Response,
    header::{CONTENT_TYPE, HeaderValue},
};

/// The bytes of an answer.
pub(crate) type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub(crate) type Reply = Response<ReplyBody>;

/// An answer of JSON.
pub(crate) fn json(bytes: Vec<u8>) -> Reply {
    whole(bytes, "application/json")
}

/// An answer of plain text.
pub(crate) fn text(text: &'static str) -> Reply {
    whole(text, "text/plain; charset=utf-8")
}

fn whole(bytes: impl Into<Bytes>, content_type: &'static str) -> Reply {
    let body = Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync();
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
