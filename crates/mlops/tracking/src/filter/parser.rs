//! From text to clauses and order keys.

use super::{
    Clause, Comparison, Field, FilterError, OrderKey, Scope, Test,
    lexer::{Token, TokenKind, tokens},
};

/// More clauses than any person writes; a guard for the database, which nests them.
const MOST_CLAUSES: usize = 200;
/// A guard for the same reason.
const MOST_ORDER_KEYS: usize = 20;

/// Reads a filter; an empty one has no clauses.
pub(crate) fn parse_filter(scope: Scope, text: &str) -> Result<Vec<Clause>, FilterError> {
    let mut parser = Parser::new(scope, "filter", text)?;
    let mut clauses = Vec::new();
    // MLflow forgives a dangling AND.
    while parser.peek() != &TokenKind::End {
        clauses.push(parser.clause()?);
        if clauses.len() > MOST_CLAUSES {
            return Err(parser.problem_here(format!("a filter has at most {MOST_CLAUSES} clauses")));
        }
        if parser.take_keyword("OR") {
            parser.at -= 1;
            return Err(parser.problem_here("OR is not part of the language; search twice".to_owned()));
        }
        if parser.peek() != &TokenKind::End && !parser.take_keyword("AND") {
            return Err(parser.expected("AND or the end"));
        }
    }
    Ok(clauses)
}

/// Reads the keys of an order, one per text.
pub(crate) fn parse_order_by(scope: Scope, texts: &[String]) -> Result<Vec<OrderKey>, FilterError> {
    let mut keys = Vec::new();
    for text in texts {
        let mut parser = Parser::new(scope, "order_by", text)?;
        let field = parser.field()?;
        if matches!(field, Field::Dataset(_)) {
            parser.at = 0;
            return Err(parser.problem_here("nothing can be ordered by its datasets".to_owned()));
        }
        let descending = if parser.take_keyword("DESC") {
            true
        } else {
            parser.take_keyword("ASC");
            false
        };
        if parser.peek() != &TokenKind::End {
            return Err(parser.expected("ASC, DESC or the end"));
        }
        keys.push(OrderKey { field, descending });
        if keys.len() > MOST_ORDER_KEYS {
            return Err(parser.problem_here(format!("an order has at most {MOST_ORDER_KEYS} keys")));
        }
    }
    Ok(keys)
}

struct Parser<'a> {
    scope: Scope,
    what: &'static str,
    text: &'a str,
    tokens: Vec<Token>,
    /// Index of the token to be read next; never past the last, which is the end.
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(scope: Scope, what: &'static str, text: &'a str) -> Result<Self, FilterError> {
        let tokens = tokens(text).map_err(|(offset, problem)| error_at(what, text, offset, problem))?;
        Ok(Self { scope, what, text, tokens, at: 0 })
    }

    fn clause(&mut self) -> Result<Clause, FilterError> {
        let field_at = self.at;
        let field = self.field()?;
        let test = self.test(&field)?;
        if matches!(test, Test::Null { .. }) && !field.is_optional() {
            self.at = field_at;
            return Err(self.problem_here("only params and tags can be tested for NULL".to_owned()));
        }
        Ok(Clause { field, test })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let token = self.tokens[self.at].clone();
        let next = self.tokens.get(self.at + 1).cloned();
        let mut width = 1;
        let field = match token.kind {
            TokenKind::Word(word) => match word.strip_suffix('.') {
                // `tags."x y"`: the quoted part must touch the dot.
                Some(prefix) => match next {
                    Some(Token { kind: TokenKind::Quoted(_, key), start, .. }) if start == token.end => {
                        width = 2;
                        Field::new(self.scope, Some(prefix), &key)
                    }
                    _ => Err(format!("a key has to follow `{word}`")),
                },
                None => match word.split_once('.') {
                    Some((prefix, key)) => Field::new(self.scope, Some(prefix), key),
                    None => Field::new(self.scope, None, &word),
                },
            },
            TokenKind::Quoted('"' | '`', key) => Field::new(self.scope, None, &key),
            _ => {
                return Err(self
                    .expected("a field such as metrics.loss, params.lr, tags.\"x y\" or attributes.status"));
            }
        };
        let field = field.map_err(|problem| self.problem_here(problem))?;
        self.at += width;
        Ok(field)
    }

    fn test(&mut self, field: &Field) -> Result<Test, FilterError> {
        if self.take_keyword("IS") {
            let negated = self.take_keyword("NOT");
            return if self.take_keyword("NULL") {
                Ok(Test::Null { negated })
            } else {
                Err(self.expected("NULL"))
            };
        }
        if let TokenKind::Sign(sign) = *self.peek() {
            let comparison = comparison(sign);
            if !field.is_number() && !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
                return Err(self
                    .problem_here(format!("texts are compared by =, !=, LIKE, ILIKE or IN, not by {sign}")));
            }
            self.at += 1;
            return if field.is_number() {
                self.number().map(|value| Test::Number { comparison, value })
            } else {
                self.quoted_text().map(|value| Test::Text { comparison, value })
            };
        }
        if field.is_number() {
            return Err(self.expected("one of = != > >= < <="));
        }
        for (keyword, ignore_case) in [("LIKE", false), ("ILIKE", true)] {
            if self.take_keyword(keyword) {
                return self.quoted_text().map(|pattern| Test::Like { pattern, ignore_case });
            }
        }
        let negated = self.take_keyword("NOT");
        if self.take_keyword("IN") {
            return self.list().map(|values| Test::In { negated, values });
        }
        Err(self.expected("one of = != LIKE ILIKE IN NOT IN IS"))
    }

    fn number(&mut self) -> Result<f64, FilterError> {
        let number = match self.peek() {
            // Rust also reads `nan` and `infinity`, which are words here.
            TokenKind::Word(word) if !word.contains(|c: char| c.is_alphabetic() && c != 'e' && c != 'E') => {
                word.parse().ok()
            }
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected("a number"))?;
        self.at += 1;
        Ok(number)
    }

    fn quoted_text(&mut self) -> Result<String, FilterError> {
        let text = match self.peek() {
            TokenKind::Quoted('\'' | '"', text) => text.clone(),
            _ => return Err(self.expected("a text in quotes, such as 'adam'")),
        };
        self.at += 1;
        Ok(text)
    }

    fn list(&mut self) -> Result<Vec<String>, FilterError> {
        self.mark('(')?;
        let mut values = vec![self.quoted_text()?];
        while self.peek() == &TokenKind::Mark(',') {
            self.at += 1;
            // MLflow's client writes a Python tuple: `('a',)`.
            if self.peek() == &TokenKind::Mark(')') {
                break;
            }
            values.push(self.quoted_text()?);
        }
        self.mark(')')?;
        Ok(values)
    }

    fn mark(&mut self, mark: char) -> Result<(), FilterError> {
        if self.peek() != &TokenKind::Mark(mark) {
            return Err(self.expected(&format!("`{mark}`")));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let is_here = matches!(self.peek(), TokenKind::Word(word) if word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(is_here);
        is_here
    }

    fn expected(&self, expected: &str) -> FilterError {
        self.problem_here(format!("expected {expected}, found {}", self.peek().describe()))
    }

    fn problem_here(&self, problem: String) -> FilterError {
        error_at(self.what, self.text, self.tokens[self.at].start, problem)
    }
}

fn comparison(sign: &str) -> Comparison {
    match sign {
        "!=" => Comparison::NotEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        _ => Comparison::Equal,
    }
}

fn error_at(what: &'static str, text: &str, offset: usize, problem: String) -> FilterError {
    let position = text[..offset].chars().count() + 1;
    FilterError { what, text: text.to_owned(), position, problem }
}

#[cfg(test)]
mod tests;
