//! Words, quoted texts and signs of a filter, each with its place.

/// A piece of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Offset of its first byte.
    pub(super) start: usize,
    /// Offset after its last byte.
    pub(super) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, keyword or number.
    Word(String),
    /// A text in quotes, and which quotes.
    Quoted(char, String),
    /// `=`, `!=`, `>`, `>=`, `<`, `<=`.
    Sign(&'static str),
    /// `(`, `)` or `,`.
    Mark(char),
    /// The end of the text.
    End,
}

impl TokenKind {
    /// The token as an error message shows it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Quoted(quote, text) => format!("{quote}{text}{quote}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::Mark(mark) => format!("`{mark}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Splits a text into tokens, the last of which is [`TokenKind::End`]. The error is a byte offset and a message.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, (usize, String)> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let start = text.len() - rest.len();
        let (kind, length) = match first {
            '\'' | '"' | '`' => {
                quoted(rest, first).ok_or_else(|| (start, format!("the quote {first} is not closed")))?
            }
            '(' | ')' | ',' => (TokenKind::Mark(first), 1),
            _ => match sign(rest).or_else(|| word(rest)) {
                Some(token) => token,
                None => return Err((start, format!("{first:?} is not understood here"))),
            },
        };
        tokens.push(Token { kind, start, end: start + length });
        rest = rest[length..].trim_start();
    }
    tokens.push(Token { kind: TokenKind::End, start: text.len(), end: text.len() });
    Ok(tokens)
}

/// A quoted text at the beginning of `rest`; a doubled quote stands for one.
fn quoted(rest: &str, quote: char) -> Option<(TokenKind, usize)> {
    let mut content = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((offset, character)) = characters.next() {
        if character != quote {
            content.push(character);
        } else if characters.peek().is_some_and(|&(_, next)| next == quote) {
            characters.next();
            content.push(quote);
        } else {
            return Some((TokenKind::Quoted(quote, content), offset + 1));
        }
    }
    None
}

fn sign(rest: &str) -> Option<(TokenKind, usize)> {
    // Longer signs first.
    let sign = ["!=", ">=", "<=", "=", ">", "<"].into_iter().find(|sign| rest.starts_with(sign))?;
    Some((TokenKind::Sign(sign), sign.len()))
}

fn word(rest: &str) -> Option<(TokenKind, usize)> {
    let is_part = |character: char| character.is_alphanumeric() || "_.-+/:@".contains(character);
    let length = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    (length > 0).then(|| (TokenKind::Word(rest[..length].to_owned()), length))
}
