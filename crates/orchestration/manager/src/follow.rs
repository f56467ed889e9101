//! Follows a worker: reads its events, passes Ctrl-C on, notices how it ended.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use fulmen_contracts::Event;
use fulmen_contracts::event::Outcome;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{ManagerError, RunFolder, Worker};

/// How often it was asked to stop: once ends the run at the next step, twice at once.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(pub Arc<AtomicUsize>);

/// How a worker ended.
#[derive(Debug)]
pub enum Ended {
    /// It said so itself.
    Said(Outcome),
    /// It was gone without a word: crashed, killed, out of memory.
    Crashed {
        /// What happened, in one line.
        message: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
}

/// Events that wait to be taken; a worker that is far ahead waits.
const BACKLOG: usize = 1024;
/// How soon a Ctrl-C is passed on.
const LOOK: Duration = Duration::from_millis(50);

/// Hands every event to `take` until the worker has ended.
pub(crate) fn follow(
    worker: &Worker,
    mut child: Child,
    folder: &RunFolder,
    interrupts: &Interrupts,
    mut take: impl FnMut(&Event),
) -> Result<Ended, ManagerError> {
    let (send, events) = sync_channel(BACKLOG);
    let out = child.stdout.take();
    let reader = thread::spawn(move || {
        let lines = out.map(BufReader::new).into_iter().flat_map(BufRead::lines);
        for line in lines.map_while(Result::ok) {
            // A line that is no event is half of one: the worker was killed while it wrote.
            if let Ok(event) = serde_json::from_str::<Event>(&line)
                && send.send(event).is_err()
            {
                break;
            }
        }
    });
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (mut passed_on, mut outcome) = (0, None);
    loop {
        let asked = interrupts.0.load(Ordering::Relaxed);
        if asked > passed_on {
            passed_on = asked;
            let signal = if asked == 1 { Signal::INT } else { Signal::KILL };
            // It may have ended by itself meanwhile.
            let _ = group.map(|group| kill_process_group(group, signal));
        }
        match events.recv_timeout(LOOK) {
            Ok(Event::Finished { outcome: said }) => outcome = Some(said),
            Ok(event) => take(&event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().map_err(|error| ManagerError::Worker {
        path: worker.path().to_path_buf(),
        reason: format!("cannot be waited for: {error}"),
    })?;
    // The pipe is closed, so the thread has ended or is about to.
    let _ = reader.join();
    Ok(match outcome {
        Some(outcome) => Ended::Said(outcome),
        None => Ended::Crashed { message: describe(status), log: folder.log_tail(20) },
    })
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "the worker was killed (signal 9); if nobody killed it, the system ran out of memory: see `dmesg`, and lower dataloader.batch_size".to_owned(),
        (Some(11), _) => "the worker crashed (signal 11, segmentation fault) in native code".to_owned(),
        (Some(signal), _) => format!("the worker was ended by signal {signal}"),
        (None, code) => format!("the worker ended without a word, with exit code {}", code.unwrap_or_default()),
    }
}
