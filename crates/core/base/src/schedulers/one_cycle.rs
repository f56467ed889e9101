//! One cycle: up, then down.

use std::f64::consts::PI;

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::optimizer::ParamGroup;
use crate::scheduler::{Interval, Scheduler, SchedulerKind};

/// Up from a share of the peak and down to next to nothing, the momentum the other way (Smith and Topin 2017,
/// arXiv:1708.07120; torch's `OneCycleLR`). The optimizer's learning rate is the peak.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneCycleConfig {
    /// Steps (or epochs) of the cycle. Left out: those of the run.
    #[serde(default)]
    pub total_steps: Option<u64>,
    /// Share of the run that goes up.
    #[serde(default = "default_pct_start")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub pct_start: f64,
    /// The shape of both ways.
    #[serde(default)]
    pub anneal_strategy: AnnealStrategy,
    /// Whether momentum, or the first of the betas, goes down while the rate goes up. Optimizers without momentum are
    /// left as they are.
    #[serde(default = "yes")]
    pub cycle_momentum: bool,
    /// Momentum at the peak.
    #[serde(default = "default_base_momentum")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub base_momentum: f64,
    /// Momentum at start and end.
    #[serde(default = "default_max_momentum")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_momentum: f64,
    /// Peak over start.
    #[serde(default = "default_div_factor")]
    #[schemars(range(min = 1.0))]
    pub div_factor: f64,
    /// Start over end.
    #[serde(default = "default_final_div_factor")]
    #[schemars(range(min = 1.0))]
    pub final_div_factor: f64,
    /// Whether the way down ends at the start's rate, and a third phase goes down from there.
    #[serde(default)]
    pub three_phase: bool,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

/// The shape between two levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnnealStrategy {
    /// Half a cosine.
    #[default]
    Cos,
    /// A straight line.
    Linear,
}

const fn default_pct_start() -> f64 {
    0.3
}

const fn yes() -> bool {
    true
}

const fn default_base_momentum() -> f64 {
    0.85
}

const fn default_max_momentum() -> f64 {
    0.95
}

const fn default_div_factor() -> f64 {
    25.0
}

const fn default_final_div_factor() -> f64 {
    1e4
}

component! { SchedulerKind, "one_cycle", OneCycleConfig => |config, context| {
    let total = context.length("total_steps", config.total_steps, config.interval)?;
    Ok(Box::new(OneCycle { config: config.clone(), total }))
} }

/// Up, then down.
#[derive(Debug, Clone)]
struct OneCycle {
    config: OneCycleConfig,
    total: u64,
}

/// From one rate and momentum to another, up to the step `end`.
struct Phase {
    end: f64,
    lr: (f64, f64),
    momentum: (f64, f64),
}

impl OneCycle {
    /// The phases with torch's own bounds.
    fn phases(&self) -> Vec<Phase> {
        let OneCycleConfig {
            pct_start,
            div_factor,
            final_div_factor,
            base_momentum: low,
            max_momentum: high,
            ..
        } = self.config;
        let (start, least) = (1.0 / div_factor, 1.0 / (div_factor * final_div_factor));
        let (top, last) = (pct_start * self.total as f64 - 1.0, self.total as f64 - 1.0);
        let up = Phase { end: top, lr: (start, 1.0), momentum: (high, low) };
        if self.config.three_phase {
            let down = Phase { end: 2.0 * top, lr: (1.0, start), momentum: (low, high) };
            return vec![up, down, Phase { end: last, lr: (start, least), momentum: (high, high) }];
        }
        vec![up, Phase { end: last, lr: (1.0, least), momentum: (low, high) }]
    }

    /// Share of the peak, and momentum, after `done` steps; those of the end when the cycle is over.
    fn at(&self, done: u64) -> (f64, f64) {
        let phases = self.phases();
        let (done, mut from) = (done as f64, 0.0);
        let mut now = (1.0, self.config.max_momentum);
        for (index, Phase { end, lr, momentum }) in phases.iter().enumerate() {
            if done <= *end || index + 1 == phases.len() {
                let length = end - from;
                // A phase of no length, in a very short run, is over at once.
                let share = if length > 0.0 { ((done - from) / length).clamp(0.0, 1.0) } else { 1.0 };
                now = (self.anneal(*lr, share), self.anneal(*momentum, share));
                break;
            }
            from = *end;
        }
        now
    }

    fn anneal(&self, (from, to): (f64, f64), share: f64) -> f64 {
        match self.config.anneal_strategy {
            AnnealStrategy::Cos => to + (from - to) / 2.0 * (1.0 + (PI * share).cos()),
            AnnealStrategy::Linear => from + (to - from) * share,
        }
    }
}

impl Scheduler for OneCycle {
    fn interval(&self) -> Interval {
        self.config.interval
    }

    fn apply(&mut self, done: u64, groups: &mut [ParamGroup]) {
        let (factor, momentum) = self.at(done);
        for group in groups {
            group.lr = group.initial_lr * factor;
            if self.config.cycle_momentum && group.momentum.is_some() {
                group.momentum = Some(momentum);
            }
        }
    }
}
