//! What moves the parameters: optimizers with their schedules, in the trainer's hands or in the model's.

use std::collections::HashMap;

use fulmen_torch::tch::Tensor;
use serde_json::Value;

use crate::scheduler::Interval;
use crate::{Error, Model, Optimizer, Result, Scheduler};

/// The optimizers of a run, by name. Most runs have one, called `default`.
#[derive(Debug, Default)]
pub struct Optimizers(Vec<OptimizerSlot>);

/// An optimizer and its schedule.
#[derive(Debug)]
pub struct OptimizerSlot {
    /// Its name in the config.
    pub name: String,
    /// Moves its parameters.
    pub optimizer: Box<dyn Optimizer>,
    /// Changes its learning rate; none leaves it as it is.
    pub scheduler: Option<Box<dyn Scheduler>>,
    /// Steps that it has done.
    pub steps: u64,
}

/// The name of the only optimizer of most runs.
pub const DEFAULT_OPTIMIZER: &str = "default";

impl Optimizers {
    /// One optimizer, one schedule or none.
    pub fn one(optimizer: Box<dyn Optimizer>, scheduler: Option<Box<dyn Scheduler>>) -> Self {
        Self::default().with(DEFAULT_OPTIMIZER, optimizer, scheduler)
    }

    /// These and one more.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        optimizer: Box<dyn Optimizer>,
        scheduler: Option<Box<dyn Scheduler>>,
    ) -> Self {
        self.0.push(OptimizerSlot { name: name.to_owned(), optimizer, scheduler, steps: 0 });
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &OptimizerSlot> {
        self.0.iter()
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut OptimizerSlot> {
        self.0.iter_mut()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, as outside training.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The optimizer of this name.
    ///
    /// # Errors
    /// When there is none: the message names those that there are.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut OptimizerSlot> {
        let known = || self.0.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(", ");
        match self.0.iter().position(|slot| slot.name == name) {
            Some(place) => Ok(&mut self.0[place]),
            None => Err(Error::config(
                "optimizers",
                format!("there is no optimizer '{name}'; there are {}", known()),
            )),
        }
    }

    /// The learning rate that people look at: the first optimizer's first group.
    pub fn learning_rate(&self) -> f64 {
        let first = self.0.first().and_then(|slot| slot.optimizer.param_groups().first());
        first.map_or(f64::NAN, |group| group.lr)
    }

    /// Every learning rate, under the names of Lightning's monitor: `lr`, or `lr-<optimizer>/<group>` where there are several.
    pub fn learning_rates(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        let slots = self.0.len();
        self.0.iter().flat_map(move |slot| {
            let groups = slot.optimizer.param_groups();
            groups.iter().map(move |group| {
                let name = match (slots, groups.len()) {
                    (1, 1) => "lr".to_owned(),
                    (1, _) => format!("lr/{}", group.name),
                    (_, 1) => format!("lr-{}", slot.name),
                    _ => format!("lr-{}/{}", slot.name, group.name),
                };
                (name, group.lr)
            })
        })
    }

    /// Sets what each schedule gives for the first step, or for the first after a resume.
    pub(super) fn start_schedules(&mut self, epochs: u64) {
        for slot in &mut self.0 {
            if let Some(scheduler) = &mut slot.scheduler {
                let done = if scheduler.interval() == Interval::Step { slot.steps } else { epochs };
                scheduler.apply(done, slot.optimizer.param_groups_mut());
            }
        }
    }

    /// Sets what each schedule of this interval gives after `done`: for steps each optimizer's own count.
    pub(super) fn schedule(&mut self, model: &mut dyn Model, interval: Interval, epochs: u64) -> Result<()> {
        for slot in &mut self.0 {
            if let Some(scheduler) =
                slot.scheduler.as_mut().filter(|scheduler| scheduler.interval() == interval)
            {
                let done = if interval == Interval::Step { slot.steps } else { epochs };
                model.lr_scheduler_step(scheduler.as_mut(), done, slot.optimizer.param_groups_mut())?;
            }
        }
        Ok(())
    }

    /// Shows each schedule the metric that it watches.
    pub(super) fn observe(&mut self, value_of: impl Fn(&str) -> Option<f64>) {
        for slot in &mut self.0 {
            if let Some(scheduler) = &mut slot.scheduler
                && let Some(value) = scheduler.monitor().and_then(&value_of)
            {
                scheduler.observe(value);
            }
        }
    }

    /// State to be saved: as `<parameter>.<name>`, behind the optimizer's name where there are several.
    pub(super) fn state_dict(&self) -> Vec<(String, Tensor)> {
        let several = self.0.len() > 1;
        let of = |slot: &OptimizerSlot| {
            let prefix = if several { format!("{}/", slot.name) } else { String::new() };
            slot.optimizer
                .state_dict()
                .into_iter()
                .map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
                .collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// What a checkpoint keeps beside the tensors.
    pub(super) fn schedules(&self) -> Value {
        let of = |slot: &OptimizerSlot| {
            let schedule = slot.scheduler.as_ref().map(|scheduler| scheduler.state_dict());
            (slot.name.clone(), serde_json::json!({"steps": slot.steps, "scheduler": schedule}))
        };
        Value::Object(self.0.iter().map(of).collect())
    }

    /// Goes on from what a checkpoint kept.
    pub(super) fn load(&mut self, tensors: &HashMap<String, Tensor>, schedules: &Value) -> Result<()> {
        let several = self.0.len() > 1;
        for slot in &mut self.0 {
            if several {
                let prefix = format!("{}/", slot.name);
                let own = tensors
                    .iter()
                    .filter_map(|(name, tensor)| {
                        Some((name.strip_prefix(&prefix)?.to_owned(), tensor.shallow_clone()))
                    })
                    .collect();
                slot.optimizer.load_state_dict(&own)?;
            } else {
                slot.optimizer.load_state_dict(tensors)?;
            }
            let kept = &schedules[&slot.name];
            slot.steps = kept["steps"].as_u64().unwrap_or_default();
            if let (Some(scheduler), kept) = (&mut slot.scheduler, &kept["scheduler"])
                && !kept.is_null()
            {
                scheduler.load_state_dict(kept)?;
            }
        }
        Ok(())
    }
}

/// What a model with manual optimisation works with in its training step, as Lightning's users know it.
pub trait ManualOptimization {
    /// Propagates `loss` (`[] f32`) backwards, scaled where the precision wants it.
    ///
    /// # Errors
    /// When libtorch refuses, or a callback fails.
    fn manual_backward(&mut self, loss: &Tensor) -> Result<()>;

    /// The step of one optimizer, with the gradients that are there.
    ///
    /// # Errors
    /// When there is no such optimizer, libtorch refuses, or a callback fails.
    fn optimizer_step(&mut self, optimizer: &str) -> Result<()>;

    /// Frees the gradients of one optimizer's parameters.
    ///
    /// # Errors
    /// As [`Self::optimizer_step`].
    fn zero_grad(&mut self, optimizer: &str) -> Result<()>;

    /// Bounds the gradients of one optimizer's parameters.
    ///
    /// # Errors
    /// As [`Self::optimizer_step`].
    fn clip_gradients(&mut self, optimizer: &str, clipping: super::GradientClipping) -> Result<()>;

    /// Moves one optimizer's schedule on by one.
    ///
    /// # Errors
    /// As [`Self::optimizer_step`].
    fn lr_scheduler_step(&mut self, optimizer: &str) -> Result<()>;

    /// Lets gradients flow into the parameters of this optimizer alone, until [`Self::untoggle_optimizer`].
    ///
    /// # Errors
    /// As [`Self::optimizer_step`].
    fn toggle_optimizer(&mut self, optimizer: &str) -> Result<()>;

    /// Lets gradients flow into all parameters that are trained.
    ///
    /// # Errors
    /// As [`Self::optimizer_step`].
    fn untoggle_optimizer(&mut self, optimizer: &str) -> Result<()>;
}
