//! A text whose characters are the tokens.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks::{Blocks, spec};
use crate::tokenizers::Characters;

/// A text file in UTF-8 whose characters are the tokens. It is cut into blocks; the last part of the text is held out for
/// validation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CharTextConfig {
    /// The text file.
    pub file: PathBuf,
    /// Characters a sample.
    #[serde(default = "default_block_size")]
    #[schemars(extend("minimum" = 1))]
    pub block_size: NonZeroUsize,
    /// Characters from the beginning of a training sample to that of the next. Left out or null: as `block_size`, so that
    /// samples do not overlap.
    #[serde(default)]
    #[schemars(extend("minimum" = 1))]
    pub stride: Option<NonZeroUsize>,
    /// Share of the text, at its end, that is held out for validation.
    #[serde(default = "default_val_split")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val_split: f64,
}

fn default_block_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(127)
}

const fn default_val_split() -> f64 {
    0.1
}

component! { DatasetKind, "nlp.char_text", CharTextConfig => build }

fn build(config: &CharTextConfig, _: DatasetContext<'_>) -> Result<Box<dyn DataModule>, BuildError> {
    if !(0.0..1.0).contains(&config.val_split) {
        let message = format!("{} is out of range: it must be at least 0 and less than 1", config.val_split);
        return Err(BuildError::setting("val_split", message));
    }
    Ok(Box::new(CharText { config: config.clone(), characters: Characters::of(""), tokens: Arc::default() }))
}

#[derive(Debug)]
struct CharText {
    config: CharTextConfig,
    characters: Characters,
    tokens: Arc<Vec<i64>>,
}

impl CharText {
    /// Where the part held out begins.
    fn boundary(&self) -> usize {
        ((1.0 - self.config.val_split) * self.tokens.len() as f64).round() as usize
    }

    fn blocks(&self, first: usize, last: usize, stride: usize) -> Vec<usize> {
        // A window needs one character more: the target of its last.
        (first..last.saturating_sub(self.config.block_size.get())).step_by(stride).collect()
    }
}

impl DataModule for CharText {
    fn setup(&mut self) -> Result<()> {
        let file = &self.config.file;
        let text = read(file)?;
        self.characters = Characters::of(&text);
        self.tokens = Arc::new(encode(&text, &self.characters, file)?);
        if self.dataset(Split::Train).is_none() {
            let message = format!(
                "has {} characters, too few for one training block of {}: lower dataset.block_size, or take a longer text",
                self.tokens.len(),
                self.config.block_size
            );
            return Err(Error::data(file, message));
        }
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        spec(self.config.block_size.get(), Some(self.characters.len() as i64), Some(self.characters.names()))
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let length = self.config.block_size.get();
        let starts = match split {
            Split::Train => {
                self.blocks(0, self.boundary(), self.config.stride.map_or(length, NonZeroUsize::get))
            }
            Split::Validation => self.blocks(self.boundary(), self.tokens.len(), length),
            Split::Test => return None,
        };
        (!starts.is_empty()).then(|| {
            Arc::new(Blocks { tokens: self.tokens.clone(), starts, length, targets: true })
                as Arc<dyn Dataset>
        })
    }

    /// The file in blocks, the last of which ends where the file does; one name a block.
    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        let tokens = encode(&read(input)?, &self.characters, input)?;
        let length = self.config.block_size.get().min(tokens.len());
        let blocks = tokens.len().div_ceil(length);
        let starts: Vec<usize> =
            (0..blocks).map(|block| (block * length).min(tokens.len() - length)).collect();
        let names = vec![input.to_path_buf(); starts.len()];
        Ok((Arc::new(Blocks { tokens: Arc::new(tokens), starts, length, targets: false }), names))
    }
}

fn read(file: &Path) -> Result<String> {
    let bytes = fs::read(file).map_err(|error| Error::data(file, format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        Error::data(
            file,
            format!(
                "is no UTF-8 text: line {line} has bytes that are no character; convert the file to UTF-8"
            ),
        )
    })?;
    if text.is_empty() {
        return Err(Error::data(file, "is empty: expected a text"));
    }
    Ok(text)
}

fn encode(text: &str, characters: &Characters, file: &Path) -> Result<Vec<i64>> {
    let tokens = characters.encode(text).map_err(|error| Error::data(file, error.to_string()))?;
    Ok(tokens.into_iter().map(i64::from).collect())
}

#[cfg(test)]
mod tests {
    use fulmen_registry::registry;
    use fulmen_utils::Address;
    use serde_json::{Value, json};

    use super::*;

    fn open(file: &Path, more: &Value) -> Result<Box<dyn DataModule>> {
        let mut settings = json!({"_target_": "nlp.char_text", "file": file, "block_size": 4});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let registry = registry().unwrap();
        let mut module =
            registry.build::<DatasetKind>(&settings, DatasetContext { registry, seed: 0 }).unwrap();
        module.setup()?;
        Ok(module)
    }

    fn rows(dataset: &Arc<dyn Dataset>, name: &str) -> Vec<i64> {
        let all: Vec<usize> = (0..dataset.len()).collect();
        let batch = dataset.batch(&all, Address::root(0)).unwrap();
        Vec::try_from(batch.get(name).unwrap().view([-1])).unwrap()
    }

    #[test]
    fn blocks_and_their_targets_come_from_the_text_and_its_end_is_held_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.txt");
        fs::write(&file, "abcdéabcdéabcdé").unwrap();
        let text = open(&file, &json!({"val_split": 0.34})).unwrap();
        let train = text.dataset(Split::Train).unwrap();
        assert_eq!(rows(&train, "tokens"), [0, 1, 2, 3, 4, 0, 1, 2]);
        assert_eq!(rows(&train, "target"), [1, 2, 3, 4, 0, 1, 2, 3]);
        assert_eq!(rows(&text.dataset(Split::Validation).unwrap(), "tokens"), [0, 1, 2, 3]);
        assert_eq!(text.spec().num_classes, Some(5));
        assert_eq!(text.spec().class_names.unwrap().last().unwrap(), "é");
        assert_eq!(open(&file, &json!({"stride": 1})).unwrap().dataset(Split::Train).unwrap().len(), 10);
    }

    #[test]
    fn a_file_to_predict_comes_in_blocks_that_end_where_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.txt");
        fs::write(&file, "abcabcabc").unwrap();
        let text = open(&file, &json!({})).unwrap();
        let other = folder.path().join("other.txt");
        fs::write(&other, "cbacba").unwrap();
        let (dataset, names) = text.predict_dataset(&other).unwrap();
        assert_eq!((rows(&dataset, "tokens"), names.len()), (vec![2, 1, 0, 2, 0, 2, 1, 0], 2));
        fs::write(&other, "ab\nz").unwrap();
        let message = text.predict_dataset(&other).unwrap_err().to_string();
        assert!(
            message.contains("other.txt") && message.contains("line 1, column 3: the character"),
            "{message}"
        );
    }

    #[test]
    fn each_fault_of_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.txt");
        let check = |expected: &str| {
            let message = open(&file, &json!({})).unwrap_err().to_string();
            assert!(message.contains("text.txt") && message.contains(expected), "{message}");
        };
        check("cannot be read");
        for (bytes, expected) in
            [(b"".as_slice(), "is empty"), (b"a\nb\xff", "line 2"), (b"abc", "3 characters, too few")]
        {
            fs::write(&file, bytes).unwrap();
            check(expected);
        }
    }
}
