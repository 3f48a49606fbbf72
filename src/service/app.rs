//! The server: its listener, its runtime, its limits and its end.
//!
//! A server has a runtime of its own and lets go of whoever started it. It serves so many connections at a time, waits for a
//! request's head only so long, and keeps a bounded room for bodies. Stopping it ends accepting, lets requests under way finish
//! for a while, and leaves the store open for whoever owns it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::auth::{Registry, new_operator_key};
use super::ops::Keys;
use super::refusal::{Reason, Refusal, Result};
use super::rest;
use crate::clock::Clock;
use crate::error::Error;
use crate::store::Store;

/// Connections that are served at a time; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// How long requests under way may take to finish once the server is stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Room for bodies that are being read, in KiB.
const BODY_ROOM_KIB: usize = 256 * 1024;

/// How a store is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 = a free one.
    pub port: u16,
    /// The operator's key; `None` = a new one.
    pub api_key: Option<String>,
    /// The URL that clients use, where it is not the address.
    pub public_url: Option<String>,
    /// What tells the time; the clock of the store.
    pub clock: Clock,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            api_key: None,
            public_url: None,
            clock: Clock::system(),
        }
    }
}

/// What every request needs.
pub(super) struct App {
    pub(super) keys: Keys,
    pub(super) registry: Registry,
    address: SocketAddr,
    public_host: Option<String>,
    body_room: Semaphore,
}

impl App {
    /// Whether an operation on keys may wait for a disk or a network.
    pub(super) fn waits(&self) -> bool {
        self.keys.store().capabilities().waits
    }

    /// Runs work that may block: on a thread of its own where it waits, else in place.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        waits: bool,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if !waits {
            return work(self);
        }
        let app = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&app)).await;
        done.unwrap_or_else(|_| Err(Error::corrupt("an operation ended without an answer").into()))
    }

    /// Refuses a request whose Host is neither loopback, nor the address, nor the public name: a page of another site may have
    /// had its name resolved to this machine.
    pub(super) fn check_host(&self, parts: &Parts) -> Result<()> {
        let mut given = parts.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else { return Err(Reason::Misdirected.into()) };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        match authority.filter(|authority| !authority.as_str().contains('@')) {
            Some(authority) if self.is_ours(authority.host()) => Ok(()),
            _ => Err(Reason::Misdirected.into()),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == self.address.ip());
        let is_public = self.public_host.as_deref().is_some_and(|public| public.eq_ignore_ascii_case(host));
        is_address || is_public || host.eq_ignore_ascii_case("localhost")
    }

    /// Waits for room for a body of so many bytes.
    pub(super) async fn room_for(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.body_room.acquire_many(kib).await.ok()
    }
}

/// A running server. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    api_key: String,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        let app = App {
            keys: Keys::new(store, options.clock.clone()),
            registry: Registry::new(registry, &api_key, options.clock),
            address,
            public_host,
            body_room: Semaphore::new(BODY_ROOM_KIB),
        };
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_io()
            .enable_time()
            .thread_name("swarmstate-serve")
            .build()
            .map_err(no_thread)?;
        let thread = std::thread::Builder::new()
            .name("swarmstate-serve".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, Arc::new(app), stopped));
                runtime.shutdown_timeout(DRAIN_TIMEOUT);
            })
            .map_err(no_thread)?;
        Ok(Self { address, api_key, stop, thread: Mutex::new(Some(thread)) })
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

    /// Stops accepting, lets requests under way finish, and returns when the server is gone. Stopping again is nothing.
    pub fn stop(&self) {
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
        false => Err(Error::invalid("the operator's key must have at least 16 characters, printable and without blanks")),
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

async fn serve(listener: TcpListener, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let router = Router::new().fallback(rest::handle).with_state(app);
    let (connections, graceful) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), GracefulShutdown::new());
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What a client does to its own connection is no news.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &tokio::net::TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
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
