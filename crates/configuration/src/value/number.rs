//! Numbers as Python reads and writes them; a configuration's text must not change on the way through.

use super::Value;

/// A float as Python's `repr` writes it: `1.0`, `1e-05`, `1e+16`, `inf`, `nan`.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let text = value.to_string();
        return if text.contains('.') { text } else { text + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// An integer value from decimal digits with an optional sign; any size.
pub fn int_from_decimal(text: &str) -> Value {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let signed = if negative && digits != "0" { format!("-{digits}") } else { digits.to_owned() };
    signed.parse().map_or_else(|_| Value::BigInt(signed.into()), Value::Int)
}

/// An integer value from digits of another radix; any size up to 128 bits, `None` beyond.
pub fn int_from_radix(digits: &str, radix: u32, negative: bool) -> Option<Value> {
    let magnitude = u128::from_str_radix(digits, radix).ok()?;
    let text = if negative { format!("-{magnitude}") } else { magnitude.to_string() };
    Some(int_from_decimal(&text))
}

/// The digits of `int(text)`, if Python's `int` accepts the text: outer blanks, a sign, single underscores.
pub fn python_int_digits(text: &str) -> Option<&str> {
    let text = text.trim_matches(python_space);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut previous_is_digit = false;
    for c in digits.chars() {
        match c {
            '_' if previous_is_digit => previous_is_digit = false,
            c if c.is_ascii_digit() => previous_is_digit = true,
            _ => return None,
        }
    }
    previous_is_digit.then_some(text)
}

/// `int(text)` as an index; `None` where it is no integer, negative, or beyond any list.
pub fn parse_python_int(text: &str) -> Option<usize> {
    match int_from_decimal(python_int_digits(text)?) {
        Value::Int(value) => usize::try_from(value).ok(),
        _ => None,
    }
}

/// `float(text)` of Python: blanks around, underscores between digits, `inf`, `infinity`, `nan`.
pub fn parse_python_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(python_space);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let special = ["inf", "infinity", "nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    if !special {
        let bytes = unsigned.as_bytes();
        let numeric = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-' | b'_');
        if !bytes.iter().all(numeric) || !bytes.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let between_digits = |i: usize| {
            i > 0 && bytes[i - 1].is_ascii_digit() && bytes.get(i + 1).is_some_and(u8::is_ascii_digit)
        };
        if bytes.iter().enumerate().any(|(i, b)| *b == b'_' && !between_digits(i)) {
            return None;
        }
    }
    text.replace('_', "").parse().ok()
}

/// Blanks that Python's `str.strip` takes away, as far as ASCII goes.
fn python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The value as a float, where it is a number or a boolean.
pub fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::BigInt(digits) => digits.parse().ok(),
        Value::Float(value) => Some(*value),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e300, "1.5e+300"),
            (-0.0, "-0.0"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn integers_keep_every_digit() {
        assert_eq!(int_from_decimal("1_000"), Value::Int(1000));
        assert_eq!(int_from_decimal("-9223372036854775808"), Value::Int(i64::MIN));
        assert_eq!(int_from_decimal("9223372036854775808"), Value::BigInt("9223372036854775808".into()));
    }

    #[test]
    fn python_floats_take_underscores_only_between_digits() {
        assert_eq!(parse_python_float("1_0.5"), Some(10.5));
        assert_eq!(parse_python_float("1__0"), None);
        assert_eq!(parse_python_float(" -Infinity "), Some(f64::NEG_INFINITY));
        assert_eq!(parse_python_float("e"), None);
    }
}
