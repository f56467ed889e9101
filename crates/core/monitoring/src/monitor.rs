//! The thread that samples.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::machine::Machine;
use crate::window::Window;

/// How the machine is sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Time between two samples.
    pub interval: Duration,
    /// Samples that make one point.
    pub samples: u32,
    /// Names this machine among several: `system/<node>/cpu_utilization_percentage`.
    pub node: Option<String>,
    /// Number of the first point.
    pub first_step: i64,
}

impl Default for Options {
    /// MLflow's: a sample, and a point, every ten seconds.
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), samples: 1, node: None, first_step: 0 }
    }
}

/// What was measured over some samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Points are numbered from [`Options::first_step`].
    pub step: i64,
    /// When it was taken, in milliseconds since 1970.
    pub time_ms: i64,
    /// Full names and values.
    pub values: Vec<(String, f64)>,
}

/// Samples in the background until it is stopped or dropped. Like MLflow's, it leaves out a point that is not complete then.
#[derive(Debug)]
pub struct Monitor {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts to sample, and gives each point to `publish`, on the thread that samples. Where the system has no thread left, nothing
    /// is sampled: a run is worth more than its figures.
    #[must_use]
    pub fn start(options: Options, publish: impl FnMut(Point) + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("system-metrics".to_owned()).spawn(move || {
            let wait = |time| matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout));
            follow(&options, wait, publish);
        });
        Self { stop: Some(stop), thread: thread.ok() }
    }

    /// Stops. Nothing is published after it has returned.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // The thread waits on the other end.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of `publish` was reported by its own thread.
            let _ = thread.join();
        }
    }
}

/// Samples until `wait`, which is given a time, says that it was cut short.
fn follow(options: &Options, wait: impl Fn(Duration) -> bool, mut publish: impl FnMut(Point)) {
    let mut machine = Machine::open();
    let mut window = Window::default();
    let prefix = match options.node.as_deref().filter(|node| !node.is_empty()) {
        Some(node) => format!("system/{node}/"),
        None => "system/".to_owned(),
    };
    let mut due = Instant::now();
    for step in options.first_step.. {
        for _ in 0..options.samples.max(1) {
            // By the clock: the time that a sample takes does not add up.
            due += options.interval;
            if !wait(due.saturating_duration_since(Instant::now())) {
                return;
            }
            window.add(machine.sample());
            // A machine that slept goes on from now, rather than to make up for it.
            if due.elapsed() > options.interval {
                due = Instant::now();
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        publish(Point { step, time_ms, values: window.take(&prefix) });
    }
}
