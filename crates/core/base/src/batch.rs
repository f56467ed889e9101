//! Named tensors: what a data module gives, a network takes and gives, a task judges.

use std::collections::BTreeMap;

use fulmen_contracts::{DType, Dim, Schema};
use fulmen_torch::tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// Named tensors.
#[derive(Debug, Default)]
pub struct Tensors(BTreeMap<String, Tensor>);

/// The tensors of some samples; the first axis of each is the sample, `B`.
pub type Batch = Tensors;

impl Tensors {
    /// No tensors yet.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// These tensors and one more.
    #[must_use]
    pub fn with(mut self, name: &str, tensor: Tensor) -> Self {
        self.0.insert(name.to_owned(), tensor);
        self
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// When there is none: the message names those that there are.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).ok_or_else(|| Error::NoTensor {
            name: name.to_owned(),
            known: self.0.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of samples: the first axis.
    pub fn size(&self) -> i64 {
        self.0.values().next().and_then(|tensor| tensor.size().first().copied()).unwrap_or(0)
    }

    /// The same tensors, each through `change`.
    #[must_use]
    pub fn map(self, change: impl Fn(Tensor) -> Tensor) -> Self {
        Self(self.0.into_iter().map(|(name, tensor)| (name, change(tensor))).collect())
    }

    /// The same tensors, each through `change`, unless it fails for one.
    ///
    /// # Errors
    /// What `change` says.
    pub fn try_map(self, change: impl Fn(Tensor) -> Result<Tensor>) -> Result<Self> {
        let changed = self.0.into_iter().map(|(name, tensor)| Ok((name, change(tensor)?)));
        Ok(Self(changed.collect::<Result<_>>()?))
    }

    /// The same tensors on `device`.
    #[must_use]
    pub fn to_device(self, device: Device) -> Self {
        if device == Device::Cpu {
            self
        } else {
            self.map(|tensor| tensor.to_device_(device, tensor.kind(), true, false))
        }
    }

    /// The schema that these very tensors meet.
    pub fn schema(&self) -> Schema {
        self.iter().fold(Schema::new(), |schema, (name, tensor)| match dtype(tensor.kind()) {
            Some(dtype) => schema.with(name, dtype, tensor.size().into_iter().map(Dim::Fixed)),
            None => schema,
        })
    }
}

/// The contract's name of libtorch's element type; none where batches never hold it.
pub const fn dtype(kind: Kind) -> Option<DType> {
    Some(match kind {
        Kind::Float => DType::F32,
        Kind::Double => DType::F64,
        Kind::Half => DType::F16,
        Kind::BFloat16 => DType::Bf16,
        Kind::Uint8 => DType::U8,
        Kind::Int => DType::I32,
        Kind::Int64 => DType::I64,
        Kind::Bool => DType::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_knows_its_size_and_schema_and_names_what_is_missing() {
        let batch = Batch::new()
            .with("image", Tensor::zeros([4, 1, 8, 8], (Kind::Float, Device::Cpu)))
            .with("label", Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
        assert_eq!(batch.size(), 4);
        assert_eq!(batch.schema().to_string(), "{image: f32[4, 1, 8, 8], label: i64[4]}");
        assert!(batch.get("tokens").unwrap_err().to_string().contains("there are image, label"));
    }
}
