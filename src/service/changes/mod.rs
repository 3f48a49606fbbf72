//! What changes in a served store, told as it happens to whoever watches.
//!
//! The changes of a namespace come in the order of their revisions, each once, and whoever misses some is told so. A writer
//! announces its write before the store is asked and tells what came of it after; it never waits for a watcher. What the store
//! was told past this process shows up nowhere here. How a change looks on the wire is for `watch`.
//!
//! Nothing is kept until somebody watches for the first time.

mod log;
mod order;
mod readers;

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use self::log::Log;
pub(crate) use self::log::{Change, Event};
use self::order::Flow;
use self::readers::Readers;
pub(crate) use self::readers::{Next, ReaderId, Scope, Stays};
use super::refusal::{Reason, Result};
use crate::clock::Clock;
use crate::error::Error;
use crate::value::{Entry, Revision};

/// The most that watch at a time.
const MAX_READERS: usize = 4096;

/// The changes made through one process to one store.
pub(crate) struct Changes {
    /// What tells the numbers given here from those given elsewhere.
    boot: String,
    clock: Clock,
    /// Held for moments: never while the store is asked, a check runs or a task is woken.
    state: Mutex<State>,
}

struct State {
    is_recording: bool,
    is_closed: bool,
    /// The number of the next write.
    ticket: u64,
    /// The namespaces that are being written.
    flows: HashMap<Arc<str>, Flow>,
    log: Log,
    readers: Readers,
}

impl Changes {
    /// No changes yet.
    pub(crate) fn new(clock: Clock) -> Self {
        let state = State {
            is_recording: false,
            is_closed: false,
            ticket: 0,
            flows: HashMap::new(),
            log: Log::default(),
            readers: Readers::default(),
        };
        // Without random bits it is at least not that of another moment.
        let boot = getrandom::u64().unwrap_or_else(|_| clock.now().as_millis().unsigned_abs());
        Self { boot: format!("{boot:016x}"), clock, state: Mutex::new(state) }
    }

    /// The id of an event, or of the place behind it.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.boot)
    }

    /// Where a watcher is whose last event had this id.
    pub(crate) fn behind(&self, id: &str) -> Last {
        let number = id.rsplit_once('-').filter(|(boot, _)| *boot == self.boot);
        number.and_then(|(_, number)| number.parse().ok()).map_or(Last::Unknown, Last::Number)
    }

    /// Announces a write in `namespace`, before the store is asked.
    pub(crate) fn begin(&self, namespace: &str) -> Writing<'_> {
        let mut state = self.state.lock();
        let (ticket, namespace) = (state.ticket, state.flow(namespace));
        state.ticket += 1;
        Writing { changes: self, namespace, ticket, came_of_it: None }
    }

    /// Tells that anything may have changed in `namespace`, or everywhere.
    pub(crate) fn reset(&self, namespace: Option<&str>) {
        self.change(|state| {
            state.publish(namespace.map(Arc::from), Change::Reset);
            let ticket = state.ticket;
            // What is under way may have come before it, and is told after it.
            let concerned = |name: &str| namespace.is_none_or(|namespace| namespace == name);
            state.flows.iter_mut().filter(|(name, _)| concerned(name)).for_each(|(_, flow)| flow.doubt(ticket));
        });
    }

    /// Begins to watch `scope` behind the event `last`, a number that this process gave, or from now on. The check `stays` says
    /// every second whether it goes on.
    ///
    /// # Errors
    /// `Busy` where too many watch.
    pub(crate) fn open(&self, scope: Scope, last: Last, stays: Option<Stays>) -> Result<ReaderId> {
        let mut state = self.state.lock();
        if state.readers.len() >= MAX_READERS {
            return Err(Reason::Busy("too many watch at a time; repeat in a moment").into());
        }
        state.is_recording = true;
        let State { log, readers, is_closed, .. } = &mut *state;
        Ok(readers.open(scope, last, stays, log, self.clock.now(), *is_closed))
    }

    /// Ends a watch.
    pub(crate) fn leave(&self, reader: ReaderId) {
        let left = self.state.lock().readers.leave(reader);
        // Its check may hold more than this lock's holder knows.
        drop(left);
    }

    /// What is next for a watcher; `None` at the end.
    pub(crate) fn poll(&self, reader: ReaderId, waker: &Waker) -> Poll<Option<Next>> {
        let mut state = self.state.lock();
        let State { log, readers, .. } = &mut *state;
        readers.poll(reader, log, self.clock.now(), waker)
    }

    /// Gives a sign of life to those who heard nothing for long, and ends the watches that may not go on. Blocks where checks
    /// do.
    pub(crate) fn tend(&self) {
        let now = self.clock.now();
        let mut checks = Vec::new();
        self.change(|state| checks = state.readers.tend(now));
        let ended: Vec<_> = checks.into_iter().filter(|(_, stays)| !stays()).map(|(reader, _)| reader).collect();
        self.change(|state| ended.iter().for_each(|reader| state.readers.end(*reader)));
    }

    /// Ends every watch, for good.
    pub(crate) fn close(&self) {
        self.change(|state| {
            state.is_closed = true;
            state.readers.end_all();
        });
    }

    /// Changes the state, and wakes whom that concerns once the lock is free.
    fn change(&self, work: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        work(&mut state);
        let woken = state.readers.take_woken();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Counts the write with the next ticket into its namespace, whose name it returns.
    fn flow(&mut self, namespace: &str) -> Arc<str> {
        let known = self.flows.get_key_value(namespace).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| namespace.into());
        self.flows.entry(name.clone()).or_default().begin(self.ticket);
        name
    }

    fn end(&mut self, namespace: &Arc<str>, ticket: u64, came_of_it: Option<Vec<(Revision, Change)>>) {
        let Some(flow) = self.flows.get_mut(namespace) else { return };
        match came_of_it {
            Some(changes) if self.is_recording => flow.end(ticket, self.ticket, changes),
            Some(_) => flow.end(ticket, self.ticket, Vec::new()),
            None => {
                flow.end(ticket, self.ticket, Vec::new());
                flow.doubt(self.ticket);
            }
        }
        let due = flow.due();
        if flow.is_over() {
            self.flows.remove(namespace);
        }
        for change in due {
            self.publish(Some(namespace.clone()), change);
        }
    }

    fn publish(&mut self, namespace: Option<Arc<str>>, change: Change) {
        if self.is_recording {
            let event = self.log.push(namespace, change);
            self.readers.tell(&event);
        }
    }
}

/// Where a watcher was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Nowhere: it begins now.
    None,
    /// Behind this event.
    Number(u64),
    /// Somewhere that this process does not know.
    Unknown,
}

/// A write under way. Whoever drops it without a word leaves open whether it happened, and watchers are told so.
pub(crate) struct Writing<'c> {
    changes: &'c Changes,
    namespace: Arc<str>,
    ticket: u64,
    came_of_it: Option<Vec<(Revision, Change)>>,
}

impl Writing<'_> {
    /// What the store answered, where an error is a word too: most say that nothing was written.
    ///
    /// # Errors
    /// The store's own.
    pub(crate) fn heard<T>(mut self, answer: crate::error::Result<T>) -> crate::error::Result<(T, Self)> {
        match answer {
            Ok(answer) => Ok((answer, self)),
            Err(error) => {
                if !matches!(error, Error::Unavailable { .. } | Error::Corrupt { .. }) {
                    self.came_of_it = Some(Vec::new());
                }
                Err(error)
            }
        }
    }

    /// Nothing was written.
    pub(crate) fn nothing(self) {
        self.all([]);
    }

    /// An entry was written.
    pub(crate) fn set(self, entry: &Entry) {
        self.all([(entry.revision(), Change::Set(entry.clone()))]);
    }

    /// A key was removed.
    pub(crate) fn deleted(self, key: &str, revision: Revision) {
        self.all([(revision, Change::Delete { key: key.into(), revision })]);
    }

    /// All of this was written.
    pub(crate) fn all(mut self, changes: impl IntoIterator<Item = (Revision, Change)>) {
        self.came_of_it = Some(changes.into_iter().collect());
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let came_of_it = self.came_of_it.take();
        self.changes.change(|state| state.end(&self.namespace, self.ticket, came_of_it));
    }
}
