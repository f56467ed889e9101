//! What the machine does while a run goes on: CPU, memory, disk, network and GPU, sampled under MLflow's names.
//!
//! Names, units and means are those of MLflow 3.17 (`mlflow/system_metrics`): `system/cpu_utilization_percentage`,
//! `system/gpu_0_memory_usage_megabytes` and so on; a megabyte is 10⁶ bytes. [`Monitor`] samples on a thread of its own and hands
//! each point to a function.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod gpu;
mod machine;
mod monitor;
mod window;

pub use machine::Machine;
pub use monitor::{Monitor, Options, Point};
