//! Order, resumption, ranks, threads, and what is said when a dataset fails or hangs.

use std::num::NonZeroUsize;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use fulmen_torch::tch::{Device, Kind, Tensor};
use fulmen_utils::Address;
use serde_json::json;

use super::*;
use crate::Batch;

/// Samples that are their own index, plus what was drawn for them.
#[derive(Debug)]
struct Numbers(usize);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.0
    }

    fn batch(&self, indices: &[usize], address: Address) -> Result<Batch> {
        let values: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let drawn: Vec<f64> =
            indices.iter().map(|&index| address.at(index as u64).draws().uniform()).collect();
        Ok(Batch::new().with("index", Tensor::from_slice(&values)).with("drawn", Tensor::from_slice(&drawn)))
    }

    fn label_of(&self, index: usize) -> Option<i64> {
        Some(i64::from(index == 0))
    }

    fn length_of(&self, index: usize) -> Option<usize> {
        Some(index * 7 % 13)
    }
}

fn config(settings: serde_json::Value) -> DataLoaderConfig {
    let mut all = json!({"batch_size": 7});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn loader(settings: serde_json::Value) -> DataLoader {
    DataLoader::train(Arc::new(Numbers(60)), &config(settings), 42).unwrap()
}

fn workers(num_workers: usize) -> DataLoader {
    loader(json!({"num_workers": num_workers}))
}

fn read(batches: Batches) -> Vec<(Vec<i64>, Vec<f64>)> {
    batches
        .map(|batch| {
            let batch = batch.unwrap();
            let get = |name| batch.get(name).unwrap().shallow_clone();
            (Vec::try_from(get("index")).unwrap(), Vec::try_from(get("drawn")).unwrap())
        })
        .collect()
}

/// The samples of an epoch, batch by batch.
fn samples(loader: &DataLoader, epoch: u64) -> Vec<Vec<i64>> {
    read(loader.batches(epoch, 0, u64::MAX)).into_iter().map(|batch| batch.0).collect()
}

/// Every sampler, and none.
fn samplers() -> Vec<serde_json::Value> {
    ["sequential", "random", "weighted_random", "bucket_by_length"]
        .into_iter()
        .map(|name| json!({"sampler": {"_target_": name}}))
        .chain([json!({}), json!({"shuffle": false})])
        .collect()
}

#[test]
fn threads_change_neither_order_nor_draws() {
    let alone = read(workers(0).batches(3, 0, u64::MAX));
    assert_eq!(alone.len(), 9);
    assert_eq!(alone, read(workers(4).batches(3, 0, u64::MAX)));
    assert_ne!(alone, read(workers(0).batches(4, 0, u64::MAX)));
}

#[test]
fn an_epoch_entered_in_its_middle_goes_on_as_if_read_from_its_beginning() {
    for mut settings in samplers() {
        let whole = read(loader(settings.clone()).batches(1, 0, u64::MAX));
        settings["num_workers"] = json!(3);
        assert_eq!(whole[5..], read(loader(settings).batches(1, 5, u64::MAX)));
    }
}

#[test]
fn each_sample_comes_once_an_epoch() {
    let mut seen = samples(&workers(2), 0).concat();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..60));
}

#[test]
fn an_epoch_left_early_does_not_hang() {
    let mut batches = workers(4).batches(0, 0, u64::MAX);
    assert!(batches.next().is_some());
}

#[test]
fn a_sample_that_comes_again_in_another_batch_is_drawn_for_anew() {
    // Sample 0 is alone in its class: half of all draws.
    let batches =
        read(loader(json!({"sampler": {"_target_": "weighted_random", "num_samples": 600}})).batches(
            0,
            0,
            u64::MAX,
        ));
    let drawn: std::collections::BTreeSet<u64> = batches
        .iter()
        .filter_map(|(indices, drawn)| Some(drawn[indices.iter().position(|&index| index == 0)?].to_bits()))
        .collect();
    assert!(drawn.len() > 50, "{}", drawn.len());
}

#[test]
fn ranks_share_an_epoch_and_have_as_many_batches_each() {
    let rank = |settings: &serde_json::Value, rank, world_size| {
        let loader = loader(settings.clone()).with_rank(rank, world_size);
        let batches = samples(&loader, 2);
        assert_eq!(batches.len() as u64, loader.len());
        batches
    };
    // 60 samples for 7 ranks: 9 each, of which 3 come twice; or 8 each, and 4 left out.
    let all = |settings| (0..7).map(|i| rank(&settings, i, 7).concat()).collect::<Vec<_>>();
    let padded = all(json!({"batch_size": 2}));
    assert!(padded.iter().all(|own| own.len() == 9));
    let whole = rank(&json!({"batch_size": 60}), 0, 1).concat();
    let mut joined = padded.concat();
    joined.sort_unstable();
    let mut expected = [whole.clone(), whole[..3].to_vec()].concat();
    expected.sort_unstable();
    assert_eq!(joined, expected);
    let dropped = all(json!({"batch_size": 2, "drop_last": true}));
    assert!(dropped.iter().all(|own| own.len() == 8));
    let mut joined = dropped.concat();
    joined.sort_unstable();
    joined.dedup();
    assert_eq!(joined.len(), 56);
}

#[test]
fn a_step_holds_the_same_samples_however_many_ranks_share_it() {
    for mut settings in samplers() {
        let mut steps = |world_size: usize| {
            settings["batch_size"] = json!(12 / world_size);
            let ranks: Vec<_> = (0..world_size)
                .map(|rank| samples(&loader(settings.clone()).with_rank(rank, world_size), 5))
                .collect();
            (0..ranks[0].len())
                .map(|step| {
                    let mut step: Vec<i64> = ranks.iter().flat_map(|rank| rank[step].clone()).collect();
                    step.sort_unstable();
                    step
                })
                .collect::<Vec<_>>()
        };
        let alone = steps(1);
        assert_eq!(alone.len(), 5);
        assert_eq!([steps(2), steps(4)], [alone.clone(), alone]);
    }
}

#[test]
fn a_sampler_that_does_not_fit_is_named_by_its_key() {
    let wrong = config(json!({"sampler": {"_target_": "random", "num_samples": 100}}));
    let error = DataLoader::train(Arc::new(Numbers(60)), &wrong, 0).unwrap_err();
    assert_eq!(error.key().unwrap(), "dataloader.sampler.num_samples");
}

/// Panics at sample 13; waits at sample 20 until the test comes there too.
#[derive(Debug)]
struct Difficult(Barrier);

impl Dataset for Difficult {
    fn len(&self) -> usize {
        60
    }

    fn batch(&self, indices: &[usize], address: Address) -> Result<Batch> {
        for &index in indices {
            reading(index);
            assert_ne!(index, 13, "this sample is broken");
            if index == 20 {
                self.0.wait();
            }
        }
        Numbers(60).batch(indices, address)
    }

    fn describe(&self, index: usize) -> String {
        format!("images/{index}.jpg")
    }
}

fn difficult(num_workers: usize) -> (Arc<Difficult>, DataLoader) {
    let dataset = Arc::new(Difficult(Barrier::new(2)));
    let config = config(json!({"batch_size": 10, "shuffle": false, "num_workers": num_workers}));
    (dataset.clone(), DataLoader::train(dataset, &config, 0).unwrap())
}

#[test]
fn a_panic_is_told_with_the_batch_and_the_sample() {
    for num_workers in [0, 2] {
        let mut batches = difficult(num_workers).1.batches(0, 0, 2);
        batches.next().unwrap().unwrap();
        let message = batches.next().unwrap().unwrap_err().to_string();
        for part in ["batch 1", "samples 10, 11", "17 and 2 more", "images/13.jpg", "this sample is broken"] {
            assert!(message.contains(part), "'{part}' is not in: {message}");
        }
    }
}

#[test]
fn a_loader_that_hangs_says_at_which_sample_and_goes_on_when_it_can() {
    let (dataset, loader) = difficult(2);
    let mut batches = loader.batches(0, 2, 4);
    // Until the thread has come to the sample at which it hangs.
    let waiting = loop {
        match batches.next_timeout(Duration::from_millis(1)) {
            Next::Waiting(waiting) if waiting.reading.is_some() => break waiting,
            Next::Waiting(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((waiting.batch, waiting.samples.clone()), (2, (20..30).collect()));
    assert!(waiting.to_string().contains("now reading images/20.jpg"), "{waiting}");
    dataset.0.wait();
    let mut next = || batches.next_timeout(Duration::from_secs(600));
    assert!(matches!(next(), Next::Batch(Ok(_))) && matches!(next(), Next::Batch(Ok(_))));
    assert!(matches!(next(), Next::End));
}

/// Images of nothing.
#[derive(Debug)]
struct Images;

impl Dataset for Images {
    fn len(&self) -> usize {
        4
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        Ok(Batch::new()
            .with("image", Tensor::zeros([indices.len() as i64, 3, 4, 5], (Kind::Float, Device::Cpu))))
    }
}

#[test]
fn images_are_laid_out_where_they_are_read() {
    for (channels_last, stride) in [(true, [60, 1, 15, 3]), (false, [60, 20, 5, 1])] {
        let loader = DataLoader::train(Arc::new(Images), &config(json!({"num_workers": 1})), 0).unwrap();
        let batch = loader.channels_last(channels_last).batches(0, 0, 1).next().unwrap().unwrap();
        assert_eq!(batch.get("image").unwrap().stride(), stride);
    }
}

#[test]
fn pinning_is_for_cuda_devices_unless_switched_off() {
    for (setting, device, expected) in [
        (json!("auto"), Device::Cuda(0), true),
        (json!(true), Device::Cuda(0), true),
        (json!(false), Device::Cuda(0), false),
        (json!("auto"), Device::Cpu, false),
        (json!(true), Device::Cpu, false),
    ] {
        let loader = loader(json!({"pin_memory": setting})).for_device(device);
        assert_eq!(loader.finish.pin_for, expected.then_some(device));
    }
    assert!(serde_json::from_value::<DataLoaderConfig>(json!({"pin_memory": "always"})).is_err());
    assert_eq!(DataLoaderConfig::default().batch_size, NonZeroUsize::new(64).unwrap());
}
