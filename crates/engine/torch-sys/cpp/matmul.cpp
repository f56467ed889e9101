// Matrix products of f32 on the CPU through oneDNN, which ATen keeps for bf16 and leaves f32 to MKL. Off Intel's own processors
// MKL takes its AVX2 path; oneDNN writes its kernels for the instruction set it finds. Measured on an AMD Zen 5, one thread: 220
// against 100 GFLOP/s.

#include <ATen/ATen.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>

#include "onednn.h"
#include "operators.h"

namespace {

// Below so many multiplications oneDNN's 10 µs of preparation cost more than it saves (measured: even at 64·512·32).
constexpr int64_t kLeastWork = 1 << 20;
// Vectors times matrices wait for memory, where MKL does as well.
constexpr int64_t kLeastSize = 4;

// Whether `[…, M, K] × […, K, N]` is for oneDNN. Depends on nothing but types and sizes, so that a run repeats its bits.
bool fits(const at::Tensor& a, const at::Tensor& b) {
  if (!is_plain_f32(a) || !is_plain_f32(b) || a.dim() != b.dim() || a.size(-1) != b.size(-2)) return false;
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  if (m < kLeastSize || k < kLeastSize || n < kLeastSize || m * k * n < kLeastWork) return false;
  return onednn_wins();
}

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
  if (a.dim() != 2 || !fits(a, b)) return at::cpu::mm(a, b);
  auto result = at::empty({a.size(0), b.size(1)}, a.options());
  at::native::mkldnn_matmul(a, b, result, 0, 1);
  return result;
}

at::Tensor addmm(const at::Tensor& bias, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta, const at::Scalar& alpha) {
  const bool plain = a.dim() == 2 && fits(a, b) && is_plain_f32(bias) && beta.equal(1) && alpha.equal(1);
  if (!plain) return at::cpu::addmm(bias, a, b, beta, alpha);
  auto result = at::empty({a.size(0), b.size(1)}, a.options());
  result.copy_(bias);
  at::native::mkldnn_matmul(a, b, result, 1, 1);
  return result;
}

at::Tensor bmm(const at::Tensor& a, const at::Tensor& b) {
  if (a.dim() != 3 || !fits(a, b) || a.size(0) != b.size(0) || a.size(0) == 0) return at::cpu::bmm(a, b);
  auto result = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  at::native::mkldnn_matmul(a, b, result, 0, 1);
  return result;
}

}  // namespace

void ft_add_matmul(torch::Library& library) {
  if (!onednn_wins()) return;
  library.impl("mm", mm);
  library.impl("addmm", addmm);
  library.impl("bmm", bmm);
}
