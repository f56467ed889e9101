// The Gaussian error linear unit (Hendrycks and Gimpel 2016, arXiv:1606.08415), exact and by tanh, and its gradient. ATen's takes
// three times as long for the exact one.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/gelu_backward_cpu_dispatch.h>
#include <ATen/ops/gelu_cpu_dispatch.h>

#include "operators.h"
#include "vector_math.h"

namespace {

// Below so many numbers a second thread costs more than it does.
constexpr int64_t kGrain = 1 << 14;

// The standard normal distribution at x: what lies below, to 3e-7 relative where that is not far out, and the density.
struct Normal {
  float below, density;
};

// One exponential serves both: the tail is the density times Mills' ratio, for which the polynomial in 1 / (1 + 0.3 |x|) was fitted as
// in Abramowitz and Stegun 26.2.17, with eight terms in place of five (1.5e-7 relative, for |x| up to 14).
FT_INLINE Normal normal(float x) {
  const float distance = x < 0.0f ? -x : x, t = 1.0f / (1.0f + 0.3f * distance), density = 0.398942280f * ft_exp(-0.5f * x * x);
  float mills = 0.0894357168f;
  mills = mills * t - 0.3940998863f;
  mills = mills * t + 0.5173358229f;
  mills = mills * t - 0.1346404941f;
  mills = mills * t + 0.3222952574f;
  mills = mills * t + 0.2504343417f;
  mills = mills * t + 0.3026871318f;
  mills = mills * t + 0.2998660622f;
  const float tail = density * (mills * t);
  return {x < 0.0f ? tail : 1.0f - tail, density};
}

constexpr float kTanhScale = 0.797884561f, kTanhCube = 0.044715f;  // √(2/π)

FT_VECTORISED void gelu_exact(const float* __restrict x, float* __restrict y, int64_t size) {
  for (int64_t i = 0; i < size; i++) y[i] = x[i] * normal(x[i]).below;
}

FT_VECTORISED void gelu_exact_backward(const float* __restrict dy, const float* __restrict x, float* __restrict dx, int64_t size) {
  for (int64_t i = 0; i < size; i++) {
    const Normal at = normal(x[i]);
    dx[i] = dy[i] * (at.below + x[i] * at.density);
  }
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
