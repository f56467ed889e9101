//! Mixed precision: matrix products and convolutions in bf16, the rest in f32.

use crate::{TorchError, check, sys};
use std::marker::PhantomData;
use tch::Device;

/// While it lives, this thread computes under autocast with bf16.
#[derive(Debug)]
pub struct Autocast {
    cuda: bool,
    /// The flag belongs to the thread that set it, so the guard stays there too.
    thread: PhantomData<*const ()>,
}

/// `at::ScalarType::BFloat16`.
const BF16: i32 = 15;

impl Autocast {
    /// Turns autocast on for operators on `device`.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn bf16(device: Device) -> Result<Self, TorchError> {
        let cuda = device.is_cuda();
        // SAFETY: takes numbers, touches the thread's own state.
        check(unsafe { sys::ft_autocast(1, cuda.into(), BF16) })?;
        Ok(Self { cuda, thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = check(unsafe { sys::ft_autocast(0, self.cuda.into(), BF16) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn products_are_bf16_under_the_guard_and_f32_after_it() {
        let a = Tensor::randn([8, 8], (Kind::Float, Device::Cpu));
        {
            let _guard = Autocast::bf16(Device::Cpu).unwrap();
            assert_eq!(a.matmul(&a).kind(), Kind::BFloat16);
        }
        assert_eq!(a.matmul(&a).kind(), Kind::Float);
    }
}
