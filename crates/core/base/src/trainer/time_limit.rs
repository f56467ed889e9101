//! Lengths of time, as Lightning's users write them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time: `DD:HH:MM:SS`, or `{days: 1, hours: 2, minutes: 3, seconds: 4}` with any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub Duration);

impl TimeLimit {
    fn parse(text: &str) -> Option<Self> {
        let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
        let [days, hours, minutes, seconds] = parts?.try_into().ok()?;
        Some(Self::of(days, hours, minutes, seconds))
    }

    const fn of(days: u64, hours: u64, minutes: u64, seconds: u64) -> Self {
        let hours = days.saturating_mul(24).saturating_add(hours);
        let minutes = hours.saturating_mul(60).saturating_add(minutes);
        Self(Duration::from_secs(minutes.saturating_mul(60).saturating_add(seconds)))
    }
}

impl std::fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
        write!(f, "{days:02}:{:02}:{:02}:{:02}", hours % 24, minutes % 60, seconds % 60)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Parts(Parts),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Parts {
    days: u64,
    hours: u64,
    minutes: u64,
    seconds: u64,
}

impl<'de> Deserialize<'de> for TimeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "DD:HH:MM:SS, as in 00:12:00:00 for twelve hours, or {hours: 12}";
        match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) => Self::parse(&text)
                .ok_or_else(|| D::Error::custom(format!("'{text}' is no time: write {EXPECTED}"))),
            Ok(Written::Parts(Parts { days, hours, minutes, seconds })) => {
                Ok(Self::of(days, hours, minutes, seconds))
            }
            Err(_) => Err(D::Error::custom(format!("no time: write {EXPECTED}"))),
        }
    }
}

impl Serialize for TimeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for TimeLimit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let part = json_schema!({"type": "integer", "minimum": 0});
        json_schema!({"anyOf": [
            {"type": "string", "pattern": "^[0-9]+:[0-9]+:[0-9]+:[0-9]+$", "description": "DD:HH:MM:SS"},
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {"days": part, "hours": part, "minutes": part, "seconds": part},
            },
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<TimeLimit, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn days_hours_minutes_seconds_in_either_form() {
        assert_eq!(read(json!("01:02:03:04")).unwrap().0.as_secs(), 93_784);
        assert_eq!(
            read(json!({"days": 1, "hours": 2, "minutes": 3, "seconds": 4})).unwrap().0.as_secs(),
            93_784
        );
        assert_eq!(read(json!({"minutes": 90})).unwrap().to_string(), "00:01:30:00");
        assert!(read(json!("12:00")).unwrap_err().contains("DD:HH:MM:SS"));
        assert!(read(json!(5)).unwrap_err().contains("DD:HH:MM:SS"));
    }
}
