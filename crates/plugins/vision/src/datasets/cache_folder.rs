//! Where fetched data sets are kept between runs.

use std::env;
use std::path::{Path, PathBuf};

use fulmen_base::{Error, Result};

/// The folder of a data set: `root` where it is set; else `datasets/<name>` below `$FULMEN_CACHE`, `$XDG_CACHE_HOME/fulmen` or
/// `~/.cache/fulmen`, whichever is first.
///
/// # Errors
/// When no variable says where the cache is.
pub(crate) fn dataset_folder(root: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(root) = root {
        return Ok(root.to_path_buf());
    }
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("FULMEN_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("fulmen")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache").join("fulmen")))
        .map(|cache| cache.join("datasets").join(name))
        .ok_or_else(|| {
            Error::config(
                "dataset.root",
                "there is no HOME, so no folder to keep the data in: set dataset.root or FULMEN_CACHE",
            )
        })
}
