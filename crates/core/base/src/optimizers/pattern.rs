//! Patterns over the names of parameters.

/// Whether `pattern` matches the whole of `name`: `*` stands for any characters, dots among them, `?` for one.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where to go on when a guess of the latest star's length was wrong: behind the star, one character later.
    let mut again: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                again = Some((at + 1, read));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match &mut again {
                Some((behind, later)) => {
                    *later += 1;
                    (at, read) = (*behind, *later);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_part_of_a_name_and_a_question_mark_one_character() {
        for (pattern, name) in [
            ("*", "fc.weight"),
            ("fc.*", "fc.weight"),
            ("layer?.*.bias", "layer1.0.conv1.bias"),
            ("*norm*", "blocks.0.norm1.weight"),
            ("*a*ab", "aaab"),
            ("fc.weight", "fc.weight"),
            ("*.weight*", "fc.weight"),
        ] {
            assert!(matches(pattern, name), "{pattern} does not match {name}");
        }
        for (pattern, name) in [("fc", "fc.weight"), ("layer?", "layer"), ("*.bias", "fc.weight"), ("", "x")]
        {
            assert!(!matches(pattern, name), "{pattern} matches {name}");
        }
    }
}
