//! What every request needs: the store, the registry, whose names are ours, and room for bodies.
//!
//! Here it is decided on which thread work runs. Nothing here knows what a request wants.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::auth::{Identity, Registry};
use super::metrics::Metrics;
use super::ops::Keys;
use super::rate::Rate;
use super::refusal::{Reason, Result};
use crate::error::Error;

/// Room for bodies that are being read, in KiB.
const BODY_ROOM_KIB: usize = 256 * 1024;

/// The place that a connection takes among those that are served at a time, until it gives it up.
#[derive(Clone)]
pub(super) struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Place {
    /// The place that stands for `permit`.
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Mutex::new(Some(permit))))
    }

    /// Leaves the place to another connection.
    pub(super) fn give_up(&self) {
        drop(self.0.lock().take());
    }
}

/// Room for answers that are being sent, in KiB.
const ANSWER_ROOM_KIB: usize = 256 * 1024;

/// Requests that may read much and are carried out at a time.
const READING_MUCH: usize = 8;

/// How long such a request waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(2);

/// What every request needs.
pub(super) struct App {
    pub(super) keys: Keys,
    pub(super) registry: Arc<Registry>,
    address: SocketAddr,
    public_host: Option<String>,
    body_room: Semaphore,
    answer_room: Arc<Semaphore>,
    reading_much: Semaphore,
    rate: Option<Rate>,
    pub(super) metrics: Metrics,
    /// Whether each request is told in a line on stderr.
    pub(super) has_access_log: bool,
}

impl App {
    /// What a server at `address` needs, whose public name is `public_host`.
    pub(super) fn new(
        keys: Keys,
        registry: Registry,
        address: SocketAddr,
        public_host: Option<String>,
        rate: Option<Rate>,
        has_access_log: bool,
    ) -> Self {
        Self {
            keys,
            registry: Arc::new(registry),
            address,
            public_host,
            body_room: Semaphore::new(BODY_ROOM_KIB),
            answer_room: Arc::new(Semaphore::new(ANSWER_ROOM_KIB)),
            reading_much: Semaphore::new(READING_MUCH),
            rate,
            metrics: Metrics::new(),
            has_access_log,
        }
    }

    /// Counts a request of the caller.
    ///
    /// # Errors
    /// `Often` where the server takes no more of them for now.
    pub(super) fn take_turn(&self, identity: &Identity) -> Result<()> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.take(identity.name()))
    }

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
        let is_ours = |authority: &Authority| !authority.as_str().contains('@') && self.is_ours(authority.host());
        // A request line may name a server too, and then the two may differ.
        match authority.as_ref().is_some_and(is_ours) && parts.uri.authority().is_none_or(is_ours) {
            true => Ok(()),
            false => Err(Reason::Misdirected.into()),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == self.address.ip());
        let is_public = self.public_host.as_deref().is_some_and(|public| public.eq_ignore_ascii_case(host));
        is_address || is_public || host.eq_ignore_ascii_case("localhost")
    }

    /// The turn of a request that may read much, as long as the permit is held. So the others never wait behind all of those.
    ///
    /// # Errors
    /// `Busy` where it does not come within two seconds.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(TURN_PATIENCE, self.reading_much.acquire()).await;
        turn.ok()
            .and_then(std::result::Result::ok)
            .ok_or_else(|| Reason::Busy("too many requests read much at a time; repeat in a moment").into())
    }

    /// Room for an answer of so many bytes, once there is some; one that is larger than all the room waits for all of it.
    pub(super) async fn room_for_answer(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let room = u32::try_from(bytes.div_ceil(1024).min(ANSWER_ROOM_KIB)).ok()?;
        self.answer_room.clone().acquire_many_owned(room).await.ok()
    }

    /// Room for so many more bytes of a body, as long as the permit is held; `None` where there is none left.
    pub(super) fn room_for(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        self.body_room.try_acquire_many(u32::try_from(bytes.div_ceil(1024)).ok()?).ok()
    }
}
