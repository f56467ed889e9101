// A layer of an LSTM as one autograd function. ATen's own is a chain of small operators a step, each of which hands out memory,
// waits for all threads and is walked again by autograd. Here a thread takes some samples of the batch through all steps
// alone: what the recurrence couples is steps, not samples. The gates are torch's, in torch's order: input, forget, cell, output.
//
// Letters: T steps, B samples, I inputs, H features of a state.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <torch/csrc/autograd/custom_function.h>

#include "guard.h"
#include "kernels.h"
#include "stand_in.h"
#include "vector_math.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One step of one sample: `gates` holds sums on entry and activations on return.
FT_VECTORISED void cell(float* __restrict gates, const float* __restrict c_before, float* __restrict c, float* __restrict h,
                        int64_t size) {
  float *input = gates, *forget = gates + size, *update = gates + 2 * size, *output = gates + 3 * size;
  for (int64_t j = 0; j < size; j++) {
    const float i = ft_sigmoid(input[j]), f = ft_sigmoid(forget[j]), g = ft_tanh(update[j]), o = ft_sigmoid(output[j]);
    const float state = f * c_before[j] + i * g;
    input[j] = i;
    forget[j] = f;
    update[j] = g;
    output[j] = o;
    c[j] = state;
    h[j] = o * ft_tanh(state);
  }
}

// Its gradient: from `dh` and `dc` of this step to `dgates`, and to `dc` of the step before.
FT_VECTORISED void cell_backward(const float* __restrict gates, const float* __restrict c_before, const float* __restrict c,
                                 const float* __restrict dh, float* __restrict dc, float* __restrict dgates, int64_t size) {
  const float *input = gates, *forget = gates + size, *update = gates + 2 * size, *output = gates + 3 * size;
  for (int64_t j = 0; j < size; j++) {
    const float i = input[j], f = forget[j], g = update[j], o = output[j], tanh_c = ft_tanh(c[j]);
    const float d = dc[j] + dh[j] * o * (1.0f - tanh_c * tanh_c);
    dgates[j] = d * g * i * (1.0f - i);
    dgates[size + j] = d * c_before[j] * f * (1.0f - f);
    dgates[2 * size + j] = d * i * (1.0f - g * g);
    dgates[3 * size + j] = dh[j] * tanh_c * o * (1.0f - o);
    dc[j] = d * f;
  }
}

// A weight [rows, columns] in panels that fit a core's first cache, for products of a few samples: as it lies, rows 2 KiB apart share
// that cache's few places of one address, and every product reads all of it from the second one.
class Panels {
 public:
  Panels(const float* weight, int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride)
      : rows_(rows), columns_(columns), data_(rows * columns) {
    for_each([&](int64_t row, int64_t height, int64_t column, int64_t width, int64_t at) {
      for (int64_t r = 0; r < height; r++) {
        for (int64_t c = 0; c < width; c++) data_[at + r * width + c] = weight[(row + r) * row_stride + (column + c) * column_stride];
      }
    });
  }

  // result [count, columns] (+)= x [count, rows] × weight, rows of both without gaps.
  void multiply(int64_t count, const float* x, float* result, bool add) const {
    for_each([&](int64_t row, int64_t height, int64_t column, int64_t width, int64_t at) {
      const auto* panel = data_.data() + at;
      at::native::cpublas::brgemm(count, width, height, rows_, width, columns_, add || row > 0, x + row, panel, result + column);
    });
  }

 private:
  static constexpr int64_t kRows = 128, kColumns = 64;

  template <typename Use>
  void for_each(Use use) const {
    int64_t at = 0;
    for (int64_t column = 0; column < columns_; column += kColumns) {
      const int64_t width = std::min(kColumns, columns_ - column);
      for (int64_t row = 0; row < rows_; row += kRows) {
        const int64_t height = std::min(kRows, rows_ - row);
        use(row, height, column, width, at);
        at += height * width;
      }
    }
  }

  int64_t rows_, columns_;
  std::vector<float> data_;
};

// Samples for one thread, at the least: a matrix product of fewer rows is not worth a thread.
constexpr int64_t kLeastSamples = 8;

struct LstmLayer : torch::autograd::Function<LstmLayer> {
  // x [T, B, I], h0 and c0 [B, H], w_ih [4H, I], w_hh [4H, H], biases [4H]
  // → every h [T, B, H], the last h [B, H], the last c [B, H]
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& h0, const at::Tensor& c0,
                               const at::Tensor& w_ih, const at::Tensor& w_hh, const at::Tensor& b_ih, const at::Tensor& b_hh) {
    const int64_t steps = x.size(0), batch = x.size(1), size = w_hh.size(1);
    auto gates = at::addmm(b_ih + b_hh, x.reshape({steps * batch, x.size(2)}), w_ih.t());  // [T · B, 4H]
    // Row 0 is what was there before the first step.
    auto h = at::empty({steps + 1, batch, size}, x.options()), c = at::empty_like(h);
    h.select(0, 0).copy_(h0);
    c.select(0, 0).copy_(c0);
    const Panels weight(w_hh.const_data_ptr<float>(), size, 4 * size, w_hh.stride(1), w_hh.stride(0));  // of its transpose, [H, 4H]

    auto* gate = gates.mutable_data_ptr<float>();
    auto *hs = h.mutable_data_ptr<float>(), *cs = c.mutable_data_ptr<float>();
    at::parallel_for(0, batch, kLeastSamples, [&](int64_t from, int64_t to) {
      for (int64_t t = 0; t < steps; t++) {
        const int64_t before = (t * batch + from) * size, now = before + batch * size;
        weight.multiply(to - from, hs + before, gate + 4 * before, true);
        for (int64_t row = 0; row < (to - from) * size; row += size) {
          cell(gate + 4 * (before + row), cs + before + row, cs + now + row, hs + now + row, size);
        }
      }
      at::native::cpublas::brgemm_release();
    });
    context->save_for_backward({x, w_ih, w_hh, gates, h, c});
    context->set_materialize_grads(false);
    return {h.narrow(0, 1, steps), h.select(0, steps).clone(), c.select(0, steps).clone()};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &w_ih = saved[1], &gates = saved[3], &h = saved[4], &c = saved[5];
    const auto& w_hh = saved[2];
    const int64_t steps = x.size(0), batch = x.size(1), size = w_hh.size(1);
    const Panels weight(w_hh.const_data_ptr<float>(), 4 * size, size, w_hh.stride(0), w_hh.stride(1));
    // Of the state behind the last step on entry of the loop, of the state before the first one behind it. [B, H]
    auto dh = grads[1].defined() ? grads[1].clone(at::MemoryFormat::Contiguous) : at::zeros({batch, size}, x.options());
    auto dc = grads[2].defined() ? grads[2].clone(at::MemoryFormat::Contiguous) : at::zeros({batch, size}, x.options());
    const auto every_dh = grads[0].defined() ? grads[0].contiguous() : at::Tensor();
    auto dgates = at::empty_like(gates);  // [T · B, 4H]

    const auto *gate = gates.const_data_ptr<float>(), *cs = c.const_data_ptr<float>();
    const auto* step_dh = every_dh.defined() ? every_dh.const_data_ptr<float>() : nullptr;
    auto *dg = dgates.mutable_data_ptr<float>(), *dhs = dh.mutable_data_ptr<float>(), *dcs = dc.mutable_data_ptr<float>();
    at::parallel_for(0, batch, kLeastSamples, [&](int64_t from, int64_t to) {
      const int64_t length = (to - from) * size;
      for (int64_t t = steps - 1; t >= 0; t--) {
        const int64_t before = (t * batch + from) * size, now = before + batch * size;
        if (step_dh) ft_add(dhs + from * size, step_dh + before, length);
        for (int64_t row = 0; row < length; row += size) {
          cell_backward(gate + 4 * (before + row), cs + before + row, cs + now + row, dhs + from * size + row, dcs + from * size + row,
                        dg + 4 * (before + row), size);
        }
        weight.multiply(to - from, dg + 4 * before, dhs + from * size, false);
      }
      at::native::cpublas::brgemm_release();
    });

    const auto flat_x = x.reshape({steps * batch, x.size(2)});
    const auto before = h.narrow(0, 0, steps).reshape({steps * batch, size});
    const auto dx = context->needs_input_grad(0) ? dgates.mm(w_ih).view(x.sizes()) : at::Tensor();
    const auto db = dgates.sum(0);
    return {dx, dh, dc, dgates.t().mm(flat_x), dgates.t().mm(before), db, db.clone()};
  }
};

bool is_ours(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
  const auto plain = [](const at::Tensor& one) {
    return one.device().is_cpu() && one.scalar_type() == at::kFloat && one.layout() == at::kStrided;
  };
  return plain(x) && x.dim() == 3 && x.numel() > 0 && std::all_of(weights.begin(), weights.end(), plain) &&
         may_stand_in();
}

}  // namespace

int ft_lstm(ft_tensor input, ft_tensor h0, ft_tensor c0, const ft_tensor* weights, int layers, double dropout, int train,
            ft_tensor* output, ft_tensor* h_n, ft_tensor* c_n) {
  return guarded([&] {
    std::vector<at::Tensor> params;
    for (int i = 0; i < 4 * layers; i++) params.push_back(tensor(weights[i]));
    auto x = tensor(input);
    const auto &h = tensor(h0), &c = tensor(c0);
    at::Tensor last_h, last_c;
    if (is_ours(x, params)) {
      x = x.transpose(0, 1).contiguous();
      std::vector<at::Tensor> hs, cs;
      for (int layer = 0; layer < layers; layer++) {
        if (layer > 0) x = at::dropout(x, dropout, train != 0);
        const auto* own = &params[4 * layer];
        auto results = LstmLayer::apply(x, h[layer], c[layer], own[0], own[1], own[2], own[3]);
        x = results[0];
        hs.push_back(results[1]);
        cs.push_back(results[2]);
      }
      x = x.transpose(0, 1);
      last_h = at::stack(hs);
      last_c = at::stack(cs);
    } else {
      std::tie(x, last_h, last_c) = at::lstm(x, {h, c}, params, true, layers, dropout, train != 0, false, true);
    }
    *output = new at::Tensor(x);
    *h_n = new at::Tensor(last_h);
    *c_n = new at::Tensor(last_c);
  });
}
