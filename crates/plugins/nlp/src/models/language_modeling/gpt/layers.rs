//! Layers with the parameter names and layouts of Hugging Face's GPT-2.

use fulmen_torch::feed_forward::Layer;
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::{Init, Path};

/// A linear layer as GPT-2 stores it (`Conv1D`): `weight [in, out]`, the transpose of torch's, and `bias [out]`.
#[derive(Debug)]
pub(super) struct Linear {
    weight_io: Tensor,
    bias_o: Tensor,
}

impl Linear {
    /// Weights are drawn from a normal distribution of this deviation, biases are zero.
    pub(super) fn new(path: &Path<'_>, inputs: i64, outputs: i64, stdev: f64) -> Self {
        Self {
            weight_io: path.var("weight", &[inputs, outputs], Init::Randn { mean: 0.0, stdev }),
            bias_o: path.zeros("bias", &[outputs]),
        }
    }

    pub(super) const fn layer(&self) -> Layer<'_> {
        Layer { weight: &self.weight_io, bias: &self.bias_o }
    }

    /// `[…, in] → […, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        // The transpose is a view, which the matrix product reads as it lies.
        x.linear(&self.weight_io.tr(), Some(&self.bias_o))
    }
}

/// Layer norm (Ba et al. 2016, arXiv:1607.06450) over the last axis.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight_d: Tensor,
    bias_d: Tensor,
}

impl LayerNorm {
    pub(super) fn new(path: &Path<'_>, width: i64) -> Self {
        Self { weight_d: path.ones("weight", &[width]), bias_d: path.zeros("bias", &[width]) }
    }

    /// `[…, D] → […, D]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight_d.size(), Some(&self.weight_d), Some(&self.bias_d), 1e-5, true)
    }
}
