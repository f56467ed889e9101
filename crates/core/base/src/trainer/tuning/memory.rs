//! Keeping a trial on the CPU clear of the kernel's out-of-memory killer, which gives no error to catch.
//!
//! What a size will take is judged from what smaller ones took, before it is tried: memory grows at most in proportion to
//! the batch.

use std::fs;

use crate::kernel;

/// A share of what is free is left to others.
const RESERVE: f64 = 0.1;

/// Knows how much the process may take, and what the sizes so far took.
#[derive(Debug)]
pub(super) struct MemoryGuard {
    /// Most bytes that the process may have in memory.
    limit: u64,
    /// Bytes that it had before the first trial.
    base: u64,
    /// Size and peak of the last trial.
    last: Option<(usize, u64)>,
}

impl MemoryGuard {
    /// Bounded by `limit` bytes, or by what this machine and its container have left.
    pub(super) fn new(limit: Option<u64>) -> Self {
        let base = status("VmRSS").unwrap_or(0);
        let free = free_bytes().map_or(u64::MAX, |free| base + (free as f64 * (1.0 - RESERVE)) as u64);
        Self { limit: limit.map_or(free, |limit| limit.min(free)), base, last: None }
    }

    /// Whether a batch of `size` samples is expected to fit.
    pub(super) fn expects(&self, size: usize) -> bool {
        let Some((tried, peak)) = self.last else { return self.base <= self.limit };
        let growth = peak.saturating_sub(self.base) as f64 * size as f64 / tried as f64;
        self.base as f64 + growth <= self.limit as f64
    }

    /// A trial begins: its peak is measured from here.
    pub(super) fn begin(&self) {
        // Resets VmHWM of this process. Where that is refused, the peak since its start is more than the trial's: safe.
        let _ = fs::write("/proc/self/clear_refs", "5");
    }

    /// The trial of `size` samples is over. False where it took more than it may.
    pub(super) fn end(&mut self, size: usize) -> bool {
        let peak = status("VmHWM").unwrap_or(0);
        self.last = Some((size, peak));
        peak <= self.limit
    }
}

/// A field of this process' status, in bytes.
fn status(field: &str) -> Option<u64> {
    kernel::bytes(&fs::read_to_string("/proc/self/status").ok()?, field)
}

/// What the machine and the container can still give.
fn free_bytes() -> Option<u64> {
    let machine = kernel::bytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")?;
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let container = [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ]
    .into_iter()
    .find_map(|(limit, used)| Some(number(limit)?.saturating_sub(number(used)?)));
    Some(container.map_or(machine, |container| container.min(machine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_whose_memory_would_pass_the_limit_is_not_tried() {
        let guard = MemoryGuard { limit: 1000, base: 200, last: Some((4, 400)) };
        // 50 a sample: 16 take 200 + 800.
        assert!(guard.expects(8) && guard.expects(16) && !guard.expects(17));
    }

    #[test]
    fn a_peak_is_measured_from_where_the_trial_began() {
        let touched =
            |megabytes: usize| vec![1_u8; megabytes << 20].iter().map(|&byte| u64::from(byte)).sum::<u64>();
        let mut guard = MemoryGuard::new(None);
        assert!(guard.base > 0 && guard.limit > guard.base);
        assert_eq!(touched(256), 256 << 20);
        guard.begin();
        assert_eq!(touched(64), 64 << 20);
        assert!(guard.end(1));
        let (_, peak) = guard.last.unwrap();
        assert!(peak > guard.base + (60 << 20), "{} {peak}", guard.base);
    }
}
