//! A network with a task: the model of every run that a config describes.

use std::collections::BTreeMap;

use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_torch::tch::{nn, no_grad};
use serde_json::Value;

use crate::hooks::{hook_forwards, with_hooks};
use crate::metrics::Mean;
use crate::model::{Mode, Model, Network};
use crate::{Batch, Error, Metric, Result, StepContext, StepOutput, Task};

/// A network, its parameters, and the task that judges it.
#[derive(Debug)]
pub struct TaskModel {
    variables: nn::VarStore,
    network: Box<dyn Network>,
    task: Box<dyn Task>,
    stages: BTreeMap<Stage, StageMetrics>,
}

/// What a stage has seen since it began.
#[derive(Debug)]
struct StageMetrics {
    loss: Mean,
    metrics: Vec<(String, Box<dyn Metric>)>,
}

impl TaskModel {
    /// Joins the two.
    ///
    /// # Errors
    /// When the network does not give what the task asks for.
    pub fn new(variables: nn::VarStore, network: Box<dyn Network>, task: Box<dyn Task>) -> Result<Self> {
        network.outputs().unify(&task.outputs()).map_err(|source| Error::Contract {
            between: "model and task".to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { variables, network, task, stages: BTreeMap::new() })
    }

    /// Holds what the data promises against what network and task ask for.
    ///
    /// # Errors
    /// The first tensor that is missing or does not fit.
    pub fn check(&self, promised: &fulmen_contracts::Schema) -> Result<()> {
        let misfit = |between: &str| {
            let between = between.to_owned();
            move |source| Error::Contract { between, source: Box::new(source) }
        };
        promised.unify(&self.network.inputs()).map_err(misfit("dataset and model"))?;
        promised.unify(&self.task.targets()).map_err(misfit("dataset and task"))?;
        Ok(())
    }

    fn evaluate(&mut self, batch: &Batch, stage: Stage) -> Result<StepOutput> {
        let extra = self.network.forward(batch, Mode::Eval)?;
        let loss = self.task.loss(&extra, batch)?;
        let output = StepOutput { loss: Some(loss), extra };
        self.count(stage, &output, batch)?;
        Ok(output)
    }

    fn count(&mut self, stage: Stage, output: &StepOutput, batch: &Batch) -> Result<()> {
        let StepOutput { loss, extra: outputs } = output;
        let (prediction, target) = (only(&self.task.outputs()), only(&self.task.targets()));
        let task = &self.task;
        let kept = self
            .stages
            .entry(stage)
            .or_insert_with(|| StageMetrics { loss: Mean::default(), metrics: task.metrics() });
        if let Some(loss) = loss {
            kept.loss.add(loss, batch.size() as f64);
        }
        if let (Some(prediction), Some(target)) = (prediction, target) {
            let (prediction, target) = (outputs.get(&prediction)?, batch.get(&target)?);
            for (_, metric) in &mut kept.metrics {
                no_grad(|| metric.update(&prediction.detach(), target))?;
            }
        }
        Ok(())
    }
}

/// The one tensor of a task's schema that metrics look at.
fn only(schema: &fulmen_contracts::Schema) -> Option<String> {
    schema.iter().next().map(|(name, _)| name.to_owned())
}

impl Model for TaskModel {
    with_hooks! { hook_forwards task }

    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn automatic_optimization(&self) -> bool {
        self.task.automatic_optimization()
    }

    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let output = self.task.training_step(self.network.as_ref(), batch, context)?;
        if context.counts_metrics() {
            self.count(Stage::Train, &output, batch)?;
        }
        Ok(output)
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        self.evaluate(batch, Stage::Validate)
    }

    fn test_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        self.evaluate(batch, Stage::Test)
    }

    fn predict_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<Vec<Value>> {
        self.task.decode(&self.network.forward(batch, Mode::Eval)?)
    }

    fn metrics(&self, stage: Stage) -> Result<Values> {
        let Some(kept) = self.stages.get(&stage) else { return Ok(Values::new()) };
        let named = kept.metrics.iter().filter_map(|(name, metric)| Some((name.clone(), metric.compute()?)));
        Ok(named.chain(kept.loss.value().map(|loss| ("loss".to_owned(), loss))).collect())
    }

    fn reset_metrics(&mut self, stage: Stage) {
        if let Some(kept) = self.stages.get_mut(&stage) {
            kept.loss.reset();
            for (_, metric) in &mut kept.metrics {
                metric.reset();
            }
        }
    }
}
