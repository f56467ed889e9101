//! The `fulmen-worker` program: one run in one process, the only place that links every plugin.
//!
//! A worker of your own is a crate that links your plugins beside Fulmen's and calls [`main`]:
//!
//! ```ignore
//! use my_plugin as _;
//!
//! fn main() -> std::process::ExitCode {
//!     fulmen_worker::main()
//! }
//! ```
//!
//! It reads a [`RunSpec`](fulmen_contracts::RunSpec) on standard input and writes [`Event`](fulmen_contracts::Event)s, one
//! JSON object a line, on standard output; what plugins print goes to standard error.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod build;
mod environment;
mod keys;
mod pipe;
mod prepared;
mod run;

// Named, so that they are linked and their components found.
use fulmen_nlp as _;
use fulmen_timeseries as _;
use fulmen_vision as _;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use fulmen_base::config::RunConfig;
use fulmen_contracts::Catalog;
use fulmen_registry::{RegistryError, registry};
use schemars::schema_for;

/// What the program is called with.
const USAGE: &str = "usage: fulmen-worker run < spec.json > events.jsonl
       fulmen-worker catalog
       fulmen-worker environment";

/// The whole program: `run`, `catalog` or `environment`.
pub fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("run"), None) => run::from_standard_input().into(),
        (Some("catalog"), None) => match catalog() {
            Ok(catalog) => print(&catalog),
            Err(error) => complain(&error.to_string()),
        },
        (Some("environment"), None) => print(&environment::describe()),
        _ => complain(USAGE),
    }
}

/// Everything that a config can name here.
///
/// # Errors
/// When two linked crates bring a component of the same kind and name.
pub fn catalog() -> Result<Catalog, &'static RegistryError> {
    Ok(registry()?.catalog(schema_for!(RunConfig)))
}

fn print(value: &impl serde::Serialize) -> ExitCode {
    let mut out = io::stdout().lock();
    let printed =
        serde_json::to_writer(&mut out, value).map_err(io::Error::from).and_then(|()| out.write_all(b"\n"));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn complain(message: &str) -> ExitCode {
    // Standard error may be closed; there is nobody else to tell.
    let _ = writeln!(io::stderr(), "{message}");
    fulmen_contracts::ExitCode::BadInput.into()
}
