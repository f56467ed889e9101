//! Which files a folder of images has, their classes, and the parts that they belong to.

use std::path::{Path, PathBuf};

use fulmen_base::{Error, Result};
use fulmen_utils::nearest;

use super::ImageFolderConfig;
use crate::datasets::image_file::{self, EXTENSIONS};
use crate::datasets::image_set::Splits;
use crate::datasets::split;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    /// The class of each file.
    pub(super) labels: Vec<i64>,
    /// Sorted, as torchvision numbers them.
    pub(super) classes: Vec<String>,
    pub(super) splits: Splits,
}

/// Names under which a part is looked for.
const TRAIN: [&str; 1] = ["train"];
const VALIDATION: [&str; 3] = ["val", "validation", "valid"];
const TEST: [&str; 1] = ["test"];

pub(super) fn read(config: &ImageFolderConfig) -> Result<Found> {
    let root = &config.root;
    if !root.is_dir() {
        let what = if root.exists() {
            "is a file, expected a folder with one folder of images a class"
        } else {
            "there is no such folder"
        };
        return Err(Error::data(root, format!("{what}: set dataset.root")));
    }
    let Some(train) = part(root, &TRAIN) else {
        let mut found = Found::train(root)?;
        let samples = found.labels.len();
        let validation = split::count("val_split", config.val_split, samples)?;
        let test = split::count("test_split", config.test_split, samples)?;
        split::count("test_split", (validation + test) as f64, samples)?;
        found.splits = split::stratified(&found.labels, validation, test, config.split_seed);
        return Ok(found);
    };
    let mut found = Found::train(&train)?;
    match part(root, &VALIDATION) {
        Some(folder) => found.splits.validation = found.add(&folder)?,
        None => {
            let held_out = split::count("val_split", config.val_split, found.labels.len())?;
            found.splits = split::stratified(&found.labels, held_out, 0, config.split_seed);
        }
    }
    if let Some(folder) = part(root, &TEST) {
        found.splits.test = found.add(&folder)?;
    }
    Ok(found)
}

fn part(root: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| root.join(name)).find(|folder| folder.is_dir())
}

impl Found {
    /// The folder that says which classes there are.
    fn train(folder: &Path) -> Result<Self> {
        let classes: Vec<String> = class_folders(folder)?.iter().map(|folder| name(folder)).collect();
        if classes.is_empty() {
            let loose = image_file::images_below(folder)?.len();
            let found = if loose == 0 {
                "no image".to_owned()
            } else {
                format!("{loose} images that are in no such folder")
            };
            return Err(Error::data(
                folder,
                format!("has {found}: expected one folder of images ({EXTENSIONS}) a class"),
            ));
        }
        let mut found = Self { files: Vec::new(), labels: Vec::new(), classes, splits: Splits::default() };
        found.splits.train = found.add(folder)?;
        for (class, name) in found.classes.iter().enumerate() {
            if !found.labels.contains(&(class as i64)) {
                let message = format!("has no image: expected files named {EXTENSIONS}, or no such folder");
                return Err(Error::data(folder.join(name), message));
            }
        }
        Ok(found)
    }

    /// Adds the images of another folder, whose classes must be known by now; returns which samples they are.
    fn add(&mut self, folder: &Path) -> Result<Vec<usize>> {
        let first = self.files.len();
        for class_folder in class_folders(folder)? {
            let class = name(&class_folder);
            let Some(label) = self.classes.iter().position(|known| *known == class) else {
                let hint = nearest::hint(&class, self.classes.iter().map(String::as_str));
                let message = format!(
                    "is a class that the training images do not have{hint}; they have {}",
                    self.classes.join(", ")
                );
                return Err(Error::data(class_folder, message));
            };
            let files = image_file::images_below(&class_folder)?;
            self.labels.extend(files.iter().map(|_| label as i64));
            self.files.extend(files);
        }
        if self.files.len() == first {
            return Err(Error::data(
                folder,
                format!("has no image: expected one folder of images ({EXTENSIONS}) a class"),
            ));
        }
        Ok((first..self.files.len()).collect())
    }
}

fn class_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = image_file::entries(folder)?;
    entries.retain(|path| path.is_dir());
    Ok(entries)
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
