//! Sets of text: batches of `tokens: i64[B, T]` and `target: i64[B, T]`, each token's next.

mod blocks;
mod char_text;
mod random_tokens;

pub use char_text::CharTextConfig;
pub use random_tokens::RandomTokensConfig;
