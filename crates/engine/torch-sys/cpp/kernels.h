// The C face of the kernels that are ours. Every function returns 0, or 1 with the reason in ft_last_error().
#pragma once
#include "shim.h"

extern "C" {
// Matrix products of f32 on the CPU through oneDNN from now on, in the whole process; *installed says whether that wins here.
int ft_onednn_matmul(int* installed);
}
