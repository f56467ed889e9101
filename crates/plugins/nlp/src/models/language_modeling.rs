//! The next token of each token: `tokens: i64[B, T]` in, `logits: f32[B, T, V]` out.

mod gpt;

pub use gpt::{Activation, Gpt, GptConfig};
