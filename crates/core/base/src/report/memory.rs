//! Memory by phase of a step: what is said about a run that runs out of it.

use std::fs;
use std::time::{Duration, Instant};

use fulmen_torch::memory;
use fulmen_torch::tch::Device;

/// Steps at the beginning that are all measured: memory grows in these.
const FIRST: u64 = 3;
/// Later, one step in so much time: reading costs some ten microseconds.
const BETWEEN: Duration = Duration::from_secs(1);

/// When in a step memory was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Weights are there, nothing else.
    BeforeTraining,
    /// Activations too.
    Forward,
    /// Gradients, and activations no more.
    Backward,
    /// The optimizer's state too.
    Optimizer,
    /// When it failed.
    Failure,
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BeforeTraining => "before training",
            Self::Forward => "after the forward pass",
            Self::Backward => "after the backward pass",
            Self::Optimizer => "after the optimizer's step",
            Self::Failure => "when it failed",
        }
    }
}

/// Memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The process's own, on the host.
    pub(crate) resident: u64,
    /// The most that it ever was.
    pub(crate) peak_resident: u64,
    /// The CUDA device's: in tensors, reserved, and the most that was ever in tensors.
    pub(crate) device: Option<[u64; 3]>,
}

/// The most that each phase has had.
#[derive(Debug)]
pub(crate) struct MemoryByPhase {
    device: Device,
    phases: Vec<(Phase, Memory)>,
    steps: u64,
    last: Instant,
    measures: bool,
}

impl MemoryByPhase {
    pub(crate) fn new(device: Device) -> Self {
        Self { device, phases: Vec::new(), steps: 0, last: Instant::now(), measures: false }
    }

    /// Measures before training.
    pub(crate) fn begin(&mut self) {
        self.measures = true;
        self.read(Phase::BeforeTraining);
    }

    /// A step begins: whether it is one that is measured.
    pub(crate) fn begin_step(&mut self) {
        self.steps += 1;
        self.measures = self.steps <= FIRST || self.last.elapsed() >= BETWEEN;
    }

    /// Reads memory, if this step is one that is measured.
    pub(crate) fn read(&mut self, phase: Phase) {
        if !self.measures {
            return;
        }
        self.last = Instant::now();
        let now = self.now();
        match self.phases.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, most)) => {
                most.resident = most.resident.max(now.resident);
                most.peak_resident = now.peak_resident;
                if let (Some(most), Some(now)) = (&mut most.device, now.device) {
                    *most = [most[0].max(now[0]), most[1].max(now[1]), now[2]];
                }
            }
            None => self.phases.push((phase, now)),
        }
    }

    /// All phases, and this moment.
    pub(crate) fn with_now(&self) -> Vec<(Phase, Memory)> {
        self.phases.iter().copied().chain([(Phase::Failure, self.now())]).collect()
    }

    fn now(&self) -> Memory {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let device = match self.device {
            Device::Cuda(index) => memory::stats(index),
            _ => None,
        };
        Memory {
            resident: kibibytes("VmRSS:") * 1024,
            peak_resident: kibibytes("VmHWM:") * 1024,
            device: device.map(|found| {
                [found.allocated, found.reserved, found.allocated_peak]
                    .map(|bytes| bytes.max(0).unsigned_abs())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_measured_by_phase_and_the_peak_is_the_processes_own() {
        let mut memory = MemoryByPhase::new(Device::Cpu);
        memory.begin();
        for _ in 0..5 {
            memory.begin_step();
            memory.read(Phase::Forward);
        }
        let phases = memory.with_now();
        let names: Vec<_> = phases.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(names, [Phase::BeforeTraining, Phase::Forward, Phase::Failure]);
        assert!(phases.iter().all(|(_, one)| one.resident > 1 << 20 && one.peak_resident >= one.resident));
    }
}
