//! Numbers gathered into batches.

use fulmen_base::{DataSpec, Result};
use fulmen_contracts::schema;
use fulmen_torch::tch::Tensor;

/// The `length` values from each of `starts` on, as `[B, shape…] f32`.
pub(super) fn gather(
    values: &[f32],
    starts: impl ExactSizeIterator<Item = usize>,
    shape: &[usize],
) -> Result<Tensor> {
    let length: usize = shape.iter().product();
    let mut gathered = Vec::with_capacity(starts.len() * length);
    let size: Vec<i64> = [starts.len()].iter().chain(shape).map(|&size| size as i64).collect();
    for start in starts {
        gathered.extend_from_slice(&values[start..start + length]);
    }
    Ok(Tensor::f_from_slice(&gathered)?.f_view(size.as_slice())?)
}

/// What every set of series promises.
pub(super) fn spec(steps: usize, channels: usize, outputs: usize) -> DataSpec {
    let [steps, channels, outputs] = [steps, channels, outputs].map(|size| size as i64);
    DataSpec {
        schema: schema! { series: f32["B", steps, channels], target: f32["B", outputs] },
        ..DataSpec::default()
    }
}
