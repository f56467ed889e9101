//! MLflow's own Python client against the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Running;

/// A Python with `mlflow`: `FULMEN_TEST_PYTHON`, else the one that `make test` prepares in the repository's root.
fn python() -> Result<PathBuf, String> {
    let prepared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv-services/bin/python");
    let python = std::env::var_os("FULMEN_TEST_PYTHON").map_or(prepared, PathBuf::from);
    match Command::new(&python).args(["-c", "import mlflow.store.tracking.rest_store"]).output() {
        Err(error) => Err(format!("{}: {error}", python.display())),
        Ok(output) if !output.status.success() => Err(format!("{} has no mlflow", python.display())),
        Ok(_) => Ok(python),
    }
}

#[test]
fn the_python_client_finds_what_it_writes() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return fulmen_utils::testing::skipped(&why),
    };
    let server = Running::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/main_ways.py");
    let output = Command::new(python)
        .arg(script)
        .current_dir(server.folder())
        .env("MLFLOW_TRACKING_URI", format!("http://{}", server.address))
        .output()
        .unwrap();
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("all is as it was written"), "{told}");
}
