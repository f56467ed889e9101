//! Mixed precision: matrix products and convolutions in bf16 or f16, the rest in f32.

use crate::{TorchError, check, sys};
use std::marker::PhantomData;
use tch::{Device, Kind};

/// While it lives, this thread computes under autocast.
#[derive(Debug)]
pub struct Autocast {
    cuda: bool,
    dtype: i32,
    /// The flag belongs to the thread that set it, so the guard stays there too.
    thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Turns autocast on for operators on `device`, in `BFloat16` or `Half`.
    ///
    /// # Errors
    /// When libtorch refuses, or `kind` is neither.
    pub fn new(device: Device, kind: Kind) -> Result<Self, TorchError> {
        // Values of `at::ScalarType`.
        let dtype = match kind {
            Kind::BFloat16 => 15,
            Kind::Half => 5,
            other => return Err(TorchError(format!("autocast computes in bf16 or f16, not in {other:?}"))),
        };
        let cuda = device.is_cuda();
        // SAFETY: takes numbers, touches the thread's own state.
        check(unsafe { sys::ft_autocast(1, cuda.into(), dtype) })?;
        Ok(Self { cuda, dtype, thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = check(unsafe { sys::ft_autocast(0, self.cuda.into(), self.dtype) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn products_are_in_the_format_of_the_guard_and_f32_after_it() {
        let a = Tensor::randn([8, 8], (Kind::Float, Device::Cpu));
        for kind in [Kind::BFloat16, Kind::Half] {
            let _guard = Autocast::new(Device::Cpu, kind).unwrap();
            assert_eq!(a.matmul(&a).kind(), kind);
        }
        assert_eq!(a.matmul(&a).kind(), Kind::Float);
        assert!(Autocast::new(Device::Cpu, Kind::Double).is_err());
    }
}
