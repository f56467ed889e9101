//! Language plugin: sequence models, datasets and tokenizers.
