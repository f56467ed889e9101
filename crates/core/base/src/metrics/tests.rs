//! Each metric against its reference.
