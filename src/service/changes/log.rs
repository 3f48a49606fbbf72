//! The events that are kept for those who come back: the newest, within a number and a room.
//!
//! Events have numbers without a gap, from 1 up, so that a number says whether what follows it is all there.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;

use crate::value::{Entry, Revision};

/// The most events that are kept.
const MAX_EVENTS: usize = 65_536;

/// The most bytes of names and values that are kept.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What an event takes besides its names and its value.
const EVENT_BYTES: usize = 128;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A key was written.
    Set(Entry),
    /// A key was removed.
    Delete {
        /// Which one.
        key: Box<str>,
        /// The revision that this took.
        revision: Revision,
    },
    /// Anything may have changed: a restore, or a write of which nobody knows whether it happened.
    Reset,
}

impl Change {
    /// The key that changed, if it is one.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Set(entry) => Some(entry.key()),
            Self::Delete { key, .. } => Some(key),
            Self::Reset => None,
        }
    }
}

/// A change that was told.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its number.
    pub(crate) number: u64,
    /// Where; `None` = everywhere.
    pub(crate) namespace: Option<Arc<str>>,
    /// What.
    pub(crate) change: Change,
    text: OnceLock<Bytes>,
}

impl Event {
    /// How it looks, made once for all who watch.
    pub(crate) fn text(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> Bytes {
        self.text.get_or_init(|| make(self).into()).clone()
    }

    fn size_bytes(&self) -> usize {
        let value = if let Change::Set(entry) = &self.change { entry.value().len() } else { 0 };
        EVENT_BYTES + value + self.change.key().map_or(0, str::len) + self.namespace.as_deref().map_or(0, str::len)
    }
}

/// The newest events.
#[derive(Default)]
pub(super) struct Log {
    events: VecDeque<Arc<Event>>,
    /// The number of the newest event; 0 before the first.
    last: u64,
    bytes: usize,
}

impl Log {
    /// The number of the newest event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Adds an event, and forgets those that there is no room for.
    pub(super) fn push(&mut self, namespace: Option<Arc<str>>, change: Change) -> Arc<Event> {
        self.last += 1;
        let event = Arc::new(Event { number: self.last, namespace, change, text: OnceLock::new() });
        self.bytes += event.size_bytes();
        self.events.push_back(event.clone());
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.size_bytes();
        }
        event
    }

    /// The event of a number, unless it is forgotten.
    pub(super) fn get(&self, number: u64) -> Option<&Arc<Event>> {
        let first = self.last + 1 - self.events.len() as u64;
        self.events.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// All events behind a number; `None` where some of them are forgotten, and for a number that was never given.
    pub(super) fn behind(&self, number: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        let count = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let start = self.events.len().checked_sub(count)?;
        Some(self.events.range(start..))
    }
}
