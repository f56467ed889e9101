//! The server itself: listens, serves connections, ends when it is told to.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use fulmen_encryption::Keyring;
use fulmen_storage::StorageError;
use fulmen_tracking::Store;
use http_body_util::BodyExt as _;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    app::{App, respond},
    artifacts::Artifacts,
    frame::{Gate, HostRules, Pool, THREADS},
};

/// Most connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 2048;
/// A connection that sends no request for so long is closed.
const IDLE: Duration = Duration::from_secs(90);
/// Requests under way at the end get so long to finish.
const FAREWELL: Duration = Duration::from_secs(10);

/// Where a server listens and what it serves besides the store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    /// Path or URI of the place where artifacts lie.
    pub artifacts: String,
    /// What everything in that place is encrypted under; none: it is not.
    pub keyring: Option<Arc<Keyring>>,
    /// Whether clients reach artifacts through the server.
    pub serve_artifacts: bool,
    /// Which names of this server, and which sites, are let in.
    pub hosts: HostRules,
}

/// Why a server could not be started or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {host}:{port}: {source}; choose another --host or --port, or end the program that has it"
    )]
    Listen {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// The system's own words.
        source: io::Error,
    },
    /// The system refuses threads, signals or sockets.
    #[error("cannot serve: {0}")]
    System(#[from] io::Error),
    /// Artifacts cannot be served from there.
    #[error(transparent)]
    Place(#[from] StorageError),
}

/// A server that listens already, so that its port is known and no client is refused while it starts.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
}

impl Server {
    /// Listens for requests over `store`.
    ///
    /// # Errors
    /// [`ServerError`] where the address is taken or unknown, or artifacts cannot be served from their place.
    pub fn bind(settings: &Settings, store: Arc<dyn Store>) -> Result<Self, ServerError> {
        let Settings { host, port, .. } = settings;
        let failed = |source| ServerError::Listen { host: host.clone(), port: *port, source };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let listener = TcpListener::bind((bare, *port)).map_err(failed)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let app = App {
            store,
            artifacts: Artifacts::new(
                &settings.artifacts,
                settings.keyring.clone(),
                settings.serve_artifacts,
            )?,
            gate: Gate::new(settings.hosts.clone(), Some(address.ip())),
            pool: Pool::default(),
        };
        Ok(Self { listener, address, app: Arc::new(app) })
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether other machines reach the server.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback())
            && !matches!(self.address.ip(), IpAddr::V6(ip) if ip.is_loopback())
    }

    /// Serves until SIGTERM or Ctrl-C, then lets requests under way finish.
    ///
    /// # Errors
    /// [`ServerError::System`] where the system refuses what a server needs.
    pub fn run(self) -> Result<(), ServerError> {
        runtime()?.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let until = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            self.serve(until).await
        })
    }

    /// Serves until `stop` is dropped or sent to, for programs with signals of their own.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_until(self, stop: tokio::sync::oneshot::Receiver<()>) -> Result<(), ServerError> {
        runtime()?.block_on(self.serve(async {
            let _ = stop.await;
        }))
    }

    async fn serve(self, until: impl Future<Output = ()>) -> Result<(), ServerError> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                accepted = accept(&listener, &places) => {
                    let (stream, place) = accepted;
                    serve_connection(stream, place, &self.app, &graceful);
                }
            }
        }
        drop(listener);
        // What takes longer than this has to be sent again.
        let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
        Ok(())
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(4))
        .max_blocking_threads(THREADS)
        .thread_name("fulmen-server")
        .enable_all()
        .build()
}

/// The next connection, once there is room for one more.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // Out of file handles, or the client has gone: neither is helped by asking again at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn serve_connection(
    stream: TcpStream,
    place: Option<OwnedSemaphorePermit>,
    app: &Arc<App>,
    graceful: &GracefulShutdown,
) {
    // Answers are short; waiting to fill a packet would cost 40 ms. Where it cannot be set, they are late but right.
    let _ = stream.set_nodelay(true);
    let app = Arc::clone(app);
    let service = service_fn(move |request: Request<Incoming>| {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let app = Arc::clone(&app);
        async move { Ok::<_, std::convert::Infallible>(respond(app, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(128 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _place = place;
        // A connection that breaks is the client's affair.
        let _ = connection.await;
    });
}
