// Counting floating-point operations of what libtorch dispatches. One count at a time in a process.
#pragma once
#include "shim.h"

extern "C" {
// Begins to count what this thread dispatches, and its backward passes. `params` are the tensors whose use is to be told apart. Returns 1 where a count is under way.
int ft_flops_begin(ft_tensor* params, int count);
// Whether this thread counts: libtorch's own operators are then taken, which it knows.
int ft_flops_counting(void);
// Ends the count, on the thread that began it; what it found stays until the next.
void ft_flops_end(void);
// Floating-point operations of all matrix products, convolutions, attentions and recurrent layers; a multiplication and an
// addition are two.
double ft_flops_total(void);
// Uses of the parameters, in order.
int ft_flops_uses(void);
// One of them: which parameter, its floating-point operations, the sizes of what went in and came out (at most 8 of each).
void ft_flops_use(int index, int* param, double* flops, int64_t* input, int* inputs, int64_t* output, int* outputs);
}
