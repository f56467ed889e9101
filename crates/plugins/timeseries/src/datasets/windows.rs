//! Windows of series that run beside each other, and what comes after each.

use std::sync::Arc;

use fulmen_base::{Batch, Dataset, Result};
use fulmen_torch::tch::Tensor;
use fulmen_utils::Address;

/// Rows of numbers, one row a moment.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Row after row.
    pub(super) values: Vec<f32>,
    /// Numbers a row.
    pub(super) width: usize,
}

/// Windows of `input_length` rows, and the `targets` of the `horizon` rows after each.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) series: Arc<Series>,
    /// The row in which each window begins.
    pub(super) starts: Vec<usize>,
    pub(super) input_length: usize,
    /// Columns that are seen.
    pub(super) inputs: Vec<usize>,
    /// Columns that are to be predicted.
    pub(super) targets: Vec<usize>,
    /// Rows that are to be predicted; 0 where they are not known.
    pub(super) horizon: usize,
}

impl Windows {
    /// `columns` of `length` rows from `shift` after each window's beginning.
    fn gather(&self, indices: &[usize], shift: usize, length: usize, columns: &[usize]) -> Vec<f32> {
        let width = self.series.width;
        let mut values = Vec::with_capacity(indices.len() * length * columns.len());
        for &index in indices {
            let first = self.starts[index] + shift;
            for row in self.series.values[first * width..(first + length) * width].chunks_exact(width) {
                values.extend(columns.iter().map(|&column| row[column]));
            }
        }
        values
    }
}

impl Dataset for Windows {
    fn len(&self) -> usize {
        self.starts.len()
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        let series = self.gather(indices, 0, self.input_length, &self.inputs);
        let size = [indices.len(), self.input_length, self.inputs.len()].map(|size| size as i64);
        let batch = Batch::new().with("series", Tensor::f_from_slice(&series)?.f_view(size)?);
        if self.horizon == 0 {
            return Ok(batch);
        }
        let target = self.gather(indices, self.input_length, self.horizon, &self.targets);
        let size = [indices.len(), self.horizon * self.targets.len()].map(|size| size as i64);
        Ok(batch.with("target", Tensor::f_from_slice(&target)?.f_view(size)?))
    }
}
