//! Numbers gathered into batches.

use fulmen_base::{DataSpec, Result};
use fulmen_contracts::schema;
use fulmen_torch::buffers;
use fulmen_torch::tch::Tensor;

/// The `length` values from each of `starts` on, as `[B, shape…] f32`.
pub(super) fn gather(
    values: &[f32],
    starts: impl ExactSizeIterator<Item = usize>,
    shape: &[usize],
) -> Result<Tensor> {
    let length: usize = shape.iter().product();
    let size: Vec<i64> = [starts.len()].iter().chain(shape).map(|&size| size as i64).collect();
    buffers::filled(&size, |gathered| {
        for (start, row) in starts.zip(gathered.chunks_exact_mut(length.max(1))) {
            row.copy_from_slice(&values[start..start + length]);
        }
        Ok(())
    })
}

/// What every set of series promises.
pub(super) fn spec(steps: usize, channels: usize, outputs: usize) -> DataSpec {
    let [steps, channels, outputs] = [steps, channels, outputs].map(|size| size as i64);
    DataSpec {
        schema: schema! { series: f32["B", steps, channels], target: f32["B", outputs] },
        ..DataSpec::default()
    }
}
