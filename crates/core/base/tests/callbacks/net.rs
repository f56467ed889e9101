//! A small model with a batch norm, an optimizer of two groups, and a run of both.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fulmen_base::checkpoint::Checkpoint;
use fulmen_base::events::EventSink;
use fulmen_base::loader::DataLoaderConfig;
use fulmen_base::model::{named, trainable};
use fulmen_base::trainer::{FitOutcome, Optimizers, Parts, TrainerConfig};
use fulmen_base::{
    Batch, Callback, CallbackKind, HookContext, Model, Optimizer, OptimizerKind, ParamGroup, Result,
    SchedulerKind, StepContext, StepOutput,
};
use fulmen_contracts::event::Values;
use fulmen_contracts::{Event, Stage};
use fulmen_registry::{Component, registry};
use fulmen_torch::tch::nn::{self, ModuleT as _};
use fulmen_torch::tch::{self, Device, Reduction, Tensor, no_grad};
use serde_json::{Value, json};

use crate::common::{RecordingData, trainer_telling};

/// `x [B, 3] f32` through a linear layer, a batch norm and another linear layer; the loss is the distance to its last column.
#[derive(Debug)]
pub(crate) struct Net {
    variables: nn::VarStore,
    pub(crate) first: nn::Linear,
    norm: nn::BatchNorm,
    head: nn::Linear,
    /// Epoch and batch whose step fails after its forward pass.
    pub(crate) fails_at: Option<(u64, u64)>,
    /// Epoch and batch whose loss is a million times as much.
    pub(crate) leaps_at: Option<(u64, u64)>,
    /// Bytes that a sample takes on its way.
    pub(crate) bytes_a_sample: i64,
}

impl Net {
    pub(crate) fn new() -> Self {
        let variables = nn::VarStore::new(Device::Cpu);
        let root = variables.root();
        let backbone = &root / "backbone";
        let first = nn::linear(&backbone / "fc", 3, 4, nn::LinearConfig::default());
        let norm = nn::batch_norm1d(&backbone / "norm", 4, nn::BatchNormConfig::default());
        let head = nn::linear(&root / "head", 4, 1, nn::LinearConfig::default());
        // By formula: torch's generator is shared with the tests that run beside.
        for (place, (_, tensor)) in trainable(&variables).iter().enumerate() {
            let numbers =
                Tensor::arange(tensor.numel() as i64, (tch::Kind::Float, Device::Cpu)) + place as f64;
            no_grad(|| tensor.shallow_clone().copy_(&((numbers * 1.7).sin() * 0.5).view_as(tensor)));
        }
        Self { variables, first, norm, head, fails_at: None, leaps_at: None, bytes_a_sample: 0 }
    }

    fn loss(&self, batch: &Batch, train: bool) -> Result<Tensor> {
        let x = batch.get("x")?;
        let hidden = x.apply(&self.first);
        let prediction = self.norm.forward_t(&hidden, train).tanh().apply(&self.head);
        Ok(prediction.mse_loss(&x.narrow(1, 2, 1), Reduction::Mean))
    }

    /// Every parameter and buffer, as bits.
    pub(crate) fn bits(&self) -> Vec<(String, Vec<u32>)> {
        let bits = |tensor: &Tensor| {
            let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        named(&self.variables).iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect()
    }

    /// One of them, apart from the model.
    pub(crate) fn copy(&self, name: &str) -> Tensor {
        no_grad(|| self.variables.variables()[name].detach().copy())
    }
}

impl Model for Net {
    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let at = Some((context.epoch, context.batch_index));
        let loss = self.loss(batch, true)?;
        assert!(self.fails_at != at, "on purpose");
        if self.bytes_a_sample > 0 {
            let size = [batch.size(), self.bytes_a_sample / 4];
            let _ = Tensor::ones(size, (tch::Kind::Float, Device::Cpu)).sum(tch::Kind::Float);
        }
        Ok(StepOutput::loss(if self.leaps_at == at { loss * 1e6 } else { loss }))
    }

    fn validation_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let loss = self.loss(batch, false)?;
        context.log("loss", &loss);
        Ok(StepOutput::loss(loss))
    }

    fn test_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        self.validation_step(batch, context)
    }

    fn predict_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn metrics(&self, _: Stage) -> Result<Values> {
        Ok(Values::new())
    }

    fn reset_metrics(&mut self, _: Stage) {}
}

/// Two optimizers as one of two groups: the backbone's and the rest's.
#[derive(Debug)]
struct TwoGroups {
    groups: Vec<ParamGroup>,
    optimizers: Vec<Box<dyn Optimizer>>,
}

impl TwoGroups {
    fn new(parameters: Vec<(String, Tensor)>, settings: &Value) -> Self {
        let (backbone, rest): (Vec<_>, Vec<_>) =
            parameters.into_iter().partition(|(name, _)| name.starts_with("backbone."));
        let optimizers: Vec<_> = [rest, backbone].iter().map(|own| optimizer(settings, own)).collect();
        let copied = |optimizer: &dyn Optimizer| {
            let group = &optimizer.param_groups()[0];
            ParamGroup {
                name: group.name.clone(),
                names: group.names.clone(),
                params: group.params.iter().map(Tensor::shallow_clone).collect(),
                ..*group
            }
        };
        Self { groups: optimizers.iter().map(|optimizer| copied(optimizer.as_ref())).collect(), optimizers }
    }
}

impl Optimizer for TwoGroups {
    fn step(&mut self) -> Result<()> {
        for (optimizer, group) in self.optimizers.iter_mut().zip(&self.groups) {
            optimizer.param_groups_mut()[0].lr = group.lr;
            optimizer.step()?;
        }
        Ok(())
    }

    fn param_groups(&self) -> &[ParamGroup] {
        &self.groups
    }

    fn param_groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.groups
    }

    fn state_dict(&self) -> Vec<(String, Tensor)> {
        self.optimizers.iter().flat_map(|optimizer| optimizer.state_dict()).collect()
    }

    fn load_state_dict(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        self.optimizers.iter_mut().try_for_each(|optimizer| optimizer.load_state_dict(state))
    }
}

fn optimizer(settings: &Value, parameters: &[(String, Tensor)]) -> Box<dyn Optimizer> {
    Component::<OptimizerKind>::new(settings.clone()).build(registry().unwrap(), parameters).unwrap()
}

/// The weights after each batch, by name; and the learning rates of the groups then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probe(pub(crate) Arc<Mutex<Vec<Noted>>>);

/// Weights by name, and learning rates.
type Noted = (HashMap<String, Tensor>, Vec<f64>);

impl Callback for Probe {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let copied = |(name, tensor): &(String, Tensor)| (name.clone(), no_grad(|| tensor.detach().copy()));
        let weights = context.variables.iter().map(copied).collect();
        let groups = context.optimizers.iter().flat_map(|slot| slot.optimizer.param_groups());
        self.0.lock().unwrap().push((weights, groups.map(|group| group.lr).collect()));
        Ok(())
    }
}

/// A run, as a config would describe it.
pub(crate) struct Run<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) net: Net,
    pub(crate) trainer: Value,
    pub(crate) callbacks: Vec<(&'a str, Value)>,
    pub(crate) optimizer: Value,
    pub(crate) scheduler: Option<Value>,
    pub(crate) batch_size: usize,
    pub(crate) samples: usize,
    pub(crate) resume: Option<&'a str>,
    pub(crate) probe: Probe,
    pub(crate) failing_hook: Option<Box<dyn Callback>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            net: Net::new(),
            trainer: json!({"max_epochs": 4, "num_sanity_val_steps": 1, "log_every_n_steps": 1}),
            callbacks: Vec::new(),
            optimizer: json!({"_target_": "sgd", "lr": 0.05, "momentum": 0.9}),
            scheduler: None,
            batch_size: 2,
            samples: 8,
            resume: None,
            probe: Probe::default(),
            failing_hook: None,
        }
    }

    pub(crate) fn with(mut self, name: &'a str, settings: Value) -> Self {
        let mut settings = settings;
        settings["_target_"] = name.into();
        self.callbacks.push((name, settings));
        self
    }

    pub(crate) fn epochs(mut self, epochs: u64) -> Self {
        self.trainer["max_epochs"] = epochs.into();
        self
    }

    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.trainer[key] = value;
        self
    }

    pub(crate) fn resumed(mut self, checkpoint: &'a str) -> Self {
        self.resume = Some(checkpoint);
        self
    }

    /// Trains.
    pub(crate) fn fit(self) -> (Result<FitOutcome>, Net, Vec<Event>) {
        let Run { folder, mut net, trainer, callbacks, batch_size, samples, resume, probe, .. } = self;
        let config: TrainerConfig = serde_json::from_value(trainer).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        let mut trainer =
            trainer_telling(config, folder, EventSink::new(move |event| kept.lock().unwrap().push(event)));
        let loader = json!({"batch_size": batch_size, "num_workers": 0, "shuffle": false});
        trainer.loader = serde_json::from_value::<DataLoaderConfig>(loader).unwrap();
        trainer.callbacks.push(("a_probe".to_owned(), Box::new(probe)));
        for (name, settings) in callbacks {
            let callback = Component::<CallbackKind>::new(settings).build(registry().unwrap(), ()).unwrap();
            trainer.callbacks.push((name.to_owned(), callback));
        }
        trainer.callbacks.extend(self.failing_hook.map(|callback| ("z_failing".to_owned(), callback)));
        let checkpoint =
            resume.map(|name| Checkpoint::open(&folder.join("checkpoints").join(name), None).unwrap());
        let mut data = RecordingData::of(samples);
        let parts = Parts {
            model: &mut net,
            data: &mut data,
            configure_optimizers: &mut |model, length| {
                let scheduler = self.scheduler.as_ref().map(|settings| {
                    let component = Component::<SchedulerKind>::new(settings.clone());
                    component.build(registry().unwrap(), length).unwrap()
                });
                let parameters = trainable(model.variables());
                Ok(Optimizers::one(Box::new(TwoGroups::new(parameters, &self.optimizer)), scheduler))
            },
        };
        let outcome = trainer.fit(parts, checkpoint.as_ref());
        let events = std::mem::take(&mut *told.lock().unwrap());
        (outcome, net, events)
    }

    /// Trains, and is done.
    pub(crate) fn trained(self) -> Net {
        let (outcome, net, _) = self.fit();
        outcome.unwrap();
        net
    }
}
