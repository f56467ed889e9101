//! Page tokens: the place in the order where the next page begins, and a mark of the search that they belong to.

use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use crate::TrackingError;

#[derive(Debug, Serialize, Deserialize)]
struct Token {
    /// CRC-32 of the search.
    search: u32,
    /// Values of the order's columns in the last row of the page before.
    last: Vec<Cell>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Cell {
    Null,
    Integer(i64),
    /// The bits of a number, which may be infinite.
    Real(u64),
    Text(String),
}

/// A token for the page after the row with the values `last`.
pub(super) fn encode(search: &str, last: &[Value]) -> String {
    let last = last.iter().map(|value| match value {
        Value::Integer(number) => Cell::Integer(*number),
        Value::Real(number) => Cell::Real(number.to_bits()),
        Value::Text(text) => Cell::Text(text.clone()),
        Value::Null | Value::Blob(_) => Cell::Null,
    });
    let token = Token { search: crc32fast::hash(search.as_bytes()), last: last.collect() };
    // A tree of numbers and texts always has a JSON form.
    let json = serde_json::to_vec(&token).unwrap_or_default();
    json.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The values in a token, of which there have to be `columns`.
pub(super) fn decode(search: &str, token: &str, columns: usize) -> Result<Vec<Value>, TrackingError> {
    let digits: Vec<u32> = token.chars().map_while(|digit| digit.to_digit(16)).collect();
    if digits.len() != token.len() || digits.len() % 2 == 1 {
        return Err(TrackingError::PageToken);
    }
    // Two hexadecimal digits are one byte.
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    let token: Token = serde_json::from_slice(&bytes).map_err(|_| TrackingError::PageToken)?;
    if token.search != crc32fast::hash(search.as_bytes()) || token.last.len() != columns {
        return Err(TrackingError::PageToken);
    }
    let last = token.last.into_iter().map(|cell| match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::Integer(number),
        Cell::Real(bits) => Value::Real(f64::from_bits(bits)),
        Cell::Text(text) => Value::Text(text),
    });
    Ok(last.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_its_values_to_its_own_search_only() {
        let values =
            vec![Value::Null, Value::Integer(-3), Value::Real(f64::INFINITY), Value::Text("ü'\"".into())];
        let token = encode("a", &values);
        assert_eq!(decode("a", &token, 4).unwrap(), values);
        assert!(decode("b", &token, 4).is_err());
        assert!(decode("a", &token, 3).is_err());
        for wrong in ["", "0", "zz", "00", "ü", &token[2..]] {
            assert!(matches!(decode("a", wrong, 4), Err(TrackingError::PageToken)), "{wrong}");
        }
    }
}
