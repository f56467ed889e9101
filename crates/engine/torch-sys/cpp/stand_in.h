// Functions of ours that stand in for several of libtorch's operators.
#pragma once

#include <ATen/autocast_mode.h>

#include "diagnostics.h"
#include "flops.h"

// Whether they may, on this thread: autocast chooses types by operators, and who counts or watches operators knows libtorch's own.
inline bool may_stand_in() { return !at::autocast::is_autocast_enabled(at::kCPU) && ft_flops_counting() == 0 && ft_watch_here() == 0; }
