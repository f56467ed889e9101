//! Transforms as a run builds them.

use fulmen_registry::{BuildError, registry};
use fulmen_utils::Address;

use super::{Image, ImageShape, Pixels, Transform, TransformKind};

fn build(settings: &str, shape: ImageShape) -> Result<Transform, BuildError> {
    let settings = serde_json::from_str(settings).unwrap();
    registry().unwrap().build::<TransformKind>(&settings, shape.channels)
}

/// The image whose bytes are `first` and those that follow, over and over, through the transform that `settings` describe, drawn at
/// `seed`.
pub(super) fn pixels(settings: &str, shape: ImageShape, first: usize, seed: u64) -> Pixels<'static> {
    let data = (first..first + shape.len()).map(|value| value as u8).collect::<Vec<_>>();
    through(settings, Pixels { shape, data: data.into() }, seed).unwrap()
}

/// An image through the transform on bytes that `settings` describe.
pub(super) fn through<'a>(
    settings: &str,
    mut image: Pixels<'a>,
    seed: u64,
) -> Result<Pixels<'a>, BuildError> {
    let Transform::Pixels(transform) = build(settings, image.shape)? else {
        panic!("{settings}: not on bytes")
    };
    let before = image.shape.size();
    transform.apply(&mut image, &mut Address::root(seed).draws()).unwrap();
    assert_eq!(image.data.len(), image.shape.len());
    assert_eq!(transform.size(Some(before)), Some(image.shape.size()));
    Ok(image)
}

/// The values, channel by channel, of the image whose bytes or numbers are 0, 1, 2 … in that order, through the transform.
pub(super) fn applied(settings: &str, shape: ImageShape, seed: u64) -> Result<Vec<f32>, BuildError> {
    let mut image = Image { shape, data: (0..shape.len()).map(|value| value as f32).collect() };
    let mut draws = Address::root(seed).draws();
    match build(settings, shape)? {
        Transform::Values(transform) => transform.apply(&mut image, &mut draws),
        Transform::Normalize(normalize) => super::ImageTransform::apply(&normalize, &mut image, &mut draws),
        Transform::Pixels(_) => {
            assert!(shape.len() <= 256);
            let data: Vec<u8> = (0..shape.plane())
                .flat_map(|pixel| (0..shape.channels).map(move |channel| channel * shape.plane() + pixel))
                .map(|value| value as u8)
                .collect();
            let image = through(settings, Pixels { shape, data: data.into() }, seed)?;
            let channels = image.shape.channels;
            return Ok((0..channels)
                .flat_map(|channel| image.data.iter().skip(channel).step_by(channels))
                .map(|&byte| f32::from(byte))
                .collect());
        }
    }
    assert_eq!(image.data.len(), shape.len());
    Ok(image.data)
}
