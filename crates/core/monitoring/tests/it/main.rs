//! What is sampled of the machine that the tests run on.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use fulmen_monitoring::{Machine, Monitor, Options};

/// MLflow's names, without GPUs.
const NAMES: [&str; 8] = [
    "cpu_utilization_percentage",
    "disk_available_megabytes",
    "disk_usage_megabytes",
    "disk_usage_percentage",
    "network_receive_megabytes",
    "network_transmit_megabytes",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
];

fn quick(samples: u32, node: Option<&str>, first_step: i64) -> Options {
    Options { interval: Duration::from_millis(20), samples, node: node.map(str::to_owned), first_step }
}

#[test]
fn points_carry_mlflows_names_and_are_numbered() {
    let (send, receive) = channel();
    let monitor = Monitor::start(quick(2, None, 7), move |point| drop(send.send(point)));
    let points: Vec<_> = (0..3).map(|_| receive.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
    monitor.stop();
    assert_eq!(points.iter().map(|point| point.step).collect::<Vec<_>>(), [7, 8, 9]);
    assert!(points.windows(2).all(|pair| pair[0].time_ms < pair[1].time_ms));
    let names: Vec<_> =
        points[0].values.iter().map(|(name, _)| name.strip_prefix("system/").unwrap()).collect();
    let of_machine: Vec<_> = names.iter().copied().filter(|name| !name.starts_with("gpu_")).collect();
    assert_eq!(of_machine, NAMES);
    for (name, value) in points.iter().flat_map(|point| &point.values) {
        assert!(value.is_finite() && *value >= 0.0, "{name} = {value}");
        assert!(!name.ends_with("percentage") || *value <= 100.0, "{name} = {value}");
    }
    // Nothing comes any more.
    while receive.try_recv().is_ok() {}
    thread::sleep(Duration::from_millis(100));
    assert!(receive.try_recv().is_err());
}

#[test]
fn a_node_stands_in_the_name() {
    let (send, receive) = channel();
    let _monitor = Monitor::start(quick(1, Some("node_0"), 0), move |point| drop(send.send(point)));
    let point = receive.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(point.values.iter().all(|(name, _)| name.starts_with("system/node_0/")), "{point:?}");
}

#[test]
fn what_goes_through_the_network_is_counted_from_the_start() {
    let mut machine = Machine::open();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sender =
        thread::spawn(move || TcpStream::connect(address).unwrap().write_all(&vec![1; 20_000_000]).unwrap());
    let mut received = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    let sample = machine.sample();
    for name in ["network_receive_megabytes", "network_transmit_megabytes"] {
        let value = sample.iter().find(|(known, _)| known == name).unwrap().1;
        assert!(value >= 20.0, "{name} = {value}");
    }
}

#[test]
fn a_busy_processor_shows() {
    let mut machine = Machine::open();
    thread::sleep(Duration::from_millis(300));
    let work = thread::spawn(|| (0..400_000_000u64).fold(0u64, |sum, one| sum.rotate_left(3) ^ one));
    thread::sleep(Duration::from_millis(500));
    let cpu = machine.sample()[0].clone();
    assert_eq!(cpu.0, "cpu_utilization_percentage");
    assert!(cpu.1 > 1.0, "{cpu:?}");
    std::hint::black_box(work.join().unwrap());
}
