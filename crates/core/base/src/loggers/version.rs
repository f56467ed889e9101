//! Where a logger's files lie, as Lightning lays them out: `<run>/<name>/version_<n>`.

use std::fs;
use std::path::{Path, PathBuf};

use fulmen_utils::atomic;

use super::hparams;
use crate::Result;
use crate::logger::LoggerStart;

/// Begins a version: its folder, with the configuration in it as `hparams.yaml`.
pub(super) fn begin(start: &LoggerStart<'_>, name: &str, version: Option<&str>) -> Result<PathBuf> {
    let folder = folder(start.folder, name, version, start.resumed_at.is_some())?;
    atomic::write(&folder.join("hparams.yaml"), hparams::to_yaml(start.hparams).as_bytes())?;
    Ok(folder)
}

/// A metric's name behind a logger's prefix, as Lightning joins them.
pub(super) fn prefixed(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") }
}

/// The folder of a logger's files, made where it is not there. Without a `version`, a run that goes on takes the last one and
/// another run the next.
fn folder(run: &Path, name: &str, version: Option<&str>, resumes: bool) -> Result<PathBuf> {
    let parent = run.join(name);
    let folder = match version {
        Some(version) => parent.join(version),
        None => {
            let known = fs::read_dir(&parent).into_iter().flatten().flatten().filter_map(|entry| {
                entry.file_name().to_str()?.strip_prefix("version_")?.parse::<u64>().ok()
            });
            let next = match known.max() {
                Some(last) if resumes => last,
                Some(last) => last + 1,
                None => 0,
            };
            parent.join(format!("version_{next}"))
        }
    };
    atomic::create_folder(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_keeps_its_version_and_another_takes_the_next() {
        let run = tempfile::tempdir().unwrap();
        let name = |version, resumes| {
            let folder = folder(run.path(), "csv", version, resumes).unwrap();
            folder.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name(None, false), "version_0");
        assert_eq!(name(None, true), "version_0");
        assert_eq!(name(None, false), "version_1");
        assert_eq!(name(Some("baseline"), false), "baseline");
    }
}
