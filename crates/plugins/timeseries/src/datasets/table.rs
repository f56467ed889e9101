//! Columns of numbers in a CSV file (RFC 4180) with a header.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};
use fulmen_base::{Error, Result};
use fulmen_utils::nearest;

/// Columns of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// Their names, in order.
    pub(super) columns: Vec<String>,
    /// Row after row.
    pub(super) values: Vec<f64>,
}

impl Table {
    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns.len().max(1)
    }

    /// Reads the columns `wanted`; where it is none, all that hold a number anywhere.
    pub(super) fn read(path: &Path, wanted: Option<&[String]>) -> Result<Self> {
        let unreadable = |error: csv::Error| Error::data(path, describe(&error));
        let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?.clone();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        if rows.is_empty() {
            return Err(Error::data(path, "has no rows: expected a header and below it one row a step"));
        }
        let indices = match wanted {
            Some(wanted) => {
                wanted.iter().map(|name| find(path, &header, name)).collect::<Result<Vec<_>>>()?
            }
            None => (0..header.len())
                .filter(|&index| rows.iter().any(|row| number(&row[index]).is_some()))
                .collect(),
        };
        if indices.is_empty() {
            return Err(Error::data(path, "has no column of numbers: expected at least one"));
        }
        let mut values = Vec::with_capacity(rows.len() * indices.len());
        for row in &rows {
            for &index in &indices {
                values.push(number(&row[index]).ok_or_else(|| {
                    let line = row.position().map_or(0, csv::Position::line);
                    let (name, text) = (&header[index], &row[index]);
                    let what = if text.is_empty() { "is empty".into() } else { format!("is '{text}'") };
                    Error::data(path, format!("line {line}: '{name}' {what}, expected a number; fill it in, or leave the column out of dataset.columns"))
                })?);
            }
        }
        let columns = indices.iter().map(|&index| header[index].to_owned()).collect();
        Ok(Self { columns, values })
    }
}

/// Where the column `name` stands.
fn find(path: &Path, header: &StringRecord, name: &str) -> Result<usize> {
    let mut found = header.iter().enumerate().filter(|(_, known)| *known == name).map(|(index, _)| index);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (Some(_), Some(_)) => {
            Err(Error::data(path, format!("has two columns called '{name}': rename one of them")))
        }
        (None, _) => {
            let known: Vec<_> = header.iter().collect();
            let hint = nearest::hint(name, known.iter().copied());
            Err(Error::data(path, format!("has no column '{name}'{hint}; there are {}", known.join(", "))))
        }
    }
}

/// A finite number.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn describe(error: &csv::Error) -> String {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Io(error) => format!("cannot be read: {error}"),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("line {line} has {len} values, and the header has {expected_len} names")
        }
        csv::ErrorKind::Utf8 { .. } => {
            format!("line {line} has bytes that are no character: convert the file to UTF-8")
        }
        _ => format!("is no CSV file that can be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(bytes: &[u8], wanted: Option<&[&str]>) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("series.csv");
        fs::write(&file, bytes).unwrap();
        let wanted: Option<Vec<_>> = wanted.map(|names| names.iter().map(ToString::to_string).collect());
        Table::read(&file, wanted.as_deref()).map_err(|error| {
            let message = error.to_string();
            assert!(message.contains("series.csv"), "{message}");
            message
        })
    }

    #[test]
    fn columns_of_numbers_are_found_and_dates_are_left_out() {
        let text = b"date,a,\"b, c\"\r\n2016-07-01, 1,2.5\r\n2016-07-02,-3e2,0\r\n";
        let table = read(text, None).unwrap();
        assert_eq!((table.columns.as_slice(), table.rows()), (["a".to_owned(), "b, c".into()].as_slice(), 2));
        assert_eq!(table.values, [1.0, 2.5, -300.0, 0.0]);
        assert_eq!(read(text, Some(&["b, c", "a"])).unwrap().values, [2.5, 1.0, 0.0, -300.0]);
    }

    #[test]
    fn each_fault_of_a_file_is_named() {
        let faults: [(&[u8], &str); 9] = [
            (b"", "no rows"),
            (b"a,b\n", "no rows"),
            (b"a,b\nx,y\n", "no column of numbers"),
            (b"a,b\n1,2\n1\n", "line 3 has 1 values, and the header has 2"),
            (b"a,b\n1,2\n,2\n", "line 3: 'a' is empty"),
            (b"a,b\n1,2\n1,two\n", "line 3: 'b' is 'two'"),
            (b"a,b\n1,2\n1,NaN\n", "line 3: 'b' is 'NaN'"),
            (b"a,b\n1,2\n1,inf\n", "line 3: 'b' is 'inf'"),
            (b"a,b\n1,2\n\xff,2\n", "line 3 has bytes that are no character"),
        ];
        for (bytes, expected) in faults {
            let message = read(bytes, None).unwrap_err();
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let message = read(b"load,temp\n1,2\n", Some(&["tmep"])).unwrap_err();
        assert!(message.contains("did you mean 'temp'?") && message.contains("load, temp"), "{message}");
        assert!(read(b"a,a\n1,2\n", Some(&["a"])).unwrap_err().contains("two columns called 'a'"));
        assert!(
            Table::read(Path::new("/no/series.csv"), None)
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
    }
}
