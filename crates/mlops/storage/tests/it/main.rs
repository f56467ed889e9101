//! What artifact stores promise, over folders, memory and a real S3 server.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

mod cache;
mod conformance;
mod encrypted;
mod folders;
mod keyrings;
mod s3;
mod s3_server;
