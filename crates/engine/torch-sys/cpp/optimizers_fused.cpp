// The optimizers that libtorch has a kernel of its own for: one pass over memory a step.

#include <algorithm>

#include "optimizer_rows.h"

namespace {
// The rows as lists, each tensor as its numbers lie in memory: the kernels on the CPU copy a gradient whose rows are not its order, such as
// that of a kernel in NHWC, and its parameter too.
std::vector<Lists> flat_lists(ft_rows rows, int width) {
  auto sorts = lists(rows, width);
  for (auto& all : sorts) {
    for (size_t i = 0; i < all.param.size(); i++) {
      const auto sizes = all.param[i].sizes(), strides = all.param[i].strides();
      if (all.param[i].is_contiguous() || !all.param[i].is_non_overlapping_and_dense()) continue;
      std::vector<at::Tensor*> alike = {&all.param[i], &all.grad[i]};
      for (auto& state : all.state) {
        if (state[i].dim() > 0) alike.push_back(&state[i]);
      }
      if (!std::all_of(alike.begin(), alike.end(), [&](const at::Tensor* one) { return one->sizes() == sizes && one->strides() == strides; })) continue;
      const int64_t numel = all.param[i].numel();
      for (auto* one : alike) *one = one->as_strided({numel}, {1});
    }
  }
  return sorts;
}

// A momentum buffer is filled, rather than read, at a parameter's first step; the kernel asks that of all its parameters at once.
void sgd(const Lists& all, bool first, const ft_sgd& s) {
  Tensors param, grad, buffer;
  for (size_t i = 0; i < all.param.size(); i++) {
    if ((host(all.state[1][i]) == 0) != first) continue;
    param.push_back(all.param[i]);
    grad.push_back(all.grad[i]);
    buffer.push_back(all.state[0][i]);
  }
  if (param.empty()) return;
  at::_fused_sgd_(param, grad, buffer, s.weight_decay, s.momentum, s.lr, s.dampening, s.nesterov != 0, s.maximize != 0, first);
}
}  // namespace

int ft_step_sgd(ft_rows rows, const ft_sgd* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : flat_lists(rows, rows.width == 1 ? 1 : 3)) {
      if (rows.width == 1) {
        at::_fused_sgd_(all.param, all.grad, {}, s.weight_decay, 0, s.lr, 0, false, s.maximize != 0, false);
      } else {
        sgd(all, false, s);
        sgd(all, true, s);
        count(all.state[1]);
      }
    }
  });
}

int ft_step_adam(ft_rows rows, const ft_adam* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    const bool amsgrad = s.amsgrad != 0, maximize = s.maximize != 0;
    for (auto& all : flat_lists(rows, amsgrad ? 5 : 4)) {
      count(all.state[2]);
      const Tensors greatest = amsgrad ? all.state[3] : Tensors();
      const auto kernel = [&](auto fused) {
        fused(all.param, all.grad, all.state[0], all.state[1], greatest, all.state[2], s.lr, s.beta1, s.beta2, s.weight_decay, s.eps, amsgrad, maximize);
      };
      if (s.decoupled) {
        kernel([](const auto&... arguments) { at::_fused_adamw_(arguments...); });
      } else {
        kernel([](const auto&... arguments) { at::_fused_adam_(arguments...); });
      }
    }
  });
}

int ft_step_adagrad(ft_rows rows, const ft_adagrad* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : flat_lists(rows, 3)) {
      count(all.state[1]);
      at::_fused_adagrad_(all.param, all.grad, all.state[0], all.state[1], s.lr, s.lr_decay, s.weight_decay, s.eps, s.maximize != 0);
    }
  });
}
