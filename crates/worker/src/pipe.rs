//! The worker's end of the event pipe.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::thread;

use fulmen_base::events::{EventSink, StopSignal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Takes standard output for events alone. What plugins or libtorch print there goes to standard error from now on, so
/// that nothing can break a line of events. If nobody reads the events any more, the run is asked to stop.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn take_standard_output(stop: StopSignal) -> io::Result<EventSink> {
    let events = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    watch(events.try_clone()?, stop.clone())?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    let events = Mutex::new(events);
    Ok(EventSink::new(move |event| {
        let line = serde_json::to_vec(&event).map(|mut line| {
            line.push(b'\n');
            line
        });
        let mut events = events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One write a line: a reader never sees half of one, unless this process is killed within it.
        if line.map_err(io::Error::from).and_then(|line| events.write_all(&line)).is_err() {
            stop.set();
        }
    }))
}

/// Asks the run to stop once nobody reads its events any more, also while it has nothing to tell.
fn watch(events: File, stop: StopSignal) -> io::Result<()> {
    let watch = move || {
        let mut pipe = [PollFd::new(&events, PollFlags::empty())];
        loop {
            match poll(&mut pipe, None) {
                Err(Errno::INTR) => {}
                // A pipe whose reader is gone is in error, see poll(2). What is no pipe never is, and is not watched.
                Ok(_) if pipe[0].revents().contains(PollFlags::ERR) => return stop.set(),
                _ => return,
            }
        }
    };
    thread::Builder::new().name("pipe".to_owned()).spawn(watch).map(drop)
}
