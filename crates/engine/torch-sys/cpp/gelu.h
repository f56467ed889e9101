// The Gaussian error linear unit (Hendrycks and Gimpel 2016, arXiv:1606.08415) of one number, exact and by tanh, and its slope.
#pragma once

#include "vector_math.h"

struct Gelu {
  float value, slope;
};

// One exponential serves distribution and density: the tail is the density times Mills' ratio, for which the polynomial in
// 1 / (1 + 0.3 |x|) was fitted as in Abramowitz and Stegun 26.2.17, with eight terms in place of five (1.5e-7 relative, for |x| up to 14).
FT_INLINE Gelu ft_gelu(float x) {
  const float distance = x < 0.0f ? -x : x, t = 1.0f / (1.0f + 0.3f * distance), density = 0.398942280f * ft_exp(-0.5f * x * x);
  float mills = 0.0894357168f;
  mills = mills * t - 0.3940998863f;
  mills = mills * t + 0.5173358229f;
  mills = mills * t - 0.1346404941f;
  mills = mills * t + 0.3222952574f;
  mills = mills * t + 0.2504343417f;
  mills = mills * t + 0.3026871318f;
  mills = mills * t + 0.2998660622f;
  const float tail = density * (mills * t), below = x < 0.0f ? tail : 1.0f - tail;
  return {x * below, below + x * density};
}

// ½ (1 + tanh u) is sigmoid(2u).
FT_INLINE Gelu ft_gelu_tanh(float x) {
  constexpr float kScale = 0.797884561f, kCube = 0.044715f;  // √(2/π)
  const float square = x * x, s = ft_sigmoid(2.0f * kScale * (x + kCube * x * square));
  return {x * s, s + 2.0f * x * s * (1.0f - s) * kScale * (1.0f + 3.0f * kCube * square)};
}
