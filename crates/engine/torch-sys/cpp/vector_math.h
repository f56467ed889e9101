// Functions of single numbers, written so that the compiler makes vector instructions of a loop over them.
#pragma once

#include <cstdint>
#include <cstring>

// The loop is compiled for AVX-512, AVX2 and SSE2, and the machine's own is chosen when the program is loaded. It must be a
// function of its own: a lambda cannot have versions.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define FT_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FT_VECTORISED
#endif
#define FT_INLINE inline __attribute__((always_inline))

// e^x to 2 units in the last place (Cody and Waite's reduction, Cephes' polynomial), x cut off at ±87.
FT_INLINE float ft_exp(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  // Adding and taking away 1.5 · 2²³ rounds to a whole number.
  constexpr float kRounder = 12582912.0f;
  x = x < -87.0f ? -87.0f : x;
  x = x > 87.0f ? 87.0f : x;
  const float n = (x * kLog2E + kRounder) - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

FT_INLINE float ft_sigmoid(float x) { return 1.0f / (1.0f + ft_exp(-x)); }

// To 1.2e-7 absolute.
FT_INLINE float ft_tanh(float x) { return 2.0f / (1.0f + ft_exp(-2.0f * x)) - 1.0f; }

FT_VECTORISED static void ft_add(float* __restrict to, const float* __restrict what, int64_t size) {
  for (int64_t i = 0; i < size; i++) to[i] += what[i];
}
