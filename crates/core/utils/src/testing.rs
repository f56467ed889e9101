//! For tests alone: how one says that it could not be tried here.

use std::{
    env,
    fs::OpenOptions,
    io::{Write as _, stderr},
    thread,
};

/// The variable that names the file where `make test` gathers what was skipped.
pub const SKIPPED_FILE: &str = "FULMEN_TEST_SKIPPED";

/// Says `skipped: why` with the test's name, on stderr (which the test harness hides) and in the file that
/// [`SKIPPED_FILE`] names, if it names one.
pub fn skipped(why: &str) {
    let thread = thread::current();
    let line = format!("skipped: {}: {}\n", thread.name().unwrap_or("a test"), why.replace('\n', " "));
    // A test that cannot say so is skipped all the same.
    let _ = stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os(SKIPPED_FILE) {
        // One write of one line: tests of several processes append at once.
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
