//! What this plugin brings: a component that is not linked would be missing without a word.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use fulmen_registry::registry;
use fulmen_vision as _;

#[test]
fn every_component_of_the_plugin_is_linked() {
    let names = |kind| {
        let names = registry().unwrap().names(kind).into_iter();
        names.filter_map(|name| name.strip_prefix("vision.")).collect::<Vec<_>>()
    };
    assert_eq!(names("model"), ["convnet", "lenet", "mlp", "resnet"]);
    assert_eq!(names("dataset"), ["cifar10", "digits", "fashion_mnist", "image_folder", "mnist", "random"]);
    let transforms = [
        "center_crop",
        "normalize",
        "random_crop",
        "random_horizontal_flip",
        "random_resized_crop",
        "random_rotation",
        "resize",
    ];
    assert_eq!(names("transform"), transforms);
}
