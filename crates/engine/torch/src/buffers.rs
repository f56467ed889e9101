//! Tensors that are written in place: a batch made without a copy, copies made into memory that is there.

use crate::{TorchError, check, handles, sys};
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

/// Copies each of `from` to the tensor at its place in `to`, which has its size. Where both are on the CPU and lie alike, all threads copy
/// past the caches, which have no use for them.
///
/// # Errors
/// When there are not as many, or sizes differ.
pub fn copy_all(to: &[Tensor], from: &[Tensor]) -> Result<(), TorchError> {
    if to.len() != from.len() {
        return Err(TorchError(format!("copy_all: {} tensors to {}", from.len(), to.len())));
    }
    if let Some((to, from)) = to.iter().zip(from).find(|(to, from)| to.size() != from.size()) {
        return Err(TorchError(format!("copy_all: {:?} to {:?}", from.size(), to.size())));
    }
    let count = i32::try_from(to.len()).map_err(|_| TorchError("copy_all: too many tensors".to_owned()))?;
    let (to, from) = (handles(to), handles(from));
    // SAFETY: as many live tensors of both, borrowed for the length of the call, of the same sizes one by one.
    check(unsafe { sys::ft_copy(to.as_ptr(), from.as_ptr(), count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::channels_last;

    #[test]
    fn copies_hold_what_was_there_whatever_the_type_size_and_layout() {
        let randn = |sizes: &[i64]| Tensor::randn(sizes, (Kind::Float, Device::Cpu));
        let nhwc = randn(&[4, 8, 5, 3]);
        channels_last(&nhwc).unwrap();
        let wide = randn(&[300, 40]);
        let from = [
            randn(&[700, 1100]),
            nhwc,
            randn(&[13]).to_kind(Kind::BFloat16),
            Tensor::from(7_i64),
            randn(&[0, 3]),
            wide.narrow(0, 1, 7),
            wide.narrow(1, 3, 5),
            randn(&[6]).set_requires_grad(true),
        ];
        // Memory of the same layout, and once in rows.
        for rows in [false, true] {
            let room = |one: &Tensor| {
                let options = (one.kind(), Device::Cpu);
                if rows { Tensor::empty(one.size(), options) } else { one.detach().empty_like() }
            };
            let to: Vec<Tensor> = from.iter().map(room).collect();
            copy_all(&to, &from).unwrap();
            assert!(to.iter().zip(&from).all(|(to, from)| to.equal(from)));
        }
        // A place in the middle of other memory, which stays as it is.
        let room = Tensor::zeros([41], (Kind::Float, Device::Cpu));
        copy_all(&[room.narrow(0, 3, 37)], &[Tensor::ones([37], (Kind::Float, Device::Cpu))]).unwrap();
        assert_eq!((room.double_value(&[2]), room.double_value(&[40])), (0.0, 0.0));
        assert!((3..40).all(|at| room.double_value(&[at]) == 1.0));
        assert!(copy_all(&[randn(&[2])], &[randn(&[3])]).is_err() && copy_all(&[], &[randn(&[1])]).is_err());
    }

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
