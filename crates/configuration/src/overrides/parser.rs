//! Parses the tokens of an override. One function per rule of the grammar.

use indexmap::IndexMap;

use super::functions;
use super::lexer::{Lexeme, Token, error_at, lex};
use super::{Element, Override, OverrideKind, Quote, Sweep};
use crate::error::{ConfigError, Result};
use crate::grammar::{MAX_DEPTH, Word, unescape, word_value};
use crate::value::{Key, Value};

pub(super) fn parse(text: &str) -> Result<Override> {
    let lexemes = lex(text)?;
    Parser { text, lexemes: &lexemes, at: 0, depth: 0 }.whole_override()
}

struct Parser<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token> {
        self.lexemes.get(self.at).map(|lexeme| lexeme.token)
    }

    fn take(&mut self, token: Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn lexeme_text(&self, index: usize) -> &'a str {
        self.lexemes.get(index).map_or("", |lexeme| &self.text[lexeme.start..lexeme.end])
    }

    fn error(&self, expected: &str) -> ConfigError {
        let found = match self.peek() {
            Some(_) => format!("'{}'", self.lexeme_text(self.at)),
            None => "the end".into(),
        };
        let start = self.lexemes.get(self.at).map_or(self.text.len(), |lexeme| lexeme.start);
        let error = error_at(self.text, start, &format!("expected {expected}, found {found}"));
        match self.peek() {
            Some(Token::Equal) => {
                let (key, value) = self.text.split_once('=').unwrap_or((self.text, ""));
                error.with_help(format!("put a value that holds '=' in quotes: \"{key}='{value}'\""))
            }
            _ => error,
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(&format!("no more than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn whole_override(&mut self) -> Result<Override> {
        let kind = if self.take(Token::Tilde) {
            OverrideKind::Delete
        } else if !self.take(Token::Plus) {
            OverrideKind::Change
        } else if self.take(Token::Plus) {
            OverrideKind::ForceAdd
        } else {
            OverrideKind::Add
        };
        let key = self.package_or_group();
        let package = self.take(Token::At).then(|| self.package());
        let value = if self.take(Token::Equal) {
            Some(if self.peek().is_none() { Element::Scalar("".into()) } else { self.value()? })
        } else if kind == OverrideKind::Delete && self.peek().is_none() {
            None
        } else {
            let error = self.error("'='");
            return Err(if self.peek().is_none() {
                error.with_help(format!("write {}=VALUE, or ~{} to delete it", self.text, self.text))
            } else {
                error
            });
        };
        if self.peek().is_some() {
            return Err(self.error("the end of the value"));
        }
        Ok(Override { kind, key, package, value, text: self.text.into() })
    }

    /// A key such as `a.b`, or a group such as `a/b`.
    fn package_or_group(&mut self) -> String {
        if self.peek() != Some(Token::KeyId) {
            return self.package();
        }
        let mut key = self.package();
        loop {
            let slash = self.peek() == Some(Token::Slash);
            let id = self.lexemes.get(self.at + 1).map(|lexeme| lexeme.token) == Some(Token::KeyId);
            if !slash || !id {
                return key;
            }
            key.push('/');
            key.push_str(self.lexeme_text(self.at + 1));
            self.at += 2;
        }
    }

    /// A key such as `a.b`; nothing is the root.
    fn package(&mut self) -> String {
        match self.peek() {
            Some(Token::KeyId | Token::KeySpecial | Token::DotPath) => {
                self.at += 1;
                self.lexeme_text(self.at - 1).to_owned()
            }
            _ => String::new(),
        }
    }

    /// One element, or several with commas between them: a sweep.
    fn value(&mut self) -> Result<Element> {
        let first = self.element()?;
        if self.peek() != Some(Token::Comma) {
            return Ok(first);
        }
        let mut list = vec![first];
        while self.take(Token::Comma) {
            list.push(self.element()?);
        }
        Ok(Element::Sweep(Box::new(Sweep::simple_choice(list))))
    }

    fn element(&mut self) -> Result<Element> {
        let next = self.lexemes.get(self.at + 1).map(|lexeme| lexeme.token);
        match self.peek() {
            Some(Token::BracketOpen) => self.nested(Self::list),
            Some(Token::BraceOpen) => self.nested(Self::dict),
            Some(Token::Word(Word::Id)) if next == Some(Token::ParenthesisOpen) => {
                self.nested(Self::function)
            }
            Some(Token::Quoted) => {
                self.at += 1;
                Ok(unquote(self.lexeme_text(self.at - 1)))
            }
            _ => self.primitive(true).map(Element::Scalar),
        }
    }

    fn list(&mut self) -> Result<Element> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(Token::BracketClose) {
            return Ok(Element::List(items));
        }
        loop {
            items.push(self.element()?);
            if self.take(Token::BracketClose) {
                return Ok(Element::List(items));
            }
            if !self.take(Token::Comma) {
                return Err(self.error("',' or ']'"));
            }
        }
    }

    fn dict(&mut self) -> Result<Element> {
        self.at += 1;
        let mut pairs = IndexMap::new();
        if self.take(Token::BraceClose) {
            return Ok(Element::Dict(pairs));
        }
        loop {
            let key = self.dict_key()?;
            if !self.take(Token::Colon) {
                return Err(self.error("':'"));
            }
            let item = self.element()?;
            pairs.insert(key, item);
            if self.take(Token::BraceClose) {
                return Ok(Element::Dict(pairs));
            }
            if !self.take(Token::Comma) {
                return Err(self.error("',' or '}'"));
            }
        }
    }

    fn dict_key(&mut self) -> Result<Key> {
        Ok(match self.primitive(false)? {
            Value::Str(text) => Key::Str(text),
            Value::Int(value) => Key::Int(value),
            Value::Float(value) => Key::Float(value),
            Value::Bool(value) => Key::Bool(value),
            Value::BigInt(digits) => Key::Str(digits),
            _ => Key::Null,
        })
    }

    fn function(&mut self) -> Result<Element> {
        let start = self.at;
        let name = self.lexeme_text(start);
        self.at += 2;
        let mut arguments = Vec::new();
        if !self.take(Token::ParenthesisClose) {
            loop {
                let argument_name = self.argument_name();
                arguments.push((argument_name, self.element()?));
                if self.take(Token::ParenthesisClose) {
                    break;
                }
                if !self.take(Token::Comma) {
                    return Err(self.error("',' or ')'"));
                }
            }
        }
        functions::call(name, arguments).map_err(|message| {
            let at = self.lexemes[start].start;
            error_at(self.text, at, &format!("{name}(): {message}"))
        })
    }

    fn argument_name(&mut self) -> Option<&'a str> {
        let is_name = self.peek() == Some(Token::Word(Word::Id))
            && self.lexemes.get(self.at + 1).map(|lexeme| lexeme.token) == Some(Token::Equal);
        is_name.then(|| {
            self.at += 2;
            self.lexeme_text(self.at - 2)
        })
    }

    /// Tokens in a row. One alone has its own type; several are a text, without the blanks around it.
    fn primitive(&mut self, is_value: bool) -> Result<Value> {
        let start = self.at;
        while let Some(token) = self.peek() {
            match token {
                Token::Word(_) => {}
                Token::Colon | Token::Interpolation if is_value => {}
                _ => break,
            }
            self.at += 1;
        }
        let is_blank = |lexeme: &Lexeme| lexeme.token == Token::Word(Word::Blank);
        let mut words = &self.lexemes[start..self.at];
        if let [first, rest @ ..] = words
            && is_blank(first)
        {
            words = rest;
        }
        if let [rest @ .., last] = words
            && is_blank(last)
        {
            words = rest;
        }
        let text = |lexeme: &Lexeme| &self.text[lexeme.start..lexeme.end];
        match words {
            [] => Err(self.error("a value")),
            [single] => Ok(match single.token {
                Token::Word(kind) => word_value(kind, text(single)),
                _ => text(single).into(),
            }),
            several => {
                let pieces = several.iter().map(|lexeme| match lexeme.token {
                    Token::Word(Word::Escape) => unescape(text(lexeme)),
                    _ => text(lexeme).to_owned(),
                });
                Ok(pieces.collect::<String>().into())
            }
        }
    }
}

/// Takes the quotes away, and the backslashes that escape a quote or themselves before one.
fn unquote(quoted: &str) -> Element {
    let quote = if quoted.starts_with('"') { Quote::Double } else { Quote::Single };
    let mark = if quote == Quote::Double { '"' } else { '\'' };
    let inside = &quoted[1..quoted.len() - 1];
    let mut text = String::with_capacity(inside.len());
    let mut backslashes = 0;
    for c in inside.chars() {
        match c {
            '\\' => backslashes += 1,
            c => {
                let kept = if c == mark { backslashes / 2 } else { backslashes };
                text.extend(std::iter::repeat_n('\\', kept));
                text.push(c);
                backslashes = 0;
            }
        }
    }
    text.extend(std::iter::repeat_n('\\', backslashes / 2));
    Element::Quoted(text, quote)
}
