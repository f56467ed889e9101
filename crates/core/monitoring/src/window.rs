//! Several samples as one point.

use std::collections::BTreeMap;

/// Samples until they are summed up: means, rounded to one decimal as MLflow rounds them, and for the network, which is counted from
/// the start, the last.
#[derive(Debug, Default)]
pub(crate) struct Window(BTreeMap<String, (f64, u32)>);

impl Window {
    pub(crate) fn add(&mut self, sample: Vec<(String, f64)>) {
        for (name, value) in sample {
            let (sum, count) = self.0.entry(name.clone()).or_default();
            if is_cumulative(&name) {
                (*sum, *count) = (value, 1);
            } else {
                *sum += value;
                *count += 1;
            }
        }
    }

    /// The point, under full names; the window is empty then.
    pub(crate) fn take(&mut self, prefix: &str) -> Vec<(String, f64)> {
        let sums = std::mem::take(&mut self.0).into_iter();
        let mean = |(name, (sum, count)): (String, (f64, u32))| {
            let mean = sum / f64::from(count.max(1));
            let value = if is_cumulative(&name) { mean } else { (mean * 10.0).round() / 10.0 };
            (format!("{prefix}{name}"), value)
        };
        sums.map(mean).collect()
    }
}

fn is_cumulative(name: &str) -> bool {
    name.starts_with("network_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_rounded_mean_and_the_last_count_of_the_network() {
        let mut window = Window::default();
        for (cpu, received) in [(10.0, 0.123), (20.14, 1.5), (30.0, 2.7512)] {
            window.add(vec![("cpu".into(), cpu), ("network_receive_megabytes".into(), received)]);
        }
        let expected =
            [("system/cpu".to_owned(), 20.0), ("system/network_receive_megabytes".to_owned(), 2.7512)];
        assert_eq!(window.take("system/"), expected);
        assert!(window.take("system/").is_empty());
    }
}
