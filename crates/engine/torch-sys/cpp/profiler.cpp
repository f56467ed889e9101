// libtorch's profiler (Kineto, as torch.profiler uses it) and what its CUDA allocator holds.
#include "diagnostics.h"
#include "guard.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <torch/csrc/autograd/anomaly_mode.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <set>
#include <sstream>

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using torch::profiler::impl::ProfilerConfig;
using torch::profiler::impl::ProfilerState;

namespace {
// "[[8, 16], [16, 8]]"
std::string shown(c10::ArrayRef<std::vector<int64_t>> shapes) {
  std::ostringstream text;
  text << '[';
  for (size_t i = 0; i < shapes.size(); i++) {
    text << (i ? ", [" : "[");
    for (size_t j = 0; j < shapes[i].size(); j++) text << (j ? ", " : "") << shapes[i][j];
    text << ']';
  }
  text << ']';
  return text.str();
}
}  // namespace

int ft_profiler_start(int cuda, int shapes) {
  return guarded([&] {
    ProfilerConfig config(ProfilerState::KINETO, shapes != 0);
    std::set<ActivityType> activities{ActivityType::CPU};
    if (cuda) activities.insert(ActivityType::CUDA);
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities);
  });
}

int ft_profiler_stop(const char* trace, void (*take)(void*, const ft_operator*), void* to) {
  return guarded([&] {
    auto result = profiler::disableProfiler();
    TORCH_CHECK(result, "the profiler was not running");
    for (const auto& event : result->events()) {
      if (event.isHiddenEvent()) continue;
      const std::string name = event.name();
      const std::string shape = event.hasShapes() ? shown(event.shapes()) : std::string();
      const ft_operator one{name.c_str(),
                            shape.c_str(),
                            static_cast<int64_t>(event.startNs()),
                            static_cast<int64_t>(event.endNs()),
                            event.startThreadId(),
                            event.deviceType() != c10::DeviceType::CPU};
      take(to, &one);
    }
    if (trace) result->save(trace);
  });
}

int ft_anomaly_mode(int enabled) {
  return guarded([&] { torch::autograd::AnomalyMode::set_enabled(enabled != 0, true); });
}

