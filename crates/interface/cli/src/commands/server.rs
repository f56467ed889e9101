//! `fulmen server`: MLflow's REST API over a store.

use fulmen_contracts::ExitCode;
use fulmen_runner::Encryption;
use fulmen_server::{HostRules, Server, Settings};
use fulmen_tracking::{artifact_root, open_with_artifact_root};

use super::tracking_uri;
use crate::arguments::ServerArguments;
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, YELLOW, say, styled, tell};

/// Names what the server itself hands out.
const PROXY: &str = "mlflow-artifacts:/";

/// Serves until it is told to end.
pub(crate) fn run(arguments: ServerArguments) -> Result<ExitCode, CliError> {
    let config = embedded::source(&arguments.source)?.compose(&arguments.overrides)?.resolved;
    let backend = match arguments.backend_store_uri {
        Some(uri) => uri,
        None => tracking_uri(&config)?,
    };
    if backend.starts_with("http:") || backend.starts_with("https:") {
        return Err(CliError::usage(format!(
            "{backend} is a tracking server itself; name the store that this one is to serve, \
             such as --backend-store-uri sqlite:///runs/fulmen.db"
        )));
    }
    let serves = !arguments.no_serve_artifacts;
    let default_root = match (&arguments.default_artifact_root, serves) {
        (Some(root), _) => root.clone(),
        (None, true) => PROXY.to_owned(),
        (None, false) => artifact_root(&backend)?,
    };
    let artifacts = match arguments.artifacts_destination {
        Some(destination) => destination,
        None if default_root.starts_with("mlflow-artifacts:") => artifact_root(&backend)?,
        None => default_root.clone(),
    };
    let encryption = Encryption::of(&config)?;
    let keyring = encryption.settings.artifacts.then(|| encryption.open()).transpose()?;
    let settings = Settings {
        host: arguments.host,
        port: arguments.port,
        artifacts,
        keyring,
        serve_artifacts: serves,
        hosts: HostRules {
            allowed_hosts: arguments.allowed_hosts,
            allowed_origins: arguments.cors_allowed_origins,
        },
    };
    let store = open_with_artifact_root(&backend, &default_root)?;
    let uri = store.uri().to_owned();
    let server = Server::bind(&settings, store)?;
    say(format!("{} http://{}", styled(BOLD, "listening on"), server.address()));
    say(format!("  store      {uri}"));
    let how = [(!serves, " (not served)"), (settings.keyring.is_some(), " (encrypted)")];
    let how: String = how.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words).collect();
    say(format!("  artifacts  {}{how}", settings.artifacts));
    say(format!("  {}", styled(CYAN, format!("export MLFLOW_TRACKING_URI=http://{}", server.address()))));
    if server.is_open() {
        tell(format!(
            "{}: other machines reach this server, and it asks nobody for a password: whoever can connect can read, change and \
             delete everything in it. Use --host 127.0.0.1, or put it behind a proxy that knows its users.",
            styled(YELLOW, "warning")
        ));
    }
    server.run()?;
    Ok(ExitCode::Success)
}
