// What libtorch's allocator of an accelerator holds.
#pragma once
#include <stdint.h>

extern "C" {
// Bytes allocated now and at their peak, bytes reserved now and at their peak, retries and failures of allocations. Returns 1 where
// there is no such device.
int ft_memory_stats(int device, int64_t* stats);
}
