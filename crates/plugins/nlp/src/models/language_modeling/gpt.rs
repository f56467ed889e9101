//! GPT-2.

use fulmen_base::{Batch, Error, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::{Init, Path};
use schemars::JsonSchema;
use serde::Deserialize;

use super::block::{Block, LayerNorm, dropped};

/// GPT-2 of Radford et al. 2019, with the names and layouts of Hugging Face's `GPT2LMHeadModel`: its weights load by name. The
/// defaults are a small one, for characters.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// Number of blocks.
    #[serde(default = "four")]
    #[schemars(range(min = 1))]
    pub n_layer: i64,
    /// Heads of the attention of each block.
    #[serde(default = "four")]
    #[schemars(range(min = 1))]
    pub n_head: i64,
    /// Width of the model; a multiple of `n_head`.
    #[serde(default = "default_n_embd")]
    #[schemars(range(min = 1))]
    pub n_embd: i64,
    /// Most tokens that it looks back on.
    #[serde(default = "default_block_size")]
    #[schemars(range(min = 1))]
    pub block_size: i64,
    /// Number of different tokens. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub vocab_size: Option<i64>,
    /// Share of values that is dropped in training: behind the embeddings, in the attention, behind each layer.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// Whether the last layer uses the embeddings of the tokens, as the published GPT-2 does, and has no weights of its own.
    #[serde(default)]
    pub tie_weights: bool,
}

const fn four() -> i64 {
    4
}

const fn default_n_embd() -> i64 {
    256
}

const fn default_block_size() -> i64 {
    128
}

component! { ModelKind, "nlp.gpt", GptConfig => Gpt::build }

/// GPT-2.
#[derive(Debug)]
pub struct Gpt {
    wte: Tensor,
    wpe: Tensor,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
    /// `[V, E]`: `wte` itself where the two are tied.
    lm_head: Tensor,
    dropout: f64,
}

impl Gpt {
    fn build(config: &GptConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let vocab_size = config.vocab_size.or(context.data.num_classes).ok_or_else(|| {
            BuildError::setting(
                "vocab_size",
                "the dataset does not say how many tokens it has: set vocab_size",
            )
        })?;
        let sizes = [
            ("n_layer", config.n_layer),
            ("n_head", config.n_head),
            ("n_embd", config.n_embd),
            ("block_size", config.block_size),
            ("vocab_size", vocab_size),
        ];
        if let Some((key, value)) = sizes.into_iter().find(|(_, value)| *value < 1) {
            return Err(BuildError::setting(key, format!("{value} is out of range: it must be at least 1")));
        }
        if config.n_embd % config.n_head != 0 {
            let message = format!(
                "{} cannot be shared among {} heads: it must be a multiple of n_head",
                config.n_embd, config.n_head
            );
            return Err(BuildError::setting("n_embd", message));
        }
        let path: &Path<'_> = context.path;
        let transformer = path / "transformer";
        let embedding = |path: &Path<'_>, rows| {
            path.var("weight", &[rows, config.n_embd], Init::Randn { mean: 0.0, stdev: 0.02 })
        };
        let wte = embedding(&(&transformer / "wte"), vocab_size);
        let wpe = embedding(&(&transformer / "wpe"), config.block_size);
        let blocks =
            (0..config.n_layer).map(|index| Block::new(&(&transformer / "h" / index), config)).collect();
        let ln_f = LayerNorm::new(&(&transformer / "ln_f"), config.n_embd);
        let lm_head =
            if config.tie_weights { wte.shallow_clone() } else { embedding(&(path / "lm_head"), vocab_size) };
        Ok(Box::new(Self { wte, wpe, blocks, ln_f, lm_head, dropout: config.dropout }))
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
        let (time, block_size) = (tokens_bt.size()[1], self.wpe.size()[0]);
        if time > block_size {
            let message = format!(
                "the batch has {time} tokens a sample, and the model looks back on {block_size}: raise model.block_size, or lower the dataset's"
            );
            return Err(Error::config("model.block_size", message));
        }
        let embedded =
            Tensor::embedding(&self.wte, tokens_bt, -1, false, false) + self.wpe.narrow(0, 0, time);
        let mut x_bte = dropped(embedded, self.dropout, mode);
        for block in &self.blocks {
            x_bte = block.forward(&x_bte, mode);
        }
        let logits_btv = self.ln_f.forward(&x_bte).linear(&self.lm_head, None::<Tensor>);
        Ok(Tensors::new().with("logits", logits_btv))
    }
}

#[cfg(test)]
mod tests {
    use fulmen_base::DataSpec;
    use fulmen_base::model::named;
    use fulmen_registry::registry;
    use fulmen_torch::tch::{Device, Kind, manual_seed, nn};
    use serde_json::{Value, json};

    use super::*;

    fn build(settings: &Value) -> Result<(nn::VarStore, Box<dyn Network>), BuildError> {
        manual_seed(0);
        let variables = nn::VarStore::new(Device::Cpu);
        let data = DataSpec { num_classes: Some(11), ..Default::default() };
        let network = registry()
            .unwrap()
            .build::<ModelKind>(settings, ModelContext { path: &variables.root(), data: &data })?;
        Ok((variables, network))
    }

    fn small(more: Value) -> Value {
        let mut settings =
            json!({"_target_": "nlp.gpt", "n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn tokens(values: &[i64]) -> Batch {
        Batch::new().with("tokens", Tensor::from_slice(values).view([1, -1]))
    }

    #[test]
    fn names_and_layouts_are_hugging_faces() {
        let (variables, _) = build(&small(json!({}))).unwrap();
        let named = named(&variables);
        let shape =
            |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.size());
        for (name, expected) in [
            ("transformer.wte.weight", vec![11, 8]),
            ("transformer.wpe.weight", vec![6, 8]),
            ("transformer.h.1.ln_1.weight", vec![8]),
            ("transformer.h.1.attn.c_attn.weight", vec![8, 24]),
            ("transformer.h.1.attn.c_attn.bias", vec![24]),
            ("transformer.h.1.attn.c_proj.weight", vec![8, 8]),
            ("transformer.h.1.mlp.c_fc.weight", vec![8, 32]),
            ("transformer.h.1.mlp.c_proj.weight", vec![32, 8]),
            ("transformer.ln_f.bias", vec![8]),
            ("lm_head.weight", vec![11, 8]),
        ] {
            assert_eq!(shape(name), Some(expected), "{name}");
        }
        assert_eq!(named.len(), 2 + 2 * 12 + 2 + 1);
        let (variables, _) = build(&small(json!({"tie_weights": true}))).unwrap();
        assert!(!variables.variables().contains_key("lm_head.weight"));
    }

    #[test]
    fn every_parameter_gets_a_finite_gradient() {
        let (variables, network) = build(&small(json!({"dropout": 0.1}))).unwrap();
        let outputs = network.forward(&tokens(&[1, 2, 3, 4, 5, 6]), Mode::Train).unwrap();
        let logits = outputs.get("logits").unwrap();
        assert_eq!(logits.size(), [1, 6, 11]);
        logits
            .view([-1, 11])
            .cross_entropy_for_logits(&Tensor::from_slice(&[2_i64, 3, 4, 5, 6, 7]))
            .backward();
        for (name, parameter) in named(&variables) {
            let gradient = parameter.grad();
            assert!(gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1, "{name}");
            assert!(gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0, "{name}");
        }
    }

    #[test]
    fn no_token_sees_those_behind_it() {
        let (_, network) = build(&small(json!({}))).unwrap();
        let logits = |values: &[i64]| {
            network.forward(&tokens(values), Mode::Eval).unwrap().get("logits").unwrap().shallow_clone()
        };
        let (one, other) = (logits(&[1, 2, 3, 4]), logits(&[1, 2, 9, 0]));
        assert!(one.narrow(1, 0, 2).allclose(&other.narrow(1, 0, 2), 1e-5, 1e-6, false));
        assert!(!one.allclose(&other, 1e-5, 1e-6, false));
    }

    #[test]
    fn what_cannot_be_built_or_run_says_why() {
        let error = build(&small(json!({"n_embd": 9}))).unwrap_err();
        assert_eq!(error.key_below("model"), "model.n_embd");
        let (_, network) = build(&small(json!({}))).unwrap();
        let message = network.forward(&tokens(&[0; 7]), Mode::Eval).unwrap_err().to_string();
        assert!(message.contains("7 tokens") && message.contains("looks back on 6"), "{message}");
    }
}
