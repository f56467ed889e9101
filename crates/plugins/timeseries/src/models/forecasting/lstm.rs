//! A recurrent network with long short-term memory.

use fulmen_base::{Batch, DataSpec, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::{Dim, Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::{Init, Path};
use schemars::JsonSchema;
use serde::Deserialize;

/// Long short-term memory (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735): the state after the last step, through
/// a linear layer, is the prediction. Parameters have the names of `torch.nn.LSTM` below `lstm`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Series beside each other. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub input_size: Option<i64>,
    /// Numbers to predict. Left out or null: as many as the dataset asks for.
    #[serde(default)]
    pub output_size: Option<i64>,
    /// Width of the state of each layer.
    #[serde(default = "default_hidden_size")]
    #[schemars(range(min = 1))]
    pub hidden_size: i64,
    /// Layers, each over the states of the one before.
    #[serde(default = "default_num_layers")]
    #[schemars(range(min = 1))]
    pub num_layers: i64,
    /// Share of the states that is dropped in training between layers.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

const fn default_hidden_size() -> i64 {
    128
}

const fn default_num_layers() -> i64 {
    2
}

component! { ModelKind, "timeseries.lstm", LstmConfig => Lstm::build }

/// A recurrent network with long short-term memory.
#[derive(Debug)]
pub struct Lstm {
    input_size: i64,
    output_size: i64,
    hidden_size: i64,
    num_layers: i64,
    dropout: f64,
    /// Of each layer `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, as libtorch takes them.
    parameters: Vec<Tensor>,
    head_weight: Tensor,
    head_bias: Tensor,
}

impl Lstm {
    fn build(config: &LstmConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let &LstmConfig { hidden_size, num_layers, dropout, .. } = config;
        let input_size = size("input_size", config.input_size, context.data, "series", 2)?;
        let output_size = size("output_size", config.output_size, context.data, "target", 1)?;
        for (key, value) in [("hidden_size", hidden_size), ("num_layers", num_layers)] {
            if value < 1 {
                return Err(BuildError::setting(
                    key,
                    format!("{value} is out of range: it must be at least 1"),
                ));
            }
        }
        // As torch draws the parameters of `nn.LSTM`, and those of an `nn.Linear` of this many inputs.
        let bound = 1.0 / (hidden_size as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let lstm: Path<'_> = context.path / "lstm";
        let mut parameters = Vec::new();
        for layer in 0..num_layers {
            let inputs = if layer == 0 { input_size } else { hidden_size };
            let gates = 4 * hidden_size;
            parameters.push(lstm.var(&format!("weight_ih_l{layer}"), &[gates, inputs], init));
            parameters.push(lstm.var(&format!("weight_hh_l{layer}"), &[gates, hidden_size], init));
            parameters.push(lstm.var(&format!("bias_ih_l{layer}"), &[gates], init));
            parameters.push(lstm.var(&format!("bias_hh_l{layer}"), &[gates], init));
        }
        let head = context.path / "head";
        Ok(Box::new(Self {
            input_size,
            output_size,
            hidden_size,
            num_layers,
            dropout,
            parameters,
            head_weight: head.var("weight", &[output_size, hidden_size], init),
            head_bias: head.var("bias", &[output_size], init),
        }))
    }
}

/// A size as set, else as the data has it on an axis of one of its tensors.
fn size(key: &str, set: Option<i64>, data: &DataSpec, tensor: &str, axis: usize) -> Result<i64, BuildError> {
    let promised = match data.schema.get(tensor).and_then(|spec| spec.shape.get(axis)) {
        Some(Dim::Fixed(size)) => Some(*size),
        _ => None,
    };
    let size = set.or(promised).ok_or_else(|| {
        BuildError::setting(key, format!("the dataset does not say the size of its '{tensor}': set {key}"))
    })?;
    if size >= 1 {
        Ok(size)
    } else {
        Err(BuildError::setting(key, format!("{size} is out of range: it must be at least 1")))
    }
}

impl Network for Lstm {
    fn inputs(&self) -> Schema {
        let input_size = self.input_size;
        schema! { series: f32["B", "T", input_size] }
    }

    fn outputs(&self) -> Schema {
        let output_size = self.output_size;
        schema! { prediction: f32["B", output_size] }
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors> {
        let series_btc = batch.get("series")?;
        let zeros = Tensor::zeros(
            [self.num_layers, series_btc.size()[0], self.hidden_size],
            (series_btc.kind(), series_btc.device()),
        );
        let state = [zeros.shallow_clone(), zeros];
        let parameters: Vec<Tensor> = self.parameters.iter().map(Tensor::shallow_clone).collect();
        let (states_bth, _, _) = series_btc.lstm(
            &state,
            &parameters,
            true,
            self.num_layers,
            self.dropout,
            mode.is_train(),
            false,
            true,
        );
        let last_bh = states_bth.select(1, -1);
        Ok(Tensors::new().with("prediction", last_bh.linear(&self.head_weight, Some(&self.head_bias))))
    }
}

#[cfg(test)]
mod tests {
    use fulmen_base::model::named;
    use fulmen_registry::registry;
    use fulmen_torch::tch::{Device, Kind, manual_seed, nn};
    use serde_json::{Value, json};

    use super::*;

    fn build(settings: &Value, schema: Schema) -> Result<(nn::VarStore, Box<dyn Network>), BuildError> {
        manual_seed(0);
        let variables = nn::VarStore::new(Device::Cpu);
        let data = DataSpec { schema, ..Default::default() };
        let network = registry()
            .unwrap()
            .build::<ModelKind>(settings, ModelContext { path: &variables.root(), data: &data })?;
        Ok((variables, network))
    }

    #[test]
    fn sizes_come_from_the_data_names_are_torchs_and_gradients_are_finite() {
        let settings = json!({"_target_": "timeseries.lstm", "hidden_size": 5, "dropout": 0.1});
        let (variables, network) =
            build(&settings, schema! { series: f32["B", 9, 3], target: f32["B", 2] }).unwrap();
        let batch = Batch::new().with("series", Tensor::randn([4, 9, 3], (Kind::Float, Device::Cpu)));
        let outputs = network.forward(&batch, Mode::Train).unwrap();
        outputs.schema().unify(&network.outputs()).unwrap();
        let prediction = outputs.get("prediction").unwrap();
        assert_eq!(prediction.size(), [4, 2]);
        prediction.square().mean(Kind::Float).backward();
        let named = named(&variables);
        let names: Vec<_> = named.iter().map(|(name, tensor)| (name.as_str(), tensor.size())).collect();
        assert_eq!(
            names,
            [
                ("head.bias", vec![2]),
                ("head.weight", vec![2, 5]),
                ("lstm.bias_hh_l0", vec![20]),
                ("lstm.bias_hh_l1", vec![20]),
                ("lstm.bias_ih_l0", vec![20]),
                ("lstm.bias_ih_l1", vec![20]),
                ("lstm.weight_hh_l0", vec![20, 5]),
                ("lstm.weight_hh_l1", vec![20, 5]),
                ("lstm.weight_ih_l0", vec![20, 3]),
                ("lstm.weight_ih_l1", vec![20, 5]),
            ]
        );
        for (name, parameter) in &named {
            let gradient = parameter.grad();
            assert!(gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1, "{name}");
        }
    }

    #[test]
    fn what_neither_settings_nor_data_say_is_asked_for() {
        let error =
            build(&json!({"_target_": "timeseries.lstm"}), schema! { series: f32["B", 9, 3] }).unwrap_err();
        assert_eq!(error.key_below("model"), "model.output_size");
    }
}
