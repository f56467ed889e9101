// Operators of libtorch that are registered anew on the dispatcher for the CPU, as Intel's extension for PyTorch does, so that every
// layer, every gradient and every model of a user's own takes the faster way. Whatever a kernel of ours does not fit goes to the one
// that was there.
#pragma once

#include <torch/library.h>

// Each adds its operators.
void ft_add_matmul(torch::Library& library);
void ft_add_gelu(torch::Library& library);
void ft_add_attention(torch::Library& library);

inline bool is_plain_f32(const at::Tensor& one) {
  return one.device().is_cpu() && one.scalar_type() == at::kFloat && one.layout() == at::kStrided && !one.is_neg();
}
