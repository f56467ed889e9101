//! Mixed precision on the CPU: matrix products and convolutions in bf16, the rest in f32.

use crate::{TorchError, check, sys};
use std::marker::PhantomData;

/// While it lives, this thread computes under autocast with bf16 on the CPU.
#[derive(Debug)]
pub struct CpuAutocast {
    /// The flag belongs to the thread that set it, so the guard stays there too.
    thread: PhantomData<*const ()>,
}

/// `at::ScalarType::BFloat16`.
const BF16: i32 = 15;

impl CpuAutocast {
    /// Turns autocast on.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn bf16() -> Result<Self, TorchError> {
        // SAFETY: takes two numbers, touches the thread's own state.
        check(unsafe { sys::ft_autocast_cpu(1, BF16) })?;
        Ok(Self { thread: PhantomData })
    }
}

impl Drop for CpuAutocast {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = check(unsafe { sys::ft_autocast_cpu(0, BF16) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn products_are_bf16_under_the_guard_and_f32_after_it() {
        let a = Tensor::randn([8, 8], (Kind::Float, Device::Cpu));
        {
            let _guard = CpuAutocast::bf16().unwrap();
            assert_eq!(a.matmul(&a).kind(), Kind::BFloat16);
        }
        assert_eq!(a.matmul(&a).kind(), Kind::Float);
    }
}
