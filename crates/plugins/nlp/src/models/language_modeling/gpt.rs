//! A decoder-only transformer in the shape of GPT-2.

mod block;
mod layers;
#[cfg(test)]
mod tests;

use fulmen_base::{Batch, DataSpec, Error, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::{Dim, Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::{Init, Path};
use schemars::JsonSchema;
use serde::Deserialize;

use block::{Block, BlockShape, dropped};
use layers::LayerNorm;

/// Decoder-only transformer in the shape of GPT-2 (Radford et al. 2019): learned positions, layer norm before attention
/// and before the MLP, biases everywhere. Parameters have the names and layouts of Hugging Face's `GPT2LMHeadModel`,
/// whose weights load by name with `tie_weights: true` and `activation: gelu_tanh`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// Transformer blocks.
    #[serde(default = "four")]
    #[schemars(range(min = 1))]
    pub n_layer: i64,
    /// Attention heads of each block.
    #[serde(default = "four")]
    #[schemars(range(min = 1))]
    pub n_head: i64,
    /// Features of a token; a multiple of `n_head`.
    #[serde(default = "default_n_embd")]
    #[schemars(range(min = 1))]
    pub n_embd: i64,
    /// Most tokens that it looks back on. Left out or null: as many as the dataset's samples have.
    #[serde(default)]
    pub block_size: Option<i64>,
    /// Number of different tokens. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub vocab_size: Option<i64>,
    /// Share of values that is dropped in training: behind the embeddings, in the attention, behind each layer.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// What stands between the two layers of each MLP.
    #[serde(default)]
    pub activation: Activation,
    /// Whether the token embedding serves as the head, without a bias, as in GPT-2. Otherwise the head is a linear layer of its
    /// own.
    #[serde(default)]
    pub tie_weights: bool,
}

const fn four() -> i64 {
    4
}

const fn default_n_embd() -> i64 {
    256
}

/// The function between the two layers of an MLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Gaussian error linear unit (Hendrycks and Gimpel 2016, arXiv:1606.08415).
    #[default]
    Gelu,
    /// Its approximation by tanh, which GPT-2 was trained with.
    GeluTanh,
}

component! { ModelKind, "nlp.gpt", GptConfig => Gpt::build }

/// Standard deviation of the initial weights, as in GPT-2.
const STDEV: f64 = 0.02;

/// A decoder-only transformer in the shape of GPT-2.
#[derive(Debug)]
pub struct Gpt {
    token_embedding_vd: Tensor,
    position_embedding_td: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// Weight `[V, D]` and bias `[V]`; none where the token embedding is the head.
    head: Option<(Tensor, Tensor)>,
    dropout: f64,
}

impl Gpt {
    fn build(config: &GptConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let layers = positive("n_layer", config.n_layer)?;
        let heads = positive("n_head", config.n_head)?;
        let width = positive("n_embd", config.n_embd)?;
        if width % heads != 0 {
            let message = format!(
                "{width} features cannot be shared among {heads} heads: it must be a multiple of n_head"
            );
            return Err(BuildError::setting("n_embd", message));
        }
        let vocab_size = size("vocab_size", config.vocab_size, context.data.num_classes)?;
        let block_size = size("block_size", config.block_size, tokens_a_sample(context.data))?;

        let path: &Path<'_> = context.path;
        let transformer = path / "transformer";
        let normal = Init::Randn { mean: 0.0, stdev: STDEV };
        let embedding = |name, rows| (&transformer / name).var("weight", &[rows, width], normal);
        let shape = BlockShape {
            width,
            heads,
            // Each block adds twice to its input: the sum of all is to vary as little as one (Radford et al. 2019, 2.3).
            residual_stdev: STDEV / (2.0 * layers as f64).sqrt(),
            dropout: config.dropout,
            activation: config.activation,
        };
        let head = (!config.tie_weights).then(|| {
            let head = path / "lm_head";
            (head.var("weight", &[vocab_size, width], normal), head.zeros("bias", &[vocab_size]))
        });
        Ok(Box::new(Self {
            token_embedding_vd: embedding("wte", vocab_size),
            position_embedding_td: embedding("wpe", block_size),
            blocks: (0..layers).map(|layer| Block::new(&(&transformer / "h" / layer), &shape)).collect(),
            norm: LayerNorm::new(&(&transformer / "ln_f"), width),
            head,
            dropout: config.dropout,
        }))
    }
}

impl Network for Gpt {
    fn inputs(&self) -> Schema {
        schema! { tokens: i64["B", "T"] }
    }

    fn outputs(&self) -> Schema {
        schema! { logits: f32["B", "T", "V"] }
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors> {
        let tokens_bt = batch.get("tokens")?;
        let (time, block_size) = (tokens_bt.size()[1], self.position_embedding_td.size()[0]);
        if time > block_size {
            let message = format!(
                "the batch has {time} tokens a sample, and the model looks back on {block_size}: raise model.block_size, or lower the dataset's"
            );
            return Err(Error::config("model.block_size", message));
        }
        let embedded_btd = Tensor::embedding(&self.token_embedding_vd, tokens_bt, -1, false, false)
            + self.position_embedding_td.narrow(0, 0, time);
        let mut x_btd = dropped(embedded_btd, self.dropout, mode);
        for block in &self.blocks {
            x_btd = block.forward(&x_btd, mode)?;
        }
        let x_btd = self.norm.forward(&x_btd);
        let logits_btv = match &self.head {
            Some((weight_vd, bias_v)) => x_btd.linear(weight_vd, Some(bias_v)),
            None => x_btd.linear(&self.token_embedding_vd, None::<Tensor>),
        };
        Ok(Tensors::new().with("logits", logits_btv))
    }
}

/// `T` of the data's `tokens: i64[B, T]`, where it is fixed.
fn tokens_a_sample(data: &DataSpec) -> Option<i64> {
    match data.schema.get("tokens")?.shape.get(1)? {
        Dim::Fixed(size) => Some(*size),
        Dim::Named(_) => None,
    }
}

/// A size as set, else as the data has it; it must hold what the data has.
fn size(key: &str, set: Option<i64>, data: Option<i64>) -> Result<i64, BuildError> {
    let missing = || BuildError::setting(key, format!("the dataset does not say its own {key}: set it here"));
    let size = positive(key, set.or(data).ok_or_else(missing)?)?;
    match data {
        Some(data) if data > size => {
            let message =
                format!("{size} is too small for the dataset's {key} of {data}: leave it out, or raise it");
            Err(BuildError::setting(key, message))
        }
        _ => Ok(size),
    }
}

fn positive(key: &str, value: i64) -> Result<i64, BuildError> {
    if value < 1 {
        return Err(BuildError::setting(key, format!("{value} is out of range: it must be at least 1")));
    }
    Ok(value)
}
