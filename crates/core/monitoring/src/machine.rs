//! One look at the machine.

use std::path::Path;

use sysinfo::{Networks, System};

use crate::gpu::Gpus;

/// Bytes of a megabyte, as MLflow counts.
pub(crate) const MEGABYTE: f64 = 1e6;

/// Where the machine's counters are read.
#[derive(Debug)]
pub struct Machine {
    system: Option<System>,
    networks: Option<Networks>,
    /// Bytes received and sent when it was first looked at.
    first_traffic: (u64, u64),
    gpus: Option<Gpus>,
}

impl Machine {
    /// Opens the counters; a GPU's where NVIDIA's library is there.
    #[must_use]
    pub fn open() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            // The share of the CPU is that between two looks.
            system.refresh_cpu_usage();
        }
        let networks = Networks::new_with_refreshed_list().ok();
        let first_traffic = networks.as_ref().map_or((0, 0), traffic);
        Self { system, networks, first_traffic, gpus: Gpus::open() }
    }

    /// Number of GPUs that are looked at.
    #[must_use]
    pub fn gpus(&self) -> usize {
        self.gpus.as_ref().map_or(0, Gpus::count)
    }

    /// One look: names without `system/`, and values. What cannot be read is left out.
    pub fn sample(&mut self) -> Vec<(String, f64)> {
        let mut found: Vec<(String, f64)> = Vec::new();
        let mut add = |name: &str, value: f64| found.push((name.to_owned(), value));
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            add("cpu_utilization_percentage", f64::from(system.global_cpu_usage()));
            let (used, total) = (system.used_memory() as f64, system.total_memory() as f64);
            if total > 0.0 {
                add("system_memory_usage_megabytes", used / MEGABYTE);
                add("system_memory_usage_percentage", used / total * 100.0);
            }
        }
        if let Some([used, free]) = disk(Path::new("/")) {
            // As `df` counts: what only the superuser may use is neither.
            add("disk_usage_percentage", used / (used + free) * 100.0);
            add("disk_usage_megabytes", used / MEGABYTE);
            add("disk_available_megabytes", free / MEGABYTE);
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            let (received, sent) = traffic(networks);
            let since_first = |now: u64, first: u64| now.saturating_sub(first) as f64 / MEGABYTE;
            add("network_receive_megabytes", since_first(received, self.first_traffic.0));
            add("network_transmit_megabytes", since_first(sent, self.first_traffic.1));
        }
        if let Some(gpus) = &self.gpus {
            gpus.sample(&mut add);
        }
        found
    }
}

/// Bytes used and free on the file system of `path`.
fn disk(path: &Path) -> Option<[f64; 2]> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
    let [used, free] = [bytes(stat.f_blocks.saturating_sub(stat.f_bfree)), bytes(stat.f_bavail)];
    (used + free > 0.0).then_some([used, free])
}

fn traffic(networks: &Networks) -> (u64, u64) {
    networks.iter().fold((0, 0), |(received, sent), (_, one)| {
        (received + one.total_received(), sent + one.total_transmitted())
    })
}
