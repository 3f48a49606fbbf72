//! What every request needs: the store, the registry, whose names are ours, and room for bodies.
//!
//! Here it is decided on which thread work runs. Nothing here knows what a request wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::auth::{Identity, Registry};
use super::host::Hosts;
use super::metrics::Metrics;
use super::ops::Keys;
use super::pages::Pages;
use super::rate::Rate;
use super::refusal::{Reason, Result};
use crate::error::Error;

/// Room for bodies that are being read, in KiB.
const BODY_ROOM_KIB: usize = 256 * 1024;

/// Room for answers that are being sent, in KiB.
const ANSWER_ROOM_KIB: usize = 256 * 1024;

/// Requests that may read much and are carried out at a time.
const READING_MUCH: usize = 8;

/// How long such a request waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(2);

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

/// What every request needs.
pub(super) struct App {
    pub(super) keys: Keys,
    pub(super) registry: Arc<Registry>,
    pub(super) pages: Arc<Pages>,
    /// Where browsers find pages, without a slash at the end; `None` where no listener serves them.
    pub(super) pages_url: Option<String>,
    hosts: Hosts,
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
        let registry = Arc::new(registry);
        Self {
            pages: Arc::new(Pages::new(registry.clone(), keys.clock().clone())),
            pages_url: None,
            keys,
            registry,
            hosts: Hosts::new(address, public_host),
            body_room: Semaphore::new(BODY_ROOM_KIB),
            answer_room: Arc::new(Semaphore::new(ANSWER_ROOM_KIB)),
            reading_much: Semaphore::new(READING_MUCH),
            rate,
            metrics: Metrics::new(),
            has_access_log,
        }
    }

    /// The same, with pages at `url`.
    pub(super) fn with_pages_at(mut self, url: Option<String>) -> Self {
        self.pages_url = url;
        self
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

    /// Refuses a request whose Host is none of the API's names.
    pub(super) fn check_host(&self, parts: &Parts) -> Result<()> {
        self.hosts.check(parts)
    }

    /// The turn of a request that may read much, as long as the permit is held. So the others never wait behind all of those.
    ///
    /// # Errors
    /// `Busy` where it does not come within two seconds.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(TURN_PATIENCE, self.reading_much.acquire()).await;
        turn.ok().and_then(std::result::Result::ok).ok_or_else(|| Reason::CROWDED.into())
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
