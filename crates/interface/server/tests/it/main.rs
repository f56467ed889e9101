//! The server as its clients meet it: over a socket, in a folder of its own.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "tests may panic, and share a client with another crate's"
)]

mod artifacts;
mod bad_input;
mod concurrency;
mod harness;
mod hosts;
mod http;
mod mlflows_ways;
mod multipart;
mod python_client;
mod registry;
mod tracking;
