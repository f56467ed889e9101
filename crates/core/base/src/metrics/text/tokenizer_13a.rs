//! `13a`, the tokenizer of mteval-v13a.pl and sacreBLEU's default.

/// Splits `line` at white space and around punctuation, but not within numbers, as mteval-v13a.pl does.
///
/// sacreBLEU does it with four regular expressions, each over the whole line; so does this, each as one pass.
pub(super) fn tokenize(line: &str) -> Vec<String> {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(entity, character);
    }
    let line = around_symbols(&format!(" {line} "));
    let line = pairs(
        &line,
        |left, right| !left.is_ascii_digit() && is_stop(right),
        |left, right| format!("{left} {right} "),
    );
    let line = pairs(
        &line,
        |left, right| is_stop(left) && !right.is_ascii_digit(),
        |left, right| format!(" {left} {right}"),
    );
    let line = pairs(
        &line,
        |left, right| left.is_ascii_digit() && right == '-',
        |left, right| format!("{left} {right} "),
    );
    line.split_whitespace().map(str::to_owned).collect()
}

const fn is_stop(character: char) -> bool {
    matches!(character, '.' | ',')
}

/// `([\{-\~\[-\` -\&\(-\+\:-\@\/])` becomes ` \1 `.
fn around_symbols(line: &str) -> String {
    let mut spaced = String::with_capacity(2 * line.len());
    for character in line.chars() {
        if matches!(character, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/') {
            spaced.extend([' ', character, ' ']);
        } else {
            spaced.push(character);
        }
    }
    spaced
}

/// Replaces each pair of neighbours that `matches`, from the left, none overlapping another.
fn pairs(
    line: &str,
    matches: impl Fn(char, char) -> bool,
    replaced: impl Fn(char, char) -> String,
) -> String {
    let mut spaced = String::with_capacity(2 * line.len());
    let mut characters = line.chars().peekable();
    while let Some(left) = characters.next() {
        match characters.peek() {
            Some(&right) if matches(left, right) => {
                spaced.push_str(&replaced(left, right));
                characters.next();
            }
            _ => spaced.push(left),
        }
    }
    spaced
}
