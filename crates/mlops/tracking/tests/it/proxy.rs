//! A proxy on loopback between a client and an HTTP server, which fails as it is told.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Hands it on, and the answer back.
    Pass,
    /// Answers by itself, with this status.
    Answer(u16),
    /// Hands it on, and closes the connection instead of answering.
    LoseAnswer,
    /// Closes the connection at once.
    Refuse,
    /// Hands it on after this many milliseconds.
    Slow(u64),
}

type Judge = dyn FnMut(&str) -> Fate + Send;

/// A proxy; its connections end with the process.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    judge: Arc<Mutex<Box<Judge>>>,
}

impl Proxy {
    /// A proxy before the server at `upstream`. `judge` is shown each request, head and body.
    pub(crate) fn start(upstream: u16, judge: impl FnMut(&str) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let judge: Arc<Mutex<Box<Judge>>> = Arc::new(Mutex::new(Box::new(judge)));
        let shared = Arc::clone(&judge);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let judge = Arc::clone(&shared);
                thread::spawn(move || serve(client, upstream, &judge));
            }
        });
        Self { port, judge }
    }

    /// Judges by other rules from now on.
    pub(crate) fn judge_by(&self, judge: impl FnMut(&str) -> Fate + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }
}

/// One request a connection: the answer tells the client to close.
fn serve(mut client: TcpStream, upstream: u16, judge: &Mutex<Box<Judge>>) -> Option<()> {
    let request = read_request(&mut client)?;
    let fate = (judge.lock().unwrap())(&String::from_utf8_lossy(&request));
    match fate {
        Fate::Refuse => return None,
        Fate::Answer(status) => {
            let body = r#"{"error_code": "INTERNAL_ERROR", "message": "told to fail"}"#;
            let head =
                format!("HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nConnection: close\r\n");
            client
                .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .ok()?;
            return Some(());
        }
        Fate::Slow(milliseconds) => thread::sleep(Duration::from_millis(milliseconds)),
        Fate::Pass | Fate::LoseAnswer => {}
    }
    let answer = forward(upstream, &request)?;
    if fate != Fate::LoseAnswer {
        client.write_all(&answer).ok()?;
    }
    Some(())
}

fn forward(port: u16, request: &[u8]) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    // The connection's end is the answer's.
    server.write_all(&request[..end]).ok()?;
    server.write_all(b"\r\nConnection: close").ok()?;
    server.write_all(&request[end..]).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let mut closing = answer[..end].to_vec();
    closing.extend_from_slice(b"\r\nConnection: close");
    closing.extend_from_slice(&answer[end..]);
    Some(closing)
}

/// Head and body of a request with a length; without one it has no body.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = client.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if request.len() >= end + 4 + length {
            return Some(request);
        }
    }
}

/// The answer to a GET, as text; empty where nobody answers.
pub(crate) fn get(port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    forward(port, request.as_bytes())
        .map(|answer| String::from_utf8_lossy(&answer).into_owned())
        .unwrap_or_default()
}
