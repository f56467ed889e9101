//! Two optimizers with schedules of their own in a model's hands, as for a generator and its critic.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{Journal, RecordingCallback, RecordingData, trainer};
use fulmen_base::checkpoint::Checkpoint;
use fulmen_base::model::{named, trainable};
use fulmen_base::trainer::{ManualOptimization, Optimizers, Parts};
use fulmen_base::{
    Batch, Model, Optimizer, OptimizerKind, Result, Scheduler, SchedulerContext, SchedulerKind, StepContext,
    StepOutput,
};
use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_registry::{Component, registry};
use fulmen_torch::tch::{Device, Kind, Tensor, nn};
use serde_json::{Value, json};

/// Learns to make rows that its critic takes for data.
#[derive(Debug)]
struct Adversarial {
    variables: nn::VarStore,
    generator: nn::Linear,
    critic: nn::Linear,
    /// The rates of generator and critic after each batch.
    rates: Vec<(f64, f64)>,
}

const GENERATOR: &str = "generator";
const CRITIC: &str = "critic";

impl Adversarial {
    fn new() -> Self {
        let variables = nn::VarStore::new(Device::Cpu);
        let root = variables.root();
        let generator = nn::linear(&root / GENERATOR, 3, 3, nn::LinearConfig::default());
        let critic = nn::linear(&root / CRITIC, 3, 1, nn::LinearConfig::default());
        for (place, (_, tensor)) in trainable(&variables).iter().enumerate() {
            let numbers = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) + place as f64;
            fulmen_torch::tch::no_grad(|| {
                tensor.shallow_clone().copy_(&((numbers * 1.3).sin() * 0.5).view_as(tensor));
            });
        }
        Self { variables, generator, critic, rates: Vec::new() }
    }

    fn bits(&self) -> Vec<(String, Vec<u32>)> {
        let bits = |tensor: &Tensor| {
            let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        named(&self.variables).iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect()
    }

    fn judged(&self, rows: &Tensor) -> Tensor {
        rows.apply(&self.critic)
    }

    fn critics_turn(&self, real: &Tensor, made: &Tensor, by: &mut dyn ManualOptimization) -> Result<Tensor> {
        by.toggle_optimizer(CRITIC)?;
        let loss = self.judged(real).softplus().mean(Kind::Float)
            - self.judged(&made.detach()).softplus().mean(Kind::Float);
        by.zero_grad(CRITIC)?;
        by.manual_backward(&loss)?;
        assert!(
            !self.generator.ws.grad().defined() || self.generator.ws.grad().abs().max() == Tensor::from(0.0)
        );
        by.optimizer_step(CRITIC)?;
        by.untoggle_optimizer(CRITIC)?;
        Ok(loss)
    }

    fn generators_turn(&self, made: &Tensor, by: &mut dyn ManualOptimization) -> Result<Tensor> {
        by.toggle_optimizer(GENERATOR)?;
        let before = self.critic.ws.grad().copy();
        let loss = self.judged(made).softplus().mean(Kind::Float);
        by.zero_grad(GENERATOR)?;
        by.manual_backward(&loss)?;
        // The critic judged, and learnt nothing from it.
        assert_eq!(self.critic.ws.grad(), before);
        by.optimizer_step(GENERATOR)?;
        by.untoggle_optimizer(GENERATOR)?;
        by.zero_grad(GENERATOR)?;
        Ok(loss)
    }
}

impl Model for Adversarial {
    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn automatic_optimization(&self) -> bool {
        false
    }

    fn configure_optimizers(&mut self, length: SchedulerContext) -> Result<Option<Optimizers>> {
        let parameters = trainable(&self.variables);
        let of = |part: &str, settings: Value| -> Box<dyn Optimizer> {
            let own: Vec<_> = parameters
                .iter()
                .filter(|(name, _)| name.starts_with(part))
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                .collect();
            Component::<OptimizerKind>::new(settings).build(registry().unwrap(), &own).unwrap()
        };
        let schedule = |settings: Value| -> Option<Box<dyn Scheduler>> {
            Some(Component::<SchedulerKind>::new(settings).build(registry().unwrap(), length).unwrap())
        };
        Ok(Some(
            Optimizers::default()
                .with(
                    GENERATOR,
                    of(GENERATOR, json!({"_target_": "adam", "lr": 0.01})),
                    schedule(json!({"_target_": "exponential", "gamma": 0.5, "interval": "step"})),
                )
                .with(
                    CRITIC,
                    of(CRITIC, json!({"_target_": "sgd", "lr": 0.1, "momentum": 0.9})),
                    schedule(json!({"_target_": "exponential", "gamma": 0.9, "interval": "step"})),
                ),
        ))
    }

    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let real = batch.get("x")?;
        let made = real.flip([0]).apply(&self.generator);
        let by = context.manual()?;
        let critic = self.critics_turn(real, &made, by)?;
        // The critic has two turns for each of the generator's.
        let _ = self.critics_turn(real, &made, by)?;
        let generator = self.generators_turn(&made, by)?;
        by.lr_scheduler_step(CRITIC)?;
        by.lr_scheduler_step(GENERATOR)?;
        context.log("critic", &critic);
        context.log("generator", &generator);
        Ok(StepOutput::default())
    }

    fn on_train_batch_end(&mut self, context: &mut fulmen_base::HookContext<'_>) -> Result<()> {
        let rates: Vec<_> = context.optimizers.learning_rates().collect();
        assert_eq!(
            rates.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["lr-generator", "lr-critic"]
        );
        self.rates.push((rates[0].1, rates[1].1));
        Ok(())
    }

    fn validation_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        Ok(StepOutput::default())
    }

    fn test_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        Ok(StepOutput::default())
    }

    fn predict_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn metrics(&self, _: Stage) -> Result<Values> {
        Ok(Values::new())
    }

    fn reset_metrics(&mut self, _: Stage) {}
}

/// Trains for so many epochs of four batches; steps of all optimizers together.
fn trained(folder: &Path, epochs: u64, resume: Option<&str>) -> (Adversarial, u64) {
    let config = json!({"max_epochs": epochs, "limit_val_batches": 0, "log_every_n_steps": 1});
    let mut trainer = trainer(serde_json::from_value(config).unwrap(), folder);
    let journal = Journal::default();
    trainer.callbacks.push(("saves".to_owned(), Box::new(RecordingCallback::new(&journal))));
    let checkpoint =
        resume.map(|name| Checkpoint::open(&folder.join("checkpoints").join(name), None).unwrap());
    let mut model = Adversarial::new();
    let mut data = RecordingData::of(8);
    let mut configure = |_: &dyn Model, _: SchedulerContext| -> Result<Optimizers> {
        panic!("the model has optimizers of its own")
    };
    let parts = Parts { model: &mut model, data: &mut data, configure_optimizers: &mut configure };
    let outcome = trainer.fit(parts, checkpoint.as_ref()).unwrap();
    (model, outcome.state.global_step)
}

#[test]
fn each_optimizer_has_its_own_steps_and_its_own_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let untrained = Adversarial::new();
    let (model, steps) = trained(folder.path(), 1, None);
    // As in Lightning, a step of any optimizer is a step of the run.
    assert_eq!(steps, 4 * 3);
    for ((name, before), (_, after)) in untrained.bits().iter().zip(&model.bits()) {
        assert_ne!(before, after, "{name}");
    }
    for (batch, (generator, critic)) in (1..).zip(&model.rates) {
        assert!((generator - 0.01 * 0.5_f64.powi(batch)).abs() < 1e-12, "{batch}: {generator}");
        assert!((critic - 0.1 * 0.9_f64.powi(2 * batch)).abs() < 1e-12, "{batch}: {critic}");
    }
}

#[test]
fn a_run_of_several_optimizers_goes_on_bit_for_bit() {
    let straight = tempfile::tempdir().unwrap();
    let (never_stopped, steps) = trained(straight.path(), 3, None);
    let stopped = tempfile::tempdir().unwrap();
    trained(stopped.path(), 1, None);
    let (resumed, resumed_steps) = trained(stopped.path(), 3, Some("last"));
    assert_eq!(resumed.bits(), never_stopped.bits());
    assert_eq!(resumed.rates, never_stopped.rates[4..]);
    assert_eq!(resumed_steps, steps);
}
