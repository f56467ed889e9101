//! Artifacts of runs: files under a root folder, written whole or not at all.
