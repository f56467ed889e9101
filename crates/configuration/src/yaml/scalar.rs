//! What a plain scalar means: PyYAML's YAML 1.1 rules with OmegaConf's own floats and no timestamps.

use std::borrow::Cow;

use crate::value::Value;
use crate::value::number::{int_from_decimal, int_from_radix};

/// What a plain scalar without a tag resolves to.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar {
    Value(Value),
    /// `<<`, the merge key.
    Merge,
    /// `=`, YAML 1.1's default key.
    Default,
}

/// Resolves a plain scalar.
pub(super) fn plain(text: &str) -> Scalar {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "<<" => return Scalar::Merge,
        "=" => return Scalar::Default,
        _ => match text.as_bytes()[0] {
            b'-' | b'+' | b'.' | b'0'..=b'9' => int(text)
                .or_else(|| is_float(text).then(|| float(text)).flatten())
                .unwrap_or_else(|| text.into()),
            b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => {
                bool_word(text).map_or_else(|| text.into(), Value::Bool)
            }
            _ => text.into(),
        },
    };
    Scalar::Value(value)
}

/// Whether the text reads back as something else than a string, by PyYAML's own (not OmegaConf's) rules;
/// its writer then quotes.
pub(super) fn pyyaml_resolves(text: &str) -> bool {
    match text.as_bytes().first() {
        None => true,
        Some(b'-' | b'+' | b'.' | b'0'..=b'9') => {
            int(text).is_some() || is_pyyaml_float(text) || is_timestamp(text)
        }
        _ => !matches!(plain(text), Scalar::Value(Value::Str(_))),
    }
}

/// `true`, `yes`, `on` and their opposites, in the three usual casings.
fn bool_word(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// The value of a scalar tagged `!!bool`, in any casing.
pub(super) fn tagged_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// The value of an integer scalar: decimal, `0b`, `0x`, octal with a leading zero, base 60.
fn int(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let bytes = digits.as_bytes();
    let all = |rest: &[u8], ok: fn(&u8) -> bool| !rest.is_empty() && rest.iter().all(|b| *b == b'_' || ok(b));
    let matches = match bytes {
        [b'0'] => true,
        [b'0', b'b', rest @ ..] => all(rest, |b| matches!(b, b'0' | b'1')),
        [b'0', b'x', rest @ ..] => all(rest, u8::is_ascii_hexdigit),
        [b'0', rest @ ..] => all(rest, |b| matches!(b, b'0'..=b'7')),
        [b'1'..=b'9', ..] => {
            let mut parts = digits.split(':');
            let head = parts.next().unwrap_or_default();
            head.bytes().all(|b| b.is_ascii_digit() || b == b'_') && parts.all(is_base60_digit)
        }
        _ => false,
    };
    matches.then(|| tagged_int(text)).flatten()
}

/// The value of a scalar tagged `!!int`.
pub(super) fn tagged_int(text: &str) -> Option<Value> {
    let text = without_underscores(text);
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if digits == "0" {
        return Some(Value::Int(0));
    }
    if let Some(digits) = digits.strip_prefix("0b") {
        return int_from_radix(digits, 2, negative);
    }
    if let Some(digits) = digits.strip_prefix("0x") {
        return int_from_radix(digits, 16, negative);
    }
    if digits.starts_with('0') {
        return int_from_radix(digits, 8, negative);
    }
    if digits.contains(':') {
        let mut total: i64 = 0;
        for part in digits.split(':') {
            total = total.checked_mul(60)?.checked_add(part.parse().ok()?)?;
        }
        return Some(Value::Int(if negative { -total } else { total }));
    }
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    decimal.then(|| int_from_decimal(&text))
}

fn is_base60_digit(part: &str) -> bool {
    matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
}

/// Whether OmegaConf's loader takes the text for a float.
fn is_float(text: &str) -> bool {
    is_pyyaml_float(text) || is_omegaconf_float(text)
}

/// PyYAML's own float: a point, and an exponent only with a sign.
fn is_pyyaml_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let digit_or_underscore = |b: u8| b.is_ascii_digit() || b == b'_';
    if let Some(rest) = text.strip_prefix('.') {
        let (fraction, exponent) = split_exponent(rest);
        return rest.starts_with(|c: char| c.is_ascii_digit())
            && fraction.bytes().all(digit_or_underscore)
            && exponent.is_none_or(is_signed_exponent);
    }
    let Some((whole, rest)) = unsigned.split_once('.') else { return false };
    if !whole.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    if whole.contains(':') {
        return is_base60_float(whole, rest);
    }
    let (fraction, exponent) = split_exponent(rest);
    whole.bytes().all(digit_or_underscore)
        && fraction.bytes().all(digit_or_underscore)
        && exponent.is_none_or(is_signed_exponent)
}

/// OmegaConf's float: `1e3` and `1.e3` as well, and underscores only between digits.
fn is_omegaconf_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = split_exponent(unsigned);
    match mantissa.split_once('.') {
        Some(("", _)) | None if exponent.is_none() => false,
        Some(("", _)) => false,
        Some((whole, fraction)) => {
            is_grouped_digits(whole)
                && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
                && exponent.is_none_or(is_exponent)
        }
        None => is_grouped_digits(mantissa) && exponent.is_some_and(is_exponent),
    }
}

fn is_base60_float(whole: &str, fraction: &str) -> bool {
    let mut parts = whole.split(':');
    parts.next().is_some_and(|head| head.bytes().all(|b| b.is_ascii_digit() || b == b'_'))
        && parts.all(is_base60_digit)
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

fn split_exponent(text: &str) -> (&str, Option<&str>) {
    match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    }
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_signed_exponent(text: &str) -> bool {
    text.starts_with(['-', '+']) && is_exponent(text)
}

/// `[0-9]+(_[0-9]+)*`
fn is_grouped_digits(text: &str) -> bool {
    text.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()))
}

/// The value of a scalar that is a float, or is tagged `!!float`.
pub(super) fn float(text: &str) -> Option<Value> {
    let text = without_underscores(text).to_ascii_lowercase();
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let magnitude = match unsigned {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if unsigned.contains(':') => {
            // The order of operations is PyYAML's, for the last bit's sake.
            let mut base = 1.0;
            let mut total = 0.0;
            for part in unsigned.rsplit(':') {
                total += part.parse::<f64>().ok()? * base;
                base *= 60.0;
            }
            total
        }
        _ => crate::value::number::parse_python_float(unsigned)?,
    };
    Some(Value::Float(sign * magnitude))
}

/// A date or a date with a time, which PyYAML's writer quotes.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    if bytes.len() == 10 {
        return digits(0..4) && bytes[4] == b'-' && digits(5..7) && bytes[7] == b'-' && digits(8..10);
    }
    is_long_timestamp(text).is_some()
}

/// `2024-1-2 3:04:05.5 +01:00`, in the variants of YAML 1.1.
fn is_long_timestamp(text: &str) -> Option<()> {
    let number = |rest: &mut &str, least: usize, most: usize| -> Option<()> {
        let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        (count >= least).then(|| *rest = &rest[count..])
    };
    let mut rest = text;
    number(&mut rest, 4, 4)?;
    rest = rest.strip_prefix('-')?;
    number(&mut rest, 1, 2)?;
    rest = rest.strip_prefix('-')?;
    number(&mut rest, 1, 2)?;
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest = if blanks > 0 { &rest[blanks..] } else { rest.strip_prefix(['T', 't'])? };
    number(&mut rest, 1, 2)?;
    rest = rest.strip_prefix(':')?;
    number(&mut rest, 2, 2)?;
    rest = rest.strip_prefix(':')?;
    number(&mut rest, 2, 2)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    if rest.is_empty() {
        return Some(());
    }
    rest = rest.trim_start_matches([' ', '\t']);
    if rest == "Z" {
        return Some(());
    }
    rest = rest.strip_prefix(['-', '+'])?;
    number(&mut rest, 1, 2)?;
    if let Some(minutes) = rest.strip_prefix(':') {
        rest = minutes;
        number(&mut rest, 2, 2)?;
    }
    rest.is_empty().then_some(())
}

fn without_underscores(text: &str) -> Cow<'_, str> {
    if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Value) {
        assert_eq!(plain(text), Scalar::Value(expect), "{text}");
    }

    #[test]
    fn floats_are_omegaconfs() {
        for (text, value) in
            [("1e3", 1e3), ("1.e3", 1e3), (".5", 0.5), ("5.", 5.0), ("+1e3", 1e3), ("1_0.5", 10.5)]
        {
            check(text, Value::Float(value));
        }
        for text in [".5e3", "+.5", "1e", "e3", "inf", "nan", "1__0e3", "."] {
            check(text, text.into());
        }
        check("190:20:30.15", Value::Float(685_230.15));
    }

    #[test]
    fn integers_are_yaml_1_1() {
        for (text, value) in [
            ("010", 8),
            ("0x10", 16),
            ("0b11", 3),
            ("1_000", 1000),
            ("12:30:45", 45045),
            ("1:20", 80),
            ("0_1", 1),
        ] {
            check(text, Value::Int(value));
        }
        for text in ["08", "0o7", "60:61", "1:2:", "-", "+"] {
            check(text, text.into());
        }
    }

    #[test]
    fn booleans_come_in_three_casings() {
        check("Yes", Value::Bool(true));
        check("OFF", Value::Bool(false));
        check("y", "y".into());
        check("tRue", "tRue".into());
    }

    #[test]
    fn dates_are_strings_that_the_writer_quotes() {
        check("2024-01-02", "2024-01-02".into());
        assert!(pyyaml_resolves("2024-01-02"));
        assert!(pyyaml_resolves("2024-01-02 03:04:05.5 +1:00"));
        assert!(!pyyaml_resolves("2024-1-2"));
        assert!(!pyyaml_resolves("1.2.3"));
    }
}
