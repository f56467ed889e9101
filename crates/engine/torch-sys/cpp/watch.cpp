// Looks at what operators give out, and remembers the first that gave a value that is not finite.
#include "diagnostics.h"
#include "guard.h"

#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace {
struct Finding {
  int kind, tensor, before, input;
  std::string op;
  int order;
};

// What a node of the backward pass came from, by autograd's sequence number.
struct Origin {
  std::string op;
  int tensor;
};

struct Watch {
  std::mutex lock;
  std::unordered_map<const void*, int> tensors;  // by storage: a view of a weight is the weight
  std::array<std::optional<Finding>, 3> first;
  std::unordered_map<int64_t, Origin> origins;
  std::string backward;
  int64_t backward_sequence = -1;
  int before = -1;
  int found = 0;
  std::optional<at::CallbackHandle> handle;
};

std::atomic<bool> looks{false};

Watch& watch() {
  static Watch one;
  return one;
}

// Operators at work on this thread, the outermost first: which watched tensor each works with, and what its inputs are.
struct Running : at::ObserverContext {
  int tensor = -1;
  std::vector<at::Tensor> inputs;
};
thread_local std::vector<Running*> running;

thread_local bool watched_here = false;

bool can_be_looked_at(const at::Tensor& one) {
  return one.defined() && one.layout() == c10::kStrided && one.numel() > 0 && !one.is_meta() && at::isFloatingType(one.scalar_type());
}

const void* storage_of(const at::Tensor& one) {
  return one.has_storage() ? static_cast<const void*>(one.storage().unsafeGetStorageImpl()) : nullptr;
}

template <typename Take>
void each_tensor(const c10::IValue& value, Take take) {
  if (value.isTensor()) {
    take(value.toTensor());
  } else if (value.isTensorList()) {
    for (const at::Tensor& one : value.toTensorVector()) take(one);
  }
}

bool begins(const char* name, const char* with) { return std::string(name).rfind(with, 0) == 0; }

// Memory that is about to be written may hold anything.
bool gives_unwritten_memory(const char* name) {
  return begins(name, "aten::empty") || begins(name, "aten::new_empty") || begins(name, "aten::resize") || begins(name, "aten::_empty") ||
         begins(name, "aten::detach") || begins(name, "aten::set_");
}

int watched(const at::Tensor& one) {
  const auto found = watch().tensors.find(storage_of(one));
  return found == watch().tensors.end() ? -1 : found->second;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  if (!looks) return nullptr;
  auto context = std::make_unique<Running>();
  auto& all = watch();
  for (const auto& value : function.inputs()) {
    each_tensor(value, [&](const at::Tensor& one) {
      if (!one.defined()) return;
      context->inputs.push_back(one);
      const int index = watched(one);
      // The matrix rather than its bias: both are of one layer, and the former is never left out.
      if (index >= 0 && (context->tensor < 0 || one.dim() > 1)) context->tensor = index;
    });
  }
  const std::lock_guard<std::mutex> held(all.lock);
  if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) {
    all.backward = function.name();
    all.backward_sequence = function.seqNr();
  } else if (function.seqNr() >= 0) {
    int tensor = context->tensor;
    for (auto around = running.rbegin(); tensor < 0 && around != running.rend(); around++) tensor = (*around)->tensor;
    auto& origin = all.origins[function.seqNr()];
    if (origin.op.empty() || tensor >= 0) origin = {function.name(), tensor};
  }
  running.push_back(context.get());
  return context;
}

void examine(const at::RecordFunction& function, const Running& context) {
  auto& all = watch();
  int tensor = context.tensor;
  for (auto around = running.rbegin(); tensor < 0 && around != running.rend(); around++) tensor = (*around)->tensor;
  if (!gives_unwritten_memory(function.name())) {
    for (const auto& value : function.outputs()) {
      each_tensor(value, [&](const at::Tensor& one) {
        if (!can_be_looked_at(one)) return;
        const at::Tensor plain = one.detach();
        if (at::isfinite(plain).all().item<bool>()) return;
        const std::array<bool, 3> has{at::isnan(plain).any().item<bool>(), at::isposinf(plain).any().item<bool>(),
                                      at::isneginf(plain).any().item<bool>()};
        int input = -1;
        for (const auto& given : context.inputs) {
          if (!can_be_looked_at(given) || given.is_same(one) || at::isfinite(given.detach()).all().item<bool>()) continue;
          const int index = watched(given);
          if (index >= 0 || input == -1) input = index >= 0 ? index : -2;
        }
        for (int kind = 0; kind < 3; kind++) {
          if (has[kind] && !all.first[kind]) all.first[kind] = Finding{kind, tensor, all.before, input, function.name(), all.found++};
        }
      });
    }
  }
  if (context.tensor >= 0) all.before = context.tensor;
}

void end(const at::RecordFunction& function, at::ObserverContext* raw) {
  auto* context = static_cast<Running*>(raw);
  if (!context) return;
  while (!running.empty() && running.back() != context) running.pop_back();
  if (!running.empty()) running.pop_back();
  if (!looks) return;
  const std::lock_guard<std::mutex> held(watch().lock);
  at::DisableRecordFunctionGuard own_operators_are_not_looked_at;
  at::NoGradGuard no_grad;
  examine(function, *context);
}

ft_finding face(const Finding& one) { return {one.kind, one.op.c_str(), one.tensor, one.before, one.input}; }
}  // namespace

int ft_watch_start(ft_tensor* tensors, int count) {
  return guarded([&] {
    auto& all = watch();
    TORCH_CHECK(!all.handle, "there is a watch already");
    all.tensors.clear();
    for (int i = 0; i < count; i++) all.tensors[storage_of(tensor(tensors[i]))] = i;
    auto callback = at::RecordFunctionCallback(&begin, &end);
    callback.needsInputs(true).needsOutputs(true).scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
    // Of this thread: those of the loader make tensors of their own. The backward pass carries it on to its threads.
    all.handle = at::addThreadLocalCallback(callback);
    watched_here = true;
  });
}

int ft_watch_here(void) { return watched_here; }

int ft_watch_look(int look) {
  return guarded([&] {
    auto& all = watch();
    const std::lock_guard<std::mutex> held(all.lock);
    if (look) {
      all.first = {};
      all.origins.clear();
      all.backward.clear();
      all.backward_sequence = all.before = -1;
      all.found = 0;
      running.clear();
    }
    looks = look != 0;
  });
}

int ft_watch_findings(void (*take)(void*, const ft_finding*), void* to) {
  return guarded([&] {
    auto& all = watch();
    const std::lock_guard<std::mutex> held(all.lock);
    for (int order = 0; order < all.found; order++) {
      for (const auto& one : all.first) {
        if (!one || one->order != order) continue;
        const ft_finding shown = face(*one);
        take(to, &shown);
      }
    }
  });
}

int ft_watch_backward(void (*take)(void*, const char*, const ft_finding*), void* to) {
  return guarded([&] {
    auto& all = watch();
    const std::lock_guard<std::mutex> held(all.lock);
    if (all.backward.empty()) return;
    const auto found = all.origins.find(all.backward_sequence);
    const bool known = found != all.origins.end();
    const ft_finding one{0, known ? found->second.op.c_str() : "", known ? found->second.tensor : -1, -1, -1};
    take(to, all.backward.c_str(), &one);
  });
}

int ft_watch_stop(void) {
  return guarded([&] {
    auto& all = watch();
    looks = false;
    if (all.handle) at::removeCallback(*all.handle);
    all.handle.reset();
    watched_here = false;
    all.tensors.clear();
  });
}
