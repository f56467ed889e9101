// GELU as an operator, and its gradient. ATen's exact one takes three times as long.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/gelu_backward_cpu_dispatch.h>
#include <ATen/ops/gelu_cpu_dispatch.h>

#include "gelu.h"
#include "operators.h"

namespace {

// Below so many numbers a second thread costs more than it does.
constexpr int64_t kGrain = 1 << 14;

FT_VECTORISED void gelu_exact(const float* __restrict x, float* __restrict y, int64_t size) {
  for (int64_t i = 0; i < size; i++) y[i] = ft_gelu(x[i]).value;
}

FT_VECTORISED void gelu_exact_backward(const float* __restrict dy, const float* __restrict x, float* __restrict dx, int64_t size) {
  for (int64_t i = 0; i < size; i++) dx[i] = dy[i] * ft_gelu(x[i]).slope;
}

FT_VECTORISED void gelu_tanh(const float* __restrict x, float* __restrict y, int64_t size) {
  for (int64_t i = 0; i < size; i++) y[i] = ft_gelu_tanh(x[i]).value;
}

FT_VECTORISED void gelu_tanh_backward(const float* __restrict dy, const float* __restrict x, float* __restrict dx, int64_t size) {
  for (int64_t i = 0; i < size; i++) dx[i] = dy[i] * ft_gelu_tanh(x[i]).slope;
}

bool fits(const at::Tensor& x, c10::string_view approximate) {
  return is_plain_f32(x) && x.is_non_overlapping_and_dense() && (approximate == "none" || approximate == "tanh");
}

at::Tensor gelu(const at::Tensor& x, c10::string_view approximate) {
  if (!fits(x, approximate)) return at::cpu::gelu(x, approximate);
  const auto kernel = approximate == "tanh" ? gelu_tanh : gelu_exact;
  auto y = at::empty_like(x);
  const auto* from = x.const_data_ptr<float>();
  auto* to = y.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) { kernel(from + begin, to + begin, end - begin); });
  return y;
}

at::Tensor gelu_backward(const at::Tensor& dy, const at::Tensor& x, c10::string_view approximate) {
  if (!fits(x, approximate) || !fits(dy, approximate) || dy.sizes() != x.sizes() || dy.strides() != x.strides()) {
    return at::cpu::gelu_backward(dy, x, approximate);
  }
  const auto kernel = approximate == "tanh" ? gelu_tanh_backward : gelu_exact_backward;
  auto dx = at::empty_like(x);
  const auto *gradient = dy.const_data_ptr<float>(), *from = x.const_data_ptr<float>();
  auto* to = dx.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernel(gradient + begin, from + begin, to + begin, end - begin);
  });
  return dx;
}

}  // namespace

void ft_add_gelu(torch::Library& library) {
  library.impl("gelu", gelu);
  library.impl("gelu_backward", gelu_backward);
}
