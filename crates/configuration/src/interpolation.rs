//! Interpolation: `${a.b}`, `${.sibling}`, `${resolver:arguments}`, in the grammar of OmegaConf 2.3.

mod cursor;
mod evaluate;
mod parse;
mod resolvers;
mod select;
mod syntax;

pub(crate) use cursor::Cursor;
pub(crate) use evaluate::{Evaluator, Target};
pub use resolvers::{Call, Resolvers};
pub(crate) use select::Selected;

/// Checks that every `${…}` in a text is well formed.
pub(crate) fn check_syntax(text: &str) -> crate::Result<()> {
    if text.contains("${") { parse::text(text).map(drop) } else { Ok(()) }
}
