//! Cuts an override into tokens: one mode for the key, one for the value, the longest token first.

use crate::error::{ConfigError, fail};
use crate::grammar::{Word, blank_len, id_len, unsigned_len, word};
use crate::origin::Origin;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    // The key.
    Tilde,
    Plus,
    At,
    KeyColon,
    Slash,
    KeyId,
    KeySpecial,
    DotPath,
    // Both.
    Equal,
    // The value.
    ParenthesisOpen,
    ParenthesisClose,
    Comma,
    BracketOpen,
    BracketClose,
    BraceOpen,
    BraceClose,
    Colon,
    Word(Word),
    Quoted,
    Interpolation,
}

/// A token and where it starts and ends, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, ConfigError> {
    let mut lexemes = Vec::new();
    let mut at = 0;
    let mut in_value = false;
    while at < text.len() {
        let rest = &text[at..];
        let next = if in_value { value_token(rest) } else { key_token(rest) };
        let Some((token, len)) = next else { return Err(no_token(text, at, in_value)) };
        in_value |= token == Token::Equal;
        lexemes.push(Lexeme { token, start: at, end: at + len });
        at += len;
    }
    Ok(lexemes)
}

/// An error at a byte of an override.
pub(super) fn error_at(text: &str, at: usize, message: &str) -> ConfigError {
    let column = text[..at.min(text.len())].chars().count() + 1;
    let column = u32::try_from(column).unwrap_or(u32::MAX);
    fail!(OverrideSyntax, "{message}").at(Origin::Override { index: 0, text: text.into(), column })
}

fn no_token(text: &str, at: usize, in_value: bool) -> ConfigError {
    let c = text[at..].chars().next().unwrap_or_default();
    let key = text.split('=').next().unwrap_or_default();
    if !in_value {
        return error_at(text, at, &format!("unexpected '{c}' in the key of an override"))
            .with_help("write key=value, +key=value, ++key=value or ~key, without blanks around '='");
    }
    if c == '\'' || c == '"' {
        return error_at(text, at, "a quote that is not closed")
            .with_help(format!("close it, or escape it: \\{c}"));
    }
    let value = text.get(key.len() + 1..).unwrap_or_default();
    error_at(text, at, &format!("'{c}' needs quotes in a value"))
        .with_help(format!("put the value in quotes that the shell leaves: \"{key}='{value}'\""))
}

fn key_token(rest: &str) -> Option<(Token, usize)> {
    let single = match rest.as_bytes().first()? {
        b'=' => return Some((Token::Equal, 1 + blank_len(&rest[1..]))),
        b'~' => Token::Tilde,
        b'+' => Token::Plus,
        b'@' => Token::At,
        b':' => Token::KeyColon,
        b'/' => Token::Slash,
        _ => {
            let id = id_len(rest);
            let special = special_len(rest);
            let path = dot_path_len(rest);
            let longest = id.max(special).max(path);
            return match longest {
                0 => None,
                len if len == id => Some((Token::KeyId, len)),
                len if len == special => Some((Token::KeySpecial, len)),
                len => Some((Token::DotPath, len)),
            };
        }
    };
    Some((single, 1))
}

/// An identifier that may hold dollar signs.
fn special_len(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$');
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$');
    if starts { text.bytes().take_while(part).count() } else { 0 }
}

/// At least two identifiers or indices with dots between them.
fn dot_path_len(text: &str) -> usize {
    let part = |text: &str| special_len(text).max(unsigned_len(text));
    let first = part(text);
    let mut len = first;
    while len > 0 && text[len..].starts_with('.') {
        match part(&text[len + 1..]) {
            0 => break,
            next => len += 1 + next,
        }
    }
    if len > first { len } else { 0 }
}

fn value_token(rest: &str) -> Option<(Token, usize)> {
    let blanks = blank_len(rest);
    let after = &rest[blanks..];
    let mark = after.as_bytes().first().copied();
    let trailing = || blank_len(&after[1..]);
    let around = |token| Some((token, blanks + 1 + blank_len(&after[1..])));
    match mark {
        Some(b'(') => return around(Token::ParenthesisOpen),
        Some(b',') => return around(Token::Comma),
        Some(b':') => return around(Token::Colon),
        Some(b'=') => return around(Token::Equal),
        Some(b')') => return Some((Token::ParenthesisClose, blanks + 1)),
        Some(b']') => return Some((Token::BracketClose, blanks + 1)),
        Some(b'}') => return Some((Token::BraceClose, blanks + 1)),
        _ => {}
    }
    if blanks > 0 {
        return Some((Token::Word(Word::Blank), blanks));
    }
    match mark? {
        b'[' => Some((Token::BracketOpen, 1 + trailing())),
        b'{' => Some((Token::BraceOpen, 1 + trailing())),
        b'\'' | b'"' => Some((Token::Quoted, quoted_len(rest)?)),
        b'$' if interpolation_len(rest) > 0 => Some((Token::Interpolation, interpolation_len(rest))),
        _ => word(rest).map(|(kind, len)| (Token::Word(kind), len)),
    }
}

/// Up to the first closing quote that an even number of backslashes precedes.
fn quoted_len(text: &str) -> Option<usize> {
    let quote = text.as_bytes()[0];
    let mut backslashes = 0;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote && backslashes % 2 == 0 {
            return Some(index + 1);
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    None
}

/// `${` up to the first `}`, with something between them.
fn interpolation_len(text: &str) -> usize {
    match text.strip_prefix("${").and_then(|inside| inside.find('}')) {
        Some(len) if len > 0 => len + 3,
        _ => 0,
    }
}
