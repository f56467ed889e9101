//! A real S3 server for the tests: the one that `FULMEN_TEST_S3` names, else `moto_server`, started on loopback.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use fulmen_storage::ArtifactStore;

/// The endpoint of a server, whose bucket `fulmen-test` is there; or why there is none.
pub(crate) fn endpoint() -> Result<&'static str, &'static str> {
    static SERVER: OnceLock<Result<String, String>> = OnceLock::new();
    let found = SERVER.get_or_init(|| {
        let endpoint = match env::var("FULMEN_TEST_S3") {
            Ok(endpoint) if !endpoint.is_empty() => endpoint,
            _ => start()?,
        };
        make_bucket(&endpoint)?;
        Ok(endpoint)
    });
    found.as_deref().map_err(String::as_str)
}

/// Settings that a user would have in the environment.
pub(crate) fn variables(endpoint: &str) -> Vec<(String, String)> {
    let variables = [
        ("AWS_ACCESS_KEY_ID", env::var("AWS_ACCESS_KEY_ID").unwrap_or_else(|_| "test".into())),
        ("AWS_SECRET_ACCESS_KEY", env::var("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|_| "test".into())),
        ("AWS_REGION", "us-east-1".into()),
        ("MLFLOW_S3_ENDPOINT_URL", endpoint.into()),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

/// An empty store in the bucket.
pub(crate) fn empty_store(endpoint: &str) -> ArtifactStore {
    let uri = format!("s3://fulmen-test/{}/artifacts", fulmen_utils::ids::run_id());
    ArtifactStore::open_with(&uri, variables(endpoint)).unwrap()
}

/// The server's process, which ends with the tests.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Result<PathBuf, String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let places = [
        env::var_os("FULMEN_TEST_MOTO_SERVER").map(PathBuf::from),
        Some(root.join(".venv-services/bin/moto_server")),
    ];
    let found = places.into_iter().flatten().find(|path| path.is_file());
    found.ok_or_else(|| {
        "no S3 server: FULMEN_TEST_S3 names none, and tools/test-services has not made .venv-services".into()
    })
}

fn start() -> Result<String, String> {
    // Statics are never dropped: the child is told to end with this process, and is reaped by the system.
    static RUNNING: Mutex<Option<Server>> = Mutex::new(None);
    let program = program()?;
    let log = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let (_, path) = log.keep().map_err(|error| error.to_string())?;
    let watched = std::process::id();
    // The shell ends the server when the tests are gone, however they went.
    let script = format!(
        "\"$0\" -H 127.0.0.1 -p 0 2>'{0}' >/dev/null & server=$!; echo started; \
         while kill -0 {watched} 2>/dev/null; do sleep 0.2; done; kill $server; rm -f '{0}'",
        path.display()
    );
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(&program)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut line = String::new();
    let _ = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Server(child));
    for _ in 0..300 {
        let said = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(address) = said.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")) {
            return Ok(address.trim_end_matches(['/', '.']).to_owned());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err(format!("{} said within 30 s no address", program.display()))
}

fn make_bucket(endpoint: &str) -> Result<(), String> {
    let answer = request(endpoint, "PUT", "/fulmen-test", "")?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    // 409: it is there already.
    if ["200", "409"].contains(&status) {
        Ok(())
    } else {
        Err(format!("{endpoint}: cannot make a bucket: {answer}"))
    }
}

/// A request that the store under test does not make, and its whole answer. The test server checks no signature.
pub(crate) fn request(endpoint: &str, method: &str, path: &str, body: &str) -> Result<String, String> {
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let fail = |error: std::io::Error| format!("{endpoint}: {error}");
    let mut stream = std::net::TcpStream::connect(address).map_err(fail)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(fail)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fail)?;
    Ok(answer)
}
