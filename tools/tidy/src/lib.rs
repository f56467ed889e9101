//! Checks of the source tree itself: the arrows between crates, the size of files.
