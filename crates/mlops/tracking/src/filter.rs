//! MLflow's filter language for searches: `metrics.accuracy > 0.9 and params.lr = '0.1' and tags."x y" LIKE '%a%'`.
//!
//! Grammar (<https://mlflow.org/docs/latest/search-runs.html>), keywords in any case:
//!
//! ```text
//! filter     = [ clause { AND clause } ]
//! clause     = field ( number-op number | text-op text | [NOT] IN "(" text { "," text } ")" | IS [NOT] NULL )
//! field      = [ prefix "." ] key            prefix: metrics, params, tags, attributes, datasets and their short forms
//! key        = word | "quoted" | `quoted`    a field without prefix is an attribute
//! number-op  = = | != | > | >= | < | <=      text-op: = | != | LIKE | ILIKE
//! order      = field [ ASC | DESC ]
//! ```
//!
//! There is no OR and there are no parentheses around clauses, as in MLflow.

mod field;
mod lexer;
mod parser;
mod prompts;

pub(crate) use field::{Attribute, DatasetField, Field, MetricOnDataset, Scope};
pub(crate) use parser::{parse_filter, parse_order_by};
pub(crate) use prompts::{IS_PROMPT, settle_prompts};

/// A clause: all clauses of a filter have to hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause {
    pub(crate) field: Field,
    pub(crate) test: Test,
}

/// What a clause asks of its field. A field that is absent passes only `IS NULL`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Number { comparison: Comparison, value: f64 },
    Text { comparison: Comparison, value: String },
    Like { pattern: String, ignore_case: bool },
    In { negated: bool, values: Vec<String> },
    Null { negated: bool },
}

/// How two values are compared. Texts know only the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// The sign, the same in this language and in SQL.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderKey {
    pub(crate) field: Field,
    pub(crate) descending: bool,
}

/// A filter or an order that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?}, character {position}: {problem}")]
pub struct FilterError {
    /// `filter` or `order_by`.
    pub what: &'static str,
    /// The whole text.
    pub text: String,
    /// Where in it, in characters from 1.
    pub position: usize,
    /// What is wrong, and what was expected.
    pub problem: String,
}
