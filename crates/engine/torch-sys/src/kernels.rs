//! The kernels that are ours.

use std::ffi::{c_double, c_int};

use crate::TensorHandle;

// SAFETY: the signatures are those of cpp/kernels.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// Faster kernels for some operators of libtorch on the CPU from now on.
    pub fn ft_replace_operators() -> c_int;
    /// Copies `count` tensors to those at their places, of the same sizes.
    pub fn ft_copy(to: *const TensorHandle, from: *const TensorHandle, count: c_int) -> c_int;
    /// An LSTM; `weights` holds four tensors a layer, the last three arguments receive new tensors that the caller owns.
    pub fn ft_lstm(
        input: TensorHandle,
        h0: TensorHandle,
        c0: TensorHandle,
        weights: *const TensorHandle,
        layers: c_int,
        dropout: c_double,
        train: c_int,
        output: *mut TensorHandle,
        h_n: *mut TensorHandle,
        c_n: *mut TensorHandle,
    ) -> c_int;
    /// Attention of one projection to itself; `output` receives a new tensor that the caller owns.
    pub fn ft_self_attention(
        projection: TensorHandle,
        heads: i64,
        dropout: c_double,
        causal: c_int,
        output: *mut TensorHandle,
    ) -> c_int;
    /// Two linear layers with GELU between them, by tanh or exact; `output` receives a new tensor that the caller owns.
    pub fn ft_feed_forward(
        input: TensorHandle,
        up: TensorHandle,
        up_bias: TensorHandle,
        down: TensorHandle,
        down_bias: TensorHandle,
        tanh: c_int,
        output: *mut TensorHandle,
    ) -> c_int;
    /// A convolution by 3×3 kernels, stride 1, padding 1; `output` receives a new tensor that the caller owns.
    pub fn ft_conv3x3(input: TensorHandle, weight: TensorHandle, output: *mut TensorHandle) -> c_int;
}
