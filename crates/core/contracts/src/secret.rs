//! Text that goes from one process to another over a pipe, and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

/// A secret text, such as data keys. It shows itself to nobody, and is cleared from memory when it is dropped; it is written out
/// only where whoever holds it is serialized.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for no file, log or message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_crosses_as_text_and_shows_itself_to_nobody() {
        let secret = Secret::new("AGE-SECRET-KEY-1QQ");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let text = serde_json::to_string(&secret).unwrap();
        assert_eq!(text, "\"AGE-SECRET-KEY-1QQ\"");
        assert_eq!(serde_json::from_str::<Secret>(&text).unwrap(), secret);
    }
}
