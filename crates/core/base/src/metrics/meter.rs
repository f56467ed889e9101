//! A metric together with what it has counted.

use std::collections::HashMap;
use std::sync::Arc;

use fulmen_torch::tch::{Tensor, no_grad};

use super::{Join, State};
use crate::{Computed, Metric, Observation, Result};

/// A metric that is being counted.
#[derive(Debug)]
pub struct Meter {
    metric: Arc<dyn Metric>,
    state: State,
}

impl Meter {
    /// Nothing counted yet.
    pub fn new(metric: Arc<dyn Metric>) -> Self {
        let state = State::new(metric.states());
        Self { metric, state }
    }

    /// Counts a batch.
    ///
    /// # Errors
    /// As [`Metric::update`].
    pub fn update(&mut self, observation: &Observation) -> Result<()> {
        no_grad(|| self.metric.update(&mut self.state, observation))
    }

    /// The metric over all batches since [`Self::reset`]; none before the first. Waits for the device.
    ///
    /// # Errors
    /// As [`Metric::compute`].
    pub fn compute(&self) -> Result<Option<Computed>> {
        if self.state.is_empty() { Ok(None) } else { no_grad(|| self.metric.compute(&self.state)).map(Some) }
    }

    /// Whether the value is at hand while batches are counted: sums are, what every sample is kept for is not.
    pub fn is_at_hand(&self) -> bool {
        self.metric.states().iter().all(|(_, join)| *join != Join::Concatenation)
    }

    /// Forgets all batches.
    pub fn reset(&mut self) {
        self.state.reset();
    }

    /// What was counted, by the names that [`Metric::states`] says.
    ///
    /// # Errors
    /// As [`State::state_dict`].
    pub fn state_dict(&self) -> Result<Vec<(String, Tensor)>> {
        self.state.state_dict()
    }

    /// Goes on from what [`Self::state_dict`] gave.
    ///
    /// # Errors
    /// As [`State::load_state_dict`].
    pub fn load_state_dict(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        self.state.load_state_dict(state)
    }

    /// Joins what another rank counted, its [`Self::state_dict`], to what was counted here.
    ///
    /// # Errors
    /// As [`State::merge`].
    pub fn merge(&mut self, other: &HashMap<String, Tensor>) -> Result<()> {
        self.state.merge(other)
    }
}
