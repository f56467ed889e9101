//! What crosses a boundary: batch schemas, events, run specifications, component catalogs. Links no libtorch.
