//! Each character a token: no training, no file beside the text itself.

use std::collections::{BTreeSet, HashMap};

/// The characters of a text, numbered in the order of their Unicode scalar values.
#[derive(Debug, Clone)]
pub struct Characters {
    characters: Vec<char>,
    tokens: HashMap<char, u32>,
}

/// A character that the vocabulary lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}, column {column}: the character {character:?} is not among the {known} characters that were learnt from"
)]
pub struct UnknownCharacter {
    /// The character.
    pub character: char,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// How many characters there are.
    pub known: usize,
}

impl Characters {
    /// All characters of `text`.
    pub fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
        let tokens = characters.iter().zip(0..).map(|(&character, token)| (character, token)).collect();
        Self { characters, tokens }
    }

    /// Number of different tokens.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// What each token stands for, in their order.
    pub fn names(&self) -> Vec<String> {
        self.characters.iter().map(char::to_string).collect()
    }

    /// One token a character.
    ///
    /// # Errors
    /// The first character that is not in the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, UnknownCharacter> {
        text.chars()
            .enumerate()
            .map(|(index, character)| {
                self.tokens.get(&character).copied().ok_or_else(|| {
                    let before: Vec<char> = text.chars().take(index).collect();
                    let line_start = before.iter().rposition(|&c| c == '\n').map_or(0, |at| at + 1);
                    UnknownCharacter {
                        character,
                        line: before.iter().filter(|&&c| c == '\n').count() + 1,
                        column: index - line_start + 1,
                        known: self.len(),
                    }
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_follow_the_order_of_the_characters() {
        let characters = Characters::of("héllo\n");
        assert_eq!(characters.names(), ["\n", "h", "l", "o", "é"]);
        assert_eq!(characters.encode("hole\n".replace('e', "é").as_str()).unwrap(), [1, 3, 2, 4, 0]);
        assert!(Characters::of("").is_empty());
    }

    #[test]
    fn a_strange_character_is_named_with_its_place() {
        let error = Characters::of("ab\n").encode("ab\nbxa").unwrap_err();
        assert_eq!((error.character, error.line, error.column, error.known), ('x', 2, 2, 3));
        assert!(error.to_string().contains("line 2, column 2"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_can_be_read_back(text: String) {
            let characters = Characters::of(&text);
            let names = characters.names();
            let back: String = characters.encode(&text).unwrap().into_iter().map(|token| names[token as usize].clone()).collect();
            proptest::prop_assert_eq!(back, text);
        }
    }
}
