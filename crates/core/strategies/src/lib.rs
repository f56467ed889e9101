//! How a training step is carried out on the devices of a run.
