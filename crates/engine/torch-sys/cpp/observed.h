// Whether somebody looks at the operators that this thread dispatches, of which he knows libtorch's own and not ours.
#pragma once

#include "diagnostics.h"
#include "flops.h"

inline bool is_observed() { return ft_flops_counting() != 0 || ft_watch_here() != 0; }
