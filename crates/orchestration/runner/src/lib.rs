//! Turns a composed configuration into one run or a sweep of runs.
