//! Configuration in Hydra's manner: groups, defaults, overrides, interpolation, sweeps; every value knows where it came from.
