//! YAML as OmegaConf reads and writes it: PyYAML's scalars, no duplicate keys, a position for every value.

mod builder;
mod read;
mod scalar;
mod write;

pub use read::{document, load};
pub use write::to_yaml;
