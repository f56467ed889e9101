//! What a network takes from the data where its settings leave it open.

use fulmen_base::DataSpec;
use fulmen_contracts::{Dim, Schema, schema};
use fulmen_registry::BuildError;

/// The batch that a network for images of `channels` asks for.
pub(crate) fn image_schema(channels: i64) -> Schema {
    schema! { image: f32["B", channels, "H", "W"] }
}

/// What every classifier gives.
pub(crate) fn logits_schema() -> Schema {
    schema! { logits: f32["B", "K"] }
}

/// Number of classes: as set, else as the data has it.
pub(crate) fn num_classes(set: Option<i64>, data: &DataSpec) -> Result<i64, BuildError> {
    let classes = set.or(data.num_classes).ok_or_else(|| {
        BuildError::setting(
            "num_classes",
            "the dataset does not say how many classes it has: set num_classes",
        )
    })?;
    positive("num_classes", classes)
}

/// Channels of the images: as set, else as the data has them.
pub(crate) fn channels(set: Option<i64>, data: &DataSpec) -> Result<i64, BuildError> {
    let channels = set.or_else(|| axis(data, 1)).ok_or_else(|| {
        BuildError::setting(
            "in_channels",
            "the dataset does not say how many channels its images have: set in_channels",
        )
    })?;
    positive("in_channels", channels)
}

/// Height and width of the images in pixels, for a network that is made for one size alone.
pub(crate) fn height_and_width(model: &str, data: &DataSpec) -> Result<(i64, i64), BuildError> {
    axis(data, 2).zip(axis(data, 3)).ok_or_else(|| {
        let promised =
            data.schema.get("image").map_or("no 'image'".to_owned(), |image| format!("'image: {image}'"));
        BuildError::setting(
            "",
            format!("{model} is built for one image size, and the dataset gives {promised}"),
        )
    })
}

/// A number that must be 1 or more.
pub(crate) fn positive(key: &str, value: i64) -> Result<i64, BuildError> {
    if value >= 1 {
        Ok(value)
    } else {
        Err(BuildError::setting(key, format!("{value} is out of range: it must be at least 1")))
    }
}

/// The size of an axis of the data's `image`.
fn axis(data: &DataSpec, axis: usize) -> Option<i64> {
    match data.schema.get("image")?.shape.get(axis)? {
        Dim::Fixed(size) => Some(*size),
        Dim::Named(_) => None,
    }
}
