//! MNIST and Fashion-MNIST: 28×28 grey images of ten classes, in four idx files each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{DataModule, DatasetContext, DatasetKind, Error, Progress, Result};
use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classification::ImageClassificationData;
use super::download::RemoteFile;
use super::idx;
use super::image_file::Fit;
use super::image_set::{ImageSet, ImagesInMemory, OpenImages};
use super::pipeline::Pipeline;
use super::published::{Published, PublishedSetConfig};
use super::split;
use crate::transforms::{ImageShape, Normalize};

/// MNIST (LeCun, Cortes and Burges 1998): 60,000 handwritten digits to learn from and 10,000 to test on, 28×28 pixels, white on
/// black. Reads the four idx files, gzipped or not, from its folder or from torchvision's `MNIST/raw` below it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MnistConfig(PublishedSetConfig);

/// Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 pictures of clothes to learn from and 10,000 to test on, 28×28 pixels.
/// Reads the four idx files, gzipped or not, from its folder or from torchvision's `FashionMNIST/raw` below it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FashionMnistConfig(PublishedSetConfig);

component! { DatasetKind, "vision.mnist", MnistConfig => |config: &MnistConfig, context: DatasetContext<'_>| build(&MNIST, &config.0, context) }
component! { DatasetKind, "vision.fashion_mnist", FashionMnistConfig => |config: &FashionMnistConfig, context: DatasetContext<'_>| build(&FASHION_MNIST, &config.0, context) }

const SHAPE: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };

/// What tells the two apart.
#[derive(Debug)]
struct Variant {
    published: Published,
    /// Training images and labels, test images and labels.
    files: [RemoteFile; 4],
    /// torchvision's folder.
    folder: &'static str,
    classes: [&'static str; 10],
    mean: f32,
    std: f32,
}

static MNIST: Variant = Variant {
    published: Published {
        name: "mnist",
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ],
    },
    files: files([
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ]),
    folder: "MNIST",
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    mean: 0.1307,
    std: 0.3081,
};

static FASHION_MNIST: Variant = Variant {
    published: Published {
        name: "fashion_mnist",
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
        ],
    },
    files: files([
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ]),
    folder: "FashionMNIST",
    classes: [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    mean: 0.2860,
    std: 0.3530,
};

const fn files(sha256: [&'static str; 4]) -> [RemoteFile; 4] {
    [
        RemoteFile { name: "train-images-idx3-ubyte.gz", sha256: sha256[0] },
        RemoteFile { name: "train-labels-idx1-ubyte.gz", sha256: sha256[1] },
        RemoteFile { name: "t10k-images-idx3-ubyte.gz", sha256: sha256[2] },
        RemoteFile { name: "t10k-labels-idx1-ubyte.gz", sha256: sha256[3] },
    ]
}

fn build(
    variant: &'static Variant,
    config: &PublishedSetConfig,
    context: DatasetContext<'_>,
) -> Result<Box<dyn DataModule>, BuildError> {
    let own = Normalize::new(&[variant.mean], &[variant.std], 1)?;
    let pipeline =
        Pipeline::build(SHAPE, own, config.transforms.as_deref(), &config.augmentations, context.registry)?;
    Ok(ImageClassificationData::boxed(IdxSet { variant, config: config.clone() }, pipeline, Fit::Cover))
}

#[derive(Debug)]
struct IdxSet {
    variant: &'static Variant,
    config: PublishedSetConfig,
}

impl IdxSet {
    /// Where a file lies, gzipped or not, here or in torchvision's folder.
    fn find(&self, folder: &Path, file: &RemoteFile) -> Option<PathBuf> {
        let folders = [folder.to_path_buf(), folder.join(self.variant.folder).join("raw")];
        let plain = file.name.trim_end_matches(".gz");
        folders
            .iter()
            .flat_map(|folder| [folder.join(plain), folder.join(file.name)])
            .find(|path| path.is_file())
    }

    /// The images of a part, and their labels.
    fn part(&self, folder: &Path, files: &[RemoteFile]) -> Result<(Vec<u8>, Vec<i64>)> {
        let path = |file: &RemoteFile| {
            self.find(folder, file).ok_or_else(|| Error::data(folder.join(file.name), "is missing"))
        };
        let (image_path, label_path) = (path(&files[0])?, path(&files[1])?);
        let pixels = idx::read_images(&image_path, SHAPE)?;
        let labels = idx::read_labels(&label_path, 10)?;
        let images = pixels.len() / SHAPE.len();
        if images != labels.len() {
            let message = format!(
                "holds {} labels, and {} holds {images} images: the two do not belong together",
                labels.len(),
                image_path.display()
            );
            return Err(Error::data(label_path, message));
        }
        Ok((pixels, labels))
    }
}

impl ImageSet for IdxSet {
    fn prepare(&mut self, progress: &Progress<'_>) -> Result<()> {
        let folder = self.variant.published.folder(&self.config)?;
        let missing: Vec<_> =
            self.variant.files.into_iter().filter(|file| self.find(&folder, file).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.variant.published.fetch(&missing, &folder, &self.config, progress)
    }

    fn open(&mut self) -> Result<OpenImages> {
        let folder = self.variant.published.folder(&self.config)?;
        let (mut pixels, mut labels) = self.part(&folder, &self.variant.files[..2])?;
        let (test_pixels, test_labels) = self.part(&folder, &self.variant.files[2..])?;
        let held_out = split::count("val_split", self.config.val_split, labels.len())?;
        let mut splits = split::stratified(&labels, held_out, 0, self.config.split_seed);
        splits.test = (labels.len()..labels.len() + test_labels.len()).collect();
        pixels.extend(test_pixels);
        labels.extend(test_labels);
        Ok(OpenImages {
            source: Arc::new(ImagesInMemory::new(SHAPE, pixels)),
            labels: Arc::new(labels),
            splits,
            num_classes: 10,
            class_names: Some(self.variant.classes.map(str::to_owned).to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use fulmen_base::Split;
    use fulmen_base::events::EventSink;
    use serde_json::{Value, json};

    use super::*;
    use crate::datasets::testing::{gzipped, idx, module};

    /// Forty training images and ten test images, in files that are partly gzipped.
    fn write(folder: &Path) {
        let images = |count: u32| idx(&[count, 28, 28], &vec![7; count as usize * 784]);
        let labels =
            |count: u32| idx(&[count], &(0..count).map(|index| (index % 10) as u8).collect::<Vec<_>>());
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("train-images-idx3-ubyte.gz"), gzipped(&images(40))).unwrap();
        fs::write(folder.join("train-labels-idx1-ubyte"), labels(40)).unwrap();
        fs::write(folder.join("t10k-images-idx3-ubyte"), images(10)).unwrap();
        fs::write(folder.join("t10k-labels-idx1-ubyte.gz"), gzipped(&labels(10))).unwrap();
    }

    fn settings(root: &Path) -> Value {
        json!({"_target_": "vision.mnist", "root": root, "download": false, "val_split": 0.25})
    }

    fn open(settings: &Value) -> Result<Box<dyn DataModule>> {
        let mut module = module(settings, 0).unwrap();
        let events = EventSink::new(|_| {});
        module.prepare_data(&Progress::new(&events))?;
        module.setup()?;
        Ok(module)
    }

    #[test]
    fn files_are_found_here_and_in_torchvisions_folder_and_split() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        write(&folder.path().join("other/MNIST/raw"));
        for root in [folder.path().to_path_buf(), folder.path().join("other")] {
            let mnist = open(&settings(&root)).unwrap();
            let sizes = [Split::Train, Split::Validation, Split::Test]
                .map(|split| mnist.dataset(split).unwrap().len());
            assert_eq!(sizes, [30, 10, 10]);
            assert_eq!(mnist.spec().schema.to_string(), "{image: f32[B, 1, 28, 28], label: i64[B]}");
        }
    }

    #[test]
    fn without_files_and_download_the_way_out_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
        let message = open(&settings(folder.path())).unwrap_err().to_string();
        for part in ["dataset.download is false", "t10k-labels-idx1-ubyte.gz", "by hand"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn labels_that_do_not_belong_to_the_images_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        fs::write(folder.path().join("train-labels-idx1-ubyte"), idx(&[39], &[1; 39])).unwrap();
        let message = open(&settings(folder.path())).unwrap_err().to_string();
        assert!(message.contains("39 labels") && message.contains("40 images"), "{message}");
    }

    #[test]
    fn settings_of_both_sets_are_described_and_checked() {
        let registry = fulmen_registry::registry().unwrap();
        for name in ["vision.mnist", "vision.fashion_mnist", "vision.cifar10"] {
            let catalog = registry.catalog(schemars::schema_for!(()));
            let info = catalog.get("dataset", name).unwrap();
            assert!(info.description.contains("to learn from"), "{}", info.description);
            assert!(info.schema.pointer("/properties/val_split/description").is_some(), "{name}");
            let error = module(&json!({"_target_": name, "rot": "x"}), 0).unwrap_err();
            assert!(error.to_string().contains("unknown field `rot`"), "{error}");
        }
    }
}
