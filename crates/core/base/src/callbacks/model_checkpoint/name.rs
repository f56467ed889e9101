//! Names of checkpoints: `{epoch}-{val/loss:.3f}` and what it stands for.

use fulmen_contracts::event::Values;

use crate::trainer::TrainerState;

/// A pattern with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { name: String, format: Format },
}

/// What stands behind the colon, as Python has it: `02d`, `.3f`, `.2e`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Format {
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

impl NamePattern {
    /// Reads a pattern; with `insert_names` a field is written `name=value`.
    pub(super) fn parse(pattern: &str, insert_names: bool) -> Result<Self, String> {
        if pattern.is_empty() || pattern.starts_with('.') {
            return Err("a name is neither empty nor begins with a dot".to_owned());
        }
        let (mut pieces, mut rest) = (Vec::new(), pattern);
        while let Some((text, after)) = rest.split_once('{') {
            let (field, after) =
                after.split_once('}').ok_or_else(|| format!("'{pattern}' has a '{{' without its '}}'"))?;
            let (name, format) = field.split_once(':').unwrap_or((field, ""));
            let text = if insert_names { format!("{text}{name}=") } else { text.to_owned() };
            pieces.push(Piece::Text(text));
            pieces.push(Piece::Field { name: name.to_owned(), format: Format::parse(format)? });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The name at this point of the run. A metric that is not there is 0. A slash, which would make a folder, is a `_`.
    pub(super) fn name(&self, state: &TrainerState, metrics: &Values) -> String {
        let value = |name: &str| match name {
            "epoch" => state.epoch as f64,
            "step" => state.global_step as f64,
            _ => metrics.get(name).copied().unwrap_or(0.0),
        };
        let write = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field { name, format } => format.write(value(name)),
        };
        self.0.iter().map(write).collect::<String>().replace('/', "_")
    }
}

impl Format {
    fn parse(text: &str) -> Result<Self, String> {
        let unknown = || format!("'{text}' is no format: write one as in 02d, .3f or .2e");
        let (digits, kind) = match text.chars().last() {
            Some(kind @ ('d' | 'f' | 'e')) => (&text[..text.len() - 1], Some(kind)),
            _ => (text, None),
        };
        let (width, precision) = match digits.split_once('.') {
            Some((width, precision)) => (width, Some(precision.parse().map_err(|_| unknown())?)),
            None => (digits, None),
        };
        let width = if width.is_empty() { 0 } else { width.parse().map_err(|_| unknown())? };
        Ok(Self { width, precision, kind })
    }

    fn write(self, value: f64) -> String {
        let Self { width, precision, kind } = self;
        match kind {
            Some('d') => format!("{:0width$}", value as i64),
            Some('e') => format!("{value:0width$.*e}", precision.unwrap_or(6)),
            Some(_) => format!("{value:0width$.*}", precision.unwrap_or(6)),
            None => match precision {
                Some(precision) => format!("{value:0width$.precision$}"),
                None => format!("{value:0width$}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pattern: &str, insert_names: bool) -> String {
        let state = TrainerState { epoch: 2, global_step: 40, ..TrainerState::default() };
        let metrics = [("val/loss".to_owned(), 0.123_456)].into();
        NamePattern::parse(pattern, insert_names).unwrap().name(&state, &metrics)
    }

    #[test]
    fn fields_are_written_as_lightning_writes_them() {
        assert_eq!(name("{epoch}-{step}", true), "epoch=2-step=40");
        assert_eq!(name("{epoch:03d}-{val/loss:.3f}", true), "epoch=002-val_loss=0.123");
        assert_eq!(name("run-{epoch:02d}-{val/loss:.2f}-end", false), "run-02-0.12-end");
        assert_eq!(name("{missing:d}", true), "missing=0");
        assert_eq!(name("plain", true), "plain");
    }

    #[test]
    fn a_pattern_that_cannot_be_read_says_what_is_wrong() {
        assert!(NamePattern::parse("{epoch", true).unwrap_err().contains("without its '}'"));
        assert!(NamePattern::parse("{epoch:x}", true).unwrap_err().contains("02d"));
        assert!(NamePattern::parse("", true).is_err());
    }
}
