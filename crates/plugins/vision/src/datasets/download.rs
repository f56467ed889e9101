//! Files fetched over HTTP: with progress, going on where an earlier attempt left off, checked before they are used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use fulmen_base::{Error, Progress, Result};
use fulmen_utils::atomic::{self, WriteError};
use sha2::{Digest, Sha256};

/// A file that is published somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteFile {
    /// Its name, at the end of its URL and on the disk.
    pub(crate) name: &'static str,
    /// SHA-256 of its contents, in hexadecimal digits.
    pub(crate) sha256: &'static str,
}

/// Fetches `file` into `folder` from the first of `mirrors` that has it. What has come is kept beside in a `.part` file, from
/// which the next attempt goes on.
///
/// # Errors
/// When no mirror has it (with what each said, and `way_out`), or it cannot be written.
pub(crate) fn fetch(
    file: &RemoteFile,
    mirrors: &[String],
    folder: &Path,
    way_out: &str,
    progress: &Progress<'_>,
) -> Result<()> {
    atomic::create_folder(folder)?;
    let path = folder.join(file.name);
    let part = folder.join(format!("{}.part", file.name));
    let mut failures = Vec::new();
    for mirror in mirrors {
        let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
        match receive(&url, file, &part, progress) {
            Ok(()) => {
                return fs::rename(&part, &path).map_err(|error| WriteError::new(&path, error).into());
            }
            Err(Failure::Disk(error)) => return Err(WriteError::new(&part, error).into()),
            Err(Failure::Mirror(reason)) => failures.push(format!("{url}: {reason}")),
        }
    }
    let tried = if failures.is_empty() { "no mirror is set".to_owned() } else { failures.join("; ") };
    Err(Error::data(path, format!("cannot be fetched ({tried}): {way_out}")))
}

enum Failure {
    /// Another mirror may do better.
    Mirror(String),
    /// No mirror will.
    Disk(io::Error),
}

/// One attempt: `part` grows to the whole file, and is then checked.
fn receive(url: &str, file: &RemoteFile, part: &Path, progress: &Progress<'_>) -> Result<(), Failure> {
    let mirror = |error: &dyn std::fmt::Display| Failure::Mirror(error.to_string());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .build()
        .into();
    let here = fs::metadata(part).map_or(0, |metadata| metadata.len());
    let mut request = agent.get(url);
    if here > 0 {
        request = request.header("Range", format!("bytes={here}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        // 416: what is here is already as long as the file, or longer. It is checked below, or begun anew.
        Err(ureq::Error::StatusCode(416)) => return check(file, part),
        Err(error) => return Err(mirror(&error)),
    };
    // A server that knows no ranges answers 200 with the whole file.
    let resumed = response.status().as_u16() == 206;
    let mut received = if resumed { here } else { 0 };
    let length =
        response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let total = length.map(|length| received + length);
    let mut out = if resumed { OpenOptions::new().append(true).open(part) } else { File::create(part) }
        .map_err(Failure::Disk)?;
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = body.read(&mut buffer).map_err(|error| mirror(&error))?;
        if count == 0 {
            break;
        }
        out.write_all(&buffer[..count]).map_err(Failure::Disk)?;
        received += count as u64;
        progress.received(file.name, received, total);
    }
    out.sync_all().map_err(Failure::Disk)?;
    check(file, part)
}

/// Holds what came against the checksum; removes it where it is something else, since going on from there leads nowhere.
fn check(file: &RemoteFile, part: &Path) -> Result<(), Failure> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(part).map_err(Failure::Disk)?, &mut hasher).map_err(Failure::Disk)?;
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == file.sha256 {
        return Ok(());
    }
    fs::remove_file(part).map_err(Failure::Disk)?;
    Err(Failure::Mirror(format!("what came is another file (its sha256 is {found}, not {})", file.sha256)))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};
    use std::thread;

    use fulmen_base::events::EventSink;
    use fulmen_contracts::Event;

    use super::*;

    const CONTENTS: &[u8] = b"ten bytes.";
    const FILE: RemoteFile = RemoteFile {
        name: "file.gz",
        sha256: "eeae8cf618cc849d815e087991bf2a5f7fc061ba08ef666e7483fb1e5d26f014",
    };

    /// Serves `contents` at every URL, with ranges; returns its address and the ranges that it was asked for.
    fn serve(contents: &'static [u8]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines =
                    BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::io::Result::ok);
                let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let range = lines
                    .iter()
                    .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
                let from: usize =
                    range.as_ref().map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
                log.lock().unwrap().push(range.unwrap_or_default());
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let body = &contents[from..];
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(body).unwrap();
            }
        });
        (address, asked)
    }

    fn fetched(mirrors: &[String], folder: &Path) -> (Result<()>, Vec<(u64, Option<u64>)>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        let events = EventSink::new(move |event| {
            if let Event::Download { received, total, .. } = event {
                log.lock().unwrap().push((received, total));
            }
        });
        let result = fetch(&FILE, mirrors, folder, "put it there by hand", &Progress::new(&events));
        let told = told.lock().unwrap().clone();
        (result, told)
    }

    #[test]
    fn a_file_is_fetched_from_the_first_mirror_that_has_it_and_progress_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (good, _) = serve(CONTENTS);
        let (wrong, _) = serve(b"something else");
        // Nothing listens on port 1.
        let mirrors = ["http://127.0.0.1:1/a".to_owned(), wrong, format!("{good}/")];
        let (result, told) = fetched(&mirrors, folder.path());
        result.unwrap();
        assert_eq!(fs::read(folder.path().join("file.gz")).unwrap(), CONTENTS);
        assert_eq!(told.last(), Some(&(10, Some(10))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_fetch_goes_on_where_the_last_one_left_off() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file.gz.part"), &CONTENTS[..4]).unwrap();
        let (good, asked) = serve(CONTENTS);
        let (result, told) = fetched(&[good], folder.path());
        result.unwrap();
        assert_eq!(fs::read(folder.path().join("file.gz")).unwrap(), CONTENTS);
        assert_eq!(
            (asked.lock().unwrap().as_slice(), told.as_slice()),
            (["4-".to_owned()].as_slice(), [(10, Some(10))].as_slice())
        );
    }

    #[test]
    fn when_no_mirror_has_it_each_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let (wrong, _) = serve(b"something else");
        let message =
            fetched(&["http://127.0.0.1:1/a".to_owned(), wrong], folder.path()).0.unwrap_err().to_string();
        for part in ["file.gz", "http://127.0.0.1:1/a/file.gz", "another file", "by hand"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        assert!(!folder.path().join("file.gz").exists());
    }
}
