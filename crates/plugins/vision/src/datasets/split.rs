//! Parts held out of a set, with the same share of each class.

use fulmen_base::{Error, Result};
use fulmen_utils::Address;

use super::image_set::Splits;

/// How many of `samples` a setting asks for: below 1 a share, else a number of samples.
///
/// # Errors
/// When nothing would be left to learn from; `key` is the setting's name below `dataset`.
pub(crate) fn count(key: &str, setting: f64, samples: usize) -> Result<usize> {
    let wanted = if setting < 1.0 { (setting * samples as f64).round() } else { setting.round() };
    if setting < 0.0 || wanted >= samples as f64 {
        let message = format!(
            "{setting} of {samples} training images leaves none to learn from: give a share below 1, or a smaller number"
        );
        return Err(Error::config(format!("dataset.{key}"), message));
    }
    Ok(wanted as usize)
}

/// Splits the samples `0..labels.len()`: which go where depends on `seed` alone, each part has its share of every class, and
/// each is in ascending order.
pub(crate) fn stratified(labels: &[i64], validation: usize, test: usize, seed: u64) -> Splits {
    let mut order = Address::root(seed).named("split").permutation(labels.len());
    order.sort_by_key(|&sample| labels[sample]);
    let (held_out, train) = deal(&order, validation + test);
    let (validation, test) = deal(&held_out, validation);
    let mut splits = Splits { train, validation, test };
    for part in [&mut splits.train, &mut splits.validation, &mut splits.test] {
        part.sort_unstable();
    }
    splits
}

/// `count` of `samples`, evenly spaced, and the others.
fn deal(samples: &[usize], count: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut dealt, mut others) = (Vec::with_capacity(count), Vec::new());
    for (index, &sample) in samples.iter().enumerate() {
        let is_due = (index + 1) * count / samples.len() > index * count / samples.len();
        if is_due { &mut dealt } else { &mut others }.push(sample);
    }
    (dealt, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_sample_is_in_one_part_and_every_part_has_its_share_of_each_class(
            labels in proptest::collection::vec(0_i64..4, 1..300), validation in 0.0_f64..0.4, test in 0.0_f64..0.4, seed: u64,
        ) {
            let samples = labels.len();
            let counts = [validation, test].map(|share| (share * samples as f64) as usize);
            let splits = stratified(&labels, counts[0], counts[1], seed);
            proptest::prop_assert_eq!([splits.validation.len(), splits.test.len()], counts);
            let mut all = [splits.train.clone(), splits.validation.clone(), splits.test.clone()].concat();
            all.sort_unstable();
            proptest::prop_assert!(all.into_iter().eq(0..samples));
            for class in 0..4 {
                let of = |part: &[usize]| part.iter().filter(|&&sample| labels[sample] == class).count() as f64;
                let whole: Vec<usize> = (0..samples).collect();
                let expected = of(&whole) * counts[0] as f64 / samples as f64;
                proptest::prop_assert!((of(&splits.validation) - expected).abs() < 2.5);
            }
        }
    }

    #[test]
    fn a_setting_is_a_share_or_a_number_and_leaves_something_to_learn_from() {
        assert_eq!(count("val_split", 0.1, 1000).unwrap(), 100);
        assert_eq!(count("val_split", 5000.0, 60_000).unwrap(), 5000);
        assert_eq!(count("val_split", 0.0, 10).unwrap(), 0);
        let error = count("val_split", 5000.0, 1000).unwrap_err();
        assert_eq!(error.key().unwrap(), "dataset.val_split");
        assert!(error.to_string().contains("1000 training images"), "{error}");
    }
}
