//! What a run depends on beyond its configuration.

use std::collections::BTreeMap;
use std::fs;

use fulmen_torch::environment;
use fulmen_torch::tch::{self, Device};

/// libtorch, threads, CPU and GPUs, by name.
pub(crate) fn describe() -> BTreeMap<String, String> {
    let cuda = match environment::load_cuda() {
        Ok(0) => "no device".to_owned(),
        Ok(devices) => format!("{devices} device(s)"),
        Err(error) => format!("not available: {error}"),
    };
    let mut found = of_process();
    found.insert("cuda".to_owned(), cuda);
    found
}

/// What the bits of a run on `device` depend on beside its configuration. How many threads read data is not among it.
pub(crate) fn of_run(device: Device) -> BTreeMap<String, String> {
    let mut found = of_process();
    let name = match device {
        Device::Cuda(index) => format!("cuda:{index}{}", graphics_cards()),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    found.insert("device".to_owned(), name);
    found
}

fn of_process() -> BTreeMap<String, String> {
    [
        ("fulmen", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", environment::version()),
        ("cpu_capability", environment::cpu_capability()),
        ("threads", tch::get_num_threads().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The models of NVIDIA's cards in this machine, as its driver lists them; nothing where it does not say.
fn graphics_cards() -> String {
    let cards = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut models: Vec<_> = cards
        .filter_map(|card| fs::read_to_string(card.path().join("information")).ok())
        .filter_map(|text| text.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned())))
        .collect();
    models.sort();
    models.dedup();
    if models.is_empty() { String::new() } else { format!(" ({})", models.join(", ")) }
}
