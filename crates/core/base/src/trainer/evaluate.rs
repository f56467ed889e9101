//! Validation, test and prediction: a pass without gradients.

use std::path::PathBuf;
use std::sync::Arc;

use fulmen_contracts::event::Values;
use fulmen_contracts::{Event, Stage};
use fulmen_torch::tch::no_grad;
use serde_json::Value;

use super::Trainer;
use super::pace::Pace;
use crate::callback::StageProgress;
use crate::loader::DataLoader;
use crate::model::Model;
use crate::{DataModule, Dataset, Error, Result, Split};

impl Trainer {
    /// Evaluates on the validation split: metrics as `val/…`.
    ///
    /// # Errors
    /// When there is no such split, or a step fails.
    pub fn validate(&mut self, model: &mut dyn Model, data: &dyn DataModule) -> Result<Values> {
        self.evaluate_split(model, data, Split::Validation, Stage::Validate)
    }

    /// Evaluates on the test split: metrics as `test/…`.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn test(&mut self, model: &mut dyn Model, data: &dyn DataModule) -> Result<Values> {
        self.evaluate_split(model, data, Split::Test, Stage::Test)
    }

    fn evaluate_split(
        &mut self,
        model: &mut dyn Model,
        data: &dyn DataModule,
        split: Split,
        stage: Stage,
    ) -> Result<Values> {
        let loader = self
            .eval_loader(data, split)
            .ok_or_else(|| Error::config("dataset", format!("the dataset has no {split} samples")))?;
        self.evaluate(model, &loader, stage, 0)
    }

    /// One pass over `loader`; metrics as `stage/metric`.
    pub(super) fn evaluate(
        &mut self,
        model: &mut dyn Model,
        loader: &DataLoader,
        stage: Stage,
        epoch: u64,
    ) -> Result<Values> {
        let batches = self.config.batches(stage, loader.len());
        let counted = if stage == Stage::SanityCheck { Stage::Validate } else { stage };
        model.reset_metrics(counted);
        self.events.send(Event::StageStarted { stage, epoch, epochs: None, batches });
        let mut pace = Pace::start();
        for (done, batch) in (1..).zip(loader.batches(0, 0, batches)) {
            let batch = self.place(batch?)?;
            self.guarded(stage, done - 1, || {
                no_grad(|| {
                    if stage == Stage::Test { model.test_step(&batch) } else { model.validation_step(&batch) }
                })
            })?;
            if let Some(rate) = pace.due(done, done == batches) {
                let values = &model.metrics(counted)?;
                self.tell_progress(&StageProgress { stage, epoch, batch: done, batches, rate, values });
            }
            if self.stop.is_set() && stage != Stage::Test {
                break;
            }
        }
        let values = model.metrics(counted)?;
        self.stage_finished(stage, epoch, batches, pace.seconds(), &values);
        model.reset_metrics(counted);
        Ok(values.into_iter().map(|(name, value)| (format!("{}/{name}", counted.name()), value)).collect())
    }

    /// One record a sample of `dataset`, handed to `take` with the file it came from.
    ///
    /// # Errors
    /// When a file cannot be read, or a step fails.
    pub fn predict(
        &mut self,
        model: &mut dyn Model,
        dataset: Arc<dyn Dataset>,
        files: &[PathBuf],
        mut take: impl FnMut(Value),
    ) -> Result<()> {
        let loader = DataLoader::eval(dataset, &self.loader, self.seed);
        let batches = self.config.batches(Stage::Predict, loader.len());
        let mut files = files.iter();
        for (done, batch) in (0..).zip(loader.batches(0, 0, batches)) {
            let batch = self.place(batch?)?;
            for mut record in self.guarded(Stage::Predict, done, || no_grad(|| model.predict_step(&batch)))? {
                if let (Some(fields), Some(file)) = (record.as_object_mut(), files.next()) {
                    fields.shift_insert(0, "file".to_owned(), file.display().to_string().into());
                }
                take(record);
            }
            if self.stop.is_set() {
                break;
            }
        }
        Ok(())
    }
}
