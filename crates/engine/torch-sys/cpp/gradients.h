// Gradients of many parameters at once. Parameters without a gradient are passed over.
#pragma once
#include "shim.h"

extern "C" {
// Frees the gradients, so that the next backward pass stores rather than adds.
int ft_clear_gradients(const ft_tensor* params, int count);
// The joint norm of order norm_type (infinity: the largest magnitude); *norm is a new 0-dim tensor, 0 where there is no gradient.
int ft_gradient_norm(const ft_tensor* params, int count, double norm_type, ft_tensor* norm);
// Scales all gradients so that their joint norm is at most max_norm; *norm is the norm before, a new 0-dim tensor.
int ft_clip_gradient_norm(const ft_tensor* params, int count, double max_norm, double norm_type, ft_tensor* norm);
int ft_clip_gradient_value(const ft_tensor* params, int count, double max_value);
// Multiplies all gradients by inv_scale and sets found_inf to 1 where one is not finite; both f32 of one element.
int ft_unscale_gradients(const ft_tensor* params, int count, ft_tensor inv_scale, ft_tensor found_inf);
// Grows or backs off the loss scale; scale, found_inf f32, growth_tracker i32, each of one element.
int ft_update_scale(ft_tensor scale, ft_tensor growth_tracker, ft_tensor found_inf, double growth_factor, double backoff_factor, int growth_interval);
}
