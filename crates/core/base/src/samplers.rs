//! The samplers that come with Fulmen.

mod bucket_by_length;
mod random;
mod sequential;
mod weighted_random;

pub use bucket_by_length::{BucketByLength, BucketByLengthConfig};
pub use random::{Random, RandomConfig};
pub use sequential::{Sequential, SequentialConfig};
pub use weighted_random::{WeightedRandom, WeightedRandomConfig, Weights};

#[cfg(test)]
mod testing;
