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

use crate::error::Result;
use crate::value::Node;

/// Resolves every interpolation in a tree; `${hydra:…}` needs a composed configuration and fails.
///
/// # Errors
/// The first interpolation that cannot be resolved, with its place.
pub fn resolve(root: &Node, resolvers: &Resolvers) -> Result<Node> {
    Evaluator::new(resolvers, None).resolve(&Cursor::root(root))
}

/// Checks that every `${…}` in a text is well formed.
pub(crate) fn check_syntax(text: &str) -> Result<()> {
    if text.contains("${") { parse::text(text).map(drop) } else { Ok(()) }
}
