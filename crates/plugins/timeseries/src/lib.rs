//! Time-series plugin: forecasting models, datasets and preprocessors.
