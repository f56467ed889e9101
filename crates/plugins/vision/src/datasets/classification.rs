//! The data module of every set of images with one class each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{DataModule, DataSpec, Dataset, PreparedCache, Progress, Result, Split};
use fulmen_contracts::schema;

use super::image_file::Fit;
use super::image_set::{ImageSet, OpenImages};
use super::pipeline::{ImageDataset, Pipeline};
use super::predict::predict_files;

/// The data module of every set of images with one class each.
#[derive(Debug)]
pub(crate) struct ImageClassificationData {
    set: Box<dyn ImageSet>,
    pipeline: Arc<Pipeline>,
    /// How a file of another size is brought to this one.
    fit: Fit,
    open: Option<OpenImages>,
}

impl ImageClassificationData {
    pub(crate) fn new(set: impl ImageSet + 'static, pipeline: Pipeline, fit: Fit) -> Self {
        Self { set: Box::new(set), pipeline: Arc::new(pipeline), fit, open: None }
    }

    /// As the registry wants it.
    pub(crate) fn boxed(set: impl ImageSet + 'static, pipeline: Pipeline, fit: Fit) -> Box<dyn DataModule> {
        Box::new(Self::new(set, pipeline, fit))
    }
}

impl DataModule for ImageClassificationData {
    fn prepare_data(&mut self, progress: &Progress<'_>) -> Result<()> {
        self.set.prepare(progress)
    }

    fn use_cache(&mut self, cache: Arc<dyn PreparedCache>) {
        self.set.use_cache(cache);
    }

    fn setup(&mut self) -> Result<()> {
        // Validation and test of one run both set the data up; it is read once.
        if self.open.is_none() {
            self.open = Some(self.set.open()?);
        }
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        let channels = self.pipeline.fitted.channels as i64;
        // Training may see images of another size than evaluation.
        let schema = match self.pipeline.size() {
            Some(size) => {
                let [height, width] = size.map(|side| side as i64);
                schema! { image: f32["B", channels, height, width], label: i64["B"] }
            }
            None => schema! { image: f32["B", channels, "H", "W"], label: i64["B"] },
        };
        DataSpec {
            schema,
            num_classes: self.open.as_ref().map(|open| open.num_classes),
            class_names: self.open.as_ref().and_then(|open| open.class_names.clone()),
        }
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let open = self.open.as_ref()?;
        let samples = match split {
            Split::Train => &open.splits.train,
            Split::Validation => &open.splits.validation,
            Split::Test => &open.splits.test,
        };
        (!samples.is_empty()).then(|| {
            Arc::new(ImageDataset {
                source: open.source.clone(),
                labels: Some(open.labels.clone()),
                samples: samples.clone(),
                pipeline: self.pipeline.clone(),
                augment: split == Split::Train,
            }) as Arc<dyn Dataset>
        })
    }

    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        predict_files(input, &self.pipeline, self.fit)
    }
}
