//! Sizes, pixels and boxes as torchvision makes them: `tests/fixtures/torchvision_transforms.py` froze them.

use serde::Deserialize;
use serde_json::Value;

use super::random_resized_crop::tests::area;
use super::scaling::{Area, scale};
use super::testing::through;
use super::{ImageShape, Pixels};

#[derive(Deserialize)]
struct Frozen {
    levels: Vec<f64>,
    cases: Vec<Case>,
    boxes: Vec<Boxes>,
}

#[derive(Deserialize)]
struct Case {
    settings: Value,
    image: [usize; 2],
    /// Top, left, height and width of what is cut out.
    #[serde(rename = "box")]
    part: Option<[usize; 4]>,
    size: [usize; 2],
    pixels: String,
}

#[derive(Deserialize)]
struct Boxes {
    image: [usize; 2],
    quantiles: Quantiles,
}

#[derive(Deserialize)]
struct Quantiles {
    scale: Vec<f64>,
    ratio: Vec<f64>,
    top: Vec<f64>,
}

fn frozen() -> Frozen {
    serde_json::from_str(include_str!("../../tests/fixtures/torchvision_transforms.json")).unwrap()
}

/// The script's formula.
fn image([height, width]: [usize; 2]) -> Pixels<'static> {
    let shape = ImageShape { channels: 3, height, width };
    let value = |index: usize| {
        let (channel, x, y) = (index % 3, index / 3 % width, index / 3 / width);
        (((x * 7 + y * 13 + channel * 50) ^ (x * y / (channel + 1))) & 255) as u8
    };
    Pixels { shape, data: (0..shape.len()).map(value).collect::<Vec<_>>().into() }
}

#[test]
fn pixels_are_those_of_torchvision_to_one_level_of_255() {
    for case in frozen().cases {
        let mut largest = 0;
        let mut ours = image(case.image);
        if let Some([top, left, height, width]) = case.part {
            let interpolation = serde_json::from_value(case.settings["interpolation"].clone()).unwrap();
            scale(&mut ours, Area { top, left, height, width }, case.size, interpolation, true).unwrap();
        } else {
            ours = through(&case.settings.to_string(), ours, 0).unwrap();
        }
        assert_eq!(ours.shape.size(), case.size, "{}", case.settings);
        assert_eq!(ours.data.len() * 2, case.pixels.len());
        for (index, byte) in ours.data.iter().enumerate() {
            let theirs = u8::from_str_radix(&case.pixels[index * 2..index * 2 + 2], 16).unwrap();
            let difference = byte.abs_diff(theirs);
            largest = largest.max(difference);
        }
        // A cubic that enlarges overshoots and is cut off after each of its two passes, which Pillow does in the other order.
        let is_cubic = case.settings["interpolation"] == "bicubic";
        let bound = if is_cubic && case.part.is_some_and(|part| part[2] < case.size[0]) { 12 } else { 1 };
        assert!(largest <= bound, "{largest}: {} {:?} of {:?}", case.settings, case.part, case.image);
    }
}

#[test]
fn boxes_are_distributed_as_those_of_torchvision() {
    const DRAWS: u64 = 40_000;
    let frozen = frozen();
    assert_eq!(frozen.boxes.len(), 2);
    for Boxes { image: [height, width], quantiles } in frozen.boxes {
        let drawn: Vec<_> = (0..DRAWS).map(|seed| area([height, width], seed)).collect();
        let (mut scales, mut ratios, mut tops) = (Vec::new(), Vec::new(), Vec::new());
        for [top, left, h, w] in drawn {
            assert!(top + h <= height && left + w <= width);
            scales.push((h * w) as f64 / (height * width) as f64);
            ratios.push(w as f64 / h as f64);
            if h < height {
                tops.push(top as f64 / (height - h) as f64);
            }
        }
        let expected = [(scales, quantiles.scale), (ratios, quantiles.ratio), (tops, quantiles.top)];
        for (mut values, expected) in expected {
            values.sort_by(f64::total_cmp);
            for (level, expected) in frozen.levels.iter().zip(expected) {
                let found = values[(level * (values.len() - 1) as f64).round() as usize];
                // Four deviations of a median of so many draws are 0.01; pixels are of 1/100 at the coarsest.
                assert!((found - expected).abs() < 0.015, "{height}x{width} at {level}: {found}, {expected}");
            }
        }
    }
}
