//! Mean 0 and deviation 1 per series.

/// Takes from each series its mean and divides it by its standard deviation, both as they were on the rows it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardize {
    /// Mean and standard deviation of each series.
    pub series: Vec<(f64, f64)>,
}

impl Standardize {
    /// From `rows` of `width` values each. A series that never changes keeps its size: its deviation counts as 1.
    pub fn from_rows(rows: &[f64], width: usize) -> Self {
        let count = (rows.len() / width.max(1)).max(1) as f64;
        let series = (0..width)
            .map(|column| {
                let values = || rows.iter().skip(column).step_by(width);
                let mean = values().sum::<f64>() / count;
                let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
                (mean, if deviation > 1e-12 { deviation } else { 1.0 })
            })
            .collect();
        Self { series }
    }

    /// Rows as they were made from, changed.
    pub fn apply(&self, rows: &[f64]) -> Vec<f32> {
        rows.iter()
            .zip(self.series.iter().cycle())
            .map(|(value, (mean, std))| ((value - mean) / std) as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_its_own_mean_and_deviation_and_one_that_never_changes_is_left_in_peace() {
        let standardize = Standardize::from_rows(&[1.0, 5.0, 3.0, 5.0], 2);
        assert_eq!(standardize.series, [(2.0, 1.0), (5.0, 1.0)]);
        assert_eq!(standardize.apply(&[4.0, 6.0]), [2.0, 1.0]);
    }
}
