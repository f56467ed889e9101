//! Long short-term memory.

use fulmen_base::{Batch, DataSpec, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::{Dim, Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::lstm;
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::{Init, Path};
use schemars::JsonSchema;
use serde::Deserialize;

/// Long short-term memory (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735), whose last state a linear
/// layer turns into the forecast. Parameters have the names of torch's `nn.LSTM` below `lstm`, and of `nn.Linear` below `head`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Features of a state.
    #[serde(default = "default_hidden_size")]
    #[schemars(range(min = 1))]
    pub hidden_size: i64,
    /// Layers, one above the other.
    #[serde(default = "default_num_layers")]
    #[schemars(range(min = 1))]
    pub num_layers: i64,
    /// Share of the features that is dropped in training between layers.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// Values of a step. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub input_size: Option<i64>,
    /// Numbers to forecast. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub output_size: Option<i64>,
}

const fn default_hidden_size() -> i64 {
    128
}

const fn default_num_layers() -> i64 {
    2
}

component! { ModelKind, "timeseries.lstm", LstmConfig => Lstm::build }

/// Long short-term memory.
#[derive(Debug)]
pub struct Lstm {
    input_size: i64,
    output_size: i64,
    hidden_size: i64,
    num_layers: i64,
    dropout: f64,
    /// Of each layer: `weight_ih [4·H, in]`, `weight_hh [4·H, H]`, `bias_ih [4·H]`, `bias_hh [4·H]`.
    weights: Vec<Tensor>,
    head_weight_oh: Tensor,
    head_bias_o: Tensor,
}

impl Lstm {
    fn build(config: &LstmConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let input_size = size("input_size", config.input_size.or_else(|| axis(context.data, "series", 2)))?;
        let output_size =
            size("output_size", config.output_size.or_else(|| axis(context.data, "target", 1)))?;
        let hidden_size = size("hidden_size", Some(config.hidden_size))?;
        let num_layers = size("num_layers", Some(config.num_layers))?;

        let path: &Path<'_> = context.path;
        // Both torch's LSTM and its linear layer draw from ±1/√hidden.
        let bound = 1.0 / (hidden_size as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let lstm = path / "lstm";
        let mut weights = Vec::new();
        for layer in 0..num_layers {
            let inputs = if layer == 0 { input_size } else { hidden_size };
            let gates = 4 * hidden_size;
            weights.push(lstm.var(&format!("weight_ih_l{layer}"), &[gates, inputs], init));
            weights.push(lstm.var(&format!("weight_hh_l{layer}"), &[gates, hidden_size], init));
            weights.push(lstm.var(&format!("bias_ih_l{layer}"), &[gates], init));
            weights.push(lstm.var(&format!("bias_hh_l{layer}"), &[gates], init));
        }
        let head = path / "head";
        Ok(Box::new(Self {
            input_size,
            output_size,
            hidden_size,
            num_layers,
            dropout: config.dropout,
            weights,
            head_weight_oh: head.var("weight", &[output_size, hidden_size], init),
            head_bias_o: head.var("bias", &[output_size], init),
        }))
    }
}

impl Network for Lstm {
    fn inputs(&self) -> Schema {
        schema! { series: f32["B", "T", self.input_size] }
    }

    fn outputs(&self) -> Schema {
        schema! { prediction: f32["B", self.output_size] }
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors> {
        let series_btc = batch.get("series")?;
        let shape = [self.num_layers, series_btc.size()[0], self.hidden_size];
        let start = Tensor::zeros(shape, (series_btc.kind(), series_btc.device()));
        let options = lstm::Options { dropout: self.dropout, train: mode.is_train() };
        let (_, last_lbh, _) = lstm::lstm(series_btc, [&start, &start], &self.weights, options)?;
        let prediction_bo = last_lbh.select(0, -1).linear(&self.head_weight_oh, Some(&self.head_bias_o));
        Ok(Tensors::new().with("prediction", prediction_bo))
    }
}

/// The size of an axis of one of the data's tensors, where it is fixed.
fn axis(data: &DataSpec, tensor: &str, axis: usize) -> Option<i64> {
    match data.schema.get(tensor)?.shape.get(axis)? {
        Dim::Fixed(size) => Some(*size),
        Dim::Named(_) => None,
    }
}

fn size(key: &str, size: Option<i64>) -> Result<i64, BuildError> {
    match size {
        Some(size) if size >= 1 => Ok(size),
        Some(size) => Err(BuildError::setting(key, format!("{size} is out of range: it must be at least 1"))),
        None => Err(BuildError::setting(key, format!("the dataset does not say its own {key}: set it here"))),
    }
}

#[cfg(test)]
mod tests {
    use fulmen_base::model::named;
    use fulmen_registry::registry;
    use fulmen_torch::tch::nn::RNN;
    use fulmen_torch::tch::{Device, Kind, Reduction, manual_seed, nn};
    use serde_json::{Value, json};

    use super::*;

    fn build(settings: &Value, data: &DataSpec) -> Result<(nn::VarStore, Box<dyn Network>), BuildError> {
        manual_seed(0);
        let variables = nn::VarStore::new(Device::Cpu);
        let context = ModelContext { path: &variables.root(), data };
        let network = registry().unwrap().build::<ModelKind>(settings, context)?;
        Ok((variables, network))
    }

    fn data() -> DataSpec {
        DataSpec { schema: schema! { series: f32["B", 96, 7], target: f32["B", 7] }, ..DataSpec::default() }
    }

    #[test]
    fn sizes_left_open_come_from_the_data_and_names_are_torchs() {
        // Two layers of 128 over 7 series, as `make bench` trains it.
        let (variables, network) = build(&json!({"_target_": "timeseries.lstm"}), &data()).unwrap();
        let named = named(&variables);
        assert_eq!(named.iter().map(|(_, tensor)| tensor.numel()).sum::<usize>(), 203_143);
        let names: Vec<_> = named.iter().map(|(name, tensor)| (name.as_str(), tensor.size())).collect();
        let expected = [
            ("head.bias", vec![7]),
            ("head.weight", vec![7, 128]),
            ("lstm.bias_hh_l0", vec![512]),
            ("lstm.bias_hh_l1", vec![512]),
            ("lstm.bias_ih_l0", vec![512]),
            ("lstm.bias_ih_l1", vec![512]),
            ("lstm.weight_hh_l0", vec![512, 128]),
            ("lstm.weight_hh_l1", vec![512, 128]),
            ("lstm.weight_ih_l0", vec![512, 7]),
            ("lstm.weight_ih_l1", vec![512, 128]),
        ];
        assert_eq!(names, expected);
        data().schema.unify(&network.inputs()).unwrap();
    }

    #[test]
    fn the_forecast_is_the_head_over_the_last_step_and_every_gradient_is_finite() {
        let (variables, network) =
            build(&json!({"_target_": "timeseries.lstm", "hidden_size": 5}), &data()).unwrap();
        let series = Tensor::randn([3, 11, 7], (Kind::Float, Device::Cpu));
        let batch = Batch::new().with("series", series.shallow_clone());
        let outputs = network.forward(&batch, Mode::Train).unwrap();
        outputs.schema().unify(&network.outputs()).unwrap();
        let prediction = outputs.get("prediction").unwrap();
        prediction.mse_loss(&Tensor::ones([3, 7], (Kind::Float, Device::Cpu)), Reduction::Mean).backward();
        for (name, parameter) in named(&variables) {
            let gradient = parameter.grad();
            assert!(gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1, "{name}");
            assert!(gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0, "{name}");
        }

        // The same weights in tch's own module, whose output holds every step.
        let mut others = nn::VarStore::new(Device::Cpu);
        let config = nn::RNNConfig { num_layers: 2, ..Default::default() };
        let lstm = nn::lstm(others.root() / "lstm", 7, 5, config);
        let head = nn::linear(others.root() / "head", 5, 7, nn::LinearConfig::default());
        others.copy(&variables).unwrap();
        let every_step = lstm.seq(&series).0;
        let expected = every_step.select(1, -1).apply(&head);
        assert!(prediction.allclose(&expected, 1e-5, 1e-6, false));
    }

    #[test]
    fn what_neither_settings_nor_data_say_is_asked_for() {
        let settings = json!({"_target_": "timeseries.lstm", "input_size": 3});
        let error = build(&settings, &DataSpec::default()).unwrap_err();
        assert_eq!(error.key_below("model"), "model.output_size");
        let error = build(&json!({"_target_": "timeseries.lstm", "num_layers": 0}), &data()).unwrap_err();
        assert_eq!(error.key_below("model"), "model.num_layers");
    }
}
