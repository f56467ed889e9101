#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <torch/version.h>

#include <string>
#include <vector>

namespace {
std::vector<at::Tensor> list(ft_tensor* handles, int count) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (int i = 0; i < count; i++) tensors.push_back(tensor(handles[i]));
  return tensors;
}

std::vector<at::Tensor> gradients(const std::vector<at::Tensor>& params) {
  std::vector<at::Tensor> grads;
  grads.reserve(params.size());
  for (const auto& param : params) {
    if (param.grad().defined()) grads.push_back(param.grad());
  }
  return grads;
}
}  // namespace

std::string& ft_error() {
  thread_local std::string last_error;
  return last_error;
}

const char* ft_last_error(void) { return ft_error().c_str(); }

int ft_fused_adam(ft_tensor* params, ft_tensor* exp_avgs, ft_tensor* exp_avg_sqs, ft_tensor* steps, int count, double lr, double beta1,
                  double beta2, double weight_decay, double eps, int decoupled) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> param, grad, avg, avg_sq, step;
    // A parameter without a gradient took no part in this step: it and its state stay as they are.
    for (int i = 0; i < count; i++) {
      auto& one = tensor(params[i]);
      if (!one.grad().defined()) continue;
      param.push_back(one);
      // The kernel walks parameter, gradient and state in memory order, so they must lie alike.
      grad.push_back(one.grad().strides() == one.strides() ? one.grad() : at::empty_like(one).copy_(one.grad()));
      avg.push_back(tensor(exp_avgs[i]));
      avg_sq.push_back(tensor(exp_avg_sqs[i]));
      step.push_back(tensor(steps[i]));
    }
    if (param.empty()) return;
    at::_foreach_add_(step, 1);
    if (decoupled) {
      at::_fused_adamw_(param, grad, avg, avg_sq, {}, step, lr, beta1, beta2, weight_decay, eps, false, false);
    } else {
      at::_fused_adam_(param, grad, avg, avg_sq, {}, step, lr, beta1, beta2, weight_decay, eps, false, false);
    }
  });
}

int ft_fused_sgd(ft_tensor* params, ft_tensor* momentum_buffers, int count, double lr, double momentum, double dampening,
                 double weight_decay, int nesterov, int first_step) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> param, grad, buffer;
    for (int i = 0; i < count; i++) {
      auto& one = tensor(params[i]);
      if (!one.grad().defined()) continue;
      param.push_back(one);
      grad.push_back(one.grad().strides() == one.strides() ? one.grad() : at::empty_like(one).copy_(one.grad()));
      if (momentum_buffers) buffer.push_back(tensor(momentum_buffers[i]));
    }
    if (param.empty()) return;
    at::_fused_sgd_(param, grad, buffer, weight_decay, momentum, lr, dampening, nesterov != 0, false, first_step != 0);
  });
}

int ft_clear_gradients(ft_tensor* params, int count) {
  return guarded([&] {
    for (int i = 0; i < count; i++) tensor(params[i]).mutable_grad() = at::Tensor();
  });
}

int ft_clip_gradient_norm(ft_tensor* params, int count, double max_norm, ft_tensor* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto grads = gradients(list(params, count));
    TORCH_CHECK(!grads.empty(), "no parameter has a gradient");
    auto total = at::linalg_vector_norm(at::stack(at::_foreach_norm(grads, 2)));
    // As torch.nn.utils.clip_grad_norm_: no question to the device, a factor of at most 1.
    auto factor = (max_norm / (total + 1e-6)).clamp_max(1.0);
    at::_foreach_mul_(grads, factor);
    *norm = new at::Tensor(total);
  });
}

int ft_clip_gradient_value(ft_tensor* params, int count, double max_value) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (auto& grad : gradients(list(params, count))) grad.clamp_(-max_value, max_value);
  });
}

int ft_channels_last(ft_tensor handle) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto& one = tensor(handle);
    one.set_data(one.data().contiguous(at::MemoryFormat::ChannelsLast));
  });
}

int ft_is_channels_last(ft_tensor handle, int* answer) {
  return guarded([&] { *answer = tensor(handle).is_contiguous(at::MemoryFormat::ChannelsLast); });
}

int ft_autocast(int enabled, int cuda, int dtype) {
  return guarded([&] {
    auto device = cuda ? at::kCUDA : at::kCPU;
    if (enabled) at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(dtype));
    at::autocast::set_autocast_enabled(device, enabled != 0);
    if (!enabled) at::autocast::clear_cache();
  });
}

int ft_inference_mode(ft_guard* guard) {
  return guarded([&] { *guard = new c10::InferenceMode(true); });
}

void ft_free_inference_mode(ft_guard guard) { delete static_cast<c10::InferenceMode*>(guard); }

int ft_set_gradient(ft_tensor param, ft_tensor gradient) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto& one = tensor(param);
    // In the parameter's layout, as autograd would have stored it.
    one.mutable_grad() = at::empty_like(one).copy_(tensor(gradient));
  });
}

int ft_deterministic(int enabled, int warn_only) {
  return guarded([&] { at::globalContext().setDeterministicAlgorithms(enabled != 0, warn_only != 0); });
}

const char* ft_version(void) { return TORCH_VERSION; }

const char* ft_cpu_capability(void) {
  static const std::string name = at::get_cpu_capability();
  return name.c_str();
}

int ft_load_cuda(void) {
  return guarded([&] {
    Dl_info info;
    TORCH_CHECK(dladdr(reinterpret_cast<void*>(&at::get_cpu_capability), &info) && info.dli_fname, "cannot tell where libtorch_cpu.so lies");
    // The real folder: libtorch_cuda.so finds NVIDIA's libraries relative to itself.
    char real[PATH_MAX];
    TORCH_CHECK(realpath(info.dli_fname, real), "cannot resolve ", info.dli_fname);
    std::string path(real);
    path = path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
    TORCH_CHECK(dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL), dlerror());
  });
}
