//! What can stand on the command line. Flags are about the call; everything about a run is `key=value`.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;

use crate::commands::completions;

pub(crate) use registry::{
    ExperimentsArguments, ExperimentsCommand, ModelsArguments, ModelsCommand, PlaceArguments, SearchArguments,
};
pub(crate) use storage::{
    ArtifactsArguments, ArtifactsCommand, CacheArguments, CacheCommand, KeysArguments, KeysCommand,
};

mod registry;
mod storage;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Trains models from a config to a tracked, reloadable run.
#[derive(Debug, Parser)]
#[command(name = "fulmen", version, styles = STYLES, max_term_width = 110, disable_help_subcommand = true, after_help = "\
Examples:
  fulmen train                                                the quickstart: handwritten digits
  fulmen train model=resnet18 dataset=image_folder dataset.root=photos trainer.max_epochs=5
  fulmen train optimizer.lr=1e-3,3e-4 --multirun              a sweep
  fulmen predict run=<id> input=photo.png
  fulmen runs list

Everything about a run is key=value, with Hydra's grammar: `fulmen config show` prints all there is,
`fulmen components list` what a _target_ can name.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model, record the run, test the best checkpoint
    Train(TrainArguments),
    /// Evaluate a run's checkpoint on the validation split
    Validate(EvaluateArguments),
    /// Evaluate a run's checkpoint on the test split
    Test(EvaluateArguments),
    /// Predict for files of your own, one JSON object a line
    Predict(PredictArguments),
    /// Recorded runs: list, show, compare, delete
    Runs(RunsArguments),
    /// Groups of runs: list, show, create, rename, delete, restore, set-tag, delete-tag
    Experiments(ExperimentsArguments),
    /// The model registry: list, show, register, versions, alias, promote, diff, lineage, delete
    Models(ModelsArguments),
    /// Bring what killed runs have left in their journals into the tracking store
    Sync {
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides that say which store
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Serve runs, metrics, models and artifacts to MLflow's clients
    Server(ServerArguments),
    /// Files of runs: list, get, put, verify, delete
    Artifacts(ArtifactsArguments),
    /// The cache of prepared data: list, info, verify, prune, clear, path
    Cache(CacheArguments),
    /// Keys of encryption at rest: generate, rotate, status, verify
    Keys(KeysArguments),
    /// What a config can name: list, show
    Components(ComponentsArguments),
    /// The composed configuration: show, batch
    Config(ConfigArguments),
    /// What this machine has, and what to do about what is missing
    Doctor(DoctorArguments),
    /// The script that makes a shell complete fulmen's commands, groups and keys
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Where configurations come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArguments {
    /// Folder of your own configs, searched before Fulmen's; ./conf where it exists
    #[arg(long, short = 'd', env = "FULMEN_CONFIG_DIR", value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// The primary config
    #[arg(long, short = 'n', default_value = "config", value_name = "NAME")]
    pub(crate) config_name: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fulmen train
  fulmen train dataset=image_folder dataset.root=photos model=resnet18 weights=resnet18.safetensors
  fulmen train dataset=fashion_mnist dataset.root=data model=lenet trainer.max_epochs=5 dataloader.batch_size=128
  fulmen train optimizer.lr=1e-2,1e-3 seed=1,2 --multirun
  fulmen train resume=<run id>
  fulmen train resume=<run id> trainer.max_epochs=20")]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Run every job of a sweep such as optimizer.lr=1e-2,1e-3
    #[arg(long, short)]
    pub(crate) multirun: bool,
    /// Print the configuration and stop
    #[arg(long, short = 'c', value_name = "PART")]
    pub(crate) cfg: Option<ConfigPart>,
    /// With --cfg: only the value at this key
    #[arg(long, short, value_name = "KEY", requires = "cfg")]
    pub(crate) package: Option<String>,
    /// With --cfg: resolve interpolations
    #[arg(long, requires = "cfg")]
    pub(crate) resolve: bool,
    /// Print how the configuration came to be and stop
    #[arg(long, short, value_name = "WHAT")]
    pub(crate) info: Option<InfoPart>,
    /// Measure where a step's time goes and print it at the end (trainer.profiler=simple)
    #[arg(long)]
    pub(crate) profile: bool,
    /// Write events as JSON lines, the result last
    #[arg(long)]
    pub(crate) json: bool,
    /// Hydra overrides; resume=RUN goes on with a run
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(completions::overrides))]
    pub(crate) overrides: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fulmen test run=<id>
  fulmen test run=<id> checkpoint=last
  fulmen validate run=<id> dataset.root=other/photos --json")]
pub(crate) struct EvaluateArguments {
    /// Print the metrics as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// run=ID (or its name), checkpoint=NAME (default: best), and overrides of the run's configuration
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fulmen predict run=<id> input=digit.png
  fulmen predict run=<id> input=photos/ output=predictions.jsonl")]
pub(crate) struct PredictArguments {
    /// run=ID (or its name), input=FILE or FOLDER, output=FILE (default: standard output), checkpoint=NAME, and overrides
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    #[command(subcommand)]
    pub(crate) command: RunsCommand,
}

/// Which store is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArguments {
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// The newest runs
    #[command(after_help = "\
Examples:
  fulmen runs list
  fulmen runs list --filter \"metrics.`test/accuracy` > 0.98 and params.model._target_ = 'vision.convnet'\"
  fulmen runs list --order-by \"metrics.`val/loss` ASC\" --limit 5 --json
  fulmen runs list mlflow.tracking_uri=sqlite:///elsewhere/fulmen.db")]
    List {
        #[command(flatten)]
        store: StoreArguments,
        /// MLflow's filter language
        #[arg(long, default_value = "")]
        filter: String,
        /// `key ASC` or `key DESC`; may be given several times
        #[arg(long)]
        order_by: Vec<String>,
        /// Most runs to show
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Deleted runs, rather than the others
        #[arg(long)]
        deleted: bool,
        /// Overrides that say which store, such as mlflow.tracking_uri=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Everything about one run
    Show {
        /// Its id, the beginning of its id, or its name
        run: String,
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides that say which store
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// What differs between runs
    Compare {
        /// Two runs or more; KEY=VALUE says which store
        #[arg(value_name = "RUN", required = true, num_args = 2..)]
        runs: Vec<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Delete runs; they can be restored until they are removed for good
    Delete {
        /// One run or more; KEY=VALUE says which store
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<String>,
        /// Remove record and files for good
        #[arg(long)]
        hard: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
}

/// Flags and environment variables are those of `mlflow server`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fulmen server
  fulmen server --port 8080 --backend-store-uri sqlite:////data/fulmen.db --artifacts-destination /data/artifacts
  fulmen server --host 0.0.0.0 --allowed-hosts 'mlflow.example.org,*.lab.example.org:*'
  fulmen server encryption.artifacts=true encryption.master_key=file:/etc/fulmen/master.key")]
pub(crate) struct ServerArguments {
    /// Address to listen on
    #[arg(long, env = "MLFLOW_HOST", default_value = "127.0.0.1", value_name = "HOST")]
    pub(crate) host: String,
    /// Port to listen on; 0 for a free one
    #[arg(long, short, env = "MLFLOW_PORT", default_value_t = 5000)]
    pub(crate) port: u16,
    /// The store to serve; the configuration's mlflow.tracking_uri where it is not given
    #[arg(long, env = "MLFLOW_BACKEND_STORE_URI", value_name = "URI")]
    pub(crate) backend_store_uri: Option<String>,
    /// Where the server keeps the artifacts that it serves; the store's own artifact folder where it is not given
    #[arg(long, env = "MLFLOW_ARTIFACTS_DESTINATION", value_name = "URI")]
    pub(crate) artifacts_destination: Option<String>,
    /// Where experiments without a location of their own keep their artifacts; mlflow-artifacts:/, which is this server
    #[arg(long, env = "MLFLOW_DEFAULT_ARTIFACT_ROOT", value_name = "URI")]
    pub(crate) default_artifact_root: Option<String>,
    /// Hand artifacts out and take them in (this is the default)
    #[arg(long, overrides_with = "no_serve_artifacts")]
    pub(crate) serve_artifacts: bool,
    /// Leave artifacts to the clients, which reach their place themselves
    #[arg(long, overrides_with = "serve_artifacts")]
    pub(crate) no_serve_artifacts: bool,
    /// Names of this server in `Host` headers, `*` for any part; localhost and private addresses where none is given
    #[arg(long, env = "MLFLOW_SERVER_ALLOWED_HOSTS", value_delimiter = ',', value_name = "HOST")]
    pub(crate) allowed_hosts: Vec<String>,
    /// Sites besides localhost whose pages may use this server
    #[arg(long, env = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    pub(crate) cors_allowed_origins: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Overrides that say which store, such as mlflow.tracking_uri=…, and whether artifacts are kept encrypted: encryption.artifacts=true
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ComponentsArguments {
    #[command(subcommand)]
    pub(crate) command: ComponentsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComponentsCommand {
    /// All components, or those of a kind
    List {
        /// model, dataset, optimizer, …
        kind: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One component with its settings
    #[command(after_help = "Example:\n  fulmen components show vision.resnet")]
    Show {
        /// Its name
        name: String,
        /// Print its JSON schema
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The composed configuration
    #[command(after_help = "\
Examples:
  fulmen config show model=resnet18 trainer.max_epochs=3
  fulmen config show --package model --resolve
  fulmen config show --info defaults-tree")]
    Show {
        #[command(flatten)]
        source: SourceArguments,
        /// Which part
        #[arg(long, value_enum, default_value_t = ConfigPart::Job)]
        cfg: ConfigPart,
        /// Only the value at this key
        #[arg(long, short, value_name = "KEY")]
        package: Option<String>,
        /// Resolve interpolations
        #[arg(long)]
        resolve: bool,
        /// How it came to be, rather than what it is
        #[arg(long, short, value_name = "WHAT")]
        info: Option<InfoPart>,
        /// Hold it against the components that it names
        #[arg(long)]
        check: bool,
        /// Print JSON, resolved
        #[arg(long)]
        json: bool,
        /// Hydra overrides
        #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(completions::overrides))]
        overrides: Vec<String>,
    },
    /// Compose the cases on standard input, one JSON object a line
    Batch,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ConfigPart {
    /// The run's configuration
    Job,
    /// The hydra node
    Hydra,
    /// Both
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum InfoPart {
    /// The configs in the order of composition
    Defaults,
    /// The defaults lists inside each other
    DefaultsTree,
    /// Where configs are searched
    Searchpath,
    /// All of these
    Config,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}
