//! The `fulmen-worker` program: one run in one process, the only place that links every plugin.
