//! How fast a folder of JPEG files becomes batches for training: `bench/input_pipeline.py` runs it beside torchvision.
//!
//! `cargo run --release -p fulmen-vision --example input_pipeline -- <folder> [threads] [epochs]` prints one JSON object.

#![allow(clippy::print_stdout, clippy::allow_attributes, reason = "a program for the terminal")]

use std::time::Instant;

use fulmen_base::loader::{DataLoader, DataLoaderConfig};
use fulmen_base::{DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_registry::registry;
use fulmen_vision as _;
use serde_json::json;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let wrong = || Error::config("", "usage: input_pipeline <folder> [threads] [epochs]");
    let folder = arguments.next().ok_or_else(wrong)?;
    let mut number =
        |default: u64| arguments.next().map_or(Ok(default), |text| text.parse().map_err(|_| wrong()));
    let (threads, epochs) = (number(2)?, number(4)?);

    let settings = json!({
        "_target_": "vision.image_folder",
        "root": folder,
        "image_size": 224,
        "augmentations": [
            {"_target_": "vision.random_resized_crop", "size": 224},
            {"_target_": "vision.random_horizontal_flip"},
        ],
    });
    let registry = registry().map_err(|error| Error::config("", error.to_string()))?;
    let build = registry.build::<DatasetKind>(&settings, DatasetContext { registry, seed: 0 });
    let mut data = build.map_err(|error| Error::config("dataset", error.to_string()))?;
    data.setup()?;
    let dataset =
        data.dataset(Split::Train).ok_or_else(|| Error::config("dataset", "there are no training images"))?;
    let config: DataLoaderConfig = serde_json::from_value(json!({
        "batch_size": 32, "num_workers": threads, "drop_last": true,
    }))
    .map_err(|error| Error::config("dataloader", error.to_string()))?;
    let loader = DataLoader::train(dataset, &config, 0)?;

    // The first epoch fills the page cache.
    let (mut images, mut sum) = (0, 0.0);
    let mut begin = (Instant::now(), 0.0);
    for epoch in 0..=epochs {
        for batch in loader.batches(epoch, 0, u64::MAX) {
            let batch = batch?;
            // A look at each batch, as at the other side.
            sum += batch.get("image")?.double_value(&[0, 0, 0, 0]);
            images += batch.size();
        }
        if epoch == 0 {
            (images, begin) = (0, (Instant::now(), cpu_seconds()));
        }
    }
    let (seconds, cpu) = (begin.0.elapsed().as_secs_f64(), cpu_seconds() - begin.1);
    let images_per_second = images as f64 / seconds;
    println!(
        "{}",
        json!({"images": images, "images_per_second": images_per_second, "cpu_ms_per_image": cpu * 1e3 / images as f64, "sum": sum})
    );
    Ok(())
}

/// Processor time of this process so far, all threads together, in seconds, from the kernel's table; its tick is 10 ms.
fn cpu_seconds() -> f64 {
    let table = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name may hold spaces: what follows it are fields 3, 4 …; user and system time are 14 and 15.
    let fields = table.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
