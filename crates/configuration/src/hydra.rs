//! The `hydra` node: the surroundings of a job (folders, name, sweep, logging) as Hydra 1.3 lays them out.

mod schema;

pub(crate) use schema::{check_deletion, conform, conform_at};

use std::sync::Arc;
use std::sync::OnceLock;

use crate::source::ConfigSource;

/// The version of Hydra whose behaviour this is.
pub const HYDRA_VERSION: &str = "1.3.8";

/// Hydra's own configs, below `hydra/`.
pub(crate) fn builtin_source() -> ConfigSource {
    static SOURCE: OnceLock<ConfigSource> = OnceLock::new();
    let files = || {
        [
            ("config", include_str!("hydra/conf/config.yaml")),
            ("env/default", include_str!("hydra/conf/env_default.yaml")),
            ("help/default", include_str!("hydra/conf/help_default.yaml")),
            ("hydra_help/default", include_str!("hydra/conf/hydra_help_default.yaml")),
            ("hydra_logging/default", include_str!("hydra/conf/hydra_logging_default.yaml")),
            ("hydra_logging/disabled", include_str!("hydra/conf/hydra_logging_disabled.yaml")),
            ("hydra_logging/hydra_debug", include_str!("hydra/conf/hydra_logging_hydra_debug.yaml")),
            ("hydra_logging/none", include_str!("hydra/conf/hydra_logging_none.yaml")),
            ("job_logging/default", include_str!("hydra/conf/job_logging_default.yaml")),
            ("job_logging/disabled", include_str!("hydra/conf/job_logging_disabled.yaml")),
            ("job_logging/none", include_str!("hydra/conf/job_logging_none.yaml")),
            ("job_logging/stdout", include_str!("hydra/conf/job_logging_stdout.yaml")),
            ("launcher/basic", include_str!("hydra/conf/launcher_basic.yaml")),
            ("output/default", include_str!("hydra/conf/output_default.yaml")),
            ("sweeper/basic", include_str!("hydra/conf/sweeper_basic.yaml")),
        ]
        .into_iter()
        .map(|(name, text)| (format!("hydra/{name}.yaml"), text.to_owned()))
        .collect()
    };
    SOURCE.get_or_init(|| ConfigSource::Files(Arc::new(files()))).clone()
}
