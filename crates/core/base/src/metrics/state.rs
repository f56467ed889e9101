//! What a metric has counted: tensors by name, saved with a checkpoint and joined over ranks.

use std::collections::HashMap;

use fulmen_torch::tch::{Device, Kind, Tensor, no_grad};

use crate::{Error, Result};

/// How the states of several ranks, or of several batches, become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// A number of the host's, added: how many.
    Number,
    /// A tensor, added.
    Sum,
    /// Tensors one after the other, along the first axis, in the order of the ranks.
    Concatenation,
}

/// What a metric has counted.
#[derive(Debug)]
pub struct State {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    name: &'static str,
    join: Join,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Nothing,
    Number(f64),
    Sum(Tensor),
    Parts(Vec<Tensor>),
}

impl State {
    /// Nothing counted yet, of these names.
    pub fn new(states: &[(&'static str, Join)]) -> Self {
        let slot = |&(name, join)| Slot { name, join, held: Held::Nothing };
        Self { slots: states.iter().map(slot).collect() }
    }

    /// Adds `number` to the [`Join::Number`] called `name`.
    ///
    /// # Errors
    /// When the metric did not declare such a state.
    pub fn count(&mut self, name: &str, number: f64) -> Result<()> {
        let held = self.slot(name, Join::Number)?;
        *held = Held::Number(number + if let Held::Number(before) = held { *before } else { 0.0 });
        Ok(())
    }

    /// Adds `tensor`, in its place, to the [`Join::Sum`] called `name`.
    ///
    /// # Errors
    /// When the metric did not declare such a state, or the shapes differ.
    pub fn add(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        self.sum_mut(name, tensor.device(), |held| match held {
            None => Ok(tensor),
            // Sizes are held against each other here, since an addition would broadcast.
            Some(sum) if sum.size() != tensor.size() => Err(Error::Metric(format!(
                "'{name}' was {:?} so far, and is {:?} now: were there other classes before?",
                sum.size(),
                tensor.size()
            ))),
            Some(mut sum) => Ok(no_grad(|| sum.f_add_(&tensor))?),
        })
    }

    /// Changes the [`Join::Sum`] called `name`, on `device`; `change` is given what there is so far.
    ///
    /// # Errors
    /// When the metric did not declare such a state, or `change` fails.
    pub fn sum_mut(
        &mut self,
        name: &str,
        device: Device,
        change: impl FnOnce(Option<Tensor>) -> Result<Tensor>,
    ) -> Result<()> {
        let held = self.slot(name, Join::Sum)?;
        let before = match std::mem::replace(held, Held::Nothing) {
            // A state that was loaded, or that another rank sent, lies on the CPU.
            Held::Sum(sum) if sum.device() != device => Some(sum.f_to_device(device)?),
            Held::Sum(sum) => Some(sum),
            _ => None,
        };
        *held = Held::Sum(change(before)?);
        Ok(())
    }

    /// Appends `tensor`, `[n, …]`, to the [`Join::Concatenation`] called `name`.
    ///
    /// # Errors
    /// When the metric did not declare such a state.
    pub fn append(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        match self.slot(name, Join::Concatenation)? {
            Held::Parts(parts) => parts.push(tensor),
            held => *held = Held::Parts(vec![tensor]),
        }
        Ok(())
    }

    fn slot(&mut self, name: &str, join: Join) -> Result<&mut Held> {
        match self.slots.iter_mut().find(|slot| slot.name == name && slot.join == join) {
            Some(slot) => Ok(&mut slot.held),
            None => Err(Error::Metric(format!("no state '{name}' is declared to be joined as {join:?}"))),
        }
    }

    /// The state called `name` as one tensor; none before the first batch.
    ///
    /// # Errors
    /// When the parts of a concatenation do not fit.
    pub fn get(&self, name: &str) -> Result<Option<Tensor>> {
        self.slots.iter().find(|slot| slot.name == name).map_or(Ok(None), |slot| slot.held.tensor())
    }

    /// The number called `name`; 0 before the first batch.
    pub fn number(&self, name: &str) -> f64 {
        match self.slots.iter().find(|slot| slot.name == name).map(|slot| &slot.held) {
            Some(Held::Number(number)) => *number,
            _ => 0.0,
        }
    }

    /// The values of the state called `name`, in order; none before the first batch. Waits for the device.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn values(&self, name: &str) -> Result<Vec<f64>> {
        self.get(name)?.map_or(Ok(Vec::new()), |tensor| values(&tensor))
    }

    /// Whether no batch was counted yet.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot.held, Held::Nothing))
    }

    /// Forgets all batches.
    pub fn reset(&mut self) {
        for slot in &mut self.slots {
            slot.held = Held::Nothing;
        }
    }

    /// What was counted, by name, in tensors of their own; what was not is left out.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn state_dict(&self) -> Result<Vec<(String, Tensor)>> {
        let named = self.slots.iter().map(|slot| {
            let tensor = slot.held.tensor()?;
            // Sums go on in their place; what was given away must not.
            let tensor = if slot.join == Join::Sum { tensor.map(|sum| sum.copy()) } else { tensor };
            Ok(tensor.map(|tensor| (slot.name.to_owned(), tensor)))
        });
        named.filter_map(Result::transpose).collect()
    }

    /// Takes up what [`Self::state_dict`] gave, in place of what was counted: counting goes on with the same bits.
    ///
    /// # Errors
    /// When a name is not of this metric.
    pub fn load_state_dict(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        self.reset();
        self.merge(state)
    }

    /// Joins what another rank counted, as its [`Self::state_dict`], to what was counted here.
    ///
    /// # Errors
    /// When a name is not of this metric, or the shapes do not fit.
    pub fn merge(&mut self, other: &HashMap<String, Tensor>) -> Result<()> {
        let known: Vec<_> = self.slots.iter().map(|slot| slot.name).collect();
        if let Some(stranger) = other.keys().find(|name| !known.contains(&name.as_str())) {
            let known = known.join(", ");
            return Err(Error::Metric(format!(
                "there is no state '{stranger}' to take up; there are {known}"
            )));
        }
        for (name, join) in self.slots.iter().map(|slot| (slot.name, slot.join)).collect::<Vec<_>>() {
            let Some(tensor) = other.get(name) else { continue };
            match join {
                Join::Number => self.count(name, values(tensor)?.into_iter().sum())?,
                // A copy: what is counted next is added in its place, and the other's must stay as it is.
                Join::Sum => self.add(name, tensor.detach().copy())?,
                Join::Concatenation => self.append(name, tensor.shallow_clone())?,
            }
        }
        Ok(())
    }
}

impl Held {
    fn tensor(&self) -> Result<Option<Tensor>> {
        Ok(match self {
            Self::Nothing => None,
            Self::Number(number) => Some(Tensor::from(*number)),
            Self::Sum(sum) => Some(sum.shallow_clone()),
            Self::Parts(parts) => {
                let device = parts.last().map_or(Device::Cpu, Tensor::device);
                let parts =
                    parts.iter().map(|part| part.f_to_device(device)).collect::<Result<Vec<_>, _>>()?;
                Some(Tensor::f_cat(&parts, 0)?)
            }
        })
    }
}

/// The values of `tensor` in order.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::try_from(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape([-1])?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [(&str, Join); 3] =
        [("total", Join::Number), ("hits", Join::Sum), ("scores", Join::Concatenation)];

    fn counted(hits: &[i64]) -> State {
        let mut state = State::new(&STATES);
        state.count("total", 1.0).unwrap();
        state.add("hits", Tensor::from_slice(hits)).unwrap();
        state.append("scores", Tensor::from_slice(hits)).unwrap();
        state
    }

    fn dict(state: &State) -> HashMap<String, Tensor> {
        state.state_dict().unwrap().into_iter().collect()
    }

    #[test]
    fn a_merge_adds_sums_and_concatenates_the_rest_and_leaves_the_other_as_it_was() {
        let (mut state, other) = (counted(&[1, 2]), counted(&[3, 4]));
        let theirs = dict(&other);
        let mut empty = State::new(&STATES);
        empty.merge(&theirs).unwrap();
        empty.add("hits", Tensor::from_slice(&[10_i64, 10])).unwrap();
        assert_eq!(other.values("hits").unwrap(), [3.0, 4.0]);
        state.merge(&theirs).unwrap();
        assert_eq!(state.number("total"), 2.0);
        assert_eq!(state.values("hits").unwrap(), [4.0, 6.0]);
        assert_eq!(state.values("scores").unwrap(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_rank_that_saw_nothing_changes_nothing() {
        let mut state = counted(&[1, 2]);
        let nothing = State::new(&STATES);
        assert!(nothing.is_empty() && dict(&nothing).is_empty());
        state.merge(&dict(&nothing)).unwrap();
        assert_eq!(state.values("hits").unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn a_stranger_and_another_shape_are_refused() {
        let mut state = counted(&[1, 2]);
        let stranger = HashMap::from([("misses".to_owned(), Tensor::from(1.0))]);
        let message = state.merge(&stranger).unwrap_err().to_string();
        assert!(message.contains("no state 'misses'") && message.contains("hits"), "{message}");
        assert!(
            state
                .add("hits", Tensor::from_slice(&[1_i64]))
                .unwrap_err()
                .to_string()
                .contains("other classes")
        );
    }
}
