//! File-name patterns as Python's `fnmatch` has them: `*`, `?`, `[abc]`, `[!abc]`.

/// Whether the whole name matches the pattern.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // The place after the last `*`, and how much of the name it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    loop {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
            continue;
        }
        match (name.get(n), pattern.get(p)) {
            (None, None) => return true,
            (Some(c), Some(_)) => {
                if let Some(next) = one(&pattern, p, *c) {
                    p = next;
                    n += 1;
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((after, taken)) if taken < name.len() => {
                star = Some((after, taken + 1));
                p = after;
                n = taken + 1;
            }
            _ => return false,
        }
    }
}

/// Where the pattern goes on after it has matched one character.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => match class_end(pattern, at) {
            Some(end) => in_class(&pattern[at + 1..end], c).then_some(end + 1),
            None => (c == '[').then_some(at + 1),
        },
        literal => (c == literal).then_some(at + 1),
    }
}

fn class_end(pattern: &[char], at: usize) -> Option<usize> {
    let mut end = at + 1;
    if pattern.get(end) == Some(&'!') {
        end += 1;
    }
    if pattern.get(end) == Some(&']') {
        end += 1;
    }
    (end..pattern.len()).find(|i| pattern[*i] == ']')
}

fn in_class(class: &[char], c: char) -> bool {
    let (negated, class) = match class {
        ['!', rest @ ..] => (true, rest),
        class => (false, class),
    };
    let mut found = false;
    let mut i = 0;
    while i < class.len() {
        if class.get(i + 1) == Some(&'-') && i + 2 < class.len() {
            found |= class[i] <= c && c <= class[i + 2];
            i += 3;
        } else {
            found |= class[i] == c;
            i += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, name, expect) in [
            ("*", "", true),
            ("v*", "vit", true),
            ("*it", "vit", true),
            ("v?t", "vit", true),
            ("v?t", "vt", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, name), expect, "{pattern} {name}");
        }
    }
}
