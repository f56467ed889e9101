//! The name that was probably meant.

/// The candidate nearest to `name`, if any is near enough to be a slip of the fingers.
///
/// Case, `-` and `_` do not count; a candidate that `name` begins or ends counts as near (`digits` for `vision.digits`).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= (wanted.chars().count() / 3).clamp(1, 4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean 'x'?)`, or nothing.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!(" (did you mean '{near}'?)"))
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

fn distance(wanted: &str, candidate: &str) -> usize {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    if wanted.len() >= 3 && (last(candidate) == *wanted || candidate == last(wanted)) {
        return 1;
    }
    strsim::damerau_levenshtein(wanted, candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_finds_none() {
        let names = ["vision.resnet", "vision.lenet", "vision.mlp"];
        assert_eq!(nearest("vision.resent", names), Some("vision.resnet"));
        assert_eq!(nearest("Vision-LeNet", ["vision_lenet"]), Some("vision_lenet"));
        assert_eq!(nearest("resnet", names), Some("vision.resnet"));
        assert_eq!(nearest("transformer", names), None);
    }
}
