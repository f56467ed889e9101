// The optimizers that libtorch has no kernel of its own for, over its operators for many tensors; the arithmetic is that of torch/optim/*.py.

#include <algorithm>
#include <cmath>
#include <limits>

#include "optimizer_rows.h"

namespace {
// Weight decay: off the parameters themselves (decoupled) or as a part of the gradient.
void decay(Lists& all, double lr, double weight_decay, bool decoupled) {
  if (weight_decay == 0) return;
  if (decoupled) {
    at::_foreach_mul_(all.param, 1 - lr * weight_decay);
  } else {
    all.grad = at::_foreach_add(all.grad, all.param, weight_decay);
  }
}

// The running averages of gradient and squared gradient, state 0 and 1.
void moments(Lists& all, double beta1, double beta2) {
  at::_foreach_lerp_(all.state[0], all.grad, 1 - beta1);
  at::_foreach_mul_(all.state[1], beta2);
  at::_foreach_addcmul_(all.state[1], all.grad, all.grad, 1 - beta2);
}

// √(exp_avg_sq / (1 − beta2^step)) + eps.
Tensors denominators(const Lists& all, double beta2, double eps) {
  auto root = at::_foreach_sqrt(all.state[1]);
  at::_foreach_div_(root, all.scalars([&](size_t i) { return std::sqrt(1 - std::pow(beta2, host(all.state[2][i]))); }));
  at::_foreach_add_(root, eps);
  return root;
}

// 2-norms, of half precision in f32.
Tensors norms(const Tensors& tensors) {
  const auto type = tensors[0].scalar_type();
  const bool half = type == at::kHalf || type == at::kBFloat16;
  return at::_foreach_norm(tensors, 2, half ? std::optional(at::kFloat) : std::nullopt);
}

double epsilon(at::ScalarType type) {
  switch (type) {
    case at::kDouble: return std::numeric_limits<double>::epsilon();
    case at::kHalf: return std::numeric_limits<c10::Half>::epsilon();
    case at::kBFloat16: return std::numeric_limits<c10::BFloat16>::epsilon();
    default: return std::numeric_limits<float>::epsilon();
  }
}
}  // namespace

int ft_step_nadam(ft_rows rows, const ft_nadam* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : lists(rows, 5)) {
      count(all.state[2]);
      decay(all, s.lr, s.weight_decay, s.decoupled);
      moments(all, s.beta1, s.beta2);
      const auto mu = [&](double step) { return s.beta1 * (1 - 0.5 * std::pow(0.96, step * s.momentum_decay)); };
      for (size_t i = 0; i < all.param.size(); i++) host(all.state[3][i]) *= static_cast<float>(mu(host(all.state[2][i])));
      auto denominator = denominators(all, s.beta2, s.eps);
      at::_foreach_addcdiv_(all.param, all.grad, denominator, all.scalars([&](size_t i) {
        return -s.lr * (1 - mu(host(all.state[2][i]))) / (1 - static_cast<double>(host(all.state[3][i])));
      }));
      at::_foreach_addcdiv_(all.param, all.state[0], denominator, all.scalars([&](size_t i) {
        const double next = mu(static_cast<double>(host(all.state[2][i])) + 1);
        return -s.lr * next / (1 - static_cast<double>(host(all.state[3][i])) * next);
      }));
    }
  });
}

int ft_step_radam(ft_rows rows, const ft_radam* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : lists(rows, 4)) {
      count(all.state[2]);
      decay(all, s.lr, s.weight_decay, s.decoupled);
      moments(all, s.beta1, s.beta2);
      const double longest = 2 / (1 - s.beta2) - 1;
      const auto corrected = [&](double beta, size_t i) { return 1 - std::pow(beta, host(all.state[2][i])); };
      // The variance's rectification; 0 while there are too few steps for it.
      const auto rectification = [&](size_t i) {
        const double step = host(all.state[2][i]);
        const double length = longest - 2 * step * std::pow(s.beta2, step) / corrected(s.beta2, i);
        return length > 5 ? std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) : 0.0;
      };
      // Per element: how far to go along exp_avg, adaptive or, where that is not to be trusted yet, plain.
      auto adaptive = at::_foreach_sqrt(all.state[1]);
      at::_foreach_add_(adaptive, s.eps);
      at::_foreach_reciprocal_(adaptive);
      at::_foreach_mul_(adaptive, all.scalars([&](size_t i) {
        return -s.lr * rectification(i) * std::sqrt(corrected(s.beta2, i)) / corrected(s.beta1, i);
      }));
      at::_foreach_add_(adaptive, all.scalars([&](size_t i) { return rectification(i) > 0 ? 0.0 : -s.lr / corrected(s.beta1, i); }));
      at::_foreach_addcmul_(all.param, all.state[0], adaptive);
    }
  });
}

int ft_step_rmsprop(ft_rows rows, const ft_rmsprop* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    const bool centered = s.centered != 0, momentum = rows.width == (centered ? 4 : 3);
    for (auto& all : lists(rows, 2 + centered + momentum)) {
      decay(all, s.lr, s.weight_decay, false);
      auto& square = all.state[0];
      at::_foreach_mul_(square, s.alpha);
      at::_foreach_addcmul_(square, all.grad, all.grad, 1 - s.alpha);
      Tensors root;
      if (centered) {
        at::_foreach_lerp_(all.state[1], all.grad, 1 - s.alpha);
        root = at::_foreach_addcmul(square, all.state[1], all.state[1], -1);
        at::_foreach_sqrt_(root);
      } else {
        root = at::_foreach_sqrt(square);
      }
      at::_foreach_add_(root, s.eps);
      if (momentum) {
        auto& buffer = all.state[1 + centered];
        at::_foreach_mul_(buffer, s.momentum);
        at::_foreach_addcdiv_(buffer, all.grad, root);
        at::_foreach_add_(all.param, buffer, -s.lr);
      } else {
        at::_foreach_addcdiv_(all.param, all.grad, root, -s.lr);
      }
    }
  });
}

int ft_step_adafactor(ft_rows rows, const ft_adafactor* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : lists(rows, 4, true)) {
      count(all.state[2]);
      const double eps1 = s.eps1 < 0 ? epsilon(all.param[0].scalar_type()) : s.eps1;
      const auto share = all.scalars([&](size_t i) { return std::pow(host(all.state[2][i]), s.beta2_decay); });
      // torch asks the device for these norms; here they stay tensors.
      auto scale = norms(all.param);
      at::_foreach_div_(scale, all.scalars([&](size_t i) { return std::sqrt(static_cast<double>(all.param[i].numel())); }));
      at::_foreach_clamp_min_(scale, s.eps2);
      at::_foreach_mul_(scale, all.scalars([&](size_t i) { return -std::min(s.lr, 1 / std::sqrt(static_cast<double>(host(all.state[2][i])))); }));
      decay(all, s.lr, s.weight_decay, true);
      Tensors update;
      if (all.param[0].dim() > 1) {
        const auto means = [&](int64_t dim) {
          Tensors squares;
          for (const auto& grad : all.grad) squares.push_back(at::linalg_vector_norm(grad, 2, dim, true).square_().div_(grad.size(dim)));
          return squares;
        };
        at::_foreach_lerp_(all.state[0], means(-1), share);
        at::_foreach_lerp_(all.state[1], means(-2), share);
        Tensors row_means;
        for (size_t i = 0; i < all.param.size(); i++) {
          update.push_back(at::matmul(all.state[0][i], all.state[1][i]));
          row_means.push_back(all.state[0][i].mean(-2, true));
        }
        at::_foreach_clamp_min_(row_means, eps1);
        at::_foreach_div_(update, row_means);
      } else {
        at::_foreach_lerp_(all.state[0], at::_foreach_mul(all.grad, all.grad), share);
        for (const auto& variance : all.state[0]) update.push_back(variance.clone());
      }
      at::_foreach_clamp_min_(update, eps1 * eps1);
      at::_foreach_rsqrt_(update);
      at::_foreach_mul_(update, all.grad);
      auto rms = norms(update);
      at::_foreach_div_(rms, all.scalars([&](size_t i) { return std::sqrt(static_cast<double>(all.param[i].numel())) * s.d; }));
      at::_foreach_clamp_min_(rms, 1);
      at::_foreach_div_(scale, rms);
      at::_foreach_mul_(update, scale);
      at::_foreach_add_(all.param, update);
    }
  });
}

int ft_step_lamb(ft_rows rows, const ft_lamb* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : lists(rows, 4)) {
      count(all.state[2]);
      moments(all, s.beta1, s.beta2);
      auto update = at::_foreach_div(all.state[0], all.scalars([&](size_t i) { return 1 - std::pow(s.beta1, host(all.state[2][i])); }));
      at::_foreach_div_(update, denominators(all, s.beta2, s.eps));
      at::_foreach_add_(update, all.param, s.weight_decay);
      // The trust ratio of each layer, 1 where either norm is 0.
      const auto weight = at::stack(norms(all.param)), step = at::stack(norms(update));
      const auto trust = at::where((weight > 0).logical_and_(step > 0), weight / step, 1);
      at::_foreach_mul_(update, (trust * -s.lr).unbind());
      at::_foreach_add_(all.param, update);
    }
  });
}

int ft_step_lion(ft_rows rows, const ft_lion* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : lists(rows, 2)) {
      decay(all, s.lr, s.weight_decay, true);
      auto direction = at::_foreach_lerp(all.state[0], all.grad, 1 - s.beta1);
      at::_foreach_sign_(direction);
      at::_foreach_add_(all.param, direction, -s.lr);
      at::_foreach_lerp_(all.state[0], all.grad, 1 - s.beta2);
    }
  });
}

int ft_step_muon(ft_rows rows, const ft_muon* settings) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto& s = *settings;
    for (auto& all : lists(rows, 2)) {
      at::_foreach_lerp_(all.state[0], all.grad, 1 - s.momentum);
      const auto update = s.nesterov ? at::_foreach_lerp(all.grad, all.state[0], s.momentum) : all.state[0];
      decay(all, s.lr, s.weight_decay, true);
      for (size_t i = 0; i < all.param.size(); i++) {
        TORCH_CHECK(all.param[i].dim() == 2, "Muon moves parameters of two dimensions, this one has ", all.param[i].dim());
        const double height = all.param[i].size(0), width = all.param[i].size(1);
        // Towards the nearest orthogonal matrix by Newton and Schulz, in bf16 as torch.optim.Muon; the shorter side first, for smaller products.
        auto matrix = update[i].to(at::kBFloat16, false, true);
        if (height > width) matrix = matrix.t();
        matrix = matrix / matrix.norm().clamp_min(s.eps);
        for (int k = 0; k < s.ns_steps; k++) {
          const auto gram = matrix.mm(matrix.t());
          matrix = at::addmm(matrix, at::addmm(gram, gram, gram, s.b, s.c), matrix, s.a, 1);
        }
        if (height > width) matrix = matrix.t();
        const double ratio = s.match_rms_adamw ? 0.2 * std::sqrt(std::max(height, width)) : std::sqrt(std::max(1.0, height / width));
        all.param[i].add_(matrix, -s.lr * ratio);
      }
    }
  });
}
