//! Validation, test and prediction: a pass without gradients.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use fulmen_contracts::event::Values;
use fulmen_contracts::{Axis, Event, Stage};
use fulmen_torch::inference::without_gradients;
use serde_json::Value;

use super::Trainer;
use super::pace::Pace;
use super::profile::Action;
use super::session::{Seen, Session};
use crate::callback::StageProgress;
use crate::loader::DataLoader;
use crate::model::Model;
use crate::step::{StepContext, StepOutput};
use crate::{Batch, DataModule, Dataset, Error, Hook, Result, Split};

/// The hooks of one sort of pass.
struct PassHooks {
    eval: Hook,
    start: Hook,
    epoch_start: Hook,
    batch_start: Hook,
    batch_end: Hook,
    epoch_end: Hook,
    end: Hook,
    train: Hook,
}

const VALIDATION: PassHooks = PassHooks {
    eval: Hook::ValidationModelEval,
    start: Hook::ValidationStart,
    epoch_start: Hook::ValidationEpochStart,
    batch_start: Hook::ValidationBatchStart,
    batch_end: Hook::ValidationBatchEnd,
    epoch_end: Hook::ValidationEpochEnd,
    end: Hook::ValidationEnd,
    train: Hook::ValidationModelTrain,
};

const TEST: PassHooks = PassHooks {
    eval: Hook::TestModelEval,
    start: Hook::TestStart,
    epoch_start: Hook::TestEpochStart,
    batch_start: Hook::TestBatchStart,
    batch_end: Hook::TestBatchEnd,
    epoch_end: Hook::TestEpochEnd,
    end: Hook::TestEnd,
    train: Hook::TestModelTrain,
};

const PREDICTION: PassHooks = PassHooks {
    eval: Hook::PredictModelEval,
    start: Hook::PredictStart,
    epoch_start: Hook::PredictEpochStart,
    batch_start: Hook::PredictBatchStart,
    batch_end: Hook::PredictBatchEnd,
    epoch_end: Hook::PredictEpochEnd,
    end: Hook::PredictEnd,
    train: Hook::PredictModelTrain,
};

impl Trainer {
    /// Evaluates on the validation split: metrics as `val/…`.
    ///
    /// # Errors
    /// When there is no such split, or a step fails.
    pub fn validate(&mut self, model: &mut dyn Model, data: &mut dyn DataModule) -> Result<Values> {
        self.evaluate_split(model, data, Split::Validation, Stage::Validate)
    }

    /// Evaluates on the test split: metrics as `test/…`.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn test(&mut self, model: &mut dyn Model, data: &mut dyn DataModule) -> Result<Values> {
        self.evaluate_split(model, data, Split::Test, Stage::Test)
    }

    fn evaluate_split(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        split: Split,
        stage: Stage,
    ) -> Result<Values> {
        let mut session = Session::new(self, model, stage);
        session.stand_alone(model, data, |session, model, data| {
            let loader = session
                .trainer
                .eval_loader(data, split)
                .ok_or_else(|| Error::config("dataset", format!("the dataset has no {split} samples")))?;
            session.evaluate(model, data, &loader, stage)
        })
    }

    /// One record a sample of `dataset`, handed to `take` with the file it came from.
    ///
    /// # Errors
    /// When a file cannot be read, or a step fails.
    pub fn predict(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        dataset: Arc<dyn Dataset>,
        files: &[PathBuf],
        mut take: impl FnMut(Value),
    ) -> Result<()> {
        let loader = self.for_device(DataLoader::eval(dataset, &self.loader, self.seed));
        let mut session = Session::new(self, model, Stage::Predict);
        session.stand_alone(model, data, |session, model, data| {
            let mut files = files.iter();
            session.predict(
                model,
                data,
                &loader,
                |records| {
                    for record in records {
                        if let (Some(fields), Some(file)) = (record.as_object_mut(), files.next()) {
                            fields.shift_insert(0, "file".to_owned(), file.display().to_string().into());
                        }
                    }
                },
                &mut take,
            )
        })
    }
}

impl Session<'_> {
    /// A stage of its own, from `setup` to `teardown`.
    fn stand_alone<T>(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        run: impl FnOnce(&mut Self, &mut dyn Model, &mut dyn DataModule) -> Result<T>,
    ) -> Result<T> {
        let done = self.hook(model, Hook::Setup, Seen::default()).and_then(|()| run(self, model, data));
        let done = done.and_then(|value| self.record_requested().map(|()| value));
        if let Err(error) = &done {
            self.exception(model, data, error);
        }
        let torn = self.teardown(model, data);
        done.and_then(|value| torn.map(|()| value))
    }

    /// One pass over `loader`; metrics as `stage/metric`. A pass that is asked to stop ends early.
    pub(super) fn evaluate(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        loader: &DataLoader,
        stage: Stage,
    ) -> Result<Values> {
        let batches = self.trainer.config.batches(stage, loader.len());
        // Training's own place is kept, and gone back to.
        let outer = (self.stage, self.batch_index, self.batches, mem::take(&mut self.logged));
        (self.stage, self.batches) = (stage, batches);
        self.batch_index = 0;
        let values = self.pass(model, data, loader, (stage, outer.0));
        // Also where the pass failed: a checkpoint may be saved of a run that fails.
        (self.stage, self.batch_index, self.batches, self.logged) = outer;
        values
    }

    /// The pass itself, within the stage `outer`.
    fn pass(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        loader: &DataLoader,
        (stage, outer): (Stage, Stage),
    ) -> Result<Values> {
        let hooks = if stage == Stage::Test { &TEST } else { &VALIDATION };
        let counted = if stage == Stage::SanityCheck { Stage::Validate } else { stage };
        let (epoch, batches) = (self.state.epoch, self.batches);
        model.reset_metrics(counted);
        self.hook(model, hooks.eval, Seen::default())?;
        self.hook(model, hooks.start, Seen::default())?;
        self.hook(model, hooks.epoch_start, Seen::default())?;
        self.trainer.events.send(Event::StageStarted { stage, epoch, epochs: None, batches });
        let mut pace = Pace::start();
        let mut waiting = self.trainer.clock();
        for (done, batch) in (1..).zip(loader.batches(0, 0, batches)) {
            self.trainer.profile(Action::Data, waiting);
            self.batch_index = done - 1;
            let batch = self.place(data, batch?)?;
            let seen = Seen { batch: Some(&batch), ..Seen::default() };
            self.hook(model, hooks.batch_start, seen)?;
            let outputs = self.evaluation_step(model, &batch)?;
            self.hook(model, hooks.batch_end, Seen { outputs: Some(&outputs), ..seen })?;
            if let Some(rate) = pace.due(done, done == batches) {
                let values = &model.running_metrics(counted)?;
                self.trainer.tell_progress(&StageProgress {
                    stage,
                    epoch,
                    batch: done,
                    batches,
                    rate,
                    values,
                });
            }
            if self.trainer.stop.is_set() && stage != Stage::Test {
                break;
            }
            waiting = self.trainer.clock();
        }
        let mut values = model.metrics(counted)?;
        values.extend(self.take_logged()?);
        self.trainer.stage_finished(stage, epoch, batches, pace.seconds(), &values);
        model.reset_metrics(counted);
        let values: Values =
            values.into_iter().map(|(name, value)| (format!("{}/{name}", counted.name()), value)).collect();
        // Cut short: its metrics are not those of the whole split, and nothing is to act on them.
        let whole = self.batch_index + 1 >= batches || !self.trainer.stop.is_set() || stage == Stage::Test;
        if whole {
            self.hook(model, hooks.epoch_end, Seen::default())?;
            if stage == Stage::Validate && outer == Stage::Train {
                (self.state.validated, self.state.ever_validated) = (true, true);
                self.state.validated_at_ms = self.state.elapsed_ms;
                self.record(Axis::Epoch, values.clone())?;
            } else if stage != Stage::SanityCheck {
                self.metrics.extend(values.clone());
            }
            self.end_pass(model, hooks)?;
        }
        Ok(values)
    }

    fn end_pass(&mut self, model: &mut dyn Model, hooks: &PassHooks) -> Result<()> {
        self.hook(model, hooks.end, Seen::default())?;
        self.hook(model, hooks.train, Seen::default())
    }

    fn evaluation_step(&mut self, model: &mut dyn Model, batch: &Batch) -> Result<StepOutput> {
        let mut logged = Vec::new();
        let mut context = StepContext {
            epoch: self.state.epoch,
            batch_index: self.batch_index,
            global_step: self.state.global_step,
            ..StepContext::evaluation(self.stage, batch, &mut logged)
        };
        let clock = self.trainer.clock();
        let outputs = self.trainer.guarded(self.stage, self.batch_index, || {
            without_gradients(self.trainer.config.inference_mode, || match self.stage {
                Stage::Test => model.test_step(batch, &mut context),
                _ => model.validation_step(batch, &mut context),
            })
        })?;
        self.trainer.profile(Action::Forward, clock);
        self.count_logged(logged, false)?;
        Ok(outputs)
    }

    fn predict(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        loader: &DataLoader,
        mut complete: impl FnMut(&mut [Value]),
        take: &mut dyn FnMut(Value),
    ) -> Result<()> {
        let hooks = &PREDICTION;
        self.batches = self.trainer.config.batches(Stage::Predict, loader.len());
        self.hook(model, hooks.eval, Seen::default())?;
        self.hook(model, hooks.start, Seen::default())?;
        self.hook(model, hooks.epoch_start, Seen::default())?;
        for (index, batch) in (0..).zip(loader.batches(0, 0, self.batches)) {
            self.batch_index = index;
            let batch = self.place(data, batch?)?;
            let seen = Seen { batch: Some(&batch), ..Seen::default() };
            self.hook(model, hooks.batch_start, seen)?;
            let mut records = self.prediction_step(model, &batch)?;
            complete(&mut records);
            self.hook(model, hooks.batch_end, Seen { predictions: &records, ..seen })?;
            records.into_iter().for_each(&mut *take);
            if self.trainer.stop.is_set() {
                break;
            }
        }
        self.hook(model, hooks.epoch_end, Seen::default())?;
        self.end_pass(model, hooks)
    }

    fn prediction_step(&mut self, model: &mut dyn Model, batch: &Batch) -> Result<Vec<Value>> {
        let mut logged = Vec::new();
        let mut context = StepContext {
            batch_index: self.batch_index,
            ..StepContext::evaluation(Stage::Predict, batch, &mut logged)
        };
        self.trainer.guarded(Stage::Predict, self.batch_index, || {
            without_gradients(self.trainer.config.inference_mode, || model.predict_step(batch, &mut context))
        })
    }
}
