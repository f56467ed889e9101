//! The `fulmen` program: composes configurations, starts runs, shows what the store holds.
