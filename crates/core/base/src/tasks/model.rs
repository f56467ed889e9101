//! A network with a task: the model of every run that a config describes.

use std::collections::{BTreeMap, HashMap};

use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_torch::tch::{Tensor, nn};
use serde_json::Value;

use crate::metrics::{Mean, Meter};
use crate::model::{Mode, Model, Network};
use crate::{Batch, Computed, Error, Result, Task};

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
    metrics: Vec<(String, Meter)>,
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

    fn evaluate(&mut self, batch: &Batch, stage: Stage) -> Result<()> {
        let outputs = self.network.forward(batch, Mode::Eval)?;
        let loss = self.task.loss(&outputs, batch)?;
        self.count(stage, &outputs, batch, &loss)
    }

    fn count(&mut self, stage: Stage, outputs: &crate::Tensors, batch: &Batch, loss: &Tensor) -> Result<()> {
        let kept = entry(&mut self.stages, self.task.as_ref(), stage);
        kept.loss.add(loss, batch.size() as f64)?;
        if !kept.metrics.is_empty() {
            let observation = self.task.observe(outputs, batch)?;
            for (name, meter) in &mut kept.metrics {
                meter.update(&observation).map_err(|error| error.of_metric(name))?;
            }
        }
        Ok(())
    }
}

/// What `stage` has seen, nothing if it begins.
fn entry<'a>(
    stages: &'a mut BTreeMap<Stage, StageMetrics>,
    task: &dyn Task,
    stage: Stage,
) -> &'a mut StageMetrics {
    stages.entry(stage).or_insert_with(|| {
        let metrics = task.metrics().iter().map(|(name, metric)| (name.clone(), Meter::new(metric.clone())));
        StageMetrics { loss: Mean::default(), metrics: metrics.collect() }
    })
}

/// What `state` holds below `prefix`, by the rest of its name.
fn below(state: &HashMap<String, Tensor>, prefix: &str) -> HashMap<String, Tensor> {
    let named = state.iter().filter_map(|(key, tensor)| {
        Some((key.strip_prefix(prefix)?.strip_prefix('/')?.to_owned(), tensor.shallow_clone()))
    });
    named.collect()
}

impl Model for TaskModel {
    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn training_step(&mut self, batch: &Batch) -> Result<Tensor> {
        let outputs = self.network.forward(batch, Mode::Train)?;
        let loss = self.task.loss(&outputs, batch)?;
        self.count(Stage::Train, &outputs, batch, &loss)?;
        Ok(loss)
    }

    fn validation_step(&mut self, batch: &Batch) -> Result<()> {
        self.evaluate(batch, Stage::Validate)
    }

    fn test_step(&mut self, batch: &Batch) -> Result<()> {
        self.evaluate(batch, Stage::Test)
    }

    fn predict_step(&mut self, batch: &Batch) -> Result<Vec<Value>> {
        self.task.decode(&self.network.forward(batch, Mode::Eval)?)
    }

    fn metrics(&self, stage: Stage) -> Result<Values> {
        let Some(kept) = self.stages.get(&stage) else { return Ok(Values::new()) };
        let mut values = Values::new();
        for (name, meter) in &kept.metrics {
            match meter.compute().map_err(|error| error.of_metric(name))? {
                Some(Computed::One(value)) => {
                    values.insert(name.clone(), value);
                }
                Some(Computed::Several(several)) => {
                    values.extend(several.into_iter().map(|(entry, value)| (format!("{name}/{entry}"), value)));
                }
                None => {}
            }
        }
        values.extend(kept.loss.value()?.map(|loss| ("loss".to_owned(), loss)));
        Ok(values)
    }

    fn metric_state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut named = Vec::new();
        for (stage, kept) in &self.stages {
            let metrics = kept.metrics.iter().map(|(name, meter)| (name.as_str(), meter.state_dict()));
            for (name, state) in metrics.chain([("loss", kept.loss.state_dict())]) {
                let key = |(entry, tensor)| (format!("{}/{name}/{entry}", stage.name()), tensor);
                named.extend(state?.into_iter().map(key));
            }
        }
        Ok(named)
    }

    fn load_metric_state(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        for stage in [Stage::Train, Stage::Validate, Stage::Test] {
            let state = below(state, stage.name());
            if state.is_empty() {
                continue;
            }
            let kept = entry(&mut self.stages, self.task.as_ref(), stage);
            kept.loss.load_state_dict(&below(&state, "loss"))?;
            for (name, meter) in &mut kept.metrics {
                meter.load_state_dict(&below(&state, name)).map_err(|error| error.of_metric(name))?;
            }
        }
        Ok(())
    }

    fn reset_metrics(&mut self, stage: Stage) {
        if let Some(kept) = self.stages.get_mut(&stage) {
            kept.loss.reset();
            for (_, meter) in &mut kept.metrics {
                meter.reset();
            }
        }
    }
}
