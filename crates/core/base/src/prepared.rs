//! Where a data module keeps what took long to prepare.

use std::fmt::Debug;

use serde_json::Value;

use crate::Result;

/// The cache of prepared data, as a data module sees it. The same preparation of the same inputs is found again by every later run.
pub trait PreparedCache: Debug + Send + Sync {
    /// What `prepare` makes under `config` of `inputs`, each a name and a digest: found, or made now and kept. Whatever changes the
    /// outcome belongs into `config`, such as a version of the preparation's code; its `_target_` is what people are shown. A cache
    /// that cannot be read or written is told as a warning, and costs the time of the preparation.
    ///
    /// # Errors
    /// Those of `prepare`.
    fn get_or_prepare(
        &self,
        config: &Value,
        inputs: &[(String, String)],
        prepare: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>>;
}
