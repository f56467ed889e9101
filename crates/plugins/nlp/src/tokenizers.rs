//! Text to tokens.

mod characters;

pub use characters::{Characters, UnknownCharacter};
