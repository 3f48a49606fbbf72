//! The server: its listener, its runtime and its end.
//!
//! A server has a runtime of its own and lets go of whoever started it. It serves so many connections at a time, and none of them
//! for ever: a head, a body and an answer that does not move have their time. Stopping it ends accepting, lets requests under way
//! finish for a while, and leaves the store open for whoever owns it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch as signal};
use tokio_io_timeout::TimeoutStream;

use super::answer::Answer;
use super::app::{App, Place};
use super::auth::{Registry, new_operator_key};
use super::mcp::{self, Mcp};
use super::measure::measure;
use super::ops::Keys;
use super::rate::Rate;
use super::rest;
use super::sweeper::sweep;
use super::watch;
use crate::clock::Clock;
use crate::error::Error;
use crate::store::Store;

/// Connections that are served at a time; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Requests that wait for a disk or a network at a time, each with what it reads; further ones wait their turn.
const MAX_AT_WORK: usize = 64;

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client may leave an answer unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// How long requests under way may take to finish once the server is stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often counts are summed up.
const SUMMED_EVERY: Duration = Duration::from_secs(5);

/// How a store is served.
#[derive(Clone)]
pub struct ServeOptions {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 = a free one.
    pub port: u16,
    /// The operator's key; `None` = a new one.
    pub api_key: Option<String>,
    /// The URL that clients use, where it is not the address.
    pub public_url: Option<String>,
    /// What agents may use over MCP, where their own list does not narrow it: `kv` stands for the tools on keys.
    pub capabilities: Vec<String>,
    /// Requests a second that are taken from each key or token; `None` = any number.
    pub rate_limit: Option<NonZeroU32>,
    /// Whether each request is told in a line on stderr, without keys, values and secrets.
    pub access_log: bool,
    /// What tells the time; the clock of the store.
    pub clock: Clock,
}

impl std::fmt::Debug for ServeOptions {
    /// Shows everything but the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, api_key: _, public_url, capabilities, rate_limit, access_log, clock: _ } = self;
        f.debug_struct("ServeOptions")
            .field("host", host)
            .field("port", port)
            .field("public_url", public_url)
            .field("capabilities", capabilities)
            .field("rate_limit", rate_limit)
            .field("access_log", access_log)
            .finish_non_exhaustive()
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            api_key: None,
            public_url: None,
            capabilities: default_capabilities(),
            rate_limit: None,
            access_log: false,
            clock: Clock::system(),
        }
    }
}

/// What a server offers that is not told otherwise.
pub fn default_capabilities() -> Vec<String> {
    vec!["kv".to_owned(), "pages".to_owned()]
}

/// A running server. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    api_key: String,
    stop: signal::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whose threads they are: a forked child has none of them.
    process: u32,
}

impl Server {
    /// Serves `store`, with the registry that lies in `registry`, and returns once it listens.
    ///
    /// # Errors
    /// `Invalid` for an address that is in use or not this machine's, for a key that is too short and for a public URL that is
    /// none; `Unavailable` where the system has no thread left.
    pub fn start(store: Arc<dyn Store>, registry: Arc<dyn Store>, options: ServeOptions) -> crate::error::Result<Self> {
        let public_host = options.public_url.as_deref().map(host_of).transpose()?;
        let api_key = options.api_key.map_or_else(new_operator_key, check_key)?;
        let (listener, address) = listen(SocketAddr::new(options.host, options.port))?;
        let keys = Keys::new(store, options.clock.clone());
        let rate = options.rate_limit.map(|per_second| Rate::new(per_second, options.clock.clone()));
        let registry = Registry::new(registry, &api_key, options.clock);
        let app = Arc::new(App::new(keys, registry, address, public_host, rate, options.access_log));
        let mcp = Mcp::new(app.clone(), &options.capabilities, address, options.public_url.as_deref());
        let router = Router::new().route("/mcp", any(mcp::handle)).with_state(Arc::new(mcp));
        let router = router.fallback_service(Router::new().fallback(rest::handle).with_state(app.clone()));
        let router = router.layer(from_fn_with_state(app.clone(), measure));
        let (stop, stopped) = signal::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(MAX_AT_WORK)
            .thread_name("swarmstate-serve")
            .build()
            .map_err(no_thread)?;
        let thread = std::thread::Builder::new()
            .name("swarmstate-serve".to_owned())
            .spawn(move || {
                runtime.spawn(sum_up(app.clone()));
                runtime.spawn(sweep(app.clone()));
                runtime.spawn(watch::tend(app.clone()));
                runtime.block_on(serve(listener, router, app, stopped));
                runtime.shutdown_timeout(DRAIN_TIMEOUT);
            })
            .map_err(no_thread)?;
        Ok(Self { address, api_key, stop, thread: Mutex::new(Some(thread)), process: std::process::id() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL on this machine.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The operator's key.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Stops accepting, lets requests under way finish, and returns when the server is gone. Stopping again is nothing,
    /// and neither is stopping it in a forked child.
    pub fn stop(&self) {
        if self.process != std::process::id() {
            return;
        }
        self.stop.send_replace(true);
        // Who else stops it meanwhile waits for the same end.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::Unavailable { what: format!("the server cannot start a thread: {error}") }
}

fn check_key(key: String) -> crate::error::Result<String> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    match is_plain && key.len() >= 16 {
        true => Ok(key),
        false => {
            Err(Error::invalid("the operator's key must have at least 16 characters, printable and without blanks"))
        }
    }
}

fn host_of(url: &str) -> crate::error::Result<String> {
    let wrong = || Error::invalid(format!("the public URL must be like https://kv.example.org, not {url:?}"));
    let uri: axum::http::Uri = url.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) => Ok(host.to_owned()),
        _ => Err(wrong()),
    }
}

fn listen(wanted: SocketAddr) -> crate::error::Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "something else listens there; choose another port with --port",
            std::io::ErrorKind::PermissionDenied => "this user may not; choose a port above 1023 with --port",
            _ => "choose an address of this machine with --host",
        };
        Error::invalid(format!("cannot listen on {wanted} ({error}): {hint}"))
    };
    let listener = TcpListener::bind(wanted).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, router: Router, app: Arc<App>, mut stopped: signal::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let (connections, graceful) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), GracefulShutdown::new());
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Some((stream, permit)) = accepted else { continue };
        let place = Place::new(permit);
        let _ = stream.set_nodelay(true);
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(WRITE_TIMEOUT));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service_at(&place, &router));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What a client does to its own connection is no news.
            let _ = connection.await;
            place.give_up();
        });
    }
    drop(listener);
    app.keys.changes().close();
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
}

/// The service as one connection sees it: its requests know the place that they take.
fn service_at(
    place: &Place,
    router: &Router,
) -> impl Service<Request<Incoming>, Response = Answer, Error = Infallible, Future: Send> + use<> {
    let (place, service) = (place.clone(), TowerToHyperService::new(router.clone()));
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        service.call(request)
    })
}

/// Sums up what is counted, as long as the runtime lives.
async fn sum_up(app: Arc<App>) {
    loop {
        tokio::time::sleep(SUMMED_EVERY).await;
        app.metrics.sum_up();
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &tokio::net::TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, OwnedSemaphorePermit)> {
    let place = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(_) => {
            // Out of files, most often: whoever holds them needs a moment to let go.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
