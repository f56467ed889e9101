// The Gaussian error linear unit (Hendrycks and Gimpel 2016, arXiv:1606.08415), exact and by tanh, and its gradient. ATen's takes
// 2.3 ns a number and thread for the exact one; this waits for memory.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/gelu_backward_cpu_dispatch.h>
#include <ATen/ops/gelu_cpu_dispatch.h>

#include "operators.h"
#include "vector_math.h"

namespace {

// Below so many numbers a second thread costs more than it does.
constexpr int64_t kGrain = 1 << 14;

// The normal distribution up to x, to 1e-7 relative (1e-6 below -5). erf's polynomials are N. Juffa's (minimax, both below 1 unit
// in the last place); below zero the tail is taken as it comes, not as what is left of 1.
FT_INLINE float normal_cdf(float x) {
  const float a = x * 0.707106781f, t = a < 0.0f ? -a : a, s = a * a;
  float far = (-1.72853470e-5f * t + 3.83197126e-4f) * s + (-3.88396438e-3f * t + 2.42546219e-2f);
  far = far * t - 1.06777877e-1f;
  far = far * t - 6.34846687e-1f;
  far = far * t - 1.28717512e-1f;
  const float tail = 0.5f * ft_exp(far * t - t);
  float near = -5.96761703e-4f;
  near = near * s + 4.99119423e-3f;
  near = near * s - 2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s - 3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = 0.5f + 0.5f * (near * a + a);
  const float outside = a < 0.0f ? tail : 1.0f - tail;
  return t > 0.927734375f ? outside : near;
}

FT_INLINE float normal_density(float x) { return 0.398942280f * ft_exp(-0.5f * x * x); }

constexpr float kTanhScale = 0.797884561f, kTanhCube = 0.044715f;  // √(2/π)

FT_VECTORISED void gelu_exact(const float* __restrict x, float* __restrict y, int64_t size) {
  for (int64_t i = 0; i < size; i++) y[i] = x[i] * normal_cdf(x[i]);
}

FT_VECTORISED void gelu_exact_backward(const float* __restrict dy, const float* __restrict x, float* __restrict dx, int64_t size) {
  for (int64_t i = 0; i < size; i++) dx[i] = dy[i] * (normal_cdf(x[i]) + x[i] * normal_density(x[i]));
}

// ½ (1 + tanh u) is sigmoid(2u).
FT_VECTORISED void gelu_tanh(const float* __restrict x, float* __restrict y, int64_t size) {
  for (int64_t i = 0; i < size; i++) {
    const float u = kTanhScale * (x[i] + kTanhCube * x[i] * x[i] * x[i]);
    y[i] = x[i] * ft_sigmoid(2.0f * u);
  }
}

FT_VECTORISED void gelu_tanh_backward(const float* __restrict dy, const float* __restrict x, float* __restrict dx, int64_t size) {
  for (int64_t i = 0; i < size; i++) {
    const float square = x[i] * x[i], u = kTanhScale * (x[i] + kTanhCube * x[i] * square);
    const float s = ft_sigmoid(2.0f * u), slope = kTanhScale * (1.0f + 3.0f * kTanhCube * square);
    dx[i] = dy[i] * (s + 2.0f * x[i] * s * (1.0f - s) * slope);
  }
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
