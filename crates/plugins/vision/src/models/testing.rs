//! What holds for every classifier, as one check.

use fulmen_base::model::named;
use fulmen_base::{Batch, DataSpec, Mode, ModelContext, ModelKind, Network};
use fulmen_contracts::schema;
use fulmen_registry::{BuildError, registry};
use fulmen_torch::tch::{Device, Kind, Tensor, manual_seed, nn};
use serde_json::Value;

/// What a data set of such images promises.
pub(crate) fn data(channels: i64, height: i64, width: i64) -> DataSpec {
    DataSpec {
        schema: schema! { image: f32["B", channels, height, width], label: i64["B"] },
        num_classes: Some(10),
        class_names: None,
    }
}

/// Builds a model as a run does.
pub(crate) fn build(
    settings: &Value,
    data: &DataSpec,
) -> Result<(nn::VarStore, Box<dyn Network>), BuildError> {
    manual_seed(0);
    let variables = nn::VarStore::new(Device::Cpu);
    let context = ModelContext { path: &variables.root(), data };
    let network = registry().unwrap().build::<ModelKind>(settings, context)?;
    Ok((variables, network))
}

/// Builds it for such images; shapes come out as promised, and every parameter gets a finite gradient that is not all zero.
pub(crate) fn check_classifier(
    settings: &Value,
    channels: i64,
    height: i64,
    width: i64,
) -> Vec<(String, Tensor)> {
    let data = data(channels, height, width);
    let (variables, network) = build(settings, &data).unwrap();
    data.schema.unify(&network.inputs()).unwrap();
    let image = Tensor::randn([4, channels, height, width], (Kind::Float, Device::Cpu));
    let batch = Batch::new().with("image", image);
    let outputs = network.forward(&batch, Mode::Train).unwrap();
    outputs.schema().unify(&network.outputs()).unwrap();
    let logits = outputs.get("logits").unwrap();
    assert_eq!(logits.size(), [4, 10]);
    logits.cross_entropy_for_logits(&Tensor::from_slice(&[0_i64, 1, 2, 3])).backward();
    let named = named(&variables);
    for (name, parameter) in named.iter().filter(|(_, tensor)| tensor.requires_grad()) {
        let gradient = parameter.grad();
        assert!(gradient.defined(), "{name} has no gradient");
        assert!(gradient.isfinite().all().int64_value(&[]) == 1, "the gradient of {name} is not finite");
    }
    let first = network.forward(&batch, Mode::Eval).unwrap();
    let second = network.forward(&batch, Mode::Eval).unwrap();
    assert!(
        first.get("logits").unwrap().equal(second.get("logits").unwrap()),
        "evaluation is not repeatable"
    );
    named
}

/// Names and shapes, for comparison.
pub(crate) fn names(variables: &[(String, Tensor)]) -> Vec<(&str, Vec<i64>)> {
    variables.iter().map(|(name, tensor)| (name.as_str(), tensor.size())).collect()
}
