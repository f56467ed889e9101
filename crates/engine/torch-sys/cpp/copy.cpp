// Copies of many tensors at once, past the caches.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstring>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "guard.h"
#include "kernels.h"

namespace {

struct Piece {
  const char* from;
  char* to;
  int64_t size;
};

// A thread's share at a time.
constexpr int64_t kPiece = 1 << 20;

// What is stored the ordinary way, a cache first reads, and then holds instead of what the next step needs.
void stream(const Piece& piece) {
#ifdef __SSE2__
  constexpr int64_t kVector = sizeof(__m128i);
  const int64_t ahead = (kVector - reinterpret_cast<uintptr_t>(piece.to) % kVector) % kVector;
  if (piece.size >= ahead + kVector) {
    std::memcpy(piece.to, piece.from, ahead);
    int64_t at = ahead;
    for (; at + kVector <= piece.size; at += kVector) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(piece.to + at), _mm_loadu_si128(reinterpret_cast<const __m128i*>(piece.from + at)));
    }
    std::memcpy(piece.to + at, piece.from + at, piece.size - at);
    _mm_sfence();
    return;
  }
#endif
  std::memcpy(piece.to, piece.from, piece.size);
}

bool is_stream_of_bytes(const at::Tensor& to, const at::Tensor& from) {
  return to.is_cpu() && from.is_cpu() && to.layout() == at::kStrided && from.layout() == at::kStrided && to.scalar_type() == from.scalar_type() &&
         to.sizes() == from.sizes() && to.strides() == from.strides() && to.is_non_overlapping_and_dense() && to.is_neg() == from.is_neg() &&
         to.is_conj() == from.is_conj();
}

}  // namespace

int ft_copy(const ft_tensor* to, const ft_tensor* from, int count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<Piece> pieces;
    for (int i = 0; i < count; i++) {
      auto& target = tensor(to[i]);
      const auto& source = tensor(from[i]);
      if (!is_stream_of_bytes(target, source)) {
        target.copy_(source);
        continue;
      }
      const auto* bytes = static_cast<const char*>(source.const_data_ptr());
      auto* room = static_cast<char*>(target.mutable_data_ptr());
      const int64_t size = source.nbytes();
      for (int64_t at = 0; at < size; at += kPiece) pieces.push_back({bytes + at, room + at, std::min(kPiece, size - at)});
    }
    at::parallel_for(0, pieces.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) stream(pieces[i]);
    });
  });
}
