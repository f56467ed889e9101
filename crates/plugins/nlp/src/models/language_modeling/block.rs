//! A block of GPT-2: causal attention and a perceptron, each after a layer norm and around which the input is added.

use fulmen_base::Mode;
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::{Init, Path};

use super::GptConfig;

/// Hugging Face's `GPT2Block`.
#[derive(Debug)]
pub(super) struct Block {
    ln_1: LayerNorm,
    c_attn: Conv1D,
    attention_projection: Conv1D,
    ln_2: LayerNorm,
    c_fc: Conv1D,
    mlp_projection: Conv1D,
    heads: i64,
    dropout: f64,
}

impl Block {
    pub(super) fn new(path: &Path<'_>, config: &GptConfig) -> Self {
        let width = config.n_embd;
        // What is added onto the residual stream starts smaller, by the number of additions (Radford et al. 2019, 2.3).
        let projection_std = 0.02 / (2.0 * config.n_layer as f64).sqrt();
        Self {
            ln_1: LayerNorm::new(&(path / "ln_1"), width),
            c_attn: Conv1D::new(&(path / "attn" / "c_attn"), width, 3 * width, 0.02),
            attention_projection: Conv1D::new(&(path / "attn" / "c_proj"), width, width, projection_std),
            ln_2: LayerNorm::new(&(path / "ln_2"), width),
            c_fc: Conv1D::new(&(path / "mlp" / "c_fc"), width, 4 * width, 0.02),
            mlp_projection: Conv1D::new(&(path / "mlp" / "c_proj"), 4 * width, width, projection_std),
            heads: config.n_head,
            dropout: config.dropout,
        }
    }

    /// `[B, T, E] → [B, T, E]`.
    pub(super) fn forward(&self, x_bte: &Tensor, mode: Mode) -> Tensor {
        let x_bte = x_bte + self.attention(&self.ln_1.forward(x_bte), mode);
        let wide = self.c_fc.forward(&self.ln_2.forward(&x_bte)).gelu("tanh");
        let y_bte = self.mlp_projection.forward(&wide);
        x_bte + dropped(y_bte, self.dropout, mode)
    }

    fn attention(&self, x_bte: &Tensor, mode: Mode) -> Tensor {
        let (batch, time, width) = sizes(x_bte);
        let heads = self.c_attn.forward(x_bte).view([batch, time, 3, self.heads, width / self.heads]);
        // Queries, keys and values, each [B, heads, T, E / heads].
        let parts = heads.permute([2, 0, 3, 1, 4]).unbind(0);
        let dropout = if mode.is_train() { self.dropout } else { 0.0 };
        let mixed = Tensor::scaled_dot_product_attention(
            &parts[0],
            &parts[1],
            &parts[2],
            None::<Tensor>,
            dropout,
            true,
            None,
            false,
        );
        let y_bte = self.attention_projection.forward(&mixed.transpose(1, 2).reshape([batch, time, width]));
        dropped(y_bte, self.dropout, mode)
    }
}

/// Dropout, and no work at all where it drops nothing.
pub(super) fn dropped(x: Tensor, dropout: f64, mode: Mode) -> Tensor {
    if dropout > 0.0 && mode.is_train() { x.dropout(dropout, true) } else { x }
}

pub(super) fn sizes(x_bte: &Tensor) -> (i64, i64, i64) {
    let size = x_bte.size();
    (size[0], size[1], size[2])
}

/// `torch.nn.LayerNorm` over the last axis.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(super) fn new(path: &Path<'_>, width: i64) -> Self {
        Self { weight: path.ones("weight", &[width]), bias: path.zeros("bias", &[width]) }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), 1e-5, true)
    }
}

/// Hugging Face's `Conv1D`: a linear layer whose weight is stored as `[in, out]`.
#[derive(Debug)]
struct Conv1D {
    weight: Tensor,
    bias: Tensor,
}

impl Conv1D {
    fn new(path: &Path<'_>, inputs: i64, outputs: i64, stdev: f64) -> Self {
        Self {
            weight: path.var("weight", &[inputs, outputs], Init::Randn { mean: 0.0, stdev }),
            bias: path.zeros("bias", &[outputs]),
        }
    }

    /// `[B, T, in] → [B, T, out]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let (batch, time, inputs) = sizes(x);
        self.bias.addmm(&x.reshape([batch * time, inputs]), &self.weight).view([batch, time, -1])
    }
}
