//! A PostgreSQL server for tests: the one that an environment variable names, else one that is started for the test.

use std::{
    ffi::OsStr,
    fs,
    io::{Error, ErrorKind, Result},
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};

/// Names a server whose databases tests may create, such as `postgresql://user:password@localhost/postgres`.
pub const URI_VARIABLE: &str = "FULMEN_TEST_POSTGRESQL";

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The server of this process. It ends with the process.
static SERVER: OnceLock<std::result::Result<String, String>> = OnceLock::new();
/// Numbers the databases.
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A new, empty database on a server that tests share, as a URI; else why there is none.
///
/// # Errors
/// A sentence for `skipped: …`.
pub fn new_database() -> std::result::Result<String, String> {
    let server = SERVER.get_or_init(|| match std::env::var(URI_VARIABLE) {
        Ok(uri) => Ok(uri),
        Err(_) => {
            let server = start(false);
            server
                .map(|server| server.uri)
                .map_err(|error| format!("no PostgreSQL server ({error}); name one in {URI_VARIABLE}"))
        }
    });
    let server = server.as_ref().map_err(Clone::clone)?;
    let name = format!("fulmen_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut client = Client::connect(server, NoTls)
        .map_err(|error| format!("PostgreSQL at {server} does not answer: {error}"))?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).map_err(|error| error.to_string())?;
    let (place, parameters) = server.split_once('?').unwrap_or((server, ""));
    let place =
        place.rsplit_once('/').filter(|(front, _)| !front.ends_with('/')).map_or(place, |(front, _)| front);
    Ok(format!("{place}/{name}?{parameters}"))
}

/// A server that was started for a test.
#[derive(Debug)]
pub struct Server {
    /// Its database `postgres`.
    pub uri: String,
    /// What has signed its certificate, where it encrypts.
    pub root_certificate: PathBuf,
}

/// Starts a server that encrypts, on a free port of this machine.
///
/// # Errors
/// A sentence for `skipped: …`: no server, or no `openssl` to make a certificate with.
pub fn start_encrypted() -> std::result::Result<Server, String> {
    start(true).map_err(|error| format!("no PostgreSQL server that encrypts: {error}"))
}

/// Starts a server in a temporary folder, on a socket there, or encrypted on a port. A shell watches over it: when this
/// process has ended, however it ended, the server is stopped and the folder removed.
fn start(encrypted: bool) -> Result<Server> {
    let programs =
        find_programs().ok_or_else(|| Error::new(ErrorKind::NotFound, "no initdb and postgres found"))?;
    let folder = tempfile::Builder::new().prefix("fulmen-postgres-").tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let user = unprivileged_user()?;
    let own = |path: &Path| match &user {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    };
    own(folder.path())?;
    let data = folder.path().join("data");
    let mut initdb = run_as(&user, &programs.join("initdb"));
    initdb
        .args(["--username=fulmen", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"])
        .arg(&data);
    finish(&mut initdb)?;
    let log = fs::File::create(folder.path().join("log"))?;
    let mut command = run_as(&user, &programs.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-c", "fsync=off", "-c", "max_connections=300", "-k"])
        .arg(folder.path());
    let root_certificate = folder.path().join("ca.pem");
    let uri = if encrypted {
        make_certificates(folder.path())?;
        own(&folder.path().join("server.key"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let file = |name: &str| folder.path().join(name).display().to_string();
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}"), "-c", "ssl=on"]);
        command.args(["-c", &format!("ssl_cert_file={}", file("server.pem"))]);
        command.args(["-c", &format!("ssl_key_file={}", file("server.key"))]);
        format!("postgresql://fulmen@localhost:{port}/postgres")
    } else {
        command.args(["-c", "listen_addresses="]);
        format!("postgresql://fulmen@{}/postgres", folder.path().display().to_string().replace('/', "%2F"))
    };
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    // The folder is the watcher's from here on.
    let folder = folder.keep();
    watch(&server, &folder)?;
    let begin = Instant::now();
    loop {
        match Client::connect(&uri, NoTls) {
            Ok(_) => return Ok(Server { uri, root_certificate }),
            Err(error) if begin.elapsed() > START => return Err(Error::other(error)),
            Err(_) => {}
        }
        if server.try_wait()?.is_some() {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(Error::other(format!("postgres ended: {log}")));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// `ca.pem`, and `server.pem` with `server.key` for `localhost`, signed by it.
fn make_certificates(folder: &Path) -> Result<()> {
    let openssl =
        |arguments: &str| finish(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost")?;
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=fulmen-test-root -days 2"))?;
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))?;
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    )?;
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600))
}

fn finish(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Stops the server when this process has ended: the standard input of the watcher is a pipe that only this process holds.
fn watch(server: &Child, folder: &Path) -> Result<()> {
    let script = "cat; kill -INT \"$1\" 2>/dev/null; for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 \"$1\" 2>/dev/null || break; sleep 0.2; done; rm -rf \"$2\"";
    let watcher = Command::new("sh")
        .args(["-c", script, "sh", &server.id().to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Never dropped, so that the pipe stays open as long as this process lives.
    std::mem::forget(watcher);
    Ok(())
}

/// The folder that holds both programs.
fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/local/bin".into());
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

struct User {
    uid: u32,
    gid: u32,
}

/// Whom the server runs as: the programs refuse the superuser.
fn unprivileged_user() -> Result<Option<User>> {
    // The owner of this process's own folder in /proc.
    let own = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self")?);
    if own != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let account = |name: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    account("postgres")
        .or_else(|| account("nobody"))
        .map(Some)
        .ok_or_else(|| Error::other("no unprivileged user"))
}

fn run_as(user: &Option<User>, program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(User { uid, gid }) = user {
        std::os::unix::process::CommandExt::uid(&mut command, *uid);
        std::os::unix::process::CommandExt::gid(&mut command, *gid);
    }
    command.env_remove(OsStr::new("PGDATA")).current_dir("/");
    command
}
