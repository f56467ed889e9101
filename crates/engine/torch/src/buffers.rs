//! Tensors that are written in place, so that a batch is made without a copy.

use crate::TorchError;
use tch::{Device, Kind, Tensor};

/// A tensor on the CPU, `size f32`, of what `fill` writes. The memory holds arbitrary numbers before.
///
/// # Errors
/// What `fill` says, or libtorch when there is no memory.
pub fn filled<E: From<TorchError>>(
    size: &[i64],
    fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
) -> Result<Tensor, E> {
    let tensor = Tensor::f_empty(size, (Kind::Float, Device::Cpu))
        .map_err(|error| TorchError(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let count = tensor.numel();
    if count == 0 {
        fill(&mut [])?;
        return Ok(tensor);
    }
    // SAFETY: a new contiguous tensor of `count` floats, which nothing else refers to until this function returns it. The memory
    // comes from a call that the compiler cannot see into, and any bits in it are a float.
    fill(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), count) })?;
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_what_was_written() {
        let tensor = filled(&[2, 3], |values| {
            values.iter_mut().zip(0_u8..).for_each(|(value, number)| *value = f32::from(number));
            Ok::<_, TorchError>(())
        })
        .unwrap();
        assert!(tensor.equal(&Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3])));
        assert_eq!(filled(&[0, 3], |_| Ok::<_, TorchError>(())).unwrap().size(), [0, 3]);
        assert!(filled(&[2], |_| Err(TorchError("no".to_owned()))).is_err());
    }
}
