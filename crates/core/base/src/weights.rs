//! Weights in safetensors files, under PyTorch's own parameter names.
//!
//! The format: <https://github.com/huggingface/safetensors>. Loading one never executes anything.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use fulmen_encryption::is_encrypted;
use fulmen_torch::tch::{Kind, Tensor, no_grad};
use fulmen_utils::{atomic, nearest};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};

/// Writes named tensors, whole or not at all.
///
/// # Errors
/// When the disk is full or the folder may not be written to.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    Ok(atomic::write_with(path, |file| write(&mut BufWriter::new(file), tensors))?)
}

/// Writes named tensors as safetensors, one after the other: beside them, memory is needed for one at a time.
///
/// # Errors
/// Those of `out`; `InvalidData` where a tensor is of a kind that the format does not know.
pub fn write(out: &mut dyn Write, tensors: &[(String, Tensor)]) -> io::Result<()> {
    let known = |(name, tensor): &'_ (String, Tensor)| {
        let kind = tensor.kind();
        dtype(kind)
            .ok_or_else(|| invalid(format!("'{name}' is {kind:?}, which cannot be saved as safetensors")))
    };
    let mut sorted = tensors.iter().map(|held| Ok((known(held)?, held))).collect::<io::Result<Vec<_>>>()?;
    // As the safetensors crate does it: the widest first, so that each stays aligned.
    sorted.sort_by(|(a, (a_name, _)), (b, (b_name, _))| b.cmp(a).then(a_name.cmp(b_name)));
    let mut end = 0;
    let infos = sorted.iter().map(|(dtype, (name, tensor))| {
        let begin = end;
        end += bytes_of(tensor);
        let shape = tensor.size().into_iter().map(|size| size as usize).collect();
        (name.clone(), TensorInfo { dtype: *dtype, shape, data_offsets: (begin, end) })
    });
    let header = Metadata::new(None, infos.collect()).map_err(|error| invalid(error.to_string()))?;
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut bytes = Vec::new();
    for (_, (_, tensor)) in sorted {
        bytes.resize(bytes_of(tensor), 0);
        let plain = no_grad(|| tensor.detach());
        plain.f_copy_data_u8(&mut bytes, plain.numel()).map_err(|error| invalid(error.to_string()))?;
        out.write_all(&bytes)?;
    }
    out.flush()
}

fn bytes_of(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Reads all tensors of a file, on the CPU.
///
/// # Errors
/// When the file is missing, truncated or no safetensors file.
pub fn load(path: &Path) -> Result<HashMap<String, Tensor>> {
    let bytes =
        fs::read(path).map_err(|error| Error::checkpoint(path, format!("cannot be read: {error}")))?;
    if is_encrypted(&bytes) {
        return Err(Error::checkpoint(path, "is encrypted: fetch it decrypted with `fulmen artifacts get`"));
    }
    parse(path, &bytes)
}

/// All tensors of the safetensors file `bytes`, on the CPU. Errors name it `path`.
///
/// # Errors
/// When it is truncated, or no safetensors file.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<HashMap<String, Tensor>> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        Error::checkpoint(path, format!("is no safetensors file, or is cut short ({error}); convert PyTorch's .pt or .pth with safetensors.torch.save_file"))
    })?;
    file.iter()
        .map(|(name, view)| {
            let kind = kind(view.dtype()).ok_or_else(|| {
                Error::checkpoint(path, format!("'{name}' is {:?}, which is not supported", view.dtype()))
            })?;
            let shape: Vec<i64> =
                view.shape().iter().map(|&size| i64::try_from(size).unwrap_or(-1)).collect();
            // libtorch reads as many bytes as the shape says: it must not say more than there are.
            let wanted =
                shape.iter().try_fold(kind.elt_size_in_bytes() as i64, |sum, size| sum.checked_mul(*size));
            if shape.iter().any(|size| *size < 0) || wanted != i64::try_from(view.data().len()).ok() {
                return Err(Error::checkpoint(
                    path,
                    format!("'{name}' is not as long as its shape {shape:?}"),
                ));
            }
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
    use fulmen_torch::tch::Device;

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
    fn a_file_is_to_the_byte_what_the_safetensors_crate_writes() {
        let mut tensors = tensors();
        tensors.push(("flags".into(), Tensor::from_slice(&[true, false, true])));
        tensors.push(("none".into(), Tensor::zeros([0, 3], (Kind::Half, Device::Cpu))));
        let mut ours = Vec::new();
        write(&mut ours, &tensors).unwrap();
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, tensor)| {
                let mut bytes = vec![0; bytes_of(tensor)];
                tensor.copy_data_u8(&mut bytes, tensor.numel());
                bytes
            })
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
            let shape = tensor.size().into_iter().map(|size| size as usize).collect();
            (name, safetensors::tensor::TensorView::new(dtype(tensor.kind()).unwrap(), shape, bytes).unwrap())
        });
        assert!(ours == safetensors::serialize(views, None).unwrap());
    }

    #[test]
    fn a_kind_that_the_format_does_not_know_is_named() {
        let complex = vec![("c".to_owned(), Tensor::zeros([1], (Kind::ComplexFloat, Device::Cpu)))];
        assert!(write(&mut Vec::new(), &complex).unwrap_err().to_string().contains("'c' is ComplexFloat"));
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
