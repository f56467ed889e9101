//! Passes that leave nothing for autograd.

use std::ptr;

use tch::no_grad;

use crate::{check, sys};

/// Runs `pass` in torch's inference mode, or with `inference` false merely without gradients.
pub fn without_gradients<T>(inference: bool, pass: impl FnOnce() -> T) -> T {
    // No guard is no error: the pass is then a little slower.
    let _guard = inference.then(Guard::new).flatten();
    no_grad(pass)
}

/// A `c10::InferenceMode` of this thread.
struct Guard(sys::GuardHandle);

impl Guard {
    fn new() -> Option<Self> {
        let mut guard = ptr::null_mut();
        // SAFETY: `guard` is written only where 0 is returned, and then owns a guard of this thread.
        check(unsafe { sys::ft_inference_mode(&raw mut guard) }).ok()?;
        Some(Self(guard))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: made by `new` on this thread (the type is not `Send`), freed once.
        unsafe { sys::ft_free_inference_mode(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn nothing_is_kept_for_autograd_and_afterwards_it_is_again() {
        let weight = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        for inference in [true, false] {
            assert!(!without_gradients(inference, || (&weight * 2.0).requires_grad()));
        }
        assert!((&weight * 2.0).requires_grad());
    }
}
