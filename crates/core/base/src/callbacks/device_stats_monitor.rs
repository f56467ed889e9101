//! Records what a run takes of its machine.

use std::fs;
use std::time::Instant;

use fulmen_contracts::event::Values;
use fulmen_registry::component;
use fulmen_torch::memory;
use fulmen_torch::tch::Device;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Result, kernel};

/// Records what a run takes of its machine with the step's other metrics, under Lightning's names: the share of the CPUs, memory, and on
/// an accelerator what libtorch's allocator holds. Reads a few small files of the kernel's: some ten microseconds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceStatsMonitorConfig {
    /// Whether CPU and memory are recorded. Left null: where the run computes on the CPU.
    #[serde(default)]
    pub cpu_stats: Option<bool>,
}

component! { CallbackKind, "device_stats_monitor", DeviceStatsMonitorConfig => |config, ()| {
    Ok(Box::new(DeviceStatsMonitor { cpu_stats: config.cpu_stats, before: None }))
} }

/// Records what a run takes of its machine.
#[derive(Debug)]
pub struct DeviceStatsMonitor {
    cpu_stats: Option<bool>,
    /// When the CPUs were looked at last, and what was done by then.
    before: Option<CpuTimes>,
}

/// Ticks since the machine was started, and seconds of this process.
#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    at: Instant,
    busy: u64,
    all: u64,
    /// Ticks of this process.
    own: u64,
}

/// Ticks a second: what Linux tells programs on all its platforms.
const TICKS: f64 = 100.0;

impl CpuTimes {
    fn now() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> = machine
            .lines()
            .next()?
            .split_whitespace()
            .skip(1)
            .take(8)
            .map_while(|word| word.parse().ok())
            .collect();
        let (all, idle) = (ticks.iter().sum::<u64>(), ticks.get(3)? + ticks.get(4)?);
        let process = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in brackets, may hold anything.
        let fields: Vec<_> = process.rsplit_once(')')?.1.split_whitespace().collect();
        let own = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Self { at: Instant::now(), busy: all - idle, all, own })
    }
}

impl DeviceStatsMonitor {
    fn cpu(&mut self) -> Values {
        let mut values = Values::new();
        let mut tell = |name: &str, value: Option<f64>| {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                values.insert(name.to_owned(), value);
            }
        };
        let now = CpuTimes::now();
        if let (Some(before), Some(now)) = (self.before, now) {
            let ticks = now.all - before.all;
            tell("cpu_percent", (ticks > 0).then(|| 100.0 * (now.busy - before.busy) as f64 / ticks as f64));
            let seconds = now.at.duration_since(before.at).as_secs_f64();
            // Of one CPU: a process that keeps two busy has 200.
            tell("process_cpu_percent", Some(100.0 * (now.own - before.own) as f64 / TICKS / seconds));
        }
        self.before = now;
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let used = |total: &str, free: &str| {
            let total = kernel::bytes(&memory, total).filter(|total| *total > 0)?;
            Some(100.0 * (total - kernel::bytes(&memory, free)?) as f64 / total as f64)
        };
        tell("cpu_vm_percent", used("MemTotal", "MemAvailable"));
        tell("cpu_swap_percent", used("SwapTotal", "SwapFree").or(Some(0.0)));
        let process = fs::read_to_string("/proc/self/status").unwrap_or_default();
        tell("process_rss_bytes", kernel::bytes(&process, "VmRSS").map(|bytes| bytes as f64));
        values
    }

    fn log(&mut self, hook: &str, context: &mut HookContext<'_>) {
        let on_cpu = !context.device.is_cuda();
        let mut values = if self.cpu_stats.unwrap_or(on_cpu) { self.cpu() } else { Values::new() };
        if let Device::Cuda(index) = context.device
            && let Some(stats) = memory::stats(index)
        {
            let named = [
                ("allocated_bytes.all.current", stats.allocated),
                ("allocated_bytes.all.peak", stats.allocated_peak),
                ("reserved_bytes.all.current", stats.reserved),
                ("reserved_bytes.all.peak", stats.reserved_peak),
                ("num_alloc_retries", stats.alloc_retries),
                ("num_ooms", stats.ooms),
            ];
            values.extend(named.map(|(name, value)| (name.to_owned(), value as f64)));
        }
        let named =
            values.into_iter().map(|(name, value)| (format!("DeviceStatsMonitor.{hook}/{name}"), value));
        context.log(named.collect());
    }
}

impl Callback for DeviceStatsMonitor {
    fn on_train_start(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        self.before = CpuTimes::now();
        Ok(())
    }

    fn on_train_batch_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let every = context.config.log_every_n_steps;
        if every > 0 && (context.state.global_step + 1).is_multiple_of(every) {
            self.log("on_train_batch_start", context);
        }
        Ok(())
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if context.state.logs_this_step {
            self.log("on_train_batch_end", context);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;

    #[test]
    fn shares_and_sizes_are_recorded_where_metrics_are() {
        let mut callback = DeviceStatsMonitor { cpu_stats: None, before: None };
        let mut hook = CallbackHook::new([]);
        callback.on_train_start(&mut hook.context()).unwrap();
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        assert!(hook.requests.log.is_empty());
        hook.state.logs_this_step = true;
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        let value = |name: &str| hook.requests.log[&format!("DeviceStatsMonitor.on_train_batch_end/{name}")];
        assert!((0.0..=100.0).contains(&value("cpu_vm_percent")));
        assert!(value("process_rss_bytes") > 1e6 && value("process_cpu_percent") >= 0.0);
    }

    #[test]
    fn nothing_of_the_cpu_is_recorded_where_that_is_turned_off() {
        let mut callback = DeviceStatsMonitor { cpu_stats: Some(false), before: None };
        let mut hook = CallbackHook::new([]);
        hook.state.logs_this_step = true;
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        assert!(hook.requests.log.is_empty());
    }
}
