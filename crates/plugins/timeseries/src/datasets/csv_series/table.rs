//! A CSV file with a header, whose faults are named by line and column.

use std::path::{Path, PathBuf};

use csv::{Reader, StringRecord};
use fulmen_base::{Error, Result};
use fulmen_utils::nearest;

#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<StringRecord>,
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let wrong = |error: csv::Error| Error::data(path, format!("cannot be read as CSV: {error}"));
        let mut reader = Reader::from_path(path).map_err(wrong)?;
        let header: Vec<String> =
            reader.headers().map_err(wrong)?.iter().map(|name| name.trim().to_owned()).collect();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        if header.is_empty() || rows.is_empty() {
            return Err(Error::data(path, "has no rows: expected a header and one row a moment"));
        }
        Ok(Self { path: path.to_path_buf(), header, rows })
    }

    /// The columns whose first value is a number.
    pub(super) fn numeric_columns(&self) -> Result<Vec<String>> {
        let first = self.rows.first().into_iter().flat_map(StringRecord::iter);
        let names: Vec<String> = self
            .header
            .iter()
            .zip(first)
            .filter(|(_, value)| value.trim().parse::<f64>().is_ok())
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            let message = format!("has no column of numbers; its columns are {}", self.header.join(", "));
            return Err(Error::data(&self.path, message));
        }
        Ok(names)
    }

    /// The values of `columns`, row after row.
    pub(super) fn numbers(&self, columns: &[String]) -> Result<Vec<f64>> {
        let places = columns
            .iter()
            .map(|name| {
                self.header.iter().position(|known| known == name).ok_or_else(|| {
                    let hint = nearest::hint(name, self.header.iter().map(String::as_str));
                    let message =
                        format!("has no column '{name}'{hint}; its columns are {}", self.header.join(", "));
                    Error::data(&self.path, message)
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut values = Vec::with_capacity(self.rows.len() * columns.len());
        for row in &self.rows {
            for &place in &places {
                let text = row.get(place).unwrap_or_default().trim();
                let value = text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| {
                    let line = row.position().map_or(0, csv::Position::line);
                    Error::data(
                        &self.path,
                        format!(
                            "line {line}, column '{}': expected a number, found '{text}'",
                            self.header[place]
                        ),
                    )
                })?;
                values.push(value);
            }
        }
        Ok(values)
    }
}
