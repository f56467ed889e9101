//! Declarations of cpp/optimizers.h: settings of a step, and the steps.

use std::ffi::{c_double, c_int};

use crate::TensorHandle;

/// `count` rows of `width` handles each: a parameter, then its state in the algorithm's order.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// `count * width` handles.
    pub handles: *const TensorHandle,
    /// Parameters.
    pub count: c_int,
    /// Handles a parameter.
    pub width: c_int,
}

/// Settings of a step of stochastic gradient descent; a parameter without state has no momentum.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// Learning rate.
    pub lr: c_double,
    /// Momentum factor.
    pub momentum: c_double,
    /// Dampening of the momentum.
    pub dampening: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// ≠ 0: Nesterov's form of the momentum.
    pub nesterov: c_int,
    /// ≠ 0: uphill.
    pub maximize: c_int,
}

/// Settings of a step of Adam or AdamW.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Learning rate.
    pub lr: c_double,
    /// Decay of the running average of the gradient.
    pub beta1: c_double,
    /// Decay of the running average of the squared gradient.
    pub beta2: c_double,
    /// Added to the denominator.
    pub eps: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// Whether the decay is decoupled from the gradient (≠ 0) or part of it.
    pub decoupled: c_int,
    /// ≠ 0: the greatest running average counts.
    pub amsgrad: c_int,
    /// ≠ 0: uphill.
    pub maximize: c_int,
}

/// Settings of a step of Adagrad.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Adagrad {
    /// Learning rate.
    pub lr: c_double,
    /// Decay of the learning rate with the steps.
    pub lr_decay: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// Added to the denominator.
    pub eps: c_double,
    /// ≠ 0: uphill.
    pub maximize: c_int,
}

/// Settings of a step of NAdam.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NAdam {
    /// Learning rate.
    pub lr: c_double,
    /// Decay of the running average of the gradient.
    pub beta1: c_double,
    /// Decay of the running average of the squared gradient.
    pub beta2: c_double,
    /// Added to the denominator.
    pub eps: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// How fast the momentum approaches `beta1`.
    pub momentum_decay: c_double,
    /// Whether the decay is decoupled from the gradient (≠ 0) or part of it.
    pub decoupled: c_int,
}

/// Settings of a step of RAdam.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RAdam {
    /// Learning rate.
    pub lr: c_double,
    /// Decay of the running average of the gradient.
    pub beta1: c_double,
    /// Decay of the running average of the squared gradient.
    pub beta2: c_double,
    /// Added to the denominator.
    pub eps: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// Whether the decay is decoupled from the gradient (≠ 0) or part of it.
    pub decoupled: c_int,
}

/// Settings of a step of RMSprop.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: c_double,
    /// Decay of the running average of the squared gradient.
    pub alpha: c_double,
    /// Added to the denominator.
    pub eps: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// Momentum factor.
    pub momentum: c_double,
    /// ≠ 0: by the variance rather than the second moment.
    pub centered: c_int,
}

/// Settings of a step of Adafactor.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Adafactor {
    /// Learning rate.
    pub lr: c_double,
    /// Exponent of the step in the decay of the second moment.
    pub beta2_decay: c_double,
    /// Floor of the second moment's root; < 0: the machine epsilon of the parameter's type.
    pub eps1: c_double,
    /// Floor of a parameter's root mean square.
    pub eps2: c_double,
    /// Where an update's root mean square is clipped.
    pub d: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
}

/// Settings of a step of LAMB.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Lamb {
    /// Learning rate.
    pub lr: c_double,
    /// Decay of the running average of the gradient.
    pub beta1: c_double,
    /// Decay of the running average of the squared gradient.
    pub beta2: c_double,
    /// Added to the denominator.
    pub eps: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
}

/// Settings of a step of Lion.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Lion {
    /// Learning rate.
    pub lr: c_double,
    /// Share of the momentum in the direction.
    pub beta1: c_double,
    /// Decay of the momentum.
    pub beta2: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
}

/// Settings of a step of Muon, for parameters of two dimensions.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Muon {
    /// Learning rate.
    pub lr: c_double,
    /// Momentum factor.
    pub momentum: c_double,
    /// Weight decay.
    pub weight_decay: c_double,
    /// Floor of the update's norm.
    pub eps: c_double,
    /// Coefficient of the matrix.
    pub a: c_double,
    /// Coefficient of its cube.
    pub b: c_double,
    /// Coefficient of its fifth power.
    pub c: c_double,
    /// Newton–Schulz iterations.
    pub ns_steps: c_int,
    /// ≠ 0: Nesterov's form of the momentum.
    pub nesterov: c_int,
    /// ≠ 0: updates as large as AdamW's.
    pub match_rms_adamw: c_int,
}

// SAFETY: the signatures are those of cpp/optimizers.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// A step of stochastic gradient descent; a parameter without state has no momentum.
    pub fn ft_step_sgd(rows: Rows, settings: *const Sgd) -> c_int;
    /// A step of Adam or AdamW.
    pub fn ft_step_adam(rows: Rows, settings: *const Adam) -> c_int;
    /// A step of Adagrad.
    pub fn ft_step_adagrad(rows: Rows, settings: *const Adagrad) -> c_int;
    /// A step of NAdam.
    pub fn ft_step_nadam(rows: Rows, settings: *const NAdam) -> c_int;
    /// A step of RAdam.
    pub fn ft_step_radam(rows: Rows, settings: *const RAdam) -> c_int;
    /// A step of RMSprop.
    pub fn ft_step_rmsprop(rows: Rows, settings: *const RmsProp) -> c_int;
    /// A step of Adafactor.
    pub fn ft_step_adafactor(rows: Rows, settings: *const Adafactor) -> c_int;
    /// A step of LAMB.
    pub fn ft_step_lamb(rows: Rows, settings: *const Lamb) -> c_int;
    /// A step of Lion.
    pub fn ft_step_lion(rows: Rows, settings: *const Lion) -> c_int;
    /// A step of Muon, for parameters of two dimensions.
    pub fn ft_step_muon(rows: Rows, settings: *const Muon) -> c_int;
}
