// The MLP of a transformer, two linear layers with GELU between them, as one autograd function. As operators of their own, every one of
// them writes the wide middle [R, H] to memory, and the next reads it again. Here a thread takes some rows through both layers, 64
// columns of the middle at a time, which never leave its first cache; backward, the activations are computed again.
//
// Letters: R rows, I inputs, H features of the middle, O outputs.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <torch/csrc/autograd/custom_function.h>

#include "gelu.h"
#include "guard.h"
#include "kernels.h"
#include "onednn.h"
#include "operators.h"
#include "panels.h"
#include "stand_in.h"
#include "thread_sums.h"
#include "transpose.h"

namespace {

using at::native::cpublas::brgemm;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows that a thread takes at once.
constexpr int64_t kRows = 128;
// Each thread sums the gradients of both weights in memory of its own: no more numbers than this each.
constexpr int64_t kMostWeights = 1 << 20;

// u + bias in place of u, and its activation. Both [rows, width].
template <Gelu (*activation)(float)>
FT_INLINE void activate(float* __restrict u, const float* __restrict bias, float* __restrict h, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, u += width, h += width) {
    for (int64_t j = 0; j < width; j++) {
      u[j] += bias[j];
      h[j] = activation(u[j]).value;
    }
  }
}

// The activation of u again, its gradient in place of that of the activation, and on top of `bias` that of the bias.
template <Gelu (*activation)(float)>
FT_INLINE void activate_backward(const float* __restrict u, float* __restrict h, float* __restrict gradient, float* __restrict bias,
                                 int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, u += width, h += width, gradient += width) {
    for (int64_t j = 0; j < width; j++) {
      const Gelu at = activation(u[j]);
      h[j] = at.value;
      gradient[j] *= at.slope;
      bias[j] += gradient[j];
    }
  }
}

FT_VECTORISED void exact(float* u, const float* bias, float* h, int64_t rows, int64_t width) { activate<ft_gelu>(u, bias, h, rows, width); }
FT_VECTORISED void by_tanh(float* u, const float* bias, float* h, int64_t rows, int64_t width) { activate<ft_gelu_tanh>(u, bias, h, rows, width); }
FT_VECTORISED void exact_backward(const float* u, float* h, float* gradient, float* bias, int64_t rows, int64_t width) {
  activate_backward<ft_gelu>(u, h, gradient, bias, rows, width);
}
FT_VECTORISED void by_tanh_backward(const float* u, float* h, float* gradient, float* bias, int64_t rows, int64_t width) {
  activate_backward<ft_gelu_tanh>(u, h, gradient, bias, rows, width);
}

at::Tensor numbers(int64_t size) { return at::empty({size}, at::kFloat); }

// A matrix in one of the two orders.
struct Matrix {
  float* data;
  int64_t row, column;

  explicit Matrix(const at::Tensor& x) : data(const_cast<float*>(x.const_data_ptr<float>())), row(x.stride(0)), column(x.stride(1)) {}
  Matrix(float* data, int64_t row, int64_t column) : data(data), row(row), column(column) {}

  Matrix turned() const { return {data, column, row}; }
  float* at(int64_t r, int64_t c) const { return data + r * row + c * column; }
  // Some of it, to rows without gaps.
  void read(int64_t r, int64_t rows, int64_t c, int64_t columns, float* to) const {
    if (column == 1) {
      for (int64_t i = 0; i < rows; i++) std::copy_n(at(r + i, c), columns, to + i * columns);
    } else {
      transpose(at(r, c), column, to, columns, columns, rows);
    }
  }
  // The way back.
  void write(int64_t r, int64_t rows, int64_t c, int64_t columns, const float* from) const {
    if (column == 1) {
      for (int64_t i = 0; i < rows; i++) std::copy_n(from + i * columns, columns, at(r + i, c));
    } else {
      transpose(from, columns, at(r, c), column, rows, columns);
    }
  }
};

// A matrix as the right operand of products: panels [rows, 64].
at::Tensor panels(const Matrix& matrix, int64_t rows, int64_t columns) {
  auto result = numbers(rows * columns);
  auto* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, (columns + kPanel - 1) / kPanel, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin * kPanel; c < std::min(end * kPanel, columns); c += kPanel) {
      matrix.read(0, rows, c, std::min(kPanel, columns - c), to + c * rows);
    }
  });
  return result;
}

// The same, for operands of which 64 rows are used at a time: blocks [64, 64].
at::Tensor blocks(const Matrix& matrix, int64_t rows, int64_t columns) {
  auto result = numbers(rows * columns);
  auto* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, (rows + kPanel - 1) / kPanel, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin * kPanel; r < std::min(end * kPanel, rows); r += kPanel) {
      const int64_t height = std::min(kPanel, rows - r);
      for_panels(columns, [&](int64_t c, int64_t width) { matrix.read(r, height, c, width, to + r * columns + c * height); });
    }
  });
  return result;
}

// Sums of one thread: both weights' gradients in panels over the middle, [I, 64] and [O, 64], and the biases'.
struct Sums {
  at::Tensor up, down, up_bias, down_bias;

  Sums(int64_t inputs, int64_t middle, int64_t outputs)
      : up(numbers(inputs * middle)), down(numbers(outputs * middle)), up_bias(at::zeros({middle}, at::kFloat)), down_bias(at::zeros({outputs}, at::kFloat)) {}

  void operator+=(const Sums& other) {
    up.add_(other.up);
    down.add_(other.down);
    up_bias.add_(other.up_bias);
    down_bias.add_(other.down_bias);
  }
};

int64_t chunks(int64_t rows) { return (rows + kRows - 1) / kRows; }

struct FeedForward : torch::autograd::Function<FeedForward> {
  // x [R, I], up [I, H], its bias [H], down [H, O], its bias [O] → [R, O]
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& up, const at::Tensor& up_bias,
                            const at::Tensor& down, const at::Tensor& down_bias, bool tanh) {
    const int64_t rows = x.size(0), inputs = x.size(1), middle = up.size(1), outputs = down.size(1);
    const auto activate = tanh ? by_tanh : exact;
    auto y = at::empty({rows, outputs}, x.options());
    auto u = numbers(rows * middle);  // of each chunk panels [rows, 64]
    const auto up_panels = panels(Matrix(up), inputs, middle), down_blocks = blocks(Matrix(down), middle, outputs);
    const auto *in = x.const_data_ptr<float>(), *up_data = up_panels.const_data_ptr<float>(), *down_data = down_blocks.const_data_ptr<float>();
    const auto *bias = up_bias.const_data_ptr<float>(), *out_bias = down_bias.const_data_ptr<float>();
    auto *out = y.mutable_data_ptr<float>(), *saved = u.mutable_data_ptr<float>();
    at::parallel_for(0, chunks(rows), 1, [&](int64_t begin, int64_t end) {
      const auto h = numbers(kRows * kPanel);
      auto* active = h.mutable_data_ptr<float>();
      for (int64_t first = begin * kRows; first < std::min(end * kRows, rows); first += kRows) {
        const int64_t some = std::min(kRows, rows - first);
        auto* to = out + first * outputs;
        for (int64_t i = 0; i < some; i++) std::copy_n(out_bias, outputs, to + i * outputs);
        for_panels(middle, [&](int64_t m, int64_t width) {
          auto* sums = saved + first * middle + m * some;
          brgemm(some, width, inputs, inputs, width, width, false, in + first * inputs, up_data + m * inputs, sums);
          activate(sums, bias + m, active, some, width);
          for_panels(outputs, [&](int64_t o, int64_t columns) {
            brgemm(some, columns, width, width, columns, outputs, true, active, down_data + m * outputs + o * width, to + o);
          });
        });
      }
      at::native::cpublas::brgemm_release();
    });
    context->save_for_backward({x, up, down, u});
    context->saved_data["tanh"] = tanh;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &up = saved[1], &down = saved[2], &u = saved[3];
    const auto dy = grads[0].contiguous();
    const int64_t rows = x.size(0), inputs = x.size(1), middle = up.size(1), outputs = down.size(1);
    const auto activate = context->saved_data["tanh"].toBool() ? by_tanh_backward : exact_backward;
    auto dx = at::empty_like(x);
    // dy · downᵀ, then du · upᵀ
    const auto down_panels = panels(Matrix(down).turned(), outputs, middle), up_blocks = blocks(Matrix(up).turned(), middle, inputs);
    const auto *in = x.const_data_ptr<float>(), *gradient = dy.const_data_ptr<float>(), *before = u.const_data_ptr<float>();
    const auto *down_data = down_panels.const_data_ptr<float>(), *up_data = up_blocks.const_data_ptr<float>();
    auto* dx_data = dx.mutable_data_ptr<float>();
    const Sums total = sum_of_threads(chunks(rows), [&](int64_t begin, int64_t end) {
      const Sums sums(inputs, middle, outputs);
      auto *up_sums = sums.up.mutable_data_ptr<float>(), *down_sums = sums.down.mutable_data_ptr<float>();
      auto *up_bias = sums.up_bias.mutable_data_ptr<float>(), *down_bias = sums.down_bias.mutable_data_ptr<float>();
      const auto h = numbers(kRows * kPanel), d = numbers(kRows * kPanel), x_turned = numbers(inputs * kRows), dy_turned = numbers(outputs * kRows);
      auto *active = h.mutable_data_ptr<float>(), *change = d.mutable_data_ptr<float>();
      auto *in_turned = x_turned.mutable_data_ptr<float>(), *gradient_turned = dy_turned.mutable_data_ptr<float>();
      for (int64_t first = begin * kRows; first < std::min(end * kRows, rows); first += kRows) {
        const int64_t some = std::min(kRows, rows - first);
        const bool more = first > begin * kRows;
        const auto* from = gradient + first * outputs;
        transpose(in + first * inputs, inputs, in_turned, some, some, inputs);
        transpose(from, outputs, gradient_turned, some, some, outputs);
        for (int64_t i = 0; i < some; i++) ft_add(down_bias, from + i * outputs, outputs);
        for_panels(middle, [&](int64_t m, int64_t width) {
          brgemm(some, width, outputs, outputs, width, width, false, from, down_data + m * outputs, change);
          activate(before + first * middle + m * some, active, change, up_bias + m, some, width);
          brgemm(outputs, width, some, some, width, width, more, gradient_turned, active, down_sums + m * outputs);
          brgemm(inputs, width, some, some, width, width, more, in_turned, change, up_sums + m * inputs);
          for_panels(inputs, [&](int64_t i, int64_t columns) {
            brgemm(some, columns, width, width, columns, inputs, m > 0, change, up_data + m * inputs + i * width, dx_data + first * inputs + i);
          });
        });
      }
      at::native::cpublas::brgemm_release();
      return sums;
    });
    auto dup = at::empty_like(up), ddown = at::empty_like(down);
    const Matrix up_gradient(dup), down_gradient(ddown);
    at::parallel_for(0, (middle + kPanel - 1) / kPanel, 1, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin * kPanel; m < std::min(end * kPanel, middle); m += kPanel) {
        const int64_t width = std::min(kPanel, middle - m);
        up_gradient.write(0, inputs, m, width, total.up.const_data_ptr<float>() + m * inputs);
        down_gradient.turned().write(0, outputs, m, width, total.down.const_data_ptr<float>() + m * outputs);
      }
    });
    return {dx, dup, total.up_bias, ddown, total.down_bias, at::Tensor()};
  }
};

bool is_matrix(const at::Tensor& x) {
  return is_plain_f32(x) && x.dim() == 2 && x.numel() > 0 && x.is_non_overlapping_and_dense() && (x.stride(0) == 1 || x.stride(1) == 1);
}

bool is_bias(const at::Tensor& x, int64_t size) { return is_plain_f32(x) && x.dim() == 1 && x.size(0) == size && x.is_contiguous(); }

bool fits(const at::Tensor& x, const at::Tensor& up, const at::Tensor& up_bias, const at::Tensor& down, const at::Tensor& down_bias) {
  return is_plain_f32(x) && x.dim() > 0 && x.numel() > 0 && is_matrix(up) && is_matrix(down) && x.size(-1) == up.size(0) &&
         up.size(1) == down.size(0) && is_bias(up_bias, up.size(1)) && is_bias(down_bias, down.size(1)) &&
         up.numel() <= kMostWeights && down.numel() <= kMostWeights && x.numel() / x.size(-1) >= kRows &&
         may_stand_in() && onednn_has_avx512();
}

}  // namespace

int ft_feed_forward(ft_tensor input, ft_tensor up, ft_tensor up_bias, ft_tensor down, ft_tensor down_bias, int tanh, ft_tensor* output) {
  return guarded([&] {
    const auto &x = tensor(input), &w = tensor(up), &b = tensor(up_bias), &v = tensor(down), &c = tensor(down_bias);
    if (fits(x, w, b, v, c)) {
      auto sizes = x.sizes().vec();
      sizes.back() = v.size(1);
      const auto rows = x.reshape({-1, x.size(-1)}).contiguous();
      *output = new at::Tensor(FeedForward::apply(rows, w, b, v, c, tanh != 0).view(sizes));
    } else {
      *output = new at::Tensor(at::linear(at::gelu(at::linear(x, w.t(), b), tanh ? "tanh" : "none"), v.t(), c));
    }
  });
}
