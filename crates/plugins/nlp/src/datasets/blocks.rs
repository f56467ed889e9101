//! Windows of a long row of tokens.

use std::sync::Arc;

use fulmen_base::{Batch, DataSpec, Dataset, Result};
use fulmen_contracts::schema;
use fulmen_torch::tch::Tensor;
use fulmen_utils::Address;

/// Windows of `length` tokens, and where they have one, the token after each.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) tokens: Arc<Vec<i64>>,
    /// Where each window begins.
    pub(super) starts: Vec<usize>,
    pub(super) length: usize,
    /// Whether each token's next is known.
    pub(super) targets: bool,
}

impl Blocks {
    fn rows(&self, indices: &[usize], shift: usize) -> Result<Tensor> {
        let mut values = Vec::with_capacity(indices.len() * self.length);
        for &index in indices {
            let start = self.starts[index] + shift;
            values.extend_from_slice(&self.tokens[start..start + self.length]);
        }
        Ok(Tensor::f_from_slice(&values)?.f_view([indices.len() as i64, self.length as i64])?)
    }
}

impl Dataset for Blocks {
    fn len(&self) -> usize {
        self.starts.len()
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        let batch = Batch::new().with("tokens", self.rows(indices, 0)?);
        Ok(if self.targets { batch.with("target", self.rows(indices, 1)?) } else { batch })
    }
}

/// What every set of tokens promises.
pub(super) fn spec(length: usize, num_classes: Option<i64>, class_names: Option<Vec<String>>) -> DataSpec {
    let length = length as i64;
    DataSpec {
        schema: schema! { tokens: i64["B", length], target: i64["B", length] },
        num_classes,
        class_names,
    }
}
