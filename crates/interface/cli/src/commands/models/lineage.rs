//! `fulmen models lineage`: where a version comes from.

use fulmen_manager::RunFolder;
use fulmen_runner::saved;
use fulmen_tracking::{DatasetInput, ErrorKind, LoggedModel, ModelVersion, Run, Store};
use serde_json::{Value, json};

use super::{find::version, opened};
use crate::arguments::PlaceArguments;
use crate::commands::runs::status;
use crate::display::table::{self, Align};
use crate::display::time::ago;
use crate::error::CliError;
use crate::terminal::{BOLD, DIM, say, say_json, styled};

/// Tags that say which code a run ran, and what they are called here.
const CODE: [(&str, &str); 6] = [
    ("mlflow.source.name", "source"),
    ("mlflow.source.type", "source type"),
    ("mlflow.source.git.commit", "git commit"),
    ("mlflow.source.git.branch", "git branch"),
    ("mlflow.source.git.repoURL", "git repository"),
    ("fulmen.version", "fulmen"),
];

/// What is known about how a version came to be.
pub(super) struct Origin {
    pub(super) version: ModelVersion,
    /// `None` where the run is unknown or has been removed.
    pub(super) run: Option<Run>,
    pub(super) logged_model: Option<LoggedModel>,
    /// The run's configuration, where its folder is on this machine.
    pub(super) config: Option<Value>,
}

impl Origin {
    pub(super) fn of(store: &dyn Store, name: &str, wanted: &str) -> Result<Self, CliError> {
        let version = version(store, name, wanted)?;
        let run = version.run_id.as_deref().map(|id| store.run(id));
        let run = run.transpose().or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        })?;
        let logged_model = version.model_id.as_deref().map(|id| store.logged_model(id));
        let logged_model = logged_model.transpose().or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        })?;
        let folder = run.as_ref().and_then(|run| RunFolder::of(run).ok());
        let config = folder.and_then(|folder| saved(&folder, &[]).ok()).map(|saved| saved.resolved.to_json());
        Ok(Self { version, run, logged_model, config })
    }

    fn datasets(&self) -> &[DatasetInput] {
        self.run.as_ref().map_or(&[], |run| &run.inputs.datasets)
    }

    fn code(&self) -> Vec<(&'static str, &str)> {
        let tags = self.run.as_ref().map_or(&[][..], |run| &run.data.tags);
        let value = |key: &str| tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str());
        CODE.iter().filter_map(|(key, name)| Some((*name, value(key)?))).collect()
    }
}

/// Shows it.
pub(super) fn run(name: &str, wanted: &str, place: &PlaceArguments) -> Result<(), CliError> {
    let store = opened(place)?;
    let origin = Origin::of(store.as_ref(), name, wanted)?;
    if place.store.json {
        let code: serde_json::Map<_, _> =
            origin.code().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        say_json(&json!({
            "version": origin.version,
            "run": origin.run,
            "logged_model": origin.logged_model,
            "config": origin.config,
            "datasets": origin.datasets(),
            "code": code,
        }));
        return Ok(());
    }
    show(&origin);
    Ok(())
}

fn show(origin: &Origin) {
    let version = &origin.version;
    let title = format!("{} version {}", version.name, version.version);
    say(format!("{}  {}", styled(BOLD, title), styled(DIM, &version.source)));
    match (&origin.run, &version.run_id) {
        (Some(run), _) => {
            let by =
                if run.info.user_id.is_empty() { String::new() } else { format!(" by {}", run.info.user_id) };
            say(format!(
                "run      {}  {}  {}, started {}{by}",
                run.info.run_name,
                styled(DIM, &run.info.run_id),
                status(run.info.status),
                ago(run.info.start_time)
            ));
            if let Ok(folder) = RunFolder::of(run)
                && folder.config().is_file()
            {
                say(format!("config   {}", folder.config().display()));
            }
        }
        (None, Some(id)) => say(format!("run      {id}, which is not in this store")),
        (None, None) => say("run      unknown"),
    }
    if let Some(model) = &origin.logged_model {
        say(format!("model    {}  {}", model.name, styled(DIM, &model.model_id)));
    }
    for (name, value) in origin.code() {
        say(format!("{name:<8} {value}"));
    }
    say("");
    let rows = origin.datasets().iter().map(|input| {
        let context = input.tags.iter().find(|tag| tag.key == "mlflow.data.context");
        vec![
            input.dataset.name.clone(),
            input.dataset.digest.clone(),
            context.map_or_else(String::new, |tag| tag.value.clone()),
            input.dataset.source.clone(),
        ]
    });
    let head = ["dataset", "digest", "used for", "source"].map(|title| (title, Align::Left));
    table::show(&head, rows.collect());
    if let Some(run) = &origin.run {
        say("");
        table::pairs("param", run.data.params.iter().map(|param| (&param.key, &param.value)));
    }
}
