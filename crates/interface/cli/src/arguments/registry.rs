//! What can follow `fulmen experiments` and `fulmen models`.

use clap::{Args, Subcommand};

use super::StoreArguments;

#[derive(Debug, Args)]
pub(crate) struct ExperimentsArguments {
    #[command(subcommand)]
    pub(crate) command: ExperimentsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentsCommand {
    /// The newest experiments
    #[command(after_help = "\
Examples:
  fulmen experiments list
  fulmen experiments list --filter \"name LIKE 'digits%'\" --json")]
    List {
        #[command(flatten)]
        search: SearchArguments,
        /// Deleted experiments, rather than the others
        #[arg(long)]
        deleted: bool,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Everything about one experiment
    Show {
        /// Its name or id
        experiment: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Create an experiment
    #[command(after_help = "Example:\n  fulmen experiments create digits --tag team=blue")]
    Create {
        /// Its name
        name: String,
        /// Path or URI below which the artifacts of its runs lie
        #[arg(long, value_name = "URI")]
        artifact_location: Option<String>,
        /// A tag; may be given several times
        #[arg(long, value_name = "KEY=VALUE")]
        tag: Vec<String>,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Give an experiment another name
    Rename {
        /// Its name or id
        experiment: String,
        /// The new name
        name: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Delete experiments with their runs; they can be restored until `fulmen runs delete --hard`
    Delete {
        /// One name or id, or more; KEY=VALUE says which store
        #[arg(value_name = "EXPERIMENT", required = true)]
        experiments: Vec<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Bring back deleted experiments, with the runs that were deleted with them
    Restore {
        /// One name or id, or more; KEY=VALUE says which store
        #[arg(value_name = "EXPERIMENT", required = true)]
        experiments: Vec<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Set a tag of an experiment
    SetTag {
        /// Its name or id
        experiment: String,
        /// The tag's key
        key: String,
        /// The tag's value
        value: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Remove a tag of an experiment
    DeleteTag {
        /// Its name or id
        experiment: String,
        /// The tag's key
        key: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// The registered models
    #[command(after_help = "\
Examples:
  fulmen models list
  fulmen models list --filter \"name LIKE 'digits%' and tags.team = 'blue'\" --json")]
    List {
        #[command(flatten)]
        search: SearchArguments,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Everything about one model
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Make a run's artifact the next version of a model, which is created where it does not exist
    #[command(after_help = "\
Examples:
  fulmen models register <run id> digits                           the run's best checkpoint
  fulmen models register <run id>:checkpoints/last digits
  fulmen models register <run id>:model.onnx digits --description \"for phones\"")]
    Register {
        /// Id, beginning of an id, or name; then perhaps `:` and a path among its artifacts
        #[arg(value_name = "RUN[:PATH]")]
        run: String,
        /// The model
        name: String,
        /// What this version is
        #[arg(long)]
        description: Option<String>,
        /// A tag of the version; may be given several times
        #[arg(long, value_name = "KEY=VALUE")]
        tag: Vec<String>,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// The versions of a model
    Versions {
        /// The model
        name: String,
        #[command(flatten)]
        search: SearchArguments,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Point an alias at a version, or remove it
    #[command(after_help = "\
Examples:
  fulmen models alias digits champion 3
  fulmen models alias digits champion --delete")]
    Alias {
        /// The model
        name: String,
        /// The alias
        alias: String,
        /// Number or alias of the version
        #[arg(required_unless_present = "delete")]
        version: Option<String>,
        /// Remove the alias
        #[arg(long, conflicts_with = "version")]
        delete: bool,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Move a version to a stage, or point an alias at it
    #[command(after_help = "\
Examples:
  fulmen models promote digits 3 --alias champion
  fulmen models promote digits latest --to production --archive")]
    Promote {
        /// The model
        name: String,
        /// Number or alias of the version
        version: String,
        /// none, staging, production or archived
        #[arg(long, value_name = "STAGE", required_unless_present = "alias")]
        to: Option<String>,
        /// Archive the other versions at that stage
        #[arg(long, requires = "to")]
        archive: bool,
        /// An alias, such as champion
        #[arg(long)]
        alias: Option<String>,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// In what two versions, and the runs that made them, differ
    Diff {
        /// The model
        name: String,
        /// Number or alias of one version
        left: String,
        /// Number or alias of the other
        right: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Where a version comes from: run, configuration, datasets, code
    Lineage {
        /// The model
        name: String,
        /// Number or alias of the version
        version: String,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Remove versions, or a model with all it has; files of runs stay
    #[command(after_help = "\
Examples:
  fulmen models delete digits --version 1 --version 2
  fulmen models delete digits --all")]
    Delete {
        /// The model
        name: String,
        /// Number or alias of a version; may be given several times
        #[arg(long, required_unless_present = "all")]
        version: Vec<String>,
        /// The model with all its versions
        #[arg(long, conflicts_with = "version")]
        all: bool,
        #[command(flatten)]
        place: PlaceArguments,
    },
}

/// What is looked for, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// MLflow's filter language
    #[arg(long, default_value = "")]
    pub(crate) filter: String,
    /// `key ASC` or `key DESC`; may be given several times
    #[arg(long)]
    pub(crate) order_by: Vec<String>,
    /// Most results to show
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

/// Which store is asked.
#[derive(Debug, Args)]
pub(crate) struct PlaceArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Overrides that say which store, such as mlflow.tracking_uri=…
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}
