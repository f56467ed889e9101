//! CIFAR-10 in its binary version.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use fulmen_base::{DataModule, DatasetContext, DatasetKind, Error, Progress, Result};
use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classification::ImageClassificationData;
use super::download::RemoteFile;
use super::image_file::Fit;
use super::image_set::{ImageSet, ImagesInMemory, OpenImages};
use super::pipeline::Pipeline;
use super::published::{Published, PublishedSetConfig};
use super::split;
use crate::transforms::{ImageShape, Normalize};

/// CIFAR-10 (Krizhevsky 2009): 50,000 colour images of ten classes to learn from and 10,000 to test on, 32×32 pixels. Reads the binary
/// version: `cifar-10-batches-bin` or `cifar-10-binary.tar.gz` in its folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cifar10Config(PublishedSetConfig);

component! { DatasetKind, "vision.cifar10", Cifar10Config => build }

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST_FILE: &str = "test_batch.bin";
const FOLDER: &str = "cifar-10-batches-bin";
const PUBLISHED: Published = Published { name: "cifar10", mirrors: &["https://www.cs.toronto.edu/~kriz"] };
const ARCHIVE: RemoteFile = RemoteFile {
    name: "cifar-10-binary.tar.gz",
    sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
};

fn build(config: &Cifar10Config, context: DatasetContext<'_>) -> Result<Box<dyn DataModule>, BuildError> {
    let config = &config.0;
    let own = Normalize::new(&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616], 3)?;
    let pipeline =
        Pipeline::build(SHAPE, own, config.transforms.as_deref(), &config.augmentations, context.registry)?;
    Ok(ImageClassificationData::boxed(Cifar10 { config: config.clone() }, pipeline, Fit::Cover))
}

#[derive(Debug)]
struct Cifar10 {
    config: PublishedSetConfig,
}

impl Cifar10 {
    /// The folder that has the batches: the set's own, or `cifar-10-batches-bin` in it.
    fn batches(folder: &Path) -> Option<PathBuf> {
        [folder.join(FOLDER), folder.to_path_buf()]
            .into_iter()
            .find(|folder| TRAIN_FILES.iter().chain([&TEST_FILE]).all(|file| folder.join(file).is_file()))
    }
}

impl ImageSet for Cifar10 {
    fn prepare(&mut self, progress: &Progress<'_>) -> Result<()> {
        let folder = PUBLISHED.folder(&self.config)?;
        if Self::batches(&folder).is_some() {
            return Ok(());
        }
        let archive = folder.join(ARCHIVE.name);
        if !archive.is_file() {
            PUBLISHED.fetch(&[ARCHIVE], &folder, &self.config, progress)?;
        }
        let damaged = |error: std::io::Error| {
            Error::data(
                &archive,
                format!("cannot be unpacked ({error}): remove it, so that it is fetched again"),
            )
        };
        let file = File::open(&archive).map_err(damaged)?;
        tar::Archive::new(GzDecoder::new(file)).unpack(&folder).map_err(damaged)
    }

    fn open(&mut self) -> Result<OpenImages> {
        let folder = PUBLISHED.folder(&self.config)?;
        let folder = Self::batches(&folder).ok_or_else(|| {
            Error::data(
                &folder,
                format!("holds no {FOLDER}: expected {TEST_FILE} and data_batch_1.bin to _5.bin in it"),
            )
        })?;
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for file in TRAIN_FILES {
            read(&folder.join(file), &mut pixels, &mut labels)?;
        }
        let train = labels.len();
        read(&folder.join(TEST_FILE), &mut pixels, &mut labels)?;
        let held_out = split::count("val_split", self.config.val_split, train)?;
        let mut splits = split::stratified(&labels[..train], held_out, 0, self.config.split_seed);
        splits.test = (train..labels.len()).collect();
        Ok(OpenImages {
            source: Arc::new(ImagesInMemory::new(SHAPE, pixels)),
            labels: Arc::new(labels),
            splits,
            num_classes: 10,
            class_names: Some(CLASSES.map(str::to_owned).to_vec()),
        })
    }
}

/// Records of a label and 3,072 bytes: red, green and blue planes, as <https://www.cs.toronto.edu/~kriz/cifar.html> says.
fn read(path: &Path, pixels: &mut Vec<u8>, labels: &mut Vec<i64>) -> Result<()> {
    let bytes = fs::read(path).map_err(|error| Error::data(path, format!("cannot be read: {error}")))?;
    let record = SHAPE.len() + 1;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let message = format!(
            "has {} bytes, expected a multiple of {record}: it is cut short, or is no batch of CIFAR-10",
            bytes.len()
        );
        return Err(Error::data(path, message));
    }
    for (index, record) in bytes.chunks_exact(record).enumerate() {
        if usize::from(record[0]) >= CLASSES.len() {
            return Err(Error::data(path, format!("label {index} is {}, expected 0 to 9", record[0])));
        }
        labels.push(i64::from(record[0]));
        // Planes to pixels.
        let plane = SHAPE.plane();
        let values = |pixel| (0..SHAPE.channels).map(move |channel| record[1 + channel * plane + pixel]);
        pixels.extend((0..plane).flat_map(values));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fulmen_base::Split;
    use fulmen_base::events::EventSink;
    use fulmen_utils::Address;
    use serde_json::json;

    use super::*;
    use crate::datasets::testing::{gzipped, module};

    /// Ten records of label and pixels `index`.
    fn batch() -> Vec<u8> {
        (0..10_u8).flat_map(|index| [vec![index], vec![index; 3072]].concat()).collect()
    }

    fn open(root: &Path) -> Result<Box<dyn DataModule>> {
        let settings =
            json!({"_target_": "vision.cifar10", "root": root, "download": false, "val_split": 10});
        let mut module = module(&settings, 0).unwrap();
        module.prepare_data(&Progress::new(&EventSink::new(|_| {})))?;
        module.setup()?;
        Ok(module)
    }

    #[test]
    fn the_archive_is_unpacked_and_its_batches_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for file in TRAIN_FILES.iter().chain([&TEST_FILE]) {
            let mut header = tar::Header::new_gnu();
            header.set_size(batch().len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("{FOLDER}/{file}"), batch().as_slice()).unwrap();
        }
        fs::write(folder.path().join(ARCHIVE.name), gzipped(&archive.into_inner().unwrap())).unwrap();
        let cifar = open(folder.path()).unwrap();
        let sizes =
            [Split::Train, Split::Validation, Split::Test].map(|split| cifar.dataset(split).unwrap().len());
        assert_eq!(sizes, [40, 10, 10]);
        let batch = cifar.dataset(Split::Test).unwrap().batch(&[3], Address::root(0)).unwrap();
        assert_eq!(batch.schema().to_string(), "{image: f32[1, 3, 32, 32], label: i64[1]}");
        let red = batch.get("image").unwrap().double_value(&[0, 0, 5, 5]);
        assert!((red - (3.0 / 255.0 - 0.4914) / 0.2470).abs() < 1e-5, "{red}");
        // The folder itself may be the root.
        open(&folder.path().join(FOLDER)).unwrap();
    }

    #[test]
    fn a_batch_that_is_cut_short_or_has_a_wrong_label_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for file in TRAIN_FILES.iter().chain([&TEST_FILE]) {
            fs::write(folder.path().join(file), batch()).unwrap();
        }
        let mut wrong = batch();
        wrong[3073] = 10;
        for (bytes, expected) in [(&batch()[..100], "multiple of 3073"), (wrong.as_slice(), "label 1 is 10")]
        {
            fs::write(folder.path().join("data_batch_4.bin"), bytes).unwrap();
            let message = open(folder.path()).unwrap_err().to_string();
            assert!(message.contains("data_batch_4.bin") && message.contains(expected), "{message}");
        }
        fs::remove_file(folder.path().join("data_batch_4.bin")).unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("cifar-10-binary.tar.gz"));
    }
}
