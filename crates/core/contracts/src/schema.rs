//! What a batch holds: named tensors with dtypes and symbolic shapes, and their unification.
//!
//! A data module promises a schema, a model asks for one. [`Schema::unify`] holds the two side by side before training,
//! so that a wrong pairing is one clear sentence in the first second rather than a shape error deep in a layer.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Element type of a tensor, by the short names that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DType {
    F32,
    F64,
    F16,
    Bf16,
    U8,
    I32,
    I64,
    Bool,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Bool => "bool",
        })
    }
}

/// One axis of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Exactly this many.
    Fixed(i64),
    /// Any number, the same wherever this name stands in one schema: `B`, `H`, `T`.
    Named(String),
}

impl From<i64> for Dim {
    fn from(size: i64) -> Self {
        Self::Fixed(size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Type and shape of one tensor: `f32[B, 3, H, W]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Element type.
    pub dtype: DType,
    /// Axes, outermost first.
    pub shape: Vec<Dim>,
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<_> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "{}[{}]", self.dtype, axes.join(", "))
    }
}

/// Named tensors of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(BTreeMap<String, TensorSpec>);

impl Schema {
    /// A schema without tensors: it asks for nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// This schema and one more tensor.
    #[must_use]
    pub fn with(mut self, name: &str, dtype: DType, shape: impl IntoIterator<Item = Dim>) -> Self {
        self.0.insert(name.to_owned(), TensorSpec { dtype, shape: shape.into_iter().collect() });
        self
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorSpec> {
        self.0.get(name)
    }

    /// All tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorSpec)> {
        self.0.iter().map(|(name, spec)| (name.as_str(), spec))
    }

    /// Whether it names no tensor.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds what `self` promises against what `asked` needs, and returns the sizes found for the names of `asked`.
    ///
    /// A tensor that is promised and not asked for is no fault. A named axis of the promise stands for a size that only
    /// the data knows, so it fits any other.
    ///
    /// # Errors
    /// The first tensor that is missing, of another dtype, of another rank, or with an axis that does not fit.
    pub fn unify(&self, asked: &Self) -> Result<BTreeMap<String, i64>, SchemaError> {
        let mut sizes = BTreeMap::<String, i64>::new();
        for (name, wanted) in asked.iter() {
            let given = self.get(name).ok_or_else(|| SchemaError::Missing {
                tensor: name.to_owned(),
                asked: wanted.clone(),
                promised: self.to_string(),
            })?;
            let misfit = |reason: String| SchemaError::Misfit {
                tensor: name.to_owned(),
                asked: wanted.clone(),
                promised: given.clone(),
                reason,
            };
            if given.dtype != wanted.dtype {
                return Err(misfit(format!("the element type is {}, not {}", given.dtype, wanted.dtype)));
            }
            if given.shape.len() != wanted.shape.len() {
                return Err(misfit(format!("it has {} axes, not {}", given.shape.len(), wanted.shape.len())));
            }
            for (axis, (given, wanted)) in given.shape.iter().zip(&wanted.shape).enumerate() {
                let Dim::Fixed(given) = given else { continue };
                match wanted {
                    Dim::Fixed(wanted) if wanted != given => {
                        return Err(misfit(format!("axis {axis} is {given}, not {wanted}")));
                    }
                    Dim::Fixed(_) => {}
                    Dim::Named(symbol) => {
                        let found = *sizes.entry(symbol.clone()).or_insert(*given);
                        if found != *given {
                            return Err(misfit(format!(
                                "axis {axis} is {given}, but {symbol} was {found} before"
                            )));
                        }
                    }
                }
            }
        }
        Ok(sizes)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors: Vec<_> = self.iter().map(|(name, spec)| format!("{name}: {spec}")).collect();
        write!(f, "{{{}}}", tensors.join(", "))
    }
}

/// Why two schemas do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A tensor that is asked for is not promised.
    #[error("'{tensor}: {asked}' is asked for, and the data gives {promised}")]
    Missing {
        /// Its name.
        tensor: String,
        /// What is asked for.
        asked: TensorSpec,
        /// All that is promised.
        promised: String,
    },
    /// A tensor is promised in another form.
    #[error("'{tensor}: {asked}' is asked for, and the data gives '{tensor}: {promised}': {reason}")]
    Misfit {
        /// Its name.
        tensor: String,
        /// What is asked for.
        asked: TensorSpec,
        /// What is promised.
        promised: TensorSpec,
        /// What differs.
        reason: String,
    },
}

/// A [`Schema`] as it is written: `schema! { image: f32["B", 3, "H", "W"], label: i64["B"] }`.
#[macro_export]
macro_rules! schema {
    ($($name:ident : $dtype:ident [$($axis:expr),* $(,)?]),* $(,)?) => {
        $crate::Schema::new()$(.with(stringify!($name), $crate::schema!(@dtype $dtype), [$($crate::Dim::from($axis)),*]))*
    };
    (@dtype f32) => { $crate::DType::F32 };
    (@dtype f64) => { $crate::DType::F64 };
    (@dtype f16) => { $crate::DType::F16 };
    (@dtype bf16) => { $crate::DType::Bf16 };
    (@dtype u8) => { $crate::DType::U8 };
    (@dtype i32) => { $crate::DType::I32 };
    (@dtype i64) => { $crate::DType::I64 };
    (@dtype bool) => { $crate::DType::Bool };
}

#[cfg(test)]
mod tests {

    #[test]
    fn a_fitting_pair_yields_the_sizes_of_the_names() {
        let promised = schema! { image: f32["B", 3, 32, 24], label: i64["B"] };
        let sizes = promised.unify(&schema! { image: f32["B", 3, "H", "W"] }).unwrap();
        assert_eq!((sizes["H"], sizes["W"], sizes.get("B")), (32, 24, None));
    }

    #[test]
    fn each_misfit_is_named() {
        let promised = schema! { image: f32["B", 1, 28, 20] };
        let message = |asked| promised.unify(&asked).unwrap_err().to_string();
        assert!(message(schema! { image: f32["B", 3, "H", "W"] }).contains("axis 1 is 1, not 3"));
        assert!(message(schema! { image: f32["B", 1, "S", "S"] }).contains("axis 3 is 20, but S was 28"));
        assert!(message(schema! { image: u8["B", 1, "H", "W"] }).contains("f32, not u8"));
        assert!(message(schema! { image: f32["B", "D"] }).contains("4 axes, not 2"));
        assert!(message(schema! { tokens: i64["B", "T"] }).contains("gives {image: f32[B, 1, 28, 20]}"));
    }
}
