//! Base classes: model, data module, trainer, callback, metric.
