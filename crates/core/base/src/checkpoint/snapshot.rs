//! Copies of tensors as they are now, in memory that is kept from one checkpoint to the next: fresh memory would cost a page
//! fault every 4 KiB, more than the copying itself.

use std::collections::HashMap;

use fulmen_torch::buffers::copy_all;
use fulmen_torch::tch::{Device, TchError, Tensor};

use super::Tensors;
use crate::Result;

/// Host memory for snapshots, by file and tensor.
#[derive(Debug, Default)]
pub(super) struct Buffers(HashMap<(&'static str, String), Tensor>);

impl Buffers {
    /// Copies of `live`, on the CPU (page-locked where they come from a GPU) and in the same memory layout, so that a copy is
    /// one stream of bytes; libtorch's threads share it.
    pub(super) fn snapshot(&mut self, live: &Tensors) -> Result<Tensors> {
        let mut copies = Tensors::default();
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for (file, from, into) in parts(live, &mut copies) {
            for (name, tensor) in from {
                let kept = self.0.remove(&(file, name.clone())).filter(|kept| fits(kept, tensor));
                let copy = kept.map_or_else(|| empty(tensor), Ok)?;
                sources.push(tensor.shallow_clone());
                targets.push(copy.shallow_clone());
                into.push((name.clone(), copy));
            }
        }
        copy_all(&targets, &sources)?;
        Ok(copies)
    }

    /// Memory for copies of `live`, touched already; their values are not read.
    pub(super) fn reserve(live: &Tensors) -> Result<Tensors> {
        let mut room = Tensors::default();
        for (_, from, into) in parts(live, &mut room) {
            for (name, tensor) in from {
                into.push((name.clone(), empty(tensor)?.f_zero_()?));
            }
        }
        Ok(room)
    }

    /// Takes the memory of a snapshot that is not needed any more.
    pub(super) fn give_back(&mut self, mut snapshot: Tensors) {
        for (file, from) in owned(&mut snapshot) {
            self.0.extend(from.drain(..).map(|(name, tensor)| ((file, name), tensor)));
        }
    }
}

fn fits(kept: &Tensor, live: &Tensor) -> bool {
    kept.kind() == live.kind() && kept.size() == live.size() && kept.stride() == live.stride()
}

/// Memory on the CPU for a copy of `tensor`.
fn empty(tensor: &Tensor) -> Result<Tensor, TchError> {
    match tensor.device() {
        Device::Cpu => tensor.detach().f_empty_like(),
        device => Tensor::f_empty_strided(tensor.size(), tensor.stride(), (tensor.kind(), Device::Cpu))?
            .f_pin_memory(device),
    }
}

type Held = Vec<(String, Tensor)>;

fn parts<'a>(from: &'a Tensors, into: &'a mut Tensors) -> [(&'static str, &'a Held, &'a mut Held); 5] {
    [
        (super::MODEL_FILE, &from.model, &mut into.model),
        (super::OPTIMIZER_FILE, &from.optimizer, &mut into.optimizer),
        (super::GRADIENTS_FILE, &from.gradients, &mut into.gradients),
        (super::METRICS_FILE, &from.metrics, &mut into.metrics),
        (super::CALLBACKS_FILE, &from.callbacks, &mut into.callbacks),
    ]
}

fn owned(of: &mut Tensors) -> [(&'static str, &mut Held); 5] {
    [
        (super::MODEL_FILE, &mut of.model),
        (super::OPTIMIZER_FILE, &mut of.optimizer),
        (super::GRADIENTS_FILE, &mut of.gradients),
        (super::METRICS_FILE, &mut of.metrics),
        (super::CALLBACKS_FILE, &mut of.callbacks),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_torch::tch::{Kind, no_grad};

    #[test]
    fn a_snapshot_keeps_what_was_and_its_memory_is_used_again() {
        let weight = Tensor::randn([2, 3, 4, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        fulmen_torch::layout::channels_last(&weight).unwrap();
        let before = weight.detach().copy();
        let live = Tensors { model: vec![("w".to_owned(), weight.shallow_clone())], ..Tensors::default() };
        let mut buffers = Buffers::default();
        let first = buffers.snapshot(&live).unwrap();
        let _ = no_grad(|| weight.shallow_clone().fill_(1.0));
        assert!(first.model[0].1.equal(&before) && !first.model[0].1.requires_grad());
        assert_eq!(first.model[0].1.stride(), weight.stride());
        let place = first.model[0].1.data_ptr();
        buffers.give_back(first);
        let second = buffers.snapshot(&live).unwrap();
        assert!(second.model[0].1.equal(&weight));
        assert_eq!(second.model[0].1.data_ptr(), place);
    }
}
