#include "gradients.h"

#include <utility>
#include <vector>

#include "guard.h"

namespace {
using Tensors = std::vector<at::Tensor>;

// The gradients by type and device: kernels for many tensors take tensors of one sort.
std::vector<Tensors> gradients(const ft_tensor* params, int count) {
  std::vector<Tensors> sorts;
  for (int i = 0; i < count; i++) {
    const auto& grad = tensor(params[i]).grad();
    if (!grad.defined()) continue;
    Tensors* home = nullptr;
    for (auto& sort : sorts) {
      if (sort[0].scalar_type() == grad.scalar_type() && sort[0].device() == grad.device()) home = &sort;
    }
    if (!home) home = &sorts.emplace_back();
    home->push_back(grad);
  }
  return sorts;
}

// As torch.nn.utils.get_total_norm: the norm of the norms, on the device of the first gradient.
at::Tensor total_norm(const std::vector<Tensors>& sorts, double norm_type) {
  if (sorts.empty()) return at::zeros({});
  Tensors norms;
  for (const auto& sort : sorts) {
    for (auto& norm : at::_foreach_norm(sort, norm_type)) norms.push_back(norm.to(sorts[0][0].device()));
  }
  return at::linalg_vector_norm(at::stack(norms), norm_type);
}
}  // namespace

int ft_clear_gradients(const ft_tensor* params, int count) {
  return guarded([&] {
    for (int i = 0; i < count; i++) tensor(params[i]).mutable_grad() = at::Tensor();
  });
}

int ft_gradient_norm(const ft_tensor* params, int count, double norm_type, ft_tensor* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    *norm = new at::Tensor(total_norm(gradients(params, count), norm_type));
  });
}

int ft_clip_gradient_norm(const ft_tensor* params, int count, double max_norm, double norm_type, ft_tensor* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto sorts = gradients(params, count);
    auto total = total_norm(sorts, norm_type);
    // As torch.nn.utils.clip_grad_norm_: no question to the device, a factor of at most 1.
    auto factor = (max_norm / (total + 1e-6)).clamp_max(1.0);
    for (auto& sort : sorts) at::_foreach_mul_(sort, factor.to(sort[0].device()));
    *norm = new at::Tensor(std::move(total));
  });
}

int ft_clip_gradient_value(const ft_tensor* params, int count, double max_value) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (auto& sort : gradients(params, count)) {
      at::_foreach_clamp_min_(sort, -max_value);
      at::_foreach_clamp_max_(sort, max_value);
    }
  });
}

int ft_unscale_gradients(const ft_tensor* params, int count, ft_tensor inv_scale, ft_tensor found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (auto& sort : gradients(params, count)) {
      at::_amp_foreach_non_finite_check_and_unscale_(sort, tensor(found_inf), tensor(inv_scale));
    }
  });
}

int ft_update_scale(ft_tensor scale, ft_tensor growth_tracker, ft_tensor found_inf, double growth_factor, double backoff_factor, int growth_interval) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::_amp_update_scale_(tensor(scale), tensor(growth_tracker), tensor(found_inf), growth_factor, backoff_factor, growth_interval);
  });
}
