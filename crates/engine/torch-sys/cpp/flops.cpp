#include "flops.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {
using Sizes = std::vector<int64_t>;

struct Use {
  int param;
  double flops;
  Sizes input, output;
};

struct Count {
  std::mutex lock;
  std::unordered_map<const void*, int> params;
  std::vector<Use> uses;
  double total = 0;
  at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;
};

// Never freed: a callback on another thread may still run while the count ends.
Count& count() {
  static auto* one = new Count();
  return *one;
}

std::atomic<bool> counting{false};
thread_local bool counting_here = false;

// The use that this thread is inside of, so that linear's own addmm is no second use of its weight.
thread_local int current_use = -1;

double product(const Sizes& sizes, size_t from = 0) {
  return std::accumulate(sizes.begin() + std::min(from, sizes.size()), sizes.end(), 1.0, std::multiplies<double>());
}

enum class Op { none, mm, addmm, bmm, baddbmm, convolution, convolution_backward, attention, attention_backward, onednn_rnn, onednn_rnn_backward, cudnn_rnn };

Op op_of(std::string_view name) {
  static const std::unordered_map<std::string_view, Op> ops = {
      {"aten::mm", Op::mm},
      {"aten::addmm", Op::addmm},
      {"aten::bmm", Op::bmm},
      {"aten::baddbmm", Op::baddbmm},
      {"aten::convolution", Op::convolution},
      {"aten::convolution_backward", Op::convolution_backward},
      {"aten::_scaled_dot_product_flash_attention", Op::attention},
      {"aten::_scaled_dot_product_flash_attention_for_cpu", Op::attention},
      {"aten::_scaled_dot_product_efficient_attention", Op::attention},
      {"aten::_scaled_dot_product_cudnn_attention", Op::attention},
      {"aten::_scaled_dot_product_flash_attention_backward", Op::attention_backward},
      {"aten::_scaled_dot_product_flash_attention_for_cpu_backward", Op::attention_backward},
      {"aten::_scaled_dot_product_efficient_attention_backward", Op::attention_backward},
      {"aten::_scaled_dot_product_cudnn_attention_backward", Op::attention_backward},
      {"aten::mkldnn_rnn_layer", Op::onednn_rnn},
      {"aten::mkldnn_rnn_layer_backward", Op::onednn_rnn_backward},
      {"aten::_cudnn_rnn", Op::cudnn_rnn},
  };
  auto found = ops.find(name);
  return found == ops.end() ? Op::none : found->second;
}

// What computes with a layer's parameters, as opposed to what only looks at them: views, copies, casts, optimizers.
bool is_layer(std::string_view name) {
  static const std::vector<std::string_view> layers = {
      "aten::linear",     "aten::conv1d",     "aten::conv2d",     "aten::conv3d",        "aten::conv_transpose1d",
      "aten::conv_transpose2d", "aten::conv_transpose3d", "aten::convolution", "aten::batch_norm", "aten::layer_norm",
      "aten::group_norm", "aten::instance_norm", "aten::rms_norm", "aten::embedding",     "aten::embedding_bag",
      "aten::lstm",       "aten::gru",        "aten::rnn_tanh",   "aten::rnn_relu",      "aten::bilinear",
      "aten::addmm",      "aten::mm",         "aten::bmm",        "aten::matmul",        "aten::prelu"};
  // Layers of this project's own are recorded under its name.
  return name.rfind("fulmen::", 0) == 0 || std::find(layers.begin(), layers.end(), name) != layers.end();
}

struct Context : at::ObserverContext {
  Op op = Op::none;
  // The sizes of every tensor argument, in order, lists of tensors spread out.
  std::vector<Sizes> tensors;
  bool transposed = false;
  int gradients = 0;
  // The use that began here, and the one that this lies inside of.
  int use = -1, outer = -1;
};

double attention(const Sizes& q, const Sizes& k, const Sizes& v, double products_with_keys, double products_with_values) {
  if (q.size() != 4 || k.size() != 4 || v.size() != 4) return 0;
  double scores = 2.0 * q[0] * q[1] * q[2] * k[2];
  return scores * (products_with_keys * q[3] + products_with_values * v[3]);
}

// As torch.utils.flop_counter has them; recurrent layers, which it leaves out, by the products that they are made of.
double flops(const Context& context, const Sizes& output) {
  const auto& tensors = context.tensors;
  auto at = [&](size_t index) { return index < tensors.size() ? tensors[index] : Sizes(); };
  switch (context.op) {
    case Op::mm: return at(1).size() == 2 ? 2.0 * product(at(0)) * at(1)[1] : 0;
    case Op::addmm: return at(2).size() == 2 ? 2.0 * product(at(1)) * at(2)[1] : 0;
    case Op::bmm: return at(1).size() == 3 ? 2.0 * product(at(0)) * at(1)[2] : 0;
    case Op::baddbmm: return at(2).size() == 3 ? 2.0 * product(at(1)) * at(2)[2] : 0;
    case Op::convolution: {
      if (at(0).empty()) return 0;
      const auto& places = context.transposed ? at(0) : output;
      return 2.0 * product(places, 2) * at(0)[0] * product(at(1));
    }
    case Op::convolution_backward: {
      if (at(0).empty()) return 0;
      const auto& places = context.transposed ? at(1) : at(0);
      return context.gradients * 2.0 * product(places, 2) * at(0)[0] * product(at(2));
    }
    case Op::attention: return attention(at(0), at(1), at(2), 1, 1);
    // Scores anew, and the gradients of scores, values, queries and keys.
    case Op::attention_backward: return attention(at(1), at(2), at(3), 3, 2);
    case Op::onednn_rnn:
    case Op::onednn_rnn_backward: {
      if (at(0).size() != 3) return 0;
      double once = 2.0 * at(0)[0] * at(0)[1] * (product(at(1)) + product(at(2)));
      return context.op == Op::onednn_rnn ? once : 2 * once;
    }
    case Op::cudnn_rnn: {
      if (at(0).size() != 3) return 0;
      double weights = 0;
      for (const auto& sizes : tensors) {
        if (sizes.size() == 2) weights += product(sizes);
      }
      return 2.0 * at(0)[0] * at(0)[1] * weights;
    }
    case Op::none: return 0;
  }
  return 0;
}

void for_each_tensor(const c10::IValue& value, const std::function<void(const at::Tensor&)>& take) {
  if (value.isTensor()) {
    take(value.toTensor());
  } else if (value.isTensorList()) {
    for (const at::Tensor& one : value.toTensorVector()) take(one);
  }
}

Sizes first_sizes(const std::vector<c10::IValue>& values) {
  Sizes sizes;
  bool found = false;
  for (const auto& value : values) {
    for_each_tensor(value, [&](const at::Tensor& one) {
      if (!found && one.defined()) {
        sizes = one.sizes().vec();
        found = true;
      }
    });
  }
  return sizes;
}

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction& function) {
  if (!counting) return nullptr;
  std::string_view name(function.name());
  auto op = op_of(name);
  bool layer = is_layer(name);
  if (op == Op::none && !layer) return nullptr;
  try {
    auto context = std::make_unique<Context>();
    context->op = op;
    int param = -1;
    auto& all = count();
    auto inputs = function.inputs();
    for (const auto& value : inputs) {
      for_each_tensor(value, [&](const at::Tensor& one) {
        context->tensors.push_back(one.defined() ? one.sizes().vec() : Sizes());
        if (param < 0 && one.defined() && one.has_storage()) {
          auto found = all.params.find(one.storage().data());
          if (found != all.params.end()) param = found->second;
        }
      });
      if (op == Op::convolution && value.isBool()) context->transposed = value.toBool();
      if (op == Op::convolution_backward) {
        if (value.isBool()) context->transposed = value.toBool();
        if (value.isBoolList()) {
          auto mask = value.toBoolList();
          context->gradients = (mask.size() > 0 && mask[0]) + (mask.size() > 1 && mask[1]);
        }
      }
    }
    context->outer = current_use;
    if (layer && param >= 0 && current_use < 0) {
      std::lock_guard<std::mutex> held(all.lock);
      context->use = static_cast<int>(all.uses.size());
      // An embedding's input is its indices.
      auto input = name == "aten::embedding" && context->tensors.size() > 1 ? context->tensors[1]
                   : name == "aten::addmm" && context->tensors.size() > 1   ? context->tensors[1]
                                                                            : context->tensors.empty() ? Sizes() : context->tensors[0];
      all.uses.push_back(Use{param, 0, input, {}});
      current_use = context->use;
    }
    return context;
  } catch (...) {
    // A count that is short of one operator is better than a step that fails by it.
    return nullptr;
  }
}

void leave(const at::RecordFunction& function, at::ObserverContext* kept) {
  auto* context = static_cast<Context*>(kept);
  if (!context) return;
  try {
    auto output = first_sizes(function.outputs());
    auto work = flops(*context, output);
    auto& all = count();
    std::lock_guard<std::mutex> held(all.lock);
    all.total += work;
    int use = current_use;
    if (use >= 0 && use < static_cast<int>(all.uses.size())) {
      all.uses[use].flops += work;
      if (context->use == use) all.uses[use].output = output;
    }
  } catch (...) {
  }
  if (context->use >= 0) current_use = context->outer;
}
}  // namespace

int ft_flops_begin(ft_tensor* params, int number) {
  if (counting.exchange(true)) return 1;
  auto& all = count();
  {
    std::lock_guard<std::mutex> held(all.lock);
    all.params.clear();
    all.uses.clear();
    all.total = 0;
    for (int i = 0; i < number; i++) {
      auto& one = *static_cast<at::Tensor*>(params[i]);
      if (one.has_storage() && one.storage().data()) all.params.emplace(one.storage().data(), i);
    }
  }
  current_use = -1;
  counting_here = true;
  // libtorch hands a thread's callbacks on to the threads of its backward pass, and to no others.
  all.handle = at::addThreadLocalCallback(at::RecordFunctionCallback(enter, leave).needsInputs(true).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
  return 0;
}

int ft_flops_counting(void) { return counting_here; }

void ft_flops_end(void) {
  auto& all = count();
  if (all.handle == at::INVALID_CALLBACK_HANDLE) return;
  at::removeCallback(all.handle);
  all.handle = at::INVALID_CALLBACK_HANDLE;
  counting_here = false;
  counting = false;
}

double ft_flops_total(void) { return count().total; }

int ft_flops_uses(void) { return static_cast<int>(count().uses.size()); }

void ft_flops_use(int index, int* param, double* work, int64_t* input, int* inputs, int64_t* output, int* outputs) {
  const auto& use = count().uses[index];
  *param = use.param;
  *work = use.flops;
  *inputs = static_cast<int>(std::min<size_t>(use.input.size(), 8));
  *outputs = static_cast<int>(std::min<size_t>(use.output.size(), 8));
  std::copy_n(use.input.begin(), *inputs, input);
  std::copy_n(use.output.begin(), *outputs, output);
}
