//! What a run depends on beyond its configuration.

use std::collections::BTreeMap;

use fulmen_torch::{environment, tch};

/// libtorch, threads, CPU and GPUs, by name.
pub(crate) fn describe() -> BTreeMap<String, String> {
    let cuda = match environment::load_cuda() {
        Ok(0) => "no device".to_owned(),
        Ok(devices) => format!("{devices} device(s)"),
        Err(error) => format!("not available: {error}"),
    };
    let mut found = of_run();
    found.insert("cuda".to_owned(), cuda);
    found
}

/// As [`describe`], without a look at CUDA, which costs seconds where it is there.
pub(crate) fn of_run() -> BTreeMap<String, String> {
    [
        ("fulmen", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", environment::version()),
        ("cpu_capability", environment::cpu_capability()),
        ("threads", tch::get_num_threads().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
