// The C face of what `tch` leaves out of libtorch. Every function returns 0, or 1 with the reason in ft_last_error().
#pragma once
#include <stdint.h>

extern "C" {
// An at::Tensor*, as `tch` hands it out.
typedef void* ft_tensor;

const char* ft_last_error(void);

// Lays the tensor's own storage out as NHWC; shape and identity stay.
int ft_channels_last(ft_tensor tensor);
// Whether the tensor's elements lie as NHWC.
int ft_is_channels_last(ft_tensor tensor, int* answer);
// Autocast for this thread, on CUDA or the CPU; dtype is an at::ScalarType.
int ft_autocast(int enabled, int cuda, int dtype);
// Inference mode for this thread, until the guard is freed on it.
typedef void* ft_guard;
int ft_inference_mode(ft_guard* guard);
void ft_free_inference_mode(ft_guard guard);
// Puts a copy of `gradient` in place as the parameter's gradient.
int ft_set_gradient(ft_tensor param, ft_tensor gradient);
int ft_deterministic(int enabled, int warn_only);
const char* ft_version(void);
const char* ft_cpu_capability(void);
// Loads libtorch_cuda.so from the folder of the libtorch_cpu.so in use, so that CUDA devices register.
int ft_load_cuda(void);
}
