#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <torch/version.h>

#include <string>

namespace {
thread_local std::string last_error;
}  // namespace

void ft_set_last_error(const char* message) { last_error = message; }

const char* ft_last_error(void) { return last_error.c_str(); }

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
