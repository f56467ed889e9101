//! Weights in safetensors files, under PyTorch's own parameter names.
//!
//! The format: <https://github.com/huggingface/safetensors>. Loading one never executes anything.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use fulmen_torch::tch::{Device, Kind, Tensor, no_grad};
use fulmen_utils::{atomic, nearest};
use safetensors::{Dtype, SafeTensors, View};

use crate::{Error, Result};

/// Writes named tensors, whole or not at all.
///
/// # Errors
/// When the disk is full or the folder may not be written to.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let views = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, TensorBytes::of(tensor)?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, None)
        .map_err(|error| Error::Torch(format!("the weights cannot be written as safetensors: {error}")))?;
    Ok(atomic::write(path, &bytes)?)
}

/// Reads all tensors of a file, on the CPU.
///
/// # Errors
/// When the file is missing, truncated or no safetensors file.
pub fn load(path: &Path) -> Result<HashMap<String, Tensor>> {
    let bytes =
        fs::read(path).map_err(|error| Error::checkpoint(path, format!("cannot be read: {error}")))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| {
        Error::checkpoint(path, format!("is no safetensors file, or is cut short ({error}); convert PyTorch's .pt or .pth with safetensors.torch.save_file"))
    })?;
    file.iter()
        .map(|(name, view)| {
            let kind = kind(view.dtype()).ok_or_else(|| {
                Error::checkpoint(path, format!("'{name}' is {:?}, which is not supported", view.dtype()))
            })?;
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            Ok((name.to_owned(), Tensor::f_from_data_size(view.data(), &shape, kind)?))
        })
        .collect()
}

/// What a load by name found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// How many tensors were loaded.
    pub loaded: usize,
    /// Names that the model has and the file has not.
    pub missing: Vec<String>,
    /// Names that the file has and the model has not.
    pub unexpected: Vec<String>,
    /// Names of another shape: the file's, the model's. These are left as they were.
    pub mismatched: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl LoadReport {
    /// Whether every tensor of the model was found.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.mismatched.is_empty()
    }

    /// For people, with every name.
    pub fn describe(&self) -> String {
        let mut lines = vec![format!("{} tensors loaded by name", self.loaded)];
        let list = |what: &str, names: &[String]| format!("{} {what}: {}", names.len(), names.join(", "));
        if !self.missing.is_empty() {
            lines.push(list("missed (kept as initialised)", &self.missing));
        }
        if !self.mismatched.is_empty() {
            let each = |(name, file, model): &(String, Vec<i64>, Vec<i64>)| {
                format!("{name} is {file:?} in the file, {model:?} in the model")
            };
            let all: Vec<_> = self.mismatched.iter().map(each).collect();
            lines.push(format!("{} of another shape (kept as initialised): {}", all.len(), all.join(", ")));
        }
        if !self.unexpected.is_empty() {
            lines.push(list("in the file alone (left out)", &self.unexpected));
        }
        lines.join("; ")
    }
}

/// Copies tensors into a model by name.
///
/// # Errors
/// When not one name fits: the file is of another model.
pub fn copy_into(
    path: &Path,
    from: &HashMap<String, Tensor>,
    into: &[(String, Tensor)],
) -> Result<LoadReport> {
    let mut report = LoadReport::default();
    for (name, target) in into {
        match from.get(name) {
            Some(source) if source.size() == target.size() => {
                let mut target = target.shallow_clone();
                no_grad(|| target.f_copy_(source))?;
                report.loaded += 1;
            }
            Some(source) => report.mismatched.push((name.clone(), source.size(), target.size())),
            // A count that torch keeps and that nothing here is computed from.
            None if name.ends_with("num_batches_tracked") => {}
            None => report.missing.push(name.clone()),
        }
    }
    let known = |name: &str| into.iter().any(|(known, _)| known == name);
    report.unexpected =
        from.keys().filter(|name| !known(name) && !name.ends_with("num_batches_tracked")).cloned().collect();
    report.unexpected.sort();
    if report.loaded == 0 && !into.is_empty() {
        let (ours, theirs) = (&into[0].0, report.unexpected.first().cloned().unwrap_or_default());
        let hint = nearest::hint(ours, from.keys().map(String::as_str));
        return Err(Error::checkpoint(
            path,
            format!("no name fits: the model has '{ours}' …, the file '{theirs}' …{hint}"),
        ));
    }
    Ok(report)
}

/// A tensor's bytes, in its logical order.
struct TensorBytes {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl TensorBytes {
    fn of(tensor: &Tensor) -> Result<Self> {
        let plain = no_grad(|| tensor.detach().to_device(Device::Cpu).contiguous());
        let mut bytes = vec![0; plain.numel() * plain.kind().elt_size_in_bytes()];
        plain.f_copy_data_u8(&mut bytes, plain.numel())?;
        let dtype =
            dtype(plain.kind()).ok_or_else(|| Error::Torch(format!("{:?} cannot be saved", plain.kind())))?;
        Ok(Self { dtype, shape: plain.size().into_iter().map(|size| size as usize).collect(), bytes })
    }
}

impl View for TensorBytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

const KINDS: [(Dtype, Kind); 9] = [
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::U8, Kind::Uint8),
    (Dtype::I8, Kind::Int8),
    (Dtype::I32, Kind::Int),
    (Dtype::I64, Kind::Int64),
    (Dtype::BOOL, Kind::Bool),
];

fn kind(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| *known == dtype).map(|(_, kind)| *kind)
}

fn dtype(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(_, known)| *known == kind).map(|(dtype, _)| *dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Vec<(String, Tensor)> {
        let weight = Tensor::randn([2, 3], (Kind::Float, Device::Cpu));
        vec![("fc.weight".into(), weight.tr()), ("steps".into(), Tensor::from_slice(&[7_i64]))]
    }

    #[test]
    fn what_is_saved_comes_back_with_names_shapes_and_bits() {
        let path = tempfile::tempdir().unwrap().keep().join("w.safetensors");
        let saved = tensors();
        save(&path, &saved).unwrap();
        let loaded = load(&path).unwrap();
        assert!(saved.iter().all(|(name, tensor)| loaded[name].equal(tensor)));
    }

    #[test]
    fn a_cut_file_and_a_missing_file_are_named() {
        let path = tempfile::tempdir().unwrap().keep().join("w.safetensors");
        save(&path, &tensors()).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains("w.safetensors") && message.contains("cut short"), "{message}");
        assert!(load(Path::new("/no/w.safetensors")).unwrap_err().to_string().contains("/no/w.safetensors"));
    }

    #[test]
    fn names_that_miss_are_told_and_a_stranger_is_refused() {
        let from: HashMap<_, _> = tensors().into_iter().collect();
        let options = (Kind::Float, Device::Cpu);
        let model = [
            ("fc.weight".to_owned(), Tensor::zeros([3, 2], options)),
            ("fc.bias".to_owned(), Tensor::zeros([3], options)),
        ];
        let report = copy_into(Path::new("w"), &from, &model).unwrap();
        assert_eq!(
            (report.loaded, report.missing.as_slice(), report.unexpected.as_slice()),
            (1, ["fc.bias".to_owned()].as_slice(), ["steps".to_owned()].as_slice())
        );
        assert!(report.describe().contains("missed (kept as initialised): fc.bias"));
        assert!(model[0].1.equal(&from["fc.weight"]));
        let other = [("conv.weight".to_owned(), Tensor::zeros([1], options))];
        assert!(copy_into(Path::new("w"), &from, &other).unwrap_err().to_string().contains("no name fits"));
    }
}
