//! Schedules that are one factor over time.

use std::fmt::Debug;

use crate::optimizer::ParamGroup;
use crate::scheduler::{Interval, Scheduler};

/// One factor over time.
pub(super) trait Curve: Debug + Send {
    /// By what every group's initial rate is multiplied after `done` intervals.
    fn factor(&self, done: u64) -> f64;
}

/// A curve as a schedule.
#[derive(Debug)]
pub(super) struct Scaled<C> {
    curve: C,
    interval: Interval,
}

impl<C: Curve + 'static> Scaled<C> {
    pub(super) fn boxed(curve: C, interval: Interval) -> Box<dyn Scheduler> {
        Box::new(Self { curve, interval })
    }
}

impl<C: Curve> Scheduler for Scaled<C> {
    fn interval(&self) -> Interval {
        self.interval
    }

    fn apply(&mut self, done: u64, groups: &mut [ParamGroup]) {
        let factor = self.curve.factor(done);
        for group in groups {
            group.lr = group.initial_lr * factor;
        }
    }
}

/// `gamma` to the power of `count`.
pub(super) fn power(gamma: f64, count: u64) -> f64 {
    gamma.powi(i32::try_from(count).unwrap_or(i32::MAX))
}

/// The default of schedules that are counted in epochs.
pub(super) const fn epoch() -> Interval {
    Interval::Epoch
}
