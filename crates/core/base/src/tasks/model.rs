//! A network with a task: the model of every run that a config describes.

use std::collections::{BTreeMap, HashMap};

use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_torch::tch::{Tensor, nn};
use serde_json::Value;

use crate::hooks::{hook_forwards, with_hooks};
use crate::metrics::{Mean, Meter};
use crate::model::{Mode, Model, Network};
use crate::{Batch, Computed, Error, Result, StepContext, StepOutput, Task};

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

impl StageMetrics {
    fn loss_values(&self) -> Result<Values> {
        Ok(self.loss.value()?.map(|loss| ("loss".to_owned(), loss)).into_iter().collect())
    }
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
        let kept = entry(&mut self.stages, self.task.as_ref(), stage);
        if let Some(loss) = loss {
            kept.loss.add(loss, batch.size() as f64)?;
        }
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
        let mut values = kept.loss_values()?;
        for (name, meter) in &kept.metrics {
            match meter.compute().map_err(|error| error.of_metric(name))? {
                Some(Computed::One(value)) => {
                    values.insert(name.clone(), value);
                }
                Some(Computed::Several(several)) => {
                    values
                        .extend(several.into_iter().map(|(entry, value)| (format!("{name}/{entry}"), value)));
                }
                None => {}
            }
        }
        Ok(values)
    }

    fn running_metrics(&self, stage: Stage) -> Result<Values> {
        let Some(kept) = self.stages.get(&stage) else { return Ok(Values::new()) };
        let mut values = kept.loss_values()?;
        for (name, meter) in kept.metrics.iter().filter(|(_, meter)| meter.is_at_hand()) {
            if let Some(Computed::One(value)) = meter.compute().map_err(|error| error.of_metric(name))? {
                values.insert(name.clone(), value);
            }
        }
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

#[cfg(test)]
mod tests {
    use fulmen_contracts::{Schema, schema};
    use fulmen_registry::registry;
    use fulmen_torch::tch::Device;
    use fulmen_torch::tch::nn::Module as _;
    use serde_json::json;

    use super::*;
    use crate::task::{TaskContext, TaskKind};
    use crate::{DataSpec, Tensors};

    #[derive(Debug)]
    struct Linear(nn::Linear);

    impl Network for Linear {
        fn inputs(&self) -> Schema {
            schema! { image: f32["B", "D"] }
        }

        fn outputs(&self) -> Schema {
            schema! { logits: f32["B", "K"] }
        }

        fn forward(&self, batch: &Batch, _: Mode) -> Result<Tensors> {
            Ok(Tensors::new().with("logits", self.0.forward(batch.get("image")?)))
        }
    }

    fn model() -> TaskModel {
        let variables = nn::VarStore::new(Device::Cpu);
        let network = Linear(nn::linear(variables.root(), 2, 3, nn::LinearConfig::default()));
        let weights = Tensor::from_slice(&[0.3_f32, -0.7, 0.9, 0.1, -0.4, 0.5]).view([3, 2]);
        for tensor in variables.variables().values_mut() {
            let weights = if tensor.dim() == 2 { weights.shallow_clone() } else { tensor.zeros_like() };
            fulmen_torch::tch::no_grad(|| tensor.f_copy_(&weights)).unwrap();
        }
        let (registry, data) = (registry().unwrap(), DataSpec::default());
        let settings = json!({"_target_": "classification", "metrics": {
            "accuracy": {"_target_": "accuracy"},
            "matrix": {"_target_": "confusion_matrix"},
            "auroc": {"_target_": "auroc"},
            "ece": {"_target_": "calibration_error"}}});
        let task = registry.build::<TaskKind>(&settings, TaskContext { registry, data: &data }).unwrap();
        TaskModel::new(variables, Box::new(network), task).unwrap()
    }

    fn batch(rows: &[[f32; 2]], labels: &[i64]) -> Batch {
        let image = Tensor::from_slice(rows.as_flattened()).view([-1, 2]);
        Batch::new().with("image", image).with("label", Tensor::from_slice(labels))
    }

    fn bits(values: &Values) -> Vec<(&str, u64)> {
        values.iter().map(|(name, value)| (name.as_str(), value.to_bits())).collect()
    }

    #[test]
    fn metrics_resumed_in_the_middle_of_an_epoch_end_with_the_same_bits() {
        let first = batch(&[[0.1, 0.2], [0.9, -0.3], [0.7, 0.7]], &[0, 1, 2]);
        let second = batch(&[[-0.5, 0.6]], &[2]);
        let (mut whole, mut stopped, mut resumed) = (model(), model(), model());
        for model in [&mut whole, &mut stopped] {
            let _ = model
                .training_step(&first, &mut StepContext::evaluation(Stage::Train, &first, &mut Vec::new()))
                .unwrap();
            model
                .validation_step(
                    &second,
                    &mut StepContext::evaluation(Stage::Validate, &second, &mut Vec::new()),
                )
                .unwrap();
        }
        let saved = stopped.metric_state().unwrap();
        let names: Vec<_> = saved.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"train/loss/sum") && names.contains(&"val/auroc/probabilities"), "{names:?}");
        assert!(saved.iter().all(|(_, tensor)| !tensor.requires_grad()));
        resumed.load_metric_state(&saved.into_iter().collect()).unwrap();
        for model in [&mut whole, &mut resumed] {
            let _ = model
                .training_step(&second, &mut StepContext::evaluation(Stage::Train, &second, &mut Vec::new()))
                .unwrap();
        }
        for stage in [Stage::Train, Stage::Validate] {
            let (whole, resumed) = (whole.metrics(stage).unwrap(), resumed.metrics(stage).unwrap());
            assert_eq!(bits(&whole), bits(&resumed));
            assert!(whole.contains_key("loss") && whole.contains_key("matrix/2_0"), "{whole:?}");
        }
    }

    #[test]
    fn a_metric_of_several_values_has_its_name_before_each_and_a_reset_forgets_all() {
        let mut model = model();
        let batch = batch(&[[0.1, 0.2], [0.9, -0.3]], &[0, 1]);
        model
            .validation_step(&batch, &mut StepContext::evaluation(Stage::Validate, &batch, &mut Vec::new()))
            .unwrap();
        let values = model.metrics(Stage::Validate).unwrap();
        assert_eq!(values.keys().filter(|name| name.starts_with("matrix/")).count(), 9);
        let running: Vec<_> = model.running_metrics(Stage::Validate).unwrap().into_keys().collect();
        assert_eq!(running, ["accuracy", "ece", "loss"]);
        assert!(model.metrics(Stage::Test).unwrap().is_empty());
        model.reset_metrics(Stage::Validate);
        assert!(model.metrics(Stage::Validate).unwrap().is_empty());
    }
}
