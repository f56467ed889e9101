//! Experiments, runs, metrics, params and tags behind the `TrackingStore` trait, with SQLite as the default store.
