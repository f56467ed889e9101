//! The program as people use it: real commands, real data, a real worker.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

mod bad_input;
mod commands;
mod diagnosis;
mod disks;
mod first_look;
mod harness;
mod images;
mod interrupted;
mod predict;
mod registry;
mod resume;
