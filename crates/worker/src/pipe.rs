//! The worker's end of the event pipe.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;

use fulmen_base::events::{EventSink, StopSignal};

/// Takes standard output for events alone. What plugins or libtorch print there goes to standard error from now on, so
/// that nothing can break a line of events. If nobody reads the events any more, the run is asked to stop.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn take_standard_output(stop: StopSignal) -> io::Result<EventSink> {
    let events = File::from(io::stdout().as_fd().try_clone_to_owned()?);
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
