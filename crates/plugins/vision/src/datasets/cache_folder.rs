//! Where fetched data sets are kept between runs.

use std::path::{Path, PathBuf};

use fulmen_base::{Error, Result};
use fulmen_utils::cache;

/// The folder of a data set: `root` where it is set, else `datasets/<name>` in the cache.
///
/// # Errors
/// When no variable says where the cache is.
pub(crate) fn dataset_folder(root: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(root) = root {
        return Ok(root.to_path_buf());
    }
    cache::folder().map(|folder| folder.join("datasets").join(name)).ok_or_else(|| {
        Error::config(
            "dataset.root",
            "there is no HOME, so no folder to keep the data in: set dataset.root or FULMEN_CACHE",
        )
    })
}
