//! An HTTP/1.1 client of few lines: it sends what a well-behaved client would not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// One connection, kept open from request to request.
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream: BufReader::new(stream), host: address.to_string() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request with these headers besides `Host` and `Content-Length`.
    pub fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_request(method, target, headers, body).unwrap()
    }

    /// As [`request`](Self::request), where the server may be gone.
    pub fn try_request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes())?;
        // The server may refuse before it has read the whole body, and then closes.
        let _ = self.send(body);
        self.read_answer(method == "HEAD")
    }

    /// The next answer.
    pub fn read_answer(&mut self, head_only: bool) -> std::io::Result<Answer> {
        let status_line = self.read_line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length: usize =
            answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if !head_only {
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    fn read_line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// `GET` of a path below `/api/2.0/mlflow/`, or of one that begins with `/`.
    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", &full(path), &[], b"")
    }

    /// JSON to a path below `/api/2.0/mlflow/`, or to one that begins with `/`.
    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        self.request(
            method,
            &full(path),
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )
    }

    /// As [`post`](Self::post), where the server may be gone.
    pub fn try_post(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let headers = [("Content-Type", "application/json")];
        self.try_request("POST", &full(path), &headers, body.to_string().as_bytes()).ok()
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body)
    }
}

fn full(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/api/2.0/mlflow/{path}") }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A refusal in MLflow's form with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let body: Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()));
        assert_eq!(body["error_code"], code, "{body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        body
    }

    /// Any refusal of the client's fault, in MLflow's form.
    #[track_caller]
    pub fn is_clients_fault(&self) -> Value {
        assert!((400..500).contains(&self.status), "{} {}", self.status, self.text());
        let body: Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()));
        assert!(body["error_code"].is_string() && body["message"].is_string(), "{body}");
        body
    }
}

/// A text field of a JSON value.
#[track_caller]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {value:#}"))
}
