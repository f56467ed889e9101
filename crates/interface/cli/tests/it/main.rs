//! The program as people use it: real commands, real data, a real worker.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "tests may panic, and share a client with another crate's"
)]

mod bad_input;
mod commands;
mod diagnosis;
mod disks;
mod encrypted;
mod first_look;
mod harness;
// The client that the server's own tests use.
#[path = "../../../server/tests/it/http.rs"]
mod http;
mod images;
mod interrupted;
mod predict;
mod prepared;
mod registry;
mod resume;
mod server;
mod storage;
mod trainer;
mod uploads;
