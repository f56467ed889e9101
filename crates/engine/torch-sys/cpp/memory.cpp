#include "memory.h"

#include <ATen/DeviceAccelerator.h>

int ft_memory_stats(int device, int64_t* stats) {
  try {
    auto found = at::accelerator::getDeviceStats(static_cast<c10::DeviceIndex>(device));
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    stats[0] = found.allocated_bytes[all].current;
    stats[1] = found.allocated_bytes[all].peak;
    stats[2] = found.reserved_bytes[all].current;
    stats[3] = found.reserved_bytes[all].peak;
    stats[4] = found.num_alloc_retries;
    stats[5] = found.num_ooms;
    return 0;
  } catch (...) {
    return 1;
  }
}
