//! Vision plugin: image models, datasets and transforms.
