//! Columns of mean 0 and deviation 1.

/// Mean and deviation of each column, to be learnt from the training rows alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardize {
    columns: Vec<(f64, f64)>,
}

impl Standardize {
    /// Learns from rows of `columns` values each. A column that never changes keeps its scale.
    pub fn learn(values: &[f64], columns: usize) -> Self {
        let rows = (values.len() / columns.max(1)).max(1) as f64;
        let column = |index: usize| values.iter().skip(index).step_by(columns);
        let of = |index| {
            let mean = column(index).sum::<f64>() / rows;
            let variance = column(index).map(|value| (value - mean).powi(2)).sum::<f64>() / rows;
            // Rounding leaves a trace of variance in a constant column.
            let constant = variance.sqrt() <= 1e-12 * mean.abs();
            (mean, if constant { 1.0 } else { variance.sqrt() })
        };
        Self { columns: (0..columns).map(of).collect() }
    }

    /// Leaves `columns` columns as they are.
    pub fn nothing(columns: usize) -> Self {
        Self { columns: vec![(0.0, 1.0); columns] }
    }

    /// Rows as a network sees them.
    pub fn apply(&self, values: &[f64]) -> Vec<f32> {
        let scale = |(value, (mean, deviation)): (&f64, &(f64, f64))| ((value - mean) / deviation) as f32;
        values.iter().zip(self.columns.iter().cycle()).map(scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_get_mean_0_and_deviation_1_and_constants_stay_finite() {
        let rows = [1.0, 0.1, 3.0, 0.1, 5.0, 0.1];
        let standardize = Standardize::learn(&rows, 2);
        let scaled = standardize.apply(&rows);
        let step = 1.5_f32.sqrt();
        for (value, expected) in scaled.iter().zip([-step, 0.0, 0.0, 0.0, step, 0.0]) {
            assert!((value - expected).abs() < 1e-6, "{scaled:?}");
        }
        assert!(standardize.apply(&[3.0, 0.1]).iter().all(|value| value.abs() < 1e-6));
        assert_eq!(Standardize::nothing(2).apply(&[7.0, 8.0]), [7.0, 8.0]);
    }
}
