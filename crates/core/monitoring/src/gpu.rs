//! NVIDIA's GPUs, through NVML: its library comes with the driver, and is opened while the program runs.

use std::fmt;

use nvml_wrapper::Nvml;

use crate::machine::MEGABYTE;

/// The GPUs of this machine.
pub(crate) struct Gpus {
    library: Nvml,
    count: u32,
}

impl Gpus {
    /// None where there is no library, or no GPU.
    pub(crate) fn open() -> Option<Self> {
        let library = Nvml::init().ok()?;
        let count = library.device_count().ok().filter(|count| *count > 0)?;
        Some(Self { library, count })
    }

    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Gives what can be read of each GPU to `add`. A card that is shared out (MIG) tells no utilisation, for one.
    pub(crate) fn sample(&self, add: &mut impl FnMut(&str, f64)) {
        for index in 0..self.count {
            let Ok(device) = self.library.device_by_index(index) else { continue };
            let name = |what: &str| format!("gpu_{index}_{what}");
            if let Ok(memory) = device.memory_info()
                && memory.total > 0
            {
                let (used, total) = (memory.used as f64, memory.total as f64);
                add(&name("memory_usage_percentage"), used / total * 100.0);
                add(&name("memory_usage_megabytes"), used / MEGABYTE);
            }
            if let Ok(utilization) = device.utilization_rates() {
                add(&name("utilization_percentage"), f64::from(utilization.gpu));
            }
            if let (Ok(power), Ok(limit)) = (device.power_usage(), device.enforced_power_limit())
                && limit > 0
            {
                // Both in milliwatts.
                add(&name("power_usage_watts"), f64::from(power) / 1000.0);
                add(&name("power_usage_percentage"), f64::from(power) / f64::from(limit) * 100.0);
            }
        }
    }
}

impl fmt::Debug for Gpus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gpus").field("count", &self.count).finish_non_exhaustive()
    }
}
