// One optimizer step on the parameters of a group, with the gradients that autograd left on them. A parameter without a gradient took no part
// in the step: it and its state stay as they are. No step waits for the device.
#pragma once
#include "shim.h"

extern "C" {
// `count` rows of `width` handles: a parameter, then its state in the order that the algorithm's comment gives. `step` is a [] f32 that
// counts the parameter's steps; on the CPU wherever the host reads it.
typedef struct {
  const ft_tensor* handles;
  int count;
  int width;
} ft_rows;

typedef struct {
  double lr, momentum, dampening, weight_decay;
  int nesterov, maximize;
} ft_sgd;
// at::_fused_sgd_. State: momentum_buffer, step (CPU), or none at all for no momentum.
int ft_step_sgd(ft_rows rows, const ft_sgd* settings);

typedef struct {
  double lr, beta1, beta2, eps, weight_decay;
  int decoupled, amsgrad, maximize;
} ft_adam;
// at::_fused_adamw_ (decoupled != 0) or at::_fused_adam_. State: exp_avg, exp_avg_sq, step (as the parameter), max_exp_avg_sq with amsgrad.
int ft_step_adam(ft_rows rows, const ft_adam* settings);

typedef struct {
  double lr, lr_decay, weight_decay, eps;
  int maximize;
} ft_adagrad;
// at::_fused_adagrad_. State: sum, step (as the parameter).
int ft_step_adagrad(ft_rows rows, const ft_adagrad* settings);

typedef struct {
  double lr, beta1, beta2, eps, weight_decay, momentum_decay;
  int decoupled;
} ft_nadam;
// State: exp_avg, exp_avg_sq, step (CPU), mu_product ([] f32, CPU).
int ft_step_nadam(ft_rows rows, const ft_nadam* settings);

typedef struct {
  double lr, beta1, beta2, eps, weight_decay;
  int decoupled;
} ft_radam;
// State: exp_avg, exp_avg_sq, step (CPU).
int ft_step_radam(ft_rows rows, const ft_radam* settings);

typedef struct {
  double lr, alpha, eps, weight_decay, momentum;
  int centered;
} ft_rmsprop;
// State: square_avg, then grad_avg where centered, then momentum_buffer where there is momentum.
int ft_step_rmsprop(ft_rows rows, const ft_rmsprop* settings);

typedef struct {
  // eps1 < 0: the machine epsilon of the parameter's type.
  double lr, beta2_decay, eps1, eps2, d, weight_decay;
} ft_adafactor;
// State: row_var and col_var of a parameter of two or more dimensions, else variance and an undefined tensor; step (CPU).
int ft_step_adafactor(ft_rows rows, const ft_adafactor* settings);

typedef struct {
  double lr, beta1, beta2, eps, weight_decay;
} ft_lamb;
// State: exp_avg, exp_avg_sq, step (CPU).
int ft_step_lamb(ft_rows rows, const ft_lamb* settings);

typedef struct {
  double lr, beta1, beta2, weight_decay;
} ft_lion;
// State: exp_avg.
int ft_step_lion(ft_rows rows, const ft_lion* settings);

typedef struct {
  double lr, momentum, weight_decay, eps, a, b, c;
  // match_rms_adamw: 0.2·√max(rows, columns) rather than √max(1, rows/columns).
  int ns_steps, nesterov, match_rms_adamw;
} ft_muon;
// Parameters of two dimensions. State: momentum_buffer.
int ft_step_muon(ft_rows rows, const ft_muon* settings);
}
