//! Parses a text with interpolations. One function per rule of OmegaConf's grammar, one character mode per function.

use super::syntax::{Element, Interpolation, Part};
use crate::error::{ConfigError, Result, fail};
use crate::grammar::{MAX_DEPTH, Word, blank_len, id_len, unescape, word, word_value};
use crate::value::{Key, Value};

/// Parses a whole text: characters, escapes, interpolations.
pub(super) fn text(source: &str) -> Result<Vec<Part>> {
    let mut parser = Parser { source, at: 0, depth: 0 };
    parser.characters(None)
}

/// Parses a single value, as `oc.decode` reads it.
pub(super) fn single_element(source: &str) -> Result<Element> {
    let mut parser = Parser { source, at: 0, depth: 0 };
    let element = parser.element()?;
    if parser.at < source.len() { Err(parser.error("expected the end of the value")) } else { Ok(element) }
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn error(&self, expected: &str) -> ConfigError {
        let column = self.source[..self.at].chars().count() + 1;
        let found = match self.rest().chars().next() {
            Some(c) => format!("'{c}'"),
            None => "the end".into(),
        };
        fail!(
            InterpolationSyntax,
            "malformed interpolation in '{}': {expected}, found {found} at character {column}",
            self.source
        )
        .with_help(r"write ${key.path}, ${.sibling}, ${resolver:argument} or, for the text itself, \${…}")
    }

    /// Takes `token` with the blanks around it, if it comes next.
    fn take_spaced(&mut self, token: char, before: bool, after: bool) -> bool {
        let blanks = if before { blank_len(self.rest()) } else { 0 };
        let found = self.rest()[blanks..].starts_with(token);
        if found {
            self.at += blanks + token.len_utf8();
            if after {
                self.at += blank_len(self.rest());
            }
        }
        found
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error("nested too deeply: expected a plain value"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Characters up to the end, or up to `quote`, which is taken as well.
    fn characters(&mut self, quote: Option<char>) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(['\\', '$', '\'', '"']).unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                if quote.is_some() {
                    return Err(self.error("expected the closing quote"));
                }
                break;
            };
            if first == '\\' {
                self.backslashes(quote, &mut text);
            } else if quote == Some(first) {
                self.at += 1;
                break;
            } else if rest.starts_with("${") {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Interpolation(self.interpolation()?));
            } else {
                text.push(first);
                self.at += 1;
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(parts)
    }

    /// A run of backslashes: they escape only an interpolation or the closing quote, and themselves before one.
    fn backslashes(&mut self, quote: Option<char>, text: &mut String) {
        let count = self.rest().bytes().take_while(|b| *b == b'\\').count();
        self.at += count;
        let rest = self.rest();
        let special = if rest.starts_with("${") {
            Some("${")
        } else {
            quote.filter(|q| rest.starts_with(*q)).map(|q| if q == '"' { "\"" } else { "'" })
        };
        let kept = if special.is_some() { count / 2 } else { count };
        text.extend(std::iter::repeat_n('\\', kept));
        if let Some(escaped) = special.filter(|_| count % 2 == 1) {
            text.push_str(escaped);
            self.at += escaped.len();
        }
    }

    fn interpolation(&mut self) -> Result<Interpolation> {
        self.nested(|parser| {
            parser.at += 2;
            parser.at += blank_len(parser.rest());
            parser.inside_braces()
        })
    }

    /// After `${`: a key, or a resolver's name and its arguments.
    fn inside_braces(&mut self) -> Result<Interpolation> {
        let mut parts = Vec::new();
        let dots = self.rest().len() - self.rest().trim_start_matches('.').len();
        parts.extend((0..dots).map(|_| Part::Text(".".into())));
        self.at += dots;
        // A resolver's name is made of identifiers and interpolations alone.
        let mut can_be_name = dots == 0;
        can_be_name &= self.key_part(&mut parts)?;
        loop {
            if self.take_spaced('}', true, false) {
                return Ok(Interpolation::Key(parts));
            }
            if can_be_name && self.take_spaced(':', true, true) {
                return Ok(Interpolation::Call { name: parts, arguments: self.arguments()? });
            }
            if self.take_spaced('.', false, false) {
                parts.push(Part::Text(".".into()));
                can_be_name &= self.bare_key(&mut parts)?;
            } else if self.rest().starts_with('[') {
                self.key_part(&mut parts)?;
                can_be_name = false;
            } else {
                return Err(self.error("expected '.', '[', ':' or '}'"));
            }
        }
    }

    /// `key` or `[key]`; whether it can belong to a resolver's name.
    fn key_part(&mut self, parts: &mut Vec<Part>) -> Result<bool> {
        if !self.take_spaced('[', false, false) {
            return self.bare_key(parts);
        }
        parts.push(Part::Text("[".into()));
        self.bare_key(parts)?;
        if !self.take_spaced(']', false, false) {
            return Err(self.error("expected ']'"));
        }
        parts.push(Part::Text("]".into()));
        Ok(false)
    }

    fn bare_key(&mut self, parts: &mut Vec<Part>) -> Result<bool> {
        let rest = self.rest();
        if rest.starts_with("${") {
            parts.push(Part::Interpolation(self.interpolation()?));
            return Ok(true);
        }
        let special = |c: char| "\\{}()[]:. \t'\"".contains(c);
        let len = rest.find(special).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.error("expected a key"));
        }
        self.at += len;
        parts.push(Part::Text(rest[..len].into()));
        Ok(id_len(rest) == len)
    }

    /// Arguments up to the closing brace. An argument left out is an empty string.
    fn arguments(&mut self) -> Result<Vec<Element>> {
        if self.take_spaced('}', true, false) {
            return Ok(Vec::new());
        }
        let arguments = self.sequence('}')?;
        if !self.take_spaced('}', true, false) {
            return Err(self.error("expected ',' or '}'"));
        }
        Ok(arguments)
    }

    fn sequence(&mut self, close: char) -> Result<Vec<Element>> {
        let empty = || Element::Literal("".into());
        let mut elements = Vec::new();
        loop {
            let rest = self.rest();
            let next = rest[blank_len(rest)..].chars().next();
            if next == Some(',') || next == Some(close) {
                elements.push(empty());
            } else {
                elements.push(self.element()?);
            }
            if !self.take_spaced(',', true, true) {
                return Ok(elements);
            }
        }
    }

    fn element(&mut self) -> Result<Element> {
        let rest = self.rest();
        match rest.chars().next() {
            Some('[') => self.nested(Self::list),
            Some('{') => self.nested(Self::dict),
            Some(quote @ ('\'' | '"')) => {
                self.at += 1;
                Ok(Element::Text(self.characters(Some(quote))?))
            }
            _ => self.primitive(),
        }
    }

    fn list(&mut self) -> Result<Element> {
        self.take_spaced('[', false, true);
        if self.take_spaced(']', true, false) {
            return Ok(Element::List(Vec::new()));
        }
        let elements = self.sequence(']')?;
        if !self.take_spaced(']', true, false) {
            return Err(self.error("expected ',' or ']'"));
        }
        Ok(Element::List(elements))
    }

    fn dict(&mut self) -> Result<Element> {
        self.take_spaced('{', false, true);
        let mut pairs = Vec::new();
        if self.take_spaced('}', true, false) {
            return Ok(Element::Dict(pairs));
        }
        loop {
            let key = self.dict_key()?;
            if !self.take_spaced(':', true, true) {
                return Err(self.error("expected ':'"));
            }
            pairs.push((key, self.element()?));
            if self.take_spaced('}', true, false) {
                return Ok(Element::Dict(pairs));
            }
            if !self.take_spaced(',', true, true) {
                return Err(self.error("expected ',' or '}'"));
            }
        }
    }

    /// The next token of an unquoted value, unless the blanks before it belong to punctuation.
    fn next_word(&self) -> Option<(Word, &'a str)> {
        let rest = self.rest();
        let (kind, len) = word(rest)?;
        let after = rest[len..].chars().next();
        let swallowed = kind == Word::Blank && after.is_some_and(|c| ",]}:".contains(c));
        (!swallowed).then_some((kind, &rest[..len]))
    }

    fn dict_key(&mut self) -> Result<Key> {
        let mut words = Vec::new();
        while let Some((kind, text)) = self.next_word() {
            if self.rest().starts_with("${") {
                break;
            }
            words.push((kind, text));
            self.at += text.len();
        }
        match words.as_slice() {
            [] | [(Word::Blank, _)] => Err(self.error("expected a key")),
            [(kind, text)] => {
                key_of(word_value(*kind, text)).ok_or_else(|| self.error("expected a smaller key"))
            }
            _ => Ok(Key::from(words.iter().map(|(kind, text)| word_text(*kind, text)).collect::<String>())),
        }
    }

    fn primitive(&mut self) -> Result<Element> {
        let mut parts = Vec::new();
        let mut literal = None;
        let mut tokens = 0;
        loop {
            let rest = self.rest();
            if rest.starts_with("${") {
                parts.push(Part::Interpolation(self.interpolation()?));
            } else if self.take_spaced(':', true, true) {
                let taken = rest.len() - self.rest().len();
                parts.push(Part::Text(rest[..taken].into()));
                literal = Some(rest[..taken].into());
            } else if let Some((kind, text)) = self.next_word() {
                self.at += text.len();
                parts.push(Part::Text(word_text(kind, text)));
                literal = (kind != Word::Blank).then(|| word_value(kind, text));
            } else {
                break;
            }
            tokens += 1;
        }
        match (tokens, parts.pop(), literal) {
            (0, ..) => Err(self.error("expected a value")),
            (1, Some(Part::Interpolation(inner)), _) => Ok(Element::Interpolation(Box::new(inner))),
            (1, _, Some(value)) => Ok(Element::Literal(value)),
            (1, _, None) => Err(self.error("expected a value, not only blanks")),
            (_, last, _) => {
                parts.extend(last);
                Ok(Element::Text(parts))
            }
        }
    }
}

fn word_text(kind: Word, text: &str) -> String {
    if kind == Word::Escape { unescape(text) } else { text.into() }
}

/// A literal as a key of a dictionary.
fn key_of(value: Value) -> Option<Key> {
    Some(match value {
        Value::Str(text) => Key::Str(text),
        Value::Int(value) => Key::Int(value),
        Value::Float(value) => Key::Float(value),
        Value::Bool(value) => Key::Bool(value),
        Value::Null => Key::Null,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ok(source: &str) -> bool {
        text(source).is_ok()
    }

    #[test]
    fn well_formed_interpolations_parse() {
        for source in [
            "${a}",
            "${ a }",
            "x${a.b}y",
            "${.a}",
            "${..a[0].b}",
            "${[a].b}",
            "${a.${b}}",
            "${oc.env:HOME}",
            "${f:}",
            "${f:a,}",
            "${f:[1, 2],{a: b}}",
            "${f:'it\\'s ${x}'}",
            "$${e}",
            "${a-b}",
            "${f:a:b}",
            "${${x}:1}",
            "$",
            "${f: a b , c }",
            "${1}",
        ] {
            assert!(is_ok(source), "{source}: {:?}", text(source));
        }
    }

    #[test]
    fn malformed_interpolations_are_refused() {
        for source in [
            "${}",
            "${a",
            "${a.}",
            "${b .c}",
            "${m[a b]}",
            "${f:(x)}",
            "${a:[1}",
            "${1:x}",
            "${f:'x}",
            "${.f:x}",
        ] {
            assert!(!is_ok(source), "{source}");
        }
    }

    #[test]
    fn backslashes_escape_only_before_an_interpolation() {
        let plain = |source: &str| match text(source).unwrap().as_slice() {
            [Part::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(plain(r"\${x}"), "${x}");
        assert_eq!(plain(r"\\\${x}"), r"\${x}");
        assert_eq!(plain(r"a\b\\c"), r"a\b\\c");
        let parts = text(r"\\${x}").unwrap();
        assert_eq!(parts[0], Part::Text("\\".into()));
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        assert!(!is_ok(&"${a.".repeat(100_000)));
        assert!(!is_ok(&format!("${{f:{}", "[".repeat(100_000))));
    }
}
