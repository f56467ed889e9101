//! Ways into a batch, and lists of transforms that cannot be.

use fulmen_registry::registry;
use serde_json::{Value, json};

use super::*;
use crate::datasets::image_set::ImagesInMemory;

const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 3 };

fn dataset(transforms: Option<Value>, augmentations: Value) -> ImageDataset {
    let list = |value| serde_json::from_value::<Vec<Component<TransformKind>>>(value).unwrap();
    let own = Normalize::new(&[0.5], &[0.5], 1).unwrap();
    let pipeline = Pipeline::build(
        SHAPE,
        own,
        transforms.map(list).as_deref(),
        &list(augmentations),
        registry().unwrap(),
    );
    ImageDataset {
        source: Arc::new(ImagesInMemory::new(SHAPE, vec![0, 51, 255, 255, 255, 0])),
        labels: Some(Arc::new(vec![7, 8])),
        samples: vec![1, 0],
        pipeline: Arc::new(pipeline.unwrap()),
        augment: true,
    }
}

fn first(dataset: &ImageDataset, index: usize, seed: u64) -> Vec<f32> {
    let batch = dataset.batch(&[index], Address::root(seed)).unwrap();
    Vec::try_from(batch.get("image").unwrap().view([-1])).unwrap()
}

fn close(values: &[f32], expected: &[f32]) -> bool {
    values.len() == expected.len() && values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[test]
fn both_ways_into_a_batch_normalise_alike() {
    let flip = json!([{"_target_": "vision.random_horizontal_flip", "p": 0.0}]);
    let expected = [-1.0, -0.6, 1.0];
    assert!(close(&first(&dataset(None, json!([])), 1, 0), &expected));
    assert!(close(&first(&dataset(None, flip), 1, 0), &expected));
    assert!(close(&first(&dataset(Some(json!([])), json!([])), 1, 0), &[0.0, 0.2, 1.0]));
}

#[test]
fn what_is_drawn_for_a_sample_depends_on_its_index_and_on_nothing_else() {
    let flip = json!([{"_target_": "vision.random_horizontal_flip"}]);
    let dataset = dataset(None, flip);
    let together = dataset.batch(&[0, 1], Address::root(3)).unwrap();
    let second: Vec<f32> = Vec::try_from(together.get("image").unwrap().get(1).view([-1])).unwrap();
    assert_eq!(second, first(&dataset, 1, 3));
    assert!((0..20).any(|seed| first(&dataset, 1, seed) != second));
    assert_eq!(together.schema().to_string(), "{image: f32[2, 1, 1, 3], label: i64[2]}");
    assert_eq!(Vec::<i64>::try_from(together.get("label").unwrap()).unwrap(), [8, 7]);
}

#[test]
fn a_wrong_transform_is_named_by_its_place() {
    let list = serde_json::from_value::<Vec<Component<TransformKind>>>(
        json!([{"_target_": "vision.normalize", "mean": [0, 0], "std": [1]}]),
    );
    let own = Normalize::new(&[0.5], &[0.5], 1).unwrap();
    let error = Pipeline::build(SHAPE, own, None, &list.unwrap(), registry().unwrap()).unwrap_err();
    assert_eq!(error.key_below("dataset"), "dataset.augmentations[0].mean");
}

/// For files that are brought to 1×3 where nothing brings them to another size.
fn for_files(transforms: Option<Value>, augmentations: Value) -> Result<Pipeline, BuildError> {
    let list = |value| serde_json::from_value::<Vec<Component<TransformKind>>>(value).unwrap();
    let own = Normalize::new(&[0.5], &[0.5], 1).unwrap();
    Pipeline::for_files(
        SHAPE,
        own,
        transforms.map(list).as_deref(),
        &list(augmentations),
        registry().unwrap(),
    )
}

#[test]
fn what_brings_images_to_a_size_in_evaluation_is_not_done_after_augmentations_that_do() {
    let normalize = json!({"_target_": "vision.normalize", "mean": [0.5], "std": [0.5]});
    let transforms = |crop: u32| {
        json!([
            {"_target_": "vision.resize", "size": 20},
            {"_target_": "vision.center_crop", "size": crop},
            normalize,
        ])
    };
    let augmentations = json!([
        {"_target_": "vision.random_resized_crop", "size": 16},
        {"_target_": "vision.random_horizontal_flip"},
    ]);
    let pipeline = for_files(Some(transforms(16)), augmentations.clone()).unwrap();
    assert_eq!((pipeline.size(), pipeline.trains_on_originals()), (Some([16, 16]), true));
    // Training at another size than evaluation, as the lists say in so many words.
    assert_eq!(for_files(Some(transforms(18)), augmentations).unwrap().size(), None);
    // Without augmentations that do, they are done in training too.
    let pipeline = for_files(Some(transforms(18)), json!([])).unwrap();
    assert_eq!((pipeline.size(), pipeline.trains_on_originals()), (Some([18, 18]), true));
    assert!(!for_files(None, json!([])).unwrap().trains_on_originals());
}

#[test]
fn lists_that_make_no_batch_are_refused_with_the_way_out() {
    let crop = json!([{"_target_": "vision.random_resized_crop", "size": 16}]);
    let resize = json!([{"_target_": "vision.resize", "size": 20}]);
    let late = json!([
        {"_target_": "vision.normalize", "mean": [0], "std": [1]},
        {"_target_": "vision.random_crop"},
    ]);
    for (transforms, augmentations, key, expected) in [
        (None, crop, "augmentations", "16x16 pixels, those of evaluation at 1x3: set image_size"),
        (Some(resize), json!([]), "transforms[0]", "vision.center_crop"),
        (Some(late.clone()), json!([]), "transforms[1]", "before vision.normalize"),
        (None, late, "augmentations[1]", "before vision.normalize"),
    ] {
        let error = for_files(transforms, augmentations).unwrap_err();
        assert_eq!(error.key_below("dataset"), format!("dataset.{key}"));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn classes_and_files_of_samples_are_known() {
    let dataset = dataset(None, json!([]));
    assert_eq!([dataset.label_of(0), dataset.label_of(1)], [Some(8), Some(7)]);
    assert_eq!(dataset.describe(1), "sample 1");
}
