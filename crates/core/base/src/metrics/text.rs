//! How near written texts are to those that would have been right.

mod bleu;
mod error_rate;
mod ngrams;
mod rouge;
mod tokenizer_13a;

use crate::{Error, Observation, ObservationKind, Result};

/// Predictions, each with its references.
fn texts(observation: &Observation) -> Result<impl Iterator<Item = (&str, &[String])>> {
    let Observation::Texts { predictions, references } = observation else {
        return Err(observation.is_no(ObservationKind::Texts));
    };
    if predictions.len() != references.len() {
        let (predictions, references) = (predictions.len(), references.len());
        return Err(Error::Metric(format!(
            "{predictions} texts were written, and {references} have references"
        )));
    }
    if references.iter().any(Vec::is_empty) {
        return Err(Error::Metric("a text has no reference: it needs one at least".to_owned()));
    }
    Ok(predictions.iter().map(String::as_str).zip(references.iter().map(Vec::as_slice)))
}
