// From rows of handles to lists of tensors that kernels for many tensors take.
#pragma once

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "guard.h"
#include "optimizers.h"

using Tensors = std::vector<at::Tensor>;
using Scalars = std::vector<at::Scalar>;

// Parameters of one sort that have a gradient: state[k][i] is the k-th state of param[i].
struct Lists {
  Tensors param, grad;
  std::vector<Tensors> state;

  bool takes(const at::Tensor& other, bool factored) const {
    return param[0].scalar_type() == other.scalar_type() && param[0].device() == other.device() && (!factored || (param[0].dim() > 1) == (other.dim() > 1));
  }

  // Numbers that depend on the parameter, one each.
  template <typename Of>
  Scalars scalars(Of of) const {
    Scalars all;
    all.reserve(param.size());
    for (size_t i = 0; i < param.size(); i++) all.emplace_back(of(i));
    return all;
  }
};

// The rows that have a gradient, by type and device; with `by_rank`, vectors and tensors of more dimensions apart too.
inline std::vector<Lists> lists(ft_rows rows, int width, bool by_rank = false) {
  TORCH_CHECK(rows.width == width, "the optimizer keeps ", rows.width - 1, " tensors a parameter, the algorithm has ", width - 1);
  std::vector<Lists> sorts;
  for (int i = 0; i < rows.count; i++) {
    const ft_tensor* row = rows.handles + static_cast<ptrdiff_t>(i) * width;
    auto& param = tensor(row[0]);
    const auto& grad = param.grad();
    if (!grad.defined()) continue;
    TORCH_CHECK(grad.layout() == at::kStrided, "this optimizer takes no sparse gradient");
    Lists* home = nullptr;
    for (auto& sort : sorts) {
      if (sort.takes(param, by_rank)) home = &sort;
    }
    if (!home) {
      home = &sorts.emplace_back();
      home->state.resize(width - 1);
    }
    // Kernels walk parameter, gradient and state in memory order, so they must lie alike.
    home->grad.push_back(grad.strides() == param.strides() ? grad : at::empty_like(param).copy_(grad));
    home->param.push_back(param);
    for (int k = 1; k < width; k++) home->state[k - 1].push_back(tensor(row[k]));
  }
  return sorts;
}

// The value of a [] f32 on the CPU, to be read and written in place: an operator a parameter would cost more than the step of a small model.
inline float& host(const at::Tensor& scalar) {
  TORCH_CHECK(scalar.is_cpu() && scalar.scalar_type() == at::kFloat && scalar.numel() == 1, "expected a [] f32 on the CPU");
  return *scalar.mutable_data_ptr<float>();
}

// Counts one step for each parameter.
inline void count(Tensors& steps) {
  if (!steps[0].is_cpu()) return at::_foreach_add_(steps, 1);
  for (const auto& step : steps) host(step) += 1;
}
