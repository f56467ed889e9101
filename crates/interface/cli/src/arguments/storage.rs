//! The command line of what is stored: artifacts, cache, keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StoreArguments;

#[derive(Debug, Args)]
pub(crate) struct ArtifactsArguments {
    #[command(subcommand)]
    pub(crate) command: ArtifactsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsCommand {
    /// What lies in a run's artifacts, or in a folder of them
    #[command(after_help = "\
Examples:
  fulmen artifacts list <run>
  fulmen artifacts list <run> checkpoints --recursive --json")]
    List {
        /// Its id, the beginning of its id, or its name
        run: String,
        /// A folder of the artifacts; mlflow.…=… and encryption.…=… are overrides
        #[arg(value_name = "FOLDER")]
        words: Vec<String>,
        /// Files at any depth
        #[arg(long, short)]
        recursive: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Copy files or folders of a run here
    #[command(after_help = "\
Examples:
  fulmen artifacts get <run> checkpoints/epoch=3-step=96 --output models
  fulmen artifacts get <run>")]
    Get {
        /// Its id, the beginning of its id, or its name
        run: String,
        /// Files or folders of the artifacts (default: all); mlflow.…=… and encryption.…=… are overrides
        #[arg(value_name = "PATH")]
        words: Vec<String>,
        /// The folder to copy to
        #[arg(long, short, value_name = "DIR", default_value = ".")]
        output: PathBuf,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Add files or folders to a run's artifacts, in place of those with the same names
    #[command(after_help = "\
Examples:
  fulmen artifacts put <run> report.html
  fulmen artifacts put <run> plots/ --to figures")]
    Put {
        /// Its id, the beginning of its id, or its name
        run: String,
        /// Files or folders here; mlflow.…=… and encryption.…=… are overrides
        #[arg(value_name = "FILE", required = true)]
        words: Vec<String>,
        /// The folder of the artifacts to put them in (default: the top)
        #[arg(long, value_name = "FOLDER")]
        to: Option<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Read files and hold them against their recorded digests
    Verify {
        /// Its id, the beginning of its id, or its name
        run: String,
        /// Files or folders of the artifacts (default: all); mlflow.…=… and encryption.…=… are overrides
        #[arg(value_name = "PATH")]
        words: Vec<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Delete files or folders of a run's artifacts for good
    Delete {
        /// Its id, the beginning of its id, or its name
        run: String,
        /// Files or folders of the artifacts; mlflow.…=… and encryption.…=… are overrides
        #[arg(value_name = "PATH", required = true)]
        words: Vec<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// The entries, the one that was used last first
    List {
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as cache.folder=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// An entry with the configuration and the inputs that it was made of
    Info {
        /// Its id, or the beginning of it
        id: String,
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as cache.folder=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Read entries and hold them against their recorded digests
    Verify {
        /// Ids, or their beginnings (default: all); KEY=VALUE are overrides
        #[arg(value_name = "ID")]
        words: Vec<String>,
        /// Remove what is damaged: it is made again when it is needed
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Remove what was used longest ago, down to the size limit, and what killed processes left behind
    Prune {
        /// GiB to keep, rather than cache.size_limit_gib
        #[arg(long, value_name = "GIB")]
        keep: Option<f64>,
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as cache.folder=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Remove every entry that is not in use
    Clear {
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as cache.folder=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// The cache's folder
    Path {
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as cache.folder=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a master key, where there is none yet, and a keyring
    #[command(after_help = "\
Examples:
  fulmen keys generate encryption.master_key=file:/etc/fulmen/master.key
  fulmen keys generate --output new.key                      a key alone, for `fulmen keys rotate`")]
    Generate {
        /// Only write a new master key to this file
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as encryption.master_key=file:… and encryption.keyring=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Wrap the data keys with another master key, or begin a new data key; data is not touched
    #[command(after_help = "\
Examples:
  fulmen keys rotate --to file:/etc/fulmen/new.key
  fulmen keys rotate --new-data-key")]
    Rotate {
        /// The place of the new master key: file:…, env:… or command:…
        #[arg(long, value_name = "PLACE")]
        to: Option<String>,
        /// Encrypt new files under a new data key
        #[arg(long)]
        new_data_key: bool,
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as encryption.keyring=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Which keys there are, and what is encrypted
    Status {
        #[command(flatten)]
        store: StoreArguments,
        /// Overrides, such as encryption.keyring=…
        #[arg(value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Open the keyring, and read the encrypted files of these folders to their ends
    Verify {
        /// Files or folders; encryption.…=… are overrides
        #[arg(value_name = "PATH")]
        words: Vec<String>,
        #[command(flatten)]
        store: StoreArguments,
    },
}
