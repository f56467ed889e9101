//! Requests to the server: one JSON object there, one back; again where that can help and does no harm.

use std::{fmt, fs, path::Path, sync::Arc, thread, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::{
    Agent, Timeout,
    http::{Request, Response},
    tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{address::Address, error::RemoteError};
use crate::{ErrorKind, TrackingError};

/// Pauses before a request is tried again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1800)];
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(10);
/// A request with its answer.
const CALL: Duration = Duration::from_secs(120);
/// uvicorn, which MLflow runs on, closes a connection that has been idle for five seconds.
const MAX_IDLE: Duration = Duration::from_secs(3);
/// How much of an answer that makes no sense is shown.
const SHOWN: usize = 200;

/// Whether a request may reach the server twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Twice is as good as once.
    Harmless,
    /// Only where it has certainly not been carried out.
    IfUnsent,
}

/// The way to a server. Clones share their connections.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    base: Arc<str>,
    authorization: Option<Arc<str>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(address: Address) -> Result<Self, RemoteError> {
        let mut tls = TlsConfig::builder().disable_verification(address.is_insecure);
        if let Some(path) = &address.server_certificate {
            let (certificates, _) = read_pem(path, "MLFLOW_TRACKING_SERVER_CERT_PATH")?;
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        if let Some(path) = &address.client_certificate {
            let variable = "MLFLOW_TRACKING_CLIENT_CERT_PATH";
            let (certificates, key) = read_pem(path, variable)?;
            let no_key =
                || certificate_error(path, variable, ureq::Error::Tls("the file holds no private key"));
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates, key.ok_or_else(no_key)?)));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("fulmen/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .max_idle_age(MAX_IDLE)
            .tls_config(tls.build())
            .build();
        Ok(Self {
            agent: config.new_agent(),
            base: address.base.into(),
            authorization: address.authorization.map(Into::into),
        })
    }

    /// The server's URI, without secrets.
    pub(super) fn uri(&self) -> &str {
        &self.base
    }

    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, TrackingError> {
        let query = query.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let path = format!("{path}?{}", query.collect::<Vec<_>>().join("&"));
        self.call("GET", &path, None, Again::Harmless)
    }

    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        again: Again,
    ) -> Result<T, TrackingError> {
        self.call("POST", path, Some(body), again)
    }

    /// A request to `/api/2.0/mlflow/<path>`, or to another path where it begins with `/`.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        again: Again,
    ) -> Result<T, TrackingError> {
        let body = body.map(Value::to_string);
        let mut pauses = PAUSES.into_iter();
        loop {
            let sent = self.try_call(method, path, body.as_deref());
            let (error, asked_for) = match sent {
                Ok(answer) => match self.read(answer) {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
                Err(error) => (error.into_remote(&self.base), None),
            };
            match pauses.next() {
                Some(pause) if is_worth_another(&error, again) => {
                    thread::sleep(asked_for.unwrap_or(pause).clamp(pause, LONGEST_PAUSE));
                }
                _ => return Err(error.into()),
            }
        }
    }

    fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let request = self.request(method, path)?;
        match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json").body(body)?;
                self.agent.run(self.agent.configure_request(request).timeout_global(Some(CALL)).build())
            }
            None => {
                let request = request.body(())?;
                self.agent.run(self.agent.configure_request(request).timeout_global(Some(CALL)).build())
            }
        }
    }

    /// The beginning of a request, with what lets it in.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
    ) -> Result<ureq::http::request::Builder, ureq::Error> {
        let url = match path.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.base),
            None => format!("{}/api/2.0/mlflow/{path}", self.base),
        };
        let request = Request::builder().method(method).uri(url);
        Ok(match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization.as_ref()),
            None => request,
        })
    }

    /// For what is too long for a time limit.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Reads an answer; beside an error, how long the server asks to wait.
    fn read<T: DeserializeOwned>(
        &self,
        mut answer: Response<ureq::Body>,
    ) -> Result<T, (RemoteError, Option<Duration>)> {
        let status = answer.status().as_u16();
        let asked_for = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok());
        let asked_for = asked_for.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let unlimited = answer.body_mut().with_config().limit(u64::MAX).read_to_vec();
        let body = unlimited.map_err(|error| (error.into_remote(&self.base), None))?;
        if !(200..300).contains(&status) {
            return Err((self.refusal(status, &body), asked_for));
        }
        // MLflow answers `{}` where there is nothing to say; some proxies say nothing at all.
        let body = if body.is_empty() { b"{}".as_slice() } else { &body };
        serde_json::from_slice(body).map_err(|_| (self.not_mlflow(status, body), None))
    }

    /// The error that an answer of this status tells.
    pub(super) fn refusal(&self, status: u16, body: &[u8]) -> RemoteError {
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| told.get(name).and_then(Value::as_str).map(str::to_owned);
        match (text("error_code"), text("message")) {
            (Some(code), message) => RemoteError::Refused {
                uri: self.base.to_string(),
                status,
                code,
                message: message.unwrap_or_default(),
            },
            // A page of HTML: the route is unknown, or a proxy cannot reach the server.
            (None, _) if matches!(status, 404 | 405) => self.not_mlflow(status, body),
            (None, _) => RemoteError::Refused {
                uri: self.base.to_string(),
                status,
                code: "no error code".to_owned(),
                message: shown(body),
            },
        }
    }

    fn not_mlflow(&self, status: u16, body: &[u8]) -> RemoteError {
        RemoteError::NotMlflow { uri: self.base.to_string(), status, text: shown(body) }
    }
}

/// ureq's errors, with the address that it leaves out.
pub(super) trait IntoRemote {
    fn into_remote(self, uri: &str) -> RemoteError;
}

impl IntoRemote for ureq::Error {
    fn into_remote(self, uri: &str) -> RemoteError {
        RemoteError::Unreachable { uri: uri.to_owned(), source: Box::new(self) }
    }
}

fn is_worth_another(error: &RemoteError, again: Again) -> bool {
    match error {
        RemoteError::Unreachable { source, .. } => {
            again == Again::Harmless && is_passing(source) || is_unsent(source)
        }
        RemoteError::Refused { status: 429 | 503, .. } => true,
        RemoteError::Refused { status, .. } => {
            again == Again::Harmless && *status >= 500 && error.kind() == ErrorKind::Unavailable
        }
        _ => false,
    }
}

/// Whether the request has certainly not reached the server.
fn is_unsent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed
        | ureq::Error::HostNotFound
        | ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

fn is_passing(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_))
}

/// One part of a path, or a value of a query.
pub(super) fn encode(text: &str) -> String {
    const PLAIN: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &PLAIN).to_string()
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: Vec<&str> = text.split_whitespace().collect();
    text.join(" ").chars().take(SHOWN).collect()
}

type Pem = (Vec<Certificate<'static>>, Option<ureq::tls::PrivateKey<'static>>);

/// Certificates of a PEM file, and its key.
fn read_pem(path: &Path, variable: &'static str) -> Result<Pem, RemoteError> {
    let text = fs::read(path).map_err(|error| certificate_error(path, variable, ureq::Error::Io(error)))?;
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in parse_pem(&text) {
        match item.map_err(|error| certificate_error(path, variable, error))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            PemItem::PrivateKey(found) => key = Some(found),
            _ => {}
        }
    }
    if certificates.is_empty() {
        return Err(certificate_error(path, variable, ureq::Error::Tls("the file holds no certificate")));
    }
    Ok((certificates, key))
}

fn certificate_error(path: &Path, variable: &'static str, source: ureq::Error) -> RemoteError {
    RemoteError::Certificate { path: path.to_path_buf(), variable, source: Box::new(source) }
}
