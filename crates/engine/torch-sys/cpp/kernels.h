// The C face of the kernels that are ours. Every function returns 0, or 1 with the reason in ft_last_error().
#pragma once
#include "shim.h"

extern "C" {
// Faster kernels for some operators of libtorch on the CPU from now on, in the whole process.
int ft_replace_operators();
// Copies each of so many tensors to the one at its place, of the same sizes.
int ft_copy(const ft_tensor* to, const ft_tensor* from, int count);
// at::lstm with biases, one direction, batch first. Input [B, T, I], h0 and c0 [layers, B, H], four weights a layer in torch's
// order; output [B, T, H], h_n and c_n [layers, B, H], new tensors.
int ft_lstm(ft_tensor input, ft_tensor h0, ft_tensor c0, const ft_tensor* weights, int layers, double dropout, int train,
            ft_tensor* output, ft_tensor* h_n, ft_tensor* c_n);
// Attention of a projection [B, T, 3 · D], queries, keys and values, to itself → [B, T, D]; *output is a new tensor.
int ft_self_attention(ft_tensor projection, int64_t heads, double dropout, int causal, ft_tensor* output);
// x [R, I] or of more axes → gelu(x · up + its bias) · down + its bias, up [I, H], down [H, O]; GELU by tanh or exact; *output is a new tensor.
int ft_feed_forward(ft_tensor input, ft_tensor up, ft_tensor up_bias, ft_tensor down, ft_tensor down_bias, int tanh, ft_tensor* output);
// at::conv2d by 3×3 kernels with stride 1, padding 1 and no bias; *output is a new tensor.
int ft_conv3x3(ft_tensor input, ft_tensor weight, ft_tensor* output);
}
