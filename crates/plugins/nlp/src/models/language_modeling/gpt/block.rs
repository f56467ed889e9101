//! One transformer block: causal attention, then an MLP, each behind a layer norm and added to its input.

use fulmen_base::{Mode, Result};
use fulmen_torch::attention::{Options, self_attention};
use fulmen_torch::feed_forward::{Gelu, feed_forward};
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::Path;

use super::layers::{LayerNorm, Linear};
use super::{Activation, STDEV};

/// What all blocks of a network share.
#[derive(Debug)]
pub(super) struct BlockShape {
    pub(super) width: i64,
    pub(super) heads: i64,
    /// Deviation of the initial weights of the layers that add to the block's input.
    pub(super) residual_stdev: f64,
    pub(super) dropout: f64,
    pub(super) activation: Activation,
}

#[derive(Debug)]
pub(super) struct Block {
    attention_norm: LayerNorm,
    query_key_value: Linear,
    attention_projection: Linear,
    mlp_norm: LayerNorm,
    mlp_expansion: Linear,
    mlp_projection: Linear,
    heads: i64,
    dropout: f64,
    activation: Activation,
}

impl Block {
    pub(super) fn new(path: &Path<'_>, shape: &BlockShape) -> Self {
        let &BlockShape { width, heads, residual_stdev, dropout, activation } = shape;
        let (attention, mlp) = (path / "attn", path / "mlp");
        Self {
            attention_norm: LayerNorm::new(&(path / "ln_1"), width),
            query_key_value: Linear::new(&(&attention / "c_attn"), width, 3 * width, STDEV),
            attention_projection: Linear::new(&(&attention / "c_proj"), width, width, residual_stdev),
            mlp_norm: LayerNorm::new(&(path / "ln_2"), width),
            mlp_expansion: Linear::new(&(&mlp / "c_fc"), width, 4 * width, STDEV),
            mlp_projection: Linear::new(&(&mlp / "c_proj"), 4 * width, width, residual_stdev),
            heads,
            dropout,
            activation,
        }
    }

    /// `[B, T, D] → [B, T, D]`.
    pub(super) fn forward(&self, x_btd: &Tensor, mode: Mode) -> Result<Tensor> {
        let x_btd = x_btd + self.attention(&self.attention_norm.forward(x_btd), mode)?;
        let added_btd = self.mlp(&self.mlp_norm.forward(&x_btd), mode)?;
        Ok(x_btd + added_btd)
    }

    fn attention(&self, x_btd: &Tensor, mode: Mode) -> Result<Tensor> {
        let dropout = if mode.is_train() { self.dropout } else { 0.0 };
        let options = Options { heads: self.heads, dropout, causal: true };
        let mixed_btd = self_attention(&self.query_key_value.forward(x_btd), options)?;
        Ok(dropped(self.attention_projection.forward(&mixed_btd), self.dropout, mode))
    }

    fn mlp(&self, x_btd: &Tensor, mode: Mode) -> Result<Tensor> {
        let gelu = match self.activation {
            Activation::Gelu => Gelu::Exact,
            Activation::GeluTanh => Gelu::Tanh,
        };
        let added_btd = feed_forward(x_btd, self.mlp_expansion.layer(), gelu, self.mlp_projection.layer())?;
        Ok(dropped(added_btd, self.dropout, mode))
    }
}

/// Dropout, and no work at all where it drops nothing.
pub(super) fn dropped(x: Tensor, dropout: f64, mode: Mode) -> Tensor {
    if dropout > 0.0 && mode.is_train() { x.dropout(dropout, true) } else { x }
}
