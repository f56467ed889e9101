//! The tokens that values share between the override grammar and the interpolation grammar.

use crate::value::Value;
use crate::value::number::{int_from_decimal, parse_python_float};

/// Lists and dictionaries inside each other that either grammar reads; deeper is an error, not a crash.
pub(crate) const MAX_DEPTH: usize = 64;

/// A token that can be part of an unquoted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Float,
    Int,
    Bool,
    Null,
    /// One of the punctuation characters that need no quotes.
    Char,
    Id,
    /// A run of escaped characters.
    Escape,
    Blank,
}

/// The longest token at the start of `text`, with its length in bytes; the first kind wins a tie.
pub(crate) fn word(text: &str) -> Option<(Word, usize)> {
    let candidates = [
        (Word::Float, float_len(text)),
        (Word::Int, int_len(text)),
        (Word::Bool, keyword_len(text, &["true", "false"])),
        (Word::Null, keyword_len(text, &["null"])),
        (Word::Char, usize::from(text.starts_with(|c| "/-\\+.$%*@?|".contains(c)))),
        (Word::Id, id_len(text)),
        (Word::Escape, escape_len(text)),
        (Word::Blank, blank_len(text)),
    ];
    let mut best = None;
    for (word, len) in candidates {
        if len > best.map_or(0, |(_, longest)| longest) {
            best = Some((word, len));
        }
    }
    best
}

/// The value of a single unquoted token.
pub(crate) fn word_value(word: Word, text: &str) -> Value {
    match word {
        Word::Float => parse_python_float(text).map_or_else(|| text.into(), Value::Float),
        Word::Int => int_from_decimal(text),
        Word::Bool => Value::Bool(text.eq_ignore_ascii_case("true")),
        Word::Null => Value::Null,
        Word::Escape => unescape(text).into(),
        Word::Char | Word::Id | Word::Blank => text.into(),
    }
}

/// Drops the backslash of every escaped character of an escape token.
pub(crate) fn unescape(text: &str) -> String {
    text.chars().skip(1).step_by(2).collect()
}

/// Spaces and tabs at the start.
pub(crate) fn blank_len(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// `[a-zA-Z_][a-zA-Z0-9_-]*`
pub(crate) fn id_len(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return 0;
    }
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count()
}

/// `0`, or digits without a leading zero, with single underscores between them.
pub(crate) fn unsigned_len(text: &str) -> usize {
    match text.as_bytes().first() {
        Some(b'0') => 1,
        Some(b'1'..=b'9') => digits_len(text),
        _ => 0,
    }
}

/// Digits with single underscores between them.
fn digits_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut len = 0;
    loop {
        if digit(len) {
            len += 1;
        } else if len > 0 && bytes.get(len) == Some(&b'_') && digit(len + 1) {
            len += 2;
        } else {
            return len;
        }
    }
}

fn sign_len(text: &str) -> usize {
    usize::from(text.starts_with(['+', '-']))
}

fn int_len(text: &str) -> usize {
    let sign = sign_len(text);
    match unsigned_len(&text[sign..]) {
        0 => 0,
        len => sign + len,
    }
}

fn float_len(text: &str) -> usize {
    let sign = sign_len(text);
    let unsigned = &text[sign..];
    let special = keyword_len(unsigned, &["inf", "nan"]);
    let whole = unsigned_len(unsigned);
    let mut point = 0;
    if unsigned[whole..].starts_with('.') {
        match digits_len(&unsigned[whole + 1..]) {
            0 if whole == 0 => {}
            fraction => point = whole + 1 + fraction,
        }
    }
    let mantissa = whole.max(point);
    let mut exponent = 0;
    if mantissa > 0 && unsigned[mantissa..].starts_with(['e', 'E']) {
        let after = mantissa + 1 + sign_len(&unsigned[mantissa + 1..]);
        match digits_len(&unsigned[after..]) {
            0 => {}
            digits => exponent = after + digits,
        }
    }
    match special.max(point).max(exponent) {
        0 => 0,
        len => sign + len,
    }
}

fn keyword_len(text: &str, words: &[&str]) -> usize {
    let matches = |word: &&&str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    words.iter().find(matches).map_or(0, |word| word.len())
}

fn escape_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut len = 0;
    while bytes.get(len) == Some(&b'\\') && bytes.get(len + 1).is_some_and(|b| b"\\()[]{}:=, \t".contains(b))
    {
        len += 2;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_wins_and_the_first_kind_a_tie() {
        for (text, kind, len) in [
            ("1e3,", Word::Float, 3),
            ("1e", Word::Int, 1),
            ("5.", Word::Float, 2),
            ("-.5_0", Word::Float, 5),
            ("007", Word::Int, 1),
            ("info", Word::Id, 4),
            ("inf", Word::Float, 3),
            ("nullable", Word::Id, 8),
            ("TRUE", Word::Bool, 4),
            ("a-b c", Word::Id, 3),
            ("-b", Word::Char, 1),
            (r"\\\,x", Word::Escape, 4),
            (r"\x", Word::Char, 1),
            ("1_000", Word::Int, 5),
        ] {
            assert_eq!(word(text), Some((kind, len)), "{text}");
        }
        assert_eq!(word("é"), None);
    }
}
