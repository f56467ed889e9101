//! Operators of libtorch that run faster here on the CPU.

use crate::{TorchError, check, sys};

#[cfg(test)]
mod attention;
#[cfg(test)]
mod gelu;
#[cfg(test)]
mod matmul;

/// From now on, in the whole process, some operators of libtorch on f32 tensors of the CPU run through kernels of ours, whoever calls
/// them, and with them their gradients:
///
/// - products of matrices (`mm`, `addmm`, `bmm`, linear layers), through oneDNN where it is faster than MKL: with AVX-512 on
///   processors that are not Intel's, twice as fast;
/// - `gelu`, exact and by tanh;
/// - `scaled_dot_product_attention` without dropout and without a mask other than the causal one.
///
/// Results are as exact, with other bits in the last places. A second call changes nothing.
///
/// # Errors
/// When libtorch refuses.
pub fn use_faster_kernels() -> Result<(), TorchError> {
    // SAFETY: takes nothing; what it registers lives as long as the process.
    check(unsafe { sys::ft_replace_operators() })
}
