// The C face of libtorch's profiler, of its anomaly mode, of a watch over operators' outputs, and of CUDA's memory.
#pragma once
#include "shim.h"

extern "C" {
// One operator, or one kernel on a device, as the profiler saw it.
typedef struct {
  const char* name;
  // "[[32, 64], [64]]", empty where shapes are not recorded.
  const char* shapes;
  int64_t start_ns;
  int64_t end_ns;
  uint64_t thread;
  int on_device;
} ft_operator;

// Kineto's profiler on this thread and those that work for it; `cuda` records kernels too.
int ft_profiler_start(int cuda, int shapes);
// Ends it on the same thread. Hands every operator to `take` with `to`; writes a Chrome trace unless `trace` is null.
int ft_profiler_stop(const char* trace, void (*take)(void* to, const ft_operator* one), void* to);

// autograd's anomaly mode: a backward function that gives a NaN is an error that names it.
int ft_anomaly_mode(int enabled);

// A value that is not finite, in the output of an operator.
typedef struct {
  // 0 NaN, 1 +inf, 2 -inf.
  int kind;
  const char* op;
  // Which of the watched tensors the operator, or one around it, worked with; -1 none.
  int tensor;
  // Which watched tensor was worked with before; -1 none.
  int before;
  // Of the operator's inputs: a watched tensor that is itself not finite; -1 none is, -2 another input is not finite.
  int input;
} ft_finding;

// Watches what operators of this thread, and of the backward pass that it starts, give out. One watch a process.
int ft_watch_start(ft_tensor* tensors, int count);
// Forgets what was found and looks (1), or looks away (0).
int ft_watch_look(int look);
// Hands the first NaN, +inf and -inf found to `take`, in the order in which they came up.
int ft_watch_findings(void (*take)(void* to, const ft_finding* one), void* to);
// The backward function that began last, with the operator of the forward pass and the watched tensor that it belongs to.
int ft_watch_backward(void (*take)(void* to, const char* function, const ft_finding* one), void* to);
int ft_watch_stop(void);
// Whether this thread's operators are watched.
int ft_watch_here(void);

}
