//! Defaults and checks that several optimizers share. Defaults are torch's.

use fulmen_registry::BuildError;

pub(super) const fn lr_1e_3() -> f64 {
    1e-3
}

pub(super) const fn lr_1e_2() -> f64 {
    1e-2
}

pub(super) const fn betas() -> (f64, f64) {
    (0.9, 0.999)
}

pub(super) const fn eps_1e_8() -> f64 {
    1e-8
}

pub(super) const fn weight_decay_1e_2() -> f64 {
    1e-2
}

pub(super) const fn yes() -> bool {
    true
}

/// # Errors
/// When one of `betas`, the setting `key`, is not a share of a running average.
pub(super) fn check_betas(key: &str, betas: (f64, f64)) -> Result<(), BuildError> {
    for (index, beta) in [betas.0, betas.1].into_iter().enumerate() {
        if !(0.0..1.0).contains(&beta) {
            return Err(BuildError::setting(format!("{key}[{index}]"), format!("{beta} is not in [0, 1)")));
        }
    }
    Ok(())
}
