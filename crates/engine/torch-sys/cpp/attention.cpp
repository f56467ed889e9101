// Scaled dot-product attention of f32 and its gradient, as FlashAttention does it (Dao et al. 2022, arXiv:2205.14135): block by block,
// with the scores of a block never further than the cache, and no work on blocks that a causal mask hides. ATen's own does that
// too; here the exponentials are vector code of whole rows, the products are oneDNN's small kernels, and nothing is zeroed or
// masked that is not used.
//
// Letters: B samples, H heads, Q queries, K keys, D features of a head.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward_cpu_dispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_cpu_dispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "operators.h"
#include "stand_in.h"
#include "transpose.h"

namespace {

using at::native::cpublas::brgemm;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Tensors2 = std::tuple<at::Tensor, at::Tensor>;
using Tensors3 = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// Queries and keys of a block: with 64 features, scores and operands fit into a core's second cache.
constexpr int64_t kQueries = 64, kKeys = 256;

FT_VECTORISED float greatest(const float* x, int64_t size) {
  float lanes[kLanes];
  for (int lane = 0; lane < kLanes; lane++) lanes[lane] = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
  }
  float result = lanes[0];
  for (int lane = 1; lane < kLanes; lane++) result = lanes[lane] > result ? lanes[lane] : result;
  for (; i < size; i++) result = x[i] > result ? x[i] : result;
  return result;
}

// x becomes e^(scale · x - shift); returns the sum.
FT_VECTORISED float exponentials(float* x, int64_t size, float scale, float shift) {
  for (int64_t i = 0; i < size; i++) x[i] = ft_exp(scale * x[i] - shift);
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] += x[i + lane];
  }
  float result = 0.0f;
  for (int lane = 0; lane < kLanes; lane++) result += lanes[lane];
  for (; i < size; i++) result += x[i];
  return result;
}

FT_VECTORISED void multiply(float* x, float factor, int64_t size) {
  for (int64_t i = 0; i < size; i++) x[i] *= factor;
}

FT_VECTORISED float dot(const float* a, const float* b, int64_t size) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] += a[i + lane] * b[i + lane];
  }
  float result = 0.0f;
  for (int lane = 0; lane < kLanes; lane++) result += lanes[lane];
  for (; i < size; i++) result += a[i] * b[i];
  return result;
}

// Of one key and the queries of a block: weights become e^(scale · score - lse), and gradients of weights those of scores.
FT_VECTORISED void gradients_of_scores(float* __restrict weights, float* __restrict gradients, const float* __restrict lse,
                                       const float* __restrict delta, float scale, int64_t size) {
  for (int64_t i = 0; i < size; i++) {
    weights[i] = ft_exp(scale * weights[i] - lse[i]);
    gradients[i] = scale * weights[i] * (gradients[i] - delta[i]);
  }
}

// One of q, k, v and their gradients: [B, H, T, D] with rows that lie apart and whose numbers do not.
struct Heads {
  explicit Heads(const at::Tensor& x) : data(const_cast<float*>(x.const_data_ptr<float>())), sample(x.stride(0)), head(x.stride(1)), row(x.stride(2)) {}
  float* of(int64_t b, int64_t h) const { return data + b * sample + h * head; }
  float* data;
  int64_t sample, head, row;
};

// A result whose heads lie side by side, as the next layer reads them.
at::Tensor side_by_side(const at::Tensor& like) {
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options()).transpose(1, 2);
}

bool is_plain_heads(const at::Tensor& x) {
  return is_plain_f32(x) && x.dim() == 4 && x.numel() > 0 && x.stride(3) == 1 && x.stride(2) >= x.size(3);
}

bool fits(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double dropout, const std::optional<at::Tensor>& mask,
          std::optional<double> scale) {
  // Autograd hands on a mask that is not there as an undefined tensor. The greatest score is the one with the greatest product only
  // where the scale is positive.
  return (!scale.has_value() || *scale > 0.0) && is_plain_heads(q) && is_plain_heads(k) && is_plain_heads(v) && dropout == 0.0 && !(mask.has_value() && mask->defined()) && k.sizes() == v.sizes() &&
         q.size(0) == k.size(0) && q.size(1) == k.size(1) && q.size(3) == k.size(3);
}

float scale_of(const at::Tensor& q, std::optional<double> scale) {
  return static_cast<float>(scale.has_value() ? *scale : 1.0 / std::sqrt(static_cast<double>(q.size(3))));
}

Tensors2 attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, double dropout, bool causal,
                   const std::optional<at::Tensor>& mask, std::optional<double> given_scale) {
  if (!fits(query, key, value, dropout, mask, given_scale)) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout, causal, mask, given_scale);
  }
  const int64_t batch = query.size(0), heads = query.size(1), queries = query.size(2), keys = key.size(2), features = query.size(3);
  const float scale = scale_of(query, given_scale);
  auto output = side_by_side(query);
  auto every_lse = at::empty({batch, heads, queries}, query.options());
  const Heads q(query), k(key), v(value), out(output);
  auto* lse = every_lse.mutable_data_ptr<float>();
  const int64_t blocks = (queries + kQueries - 1) / kQueries;

  at::parallel_for(0, batch * heads * blocks, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> keys_transposed(features * keys), scores(kQueries * kKeys);
    float high[kQueries], sum[kQueries];
    int64_t packed = -1;
    for (int64_t task = begin; task < end; task++) {
      const int64_t pair = task / blocks, b = pair / heads, h = pair % heads, first = task % blocks * kQueries;
      const int64_t rows = std::min(kQueries, queries - first), last_key = causal ? std::min(keys, first + rows) : keys;
      if (packed != pair) transpose(k.of(b, h), k.row, keys_transposed.data(), keys, keys, features);
      packed = pair;
      auto* to = out.of(b, h) + first * out.row;
      for (int64_t from = 0; from < last_key; from += kKeys) {
        const int64_t width = std::min(kKeys, last_key - from);
        brgemm(rows, width, features, q.row, keys, kKeys, false, q.of(b, h) + first * q.row, keys_transposed.data() + from, scores.data());
        for (int64_t i = 0; i < rows; i++) {
          auto* row = scores.data() + i * kKeys;
          const int64_t seen = causal ? std::clamp<int64_t>(first + i + 1 - from, 0, width) : width;
          std::fill(row + seen, row + width, 0.0f);
          if (seen == 0) continue;
          const float block_high = scale * greatest(row, seen);
          const float now = from == 0 || block_high > high[i] ? block_high : high[i];
          const float block_sum = exponentials(row, seen, scale, now);
          const float kept = from == 0 ? 0.0f : std::exp(high[i] - now);
          sum[i] = from == 0 ? block_sum : sum[i] * kept + block_sum;
          high[i] = now;
          if (from > 0 && kept != 1.0f) multiply(to + i * out.row, kept, features);
        }
        brgemm(rows, features, width, kKeys, v.row, out.row, from > 0, scores.data(), v.of(b, h) + from * v.row, to);
      }
      for (int64_t i = 0; i < rows; i++) {
        multiply(to + i * out.row, 1.0f / sum[i], features);
        lse[pair * queries + first + i] = high[i] + std::log(sum[i]);
      }
    }
    at::native::cpublas::brgemm_release();
  });
  return {output, every_lse};
}

// Everything is computed transposed, [K, Q]: then the gradients of keys and values are plain products, and only blocks of
// D features are ever turned.
void fill_gradients(const at::Tensor& gradient, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                    const at::Tensor& output, const at::Tensor& every_lse, bool causal, float scale, const Tensors3& results) {
  const auto& [dquery, dkey, dvalue] = results;
  const int64_t batch = query.size(0), heads = query.size(1), queries = query.size(2), keys = key.size(2), features = query.size(3);
  const Heads q(query), k(key), v(value), out(output), dout(gradient), dq(dquery), dk(dkey), dv(dvalue);
  const auto contiguous_lse = every_lse.contiguous();
  const auto* lse = contiguous_lse.const_data_ptr<float>();

  at::parallel_for(0, batch * heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> keys_transposed(features * keys), weights(kKeys * kQueries), dscores(kKeys * kQueries);
    std::vector<float> q_transposed(features * kQueries), dout_transposed(features * kQueries), dq_transposed(features * kQueries);
    float delta[kQueries];
    for (int64_t pair = begin; pair < end; pair++) {
      const int64_t b = pair / heads, h = pair % heads;
      transpose(k.of(b, h), k.row, keys_transposed.data(), keys, keys, features);
      int64_t written = 0;  // keys whose gradients have been begun
      for (int64_t first = 0; first < queries; first += kQueries) {
        const int64_t rows = std::min(kQueries, queries - first), last_key = causal ? std::min(keys, first + rows) : keys;
        const auto *q_block = q.of(b, h) + first * q.row, *dout_block = dout.of(b, h) + first * dout.row;
        for (int64_t i = 0; i < rows; i++) delta[i] = dot(dout_block + i * dout.row, out.of(b, h) + (first + i) * out.row, features);
        transpose(q_block, q.row, q_transposed.data(), kQueries, rows, features);
        transpose(dout_block, dout.row, dout_transposed.data(), kQueries, rows, features);
        for (int64_t from = 0; from < last_key;) {
          // A block is all old or all new, so that its products either add or write.
          const int64_t limit = from < written ? std::min(last_key, written) : last_key, width = std::min(kKeys, limit - from);
          const bool add = from < written;
          const auto *k_block = k.of(b, h) + from * k.row, *v_block = v.of(b, h) + from * v.row;
          brgemm(width, rows, features, k.row, kQueries, kQueries, false, k_block, q_transposed.data(), weights.data());
          brgemm(width, rows, features, v.row, kQueries, kQueries, false, v_block, dout_transposed.data(), dscores.data());
          for (int64_t j = 0; j < width; j++) {
            auto *row = weights.data() + j * kQueries, *drow = dscores.data() + j * kQueries;
            const int64_t hidden = causal ? std::clamp<int64_t>(from + j - first, 0, rows) : 0;
            std::fill(row, row + hidden, 0.0f);
            std::fill(drow, drow + hidden, 0.0f);
            gradients_of_scores(row + hidden, drow + hidden, lse + pair * queries + first + hidden, delta + hidden, scale, rows - hidden);
          }
          brgemm(width, features, rows, kQueries, dout.row, dv.row, add, weights.data(), dout_block, dv.of(b, h) + from * dv.row);
          brgemm(width, features, rows, kQueries, q.row, dk.row, add, dscores.data(), q_block, dk.of(b, h) + from * dk.row);
          brgemm(features, rows, width, keys, kQueries, kQueries, from > 0, keys_transposed.data() + from, dscores.data(),
                 dq_transposed.data());
          from += width;
        }
        written = std::max(written, last_key);
        transpose(dq_transposed.data(), kQueries, dq.of(b, h) + first * dq.row, dq.row, features, rows);
      }
      // Keys behind the last query.
      for (int64_t j = written; j < keys; j++) {
        std::fill_n(dk.of(b, h) + j * dk.row, features, 0.0f);
        std::fill_n(dv.of(b, h) + j * dv.row, features, 0.0f);
      }
    }
    at::native::cpublas::brgemm_release();
  });
}

Tensors3 attention_backward(const at::Tensor& given_gradient, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const at::Tensor& output, const at::Tensor& every_lse, double dropout, bool causal,
                            const std::optional<at::Tensor>& mask, std::optional<double> given_scale) {
  const auto gradient = given_gradient.defined() && given_gradient.stride(-1) != 1 ? given_gradient.contiguous() : given_gradient;
  if (!gradient.defined() || !fits(query, key, value, dropout, mask, given_scale) || !is_plain_heads(gradient) || !is_plain_heads(output)) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(given_gradient, query, key, value, output, every_lse, dropout,
                                                                         causal, mask, given_scale);
  }
  const Tensors3 results = {side_by_side(query), side_by_side(key), side_by_side(value)};
  fill_gradients(gradient, query, key, value, output, every_lse, causal, scale_of(query, given_scale), results);
  return results;
}

// Queries, keys and values of one projection [B, T, 3 · H · D], each as [B, H, T, D].
Tensors3 parts(const at::Tensor& projection, int64_t heads) {
  const int64_t width = projection.size(2) / 3;
  const auto part = [&](int64_t i) {
    return projection.narrow(2, i * width, width).view({projection.size(0), projection.size(1), heads, width / heads}).transpose(1, 2);
  };
  return {part(0), part(1), part(2)};
}

// [B, H, T, D] → [B, T, H · D]
at::Tensor joined(const at::Tensor& heads) { return heads.transpose(1, 2).flatten(2); }

// Attention of one projection to itself: its gradient is written in one piece, where autograd would join three.
struct SelfAttention : torch::autograd::Function<SelfAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& projection, int64_t heads, bool causal) {
    const auto [q, k, v] = parts(projection, heads);
    const auto [output, lse] = attention(q, k, v, 0, causal, std::nullopt, std::nullopt);
    context->save_for_backward({projection, output, lse});
    context->saved_data["causal"] = causal;
    return joined(output);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &projection = saved[0], &output = saved[1];
    const int64_t heads = output.size(1);
    const auto gradient = grads[0].contiguous().view({output.size(0), output.size(2), heads, output.size(3)}).transpose(1, 2);
    auto result = at::empty_like(projection);
    const auto [q, k, v] = parts(projection, heads);
    fill_gradients(gradient, q, k, v, output, saved[2], context->saved_data["causal"].toBool(), scale_of(q, std::nullopt), parts(result, heads));
    return {result, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

void ft_add_attention(torch::Library& library) {
  library.impl("_scaled_dot_product_flash_attention_for_cpu", attention);
  library.impl("_scaled_dot_product_flash_attention_for_cpu_backward", attention_backward);
}

int ft_self_attention(ft_tensor projection, int64_t heads, double dropout, int causal, ft_tensor* output) {
  return guarded([&] {
    const auto& x = tensor(projection);
    TORCH_CHECK(x.dim() == 3 && heads > 0 && x.size(2) % (3 * heads) == 0, "expected [B, T, 3 D] with D a multiple of ", heads, " heads, got ", x.sizes());
    if (is_plain_f32(x) && x.is_contiguous() && x.numel() > 0 && dropout == 0.0 && may_stand_in()) {
      *output = new at::Tensor(SelfAttention::apply(x, heads, causal != 0));
    } else {
      const auto [q, k, v] = parts(x, heads);
      *output = new at::Tensor(joined(at::scaled_dot_product_attention(q, k, v, {}, dropout, causal != 0)));
    }
  });
}
