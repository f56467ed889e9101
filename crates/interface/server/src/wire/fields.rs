//! Reading requests as leniently as protobuf-JSON does: `snake_case` or `camelCase`, 64-bit numbers as texts, enums by
//! name or number, unknown fields ignored, `null` for absent (<https://protobuf.dev/programming-guides/json/>).

use serde_json::{Map, Value};

use super::parse_query;
use crate::frame::ApiError;

/// A request's message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    map: Map<String, Value>,
    from_query: bool,
}

impl Message {
    /// From the query string and the body, of which there is rarely more than one.
    pub(crate) fn parse(query: Option<&str>, body: &[u8]) -> Result<Self, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { map: parse_query(query.unwrap_or_default())?, from_query: true });
        }
        let fault = |error| ApiError::invalid(format!("the request's body is not JSON: {error}"));
        let mut value: Value = serde_json::from_slice(body).map_err(fault)?;
        // Older clients encode twice.
        if let Value::String(text) = &value {
            value = serde_json::from_str(text).map_err(fault)?;
        }
        match value {
            Value::Object(map) => Ok(Self { map, from_query: false }),
            Value::Null => Ok(Self::default()),
            _ => Err(ApiError::invalid("the request's body is not a JSON object")),
        }
    }

    /// Adds a field from the path, which counts more than one of the same name.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.map.insert(name.to_owned(), Value::String(value));
    }

    /// The fields.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields { map: &self.map, from_query: self.from_query, place: None }
    }
}

/// The fields of a message, or of a message in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    from_query: bool,
    /// The list that the message stands in, and its number there.
    place: Option<(&'static str, usize)>,
}

impl<'a> Fields<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        let value = self.map.get(name).or_else(|| {
            let camel =
                name.contains('_').then(|| self.map.iter().find(|(key, _)| is_camel_case_of(key, name)));
            camel.flatten().map(|(_, value)| value)
        });
        value.filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>, ApiError> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(name, "a text", value)))
            .transpose()
    }

    /// A text that is there and not empty.
    pub(crate) fn required(self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| self.missing(name))
    }

    /// A text; empty counts as absent, as protobuf cannot tell the two apart.
    pub(crate) fn some_text(self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// The id of a run, also under its old name.
    pub(crate) fn run_id(self) -> Result<&'a str, ApiError> {
        match self.text("run_id")?.filter(|id| !id.is_empty()) {
            Some(id) => Ok(id),
            None => self.text("run_uuid")?.filter(|id| !id.is_empty()).ok_or_else(|| self.missing("run_id")),
        }
    }

    /// A whole number of 64 bits.
    pub(crate) fn integer(self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(name, "a whole number of 64 bits", value))
    }

    /// A number of things, not negative.
    pub(crate) fn count(self, name: &str) -> Result<Option<usize>, ApiError> {
        let number = self.integer(name)?;
        let count = |number: i64| {
            usize::try_from(number).map_err(|_| self.wrong(name, "0 or more", &Value::from(number)))
        };
        number.map(count).transpose()
    }

    /// A number, `"NaN"`, `"Infinity"`, `"-Infinity"`.
    pub(crate) fn number(self, name: &str) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                // Rust reads `inf` and `nan` too, which protobuf does not.
                text if text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) => text.parse().ok(),
                _ => None,
            },
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(name, "a number", value))
    }

    /// A yes or no.
    pub(crate) fn flag(self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if self.from_query && text.eq_ignore_ascii_case("true") => {
                Ok(Some(true))
            }
            Some(Value::String(text)) if self.from_query && text.eq_ignore_ascii_case("false") => {
                Ok(Some(false))
            }
            Some(value) => Err(self.wrong(name, "true or false", value)),
        }
    }

    /// One of the names of an enum, or its number.
    pub(crate) fn choice<T: Copy>(
        self,
        name: &str,
        choices: &[(&str, i64, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let chosen = choices.iter().find(|(word, number, _)| match value {
            Value::String(text) => text == word || (self.from_query && text.parse() == Ok(*number)),
            value => value.as_i64() == Some(*number),
        });
        chosen.map(|(_, _, choice)| Some(*choice)).ok_or_else(|| {
            let words = choices.iter().map(|(word, _, _)| *word).collect::<Vec<_>>();
            self.wrong(name, &format!("one of {}", words.join(", ")), value)
        })
    }

    /// A list of texts.
    pub(crate) fn texts(self, name: &str) -> Result<Vec<String>, ApiError> {
        let as_text = |value: &Value| {
            value.as_str().map(str::to_owned).ok_or_else(|| self.wrong(name, "a list of texts", value))
        };
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(as_text).collect(),
            Some(value) if self.from_query => Ok(vec![as_text(value)?]),
            Some(value) => Err(self.wrong(name, "a list of texts", value)),
        }
    }

    /// A message inside.
    pub(crate) fn object(self, name: &str) -> Result<Option<Fields<'a>>, ApiError> {
        self.get(name).map(|value| self.inside(name, value, self.place)).transpose()
    }

    /// A list of messages, each read by `read`.
    pub(crate) fn objects<T>(
        self,
        name: &'static str,
        mut read: impl FnMut(Fields<'a>) -> Result<T, ApiError>,
    ) -> Result<Vec<T>, ApiError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                let numbered = values.iter().enumerate();
                numbered
                    .map(|(number, value)| self.inside(name, value, Some((name, number))).and_then(&mut read))
                    .collect()
            }
            Some(value) => Err(self.wrong(name, "a list", value)),
        }
    }

    fn inside(
        self,
        name: &str,
        value: &'a Value,
        place: Option<(&'static str, usize)>,
    ) -> Result<Fields<'a>, ApiError> {
        let map = value.as_object().ok_or_else(|| self.wrong(name, "an object", value))?;
        Ok(Fields { map, from_query: self.from_query, place })
    }

    /// The refusal of a request that lacks a field.
    pub(crate) fn missing(self, name: &str) -> ApiError {
        ApiError::invalid(format!("Missing value for required parameter '{}'.", self.path_of(name)))
    }

    /// The refusal of a request whose field has another value than is expected. What follows its colon is ours, what
    /// comes before it MLflow's.
    pub(crate) fn wrong(self, name: &str, expected: &str, found: &Value) -> ApiError {
        let mut shown = found.to_string();
        if let Some((end, _)) = shown.char_indices().nth(100) {
            shown.truncate(end);
            shown.push('…');
        }
        let path = self.path_of(name);
        ApiError::invalid(format!(
            "Invalid value {shown} for parameter '{path}' supplied: expected {expected}."
        ))
    }

    /// Where a field stands in its request, such as `metrics[3].timestamp`.
    fn path_of(self, name: &str) -> String {
        match self.place {
            Some((list, number)) => format!("{list}[{number}].{name}"),
            None => name.to_owned(),
        }
    }
}

/// A float that is a whole number, such as `5.0` or `1e3`.
fn whole(number: f64) -> Option<i64> {
    // Beyond 2^53 a float no longer tells which whole number was meant.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

fn is_camel_case_of(key: &str, name: &str) -> bool {
    let mut key = key.bytes();
    let mut upper = false;
    for byte in name.bytes() {
        if byte == b'_' {
            upper = true;
            continue;
        }
        let expected = if upper { byte.to_ascii_uppercase() } else { byte };
        upper = false;
        if key.next() != Some(expected) {
            return false;
        }
    }
    key.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(body: &str) -> Message {
        Message::parse(None, body.as_bytes()).unwrap()
    }

    #[test]
    fn names_come_in_both_cases() {
        for body in [r#"{"max_results": 3}"#, r#"{"maxResults": "3"}"#, r#"{"maxResults": 3.0}"#] {
            assert_eq!(message(body).fields().count("max_results").unwrap(), Some(3), "{body}");
        }
        assert_eq!(message(r#"{"max_results": null}"#).fields().count("max_results").unwrap(), None);
        assert_eq!(message(r#"{"maxresults": 3}"#).fields().count("max_results").unwrap(), None);
    }

    #[test]
    fn numbers_come_as_texts_too() {
        let fields = message(r#"{"a": "9223372036854775807", "b": "NaN", "c": "-Infinity", "d": "1.5"}"#);
        let fields = fields.fields();
        assert_eq!(fields.integer("a").unwrap(), Some(i64::MAX));
        assert!(fields.number("b").unwrap().unwrap().is_nan());
        assert_eq!(fields.number("c").unwrap(), Some(f64::NEG_INFINITY));
        assert_eq!(fields.number("d").unwrap(), Some(1.5));
    }

    #[test]
    fn wrong_types_are_refused() {
        let wrong = message(r#"{"a": 1e30, "b": "1.5", "c": [1], "d": {"x": 1}, "e": "nan", "f": true}"#);
        let fields = wrong.fields();
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert!(fields.integer(name).is_err(), "{name}");
            assert!(fields.objects(name, Ok).is_err(), "{name}");
        }
        assert!(fields.number("e").is_err() && fields.text("a").is_err() && fields.texts("c").is_err());
        assert!(fields.flag("a").is_err() && fields.flag("f").unwrap() == Some(true));
        assert!(fields.choice("a", &[("X", 1, ())]).is_err());
    }

    #[test]
    fn bodies_that_are_no_objects_are_refused() {
        for body in ["{", "[]", "1", "\"x\"", "{}x", &"[".repeat(20_000), "\u{feff}{}"] {
            assert!(Message::parse(None, body.as_bytes()).is_err(), "{body:.20}");
        }
        assert!(Message::parse(None, b"\xff{}").is_err());
        assert_eq!(message("\"{\\\"a\\\": \\\"x\\\"}\"").fields().required("a").unwrap(), "x");
    }

    #[test]
    fn refusals_say_where_in_a_list_a_field_stands() {
        let fields = message(r#"{"metrics": [{"key": "m"}, {"key": 1}, 2]}"#);
        let said = |number: usize| {
            let metrics = fields.fields().objects("metrics", |metric| {
                metric.required("key")?;
                if number == 0 { Err(metric.missing("timestamp")) } else { Ok(()) }
            });
            metrics.unwrap_err().message
        };
        assert_eq!(said(0), "Missing value for required parameter 'metrics[0].timestamp'.");
        assert_eq!(said(1), "Invalid value 1 for parameter 'metrics[1].key' supplied: expected a text.");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in ".{0,40}", query in "[a-c=&%+0-9]{0,20}") {
            if let Ok(message) = Message::parse(Some(&query), body.as_bytes()) {
                let fields = message.fields();
                let _ = (fields.text("a"), fields.integer("b"), fields.number("c"), fields.texts("a"), fields.objects("b", Ok));
            }
        }
    }
}
