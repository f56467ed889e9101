// What libtorch lets through of oneDNN.
#pragma once

#include <ATen/ATen.h>

namespace at::native {
// result = alpha · a b + beta · result, [M, K] × [K, N] or batches of them, of any strides. Exported; its header is not shipped.
TORCH_API void mkldnn_matmul(const Tensor& a, const Tensor& b, const Tensor& result, float beta, float alpha);
}  // namespace at::native

// Whether it has AVX-512 to write kernels for, and may be used.
inline bool onednn_has_avx512() {
#ifdef __x86_64__
  static const bool machine = at::hasMKLDNN() && __builtin_cpu_supports("avx512f");
  return machine && at::globalContext().userEnabledMkldnn();
#else
  return false;
#endif
}

// Whether its products of large f32 matrices are faster than MKL's: Intel's own processors keep MKL, and without AVX-512 both come to the same.
inline bool onednn_wins() {
#ifdef __x86_64__
  return onednn_has_avx512() && !__builtin_cpu_is("intel");
#else
  return false;
#endif
}
