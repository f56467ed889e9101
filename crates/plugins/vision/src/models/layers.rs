//! Layers with torch's own initial values and `state_dict` names, which `tch`'s differ from.

use fulmen_base::{Mode, Result};
use fulmen_torch::convolution;
use fulmen_torch::tch::nn::{Init, Path};
use fulmen_torch::tch::{Kind, Tensor, no_grad};

/// `torch.nn.Linear`: `weight [out, in]`, `bias [out]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(crate) fn new(path: &Path<'_>, inputs: i64, outputs: i64) -> Self {
        let init = torch_uniform(inputs);
        Self {
            weight: path.var("weight", &[outputs, inputs], init),
            bias: path.var("bias", &[outputs], init),
        }
    }

    /// `[B, in] → [B, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

/// `torch.nn.Conv2d` with square kernels.
#[derive(Debug)]
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    /// With bias, and torch's own initial values.
    pub(crate) fn new(path: &Path<'_>, channels: (i64, i64), kernel: i64, padding: i64) -> Self {
        let init = torch_uniform(channels.0 * kernel * kernel);
        Self {
            weight: path.var("weight", &[channels.1, channels.0, kernel, kernel], init),
            bias: Some(path.var("bias", &[channels.1], init)),
            stride: 1,
            padding,
        }
    }

    /// Without bias, for a batch norm behind it, with the initial values of He et al. 2015 (arXiv:1502.01852) by fan-out.
    pub(crate) fn before_norm(
        path: &Path<'_>,
        channels: (i64, i64),
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Self {
        let fan_out = channels.1 * kernel * kernel;
        let init = Init::Randn { mean: 0.0, stdev: (2.0 / fan_out as f64).sqrt() };
        let weight = path.var("weight", &[channels.1, channels.0, kernel, kernel], init);
        Self { weight, bias: None, stride, padding }
    }

    /// `[B, in, H, W] → [B, out, H', W']`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.bias.is_none() && self.weight.size()[2..] == [3, 3] && (self.stride, self.padding) == (1, 1) {
            return Ok(convolution::conv3x3(x, &self.weight)?);
        }
        Ok(x.conv2d(&self.weight, self.bias.as_ref(), [self.stride; 2], [self.padding; 2], [1; 2], 1))
    }
}

/// `torch.nn.BatchNorm2d`, `num_batches_tracked` included, so that Python loads the weights strictly.
#[derive(Debug)]
pub(crate) struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
}

impl BatchNorm2d {
    pub(crate) fn new(path: &Path<'_>, channels: i64) -> Self {
        Self {
            weight: path.ones("weight", &[channels]),
            bias: path.zeros("bias", &[channels]),
            running_mean: path.zeros_no_train("running_mean", &[channels]),
            running_var: path.ones_no_train("running_var", &[channels]),
            num_batches_tracked: path.add(
                "num_batches_tracked",
                Tensor::zeros([] as [i64; 0], (Kind::Int64, path.device())),
                false,
            ),
        }
    }

    /// `[B, C, H, W] → [B, C, H, W]`.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        if mode.is_train() {
            let _ = no_grad(|| self.num_batches_tracked.shallow_clone().g_add_scalar_(1));
        }
        Tensor::batch_norm(
            x,
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            mode.is_train(),
            0.1,
            1e-5,
            true,
        )
    }
}

/// What torch draws the weights and biases of linear and convolutional layers from: uniform within `±1/√fan_in`.
fn torch_uniform(fan_in: i64) -> Init {
    let bound = 1.0 / (fan_in as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}
