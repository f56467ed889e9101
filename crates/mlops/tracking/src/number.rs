//! Metric values in JSON, as MLflow writes them: JSON has no NaN and no infinities, so these three are strings.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        value if value.is_nan() => serializer.serialize_str("NaN"),
        f64::INFINITY => serializer.serialize_str("Infinity"),
        f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
        value => serializer.serialize_f64(value),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Plain(f64),
        Named(String),
    }
    match Number::deserialize(deserializer)? {
        Number::Plain(value) => Ok(value),
        Number::Named(name) => match name.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(D::Error::custom(format!("{name:?} is no number; write NaN, Infinity or -Infinity"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Axis, Metric};

    fn round_trip(value: f64) -> f64 {
        let metric = Metric { key: "k".into(), value, timestamp: 1, step: -2, axis: Axis::Epoch };
        let text = serde_json::to_string(&metric).unwrap();
        serde_json::from_str::<Metric>(&text).unwrap().value
    }

    #[test]
    fn what_json_lacks_is_kept() {
        assert!(round_trip(f64::NAN).is_nan());
        assert_eq!(round_trip(f64::INFINITY), f64::INFINITY);
        assert_eq!(round_trip(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(round_trip(-0.0).is_sign_negative());
    }

    proptest! {
        #[test]
        fn every_number_comes_back_with_the_same_bits(value in any::<f64>().prop_filter("a number", |v| !v.is_nan())) {
            prop_assert_eq!(round_trip(value).to_bits(), value.to_bits());
        }
    }
}
