//! A multi-layer perceptron over flattened images.

use fulmen_base::{Batch, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::models::input;
use crate::models::layers::Linear;

/// Multi-layer perceptron over flattened images: linear layers with ReLU and dropout between them. Built for the image size
/// of the dataset.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Classes to tell apart. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub num_classes: Option<i64>,
    /// Width of each hidden layer, one after the other.
    #[serde(default = "default_hidden")]
    pub hidden: Vec<i64>,
    /// Share of each hidden layer's features that is dropped in training.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

fn default_hidden() -> Vec<i64> {
    vec![512, 512]
}

component! { ModelKind, "vision.mlp", MlpConfig => Mlp::build }

/// A multi-layer perceptron.
#[derive(Debug)]
pub struct Mlp {
    /// Channels, height, width.
    image: [i64; 3],
    layers: Vec<Linear>,
    head: Linear,
    dropout: f64,
}

impl Mlp {
    fn build(config: &MlpConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let (height, width) = input::height_and_width("vision.mlp", context.data)?;
        let image = [input::channels(None, context.data)?, height, width];
        let num_classes = input::num_classes(config.num_classes, context.data)?;
        let mut features = image.iter().product();
        let mut layers = Vec::new();
        for (index, &next) in config.hidden.iter().enumerate() {
            input::positive(&format!("hidden[{index}]"), next)?;
            layers.push(Linear::new(&(context.path / "layers" / index as i64), features, next));
            features = next;
        }
        let head = Linear::new(&(context.path / "head"), features, num_classes);
        Ok(Box::new(Self { image, layers, head, dropout: config.dropout }))
    }
}

impl Network for Mlp {
    fn inputs(&self) -> Schema {
        let [channels, height, width] = self.image;
        schema! { image: f32["B", channels, height, width] }
    }

    fn outputs(&self) -> Schema {
        input::logits_schema()
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors> {
        let mut x = batch.get("image")?.flatten(1, -1);
        for layer in &self.layers {
            x = layer.forward(&x).relu_();
            if self.dropout > 0.0 {
                x = x.dropout(self.dropout, mode.is_train());
            }
        }
        Ok(Tensors::new().with("logits", self.head.forward(&x)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::models::testing::{build, check_classifier, data, names};

    #[test]
    fn it_is_built_for_the_image_size_of_the_data() {
        let variables =
            check_classifier(&json!({"_target_": "vision.mlp", "hidden": [6], "dropout": 0.1}), 3, 5, 7);
        let expected = [
            ("head.bias", vec![10]),
            ("head.weight", vec![10, 6]),
            ("layers.0.bias", vec![6]),
            ("layers.0.weight", vec![6, 105]),
        ];
        assert_eq!(names(&variables), expected);
        check_classifier(&json!({"_target_": "vision.mlp", "hidden": []}), 1, 8, 8);
    }

    #[test]
    fn data_without_a_fixed_image_size_is_refused() {
        let mut open = data(1, 8, 8);
        open.schema = fulmen_contracts::schema! { image: f32["B", 1, "H", "W"] };
        let message = build(&json!({"_target_": "vision.mlp"}), &open).unwrap_err().to_string();
        assert!(message.contains("'image: f32[B, 1, H, W]'"), "{message}");
    }
}
