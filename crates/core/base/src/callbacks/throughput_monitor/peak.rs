//! What a device can do at most: from the makers' data sheets for GPUs, measured for CPUs.

use std::fs;
use std::time::Instant;

use fulmen_strategies::Precision;
use fulmen_torch::tch::{Device, Kind, Tensor, no_grad};

use crate::Result;

/// Dense tera-operations a second of a GPU: in f64, f32, f32 by tensor cores, and 16 bits.
struct Gpu {
    /// Words of its name, all in lower case, all of which must be there.
    name: &'static [&'static str],
    double: f64,
    full: f64,
    half: f64,
}

const fn gpu(name: &'static [&'static str], double: f64, full: f64, half: f64) -> Gpu {
    Gpu { name, double, full, half }
}

/// NVIDIA's data sheets, without sparsity. The more particular name comes first.
const GPUS: [Gpu; 18] = [
    gpu(&["h200"], 67.0, 67.0, 989.0),
    gpu(&["h100", "nvl"], 60.0, 60.0, 835.0),
    gpu(&["h100", "pcie"], 51.0, 51.0, 756.0),
    gpu(&["h100"], 67.0, 67.0, 989.0),
    gpu(&["b200"], 40.0, 80.0, 2250.0),
    gpu(&["a100"], 19.5, 19.5, 312.0),
    gpu(&["a6000"], 1.25, 38.7, 154.8),
    gpu(&["a40"], 0.58, 37.4, 149.7),
    gpu(&["a10g"], 0.49, 31.2, 125.0),
    gpu(&["a10"], 0.98, 31.2, 125.0),
    gpu(&["l40s"], 1.41, 91.6, 362.0),
    gpu(&["l40"], 1.41, 90.5, 181.0),
    gpu(&["l4"], 0.49, 30.3, 121.0),
    gpu(&["rtx 4090"], 1.29, 82.6, 165.2),
    gpu(&["rtx 3090"], 0.56, 35.6, 71.0),
    gpu(&["t4"], 0.25, 8.1, 65.0),
    gpu(&["v100", "pcie"], 7.0, 14.0, 112.0),
    gpu(&["v100"], 7.8, 15.7, 125.0),
];

/// Floating-point operations a second that `device` can do in `precision`; none where it is not known.
pub(super) fn flops(device: Device, precision: Precision) -> Result<Option<f64>> {
    match device {
        Device::Cuda(index) => Ok(gpu_name(index).and_then(|name| of_gpu(&name, precision))),
        Device::Cpu => measured(precision).map(Some),
        _ => Ok(None),
    }
}

fn of_gpu(name: &str, precision: Precision) -> Option<f64> {
    let name = name.to_lowercase();
    let found = GPUS.iter().find(|gpu| gpu.name.iter().all(|word| name.contains(word)))?;
    let tera = match precision {
        Precision::Double => found.double,
        Precision::Full => found.full,
        Precision::Bf16 | Precision::Half | Precision::Bf16Mixed | Precision::HalfMixed => found.half,
    };
    Some(tera * 1e12)
}

/// The name of a GPU, as NVIDIA's driver tells it.
fn gpu_name(index: usize) -> Option<String> {
    let mut folders: Vec<_> =
        fs::read_dir("/proc/driver/nvidia/gpus").ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    // By bus address, as CUDA numbers them where CUDA_DEVICE_ORDER says so; machines mostly have one sort.
    folders.sort();
    let text = fs::read_to_string(folders.get(index)?.join("information")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
}

/// What a large matrix product reaches, at its best of a few times.
fn measured(precision: Precision) -> Result<f64> {
    const SIZE: i64 = 768;
    let kind = match precision {
        Precision::Double => Kind::Double,
        Precision::Bf16 | Precision::Bf16Mixed => Kind::BFloat16,
        Precision::Half | Precision::HalfMixed => Kind::Half,
        Precision::Full => Kind::Float,
    };
    let matrix = Tensor::ones([SIZE, SIZE], (kind, Device::Cpu));
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let began = Instant::now();
        let _ = no_grad(|| matrix.f_mm(&matrix))?;
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(2.0 * (SIZE as f64).powi(3) / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_known_by_the_names_that_their_driver_tells() {
        let of = |name, precision| of_gpu(name, precision);
        assert_eq!(of("NVIDIA H100 80GB HBM3", Precision::Bf16Mixed), Some(989e12));
        assert_eq!(of("NVIDIA H100 PCIe", Precision::Bf16), Some(756e12));
        assert_eq!(of("NVIDIA A100-SXM4-40GB", Precision::Full), Some(19.5e12));
        assert_eq!(of("NVIDIA L4", Precision::HalfMixed), Some(121e12));
        assert_eq!(of("NVIDIA L40S", Precision::HalfMixed), Some(362e12));
        assert_eq!(of("Something else", Precision::Full), None);
    }

    #[test]
    fn a_cpu_is_measured() {
        let found = flops(Device::Cpu, Precision::Full).unwrap().unwrap();
        assert!(found > 1e8 && found < 1e15, "{found}");
    }
}
