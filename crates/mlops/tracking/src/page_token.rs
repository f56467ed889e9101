//! Page tokens: the place in the order where the next page begins, and a mark of the search that they belong to.

use serde::{Deserialize, Serialize};

use crate::TrackingError;

#[derive(Debug, Serialize, Deserialize)]
struct Token {
    /// CRC-32 of the search.
    search: u32,
    /// Values of the order's columns in the last row of the page before.
    last: Vec<Cell>,
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cell {
    /// The row lacks it.
    Null,
    Integer(i64),
    /// The bits of a number, which may be infinite.
    Real(u64),
    Text(String),
}

/// A token for the page after the row with the values `last`.
pub(crate) fn encode(search: &str, last: Vec<Cell>) -> String {
    let token = Token { search: crc32fast::hash(search.as_bytes()), last };
    // A tree of numbers and texts always has a JSON form.
    let json = serde_json::to_vec(&token).unwrap_or_default();
    json.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The values in a token, of which there have to be `columns`.
pub(crate) fn decode(search: &str, token: &str, columns: usize) -> Result<Vec<Cell>, TrackingError> {
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
    Ok(token.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_its_values_to_its_own_search_only() {
        let infinity = f64::INFINITY.to_bits();
        let values = vec![Cell::Null, Cell::Integer(-3), Cell::Real(infinity), Cell::Text("ü'\"".into())];
        let token = encode("a", values.clone());
        assert_eq!(decode("a", &token, 4).unwrap(), values);
        assert!(decode("b", &token, 4).is_err());
        assert!(decode("a", &token, 3).is_err());
        for wrong in ["", "0", "zz", "00", "ü", &token[2..]] {
            assert!(matches!(decode("a", wrong, 4), Err(TrackingError::PageToken)), "{wrong}");
        }
    }
}
