//! The order of elements in memory.

use crate::{TorchError, check, handle, sys};
use tch::Tensor;

/// Lays a `[N, C, H, W]` tensor out as NHWC, in which libtorch's convolutions on the CPU are faster. Shape, values and
/// identity (a parameter stays that parameter) do not change.
///
/// # Errors
/// When the tensor does not have four axes.
pub fn channels_last(tensor: &Tensor) -> Result<(), TorchError> {
    // SAFETY: a live tensor, borrowed for the length of the call.
    check(unsafe { sys::ft_channels_last(handle(tensor)) })
}

/// Whether the elements lie as NHWC.
///
/// # Errors
/// When libtorch refuses.
pub fn is_channels_last(tensor: &Tensor) -> Result<bool, TorchError> {
    let mut answer = 0;
    // SAFETY: as above; `answer` outlives the call.
    check(unsafe { sys::ft_is_channels_last(handle(tensor), &raw mut answer) })?;
    Ok(answer != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn channels_last_moves_the_elements_and_keeps_the_values() {
        let tensor = Tensor::randn([2, 3, 4, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let before = tensor.detach().copy();
        channels_last(&tensor).unwrap();
        assert!(is_channels_last(&tensor).unwrap() && tensor.requires_grad());
        assert_eq!(tensor.stride(), [60, 1, 15, 3]);
        assert!(tensor.equal(&before));
        assert!(channels_last(&Tensor::zeros([3], (Kind::Float, Device::Cpu))).is_err());
    }
}
