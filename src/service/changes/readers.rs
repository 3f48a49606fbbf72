//! Those who watch, and what each of them has still to hear.
//!
//! A watcher's backlog is a list of numbers: the events themselves are held by the log alone, so that however slow it is, it keeps
//! no value alive. One that falls too far behind loses its backlog and is told so.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::Last;
use super::log::{Change, Event, Log};
use crate::clock::Timestamp;

/// How many events a watcher may be behind.
const MAX_BEHIND: usize = 1000;

/// How long nothing is said before a sign of life, in milliseconds.
const QUIET_MILLIS: i64 = 15_000;

/// Whose number a watcher is.
pub(crate) type ReaderId = u64;

/// Says whether a watch may go on; it may block.
pub(crate) type Stays = Arc<dyn Fn() -> bool + Send + Sync>;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The keys of a namespace that begin so.
    Namespace(Arc<str>, Box<str>),
    /// All keys of the namespaces that begin so.
    Namespaces(Box<str>),
}

impl Scope {
    fn concerns(&self, event: &Event) -> bool {
        match (self, &event.namespace) {
            (_, None) => true,
            (Self::Namespace(mine, prefix), Some(namespace)) => {
                mine == namespace && event.change.key().is_none_or(|key| key.starts_with(&**prefix))
            }
            (Self::Namespaces(prefix), Some(namespace)) => namespace.starts_with(&**prefix),
        }
    }
}

/// What a watcher hears next.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// That something changed.
    Event(Arc<Event>),
    /// That it has missed something, up to this event.
    Reset(u64),
    /// That it has heard all up to this event.
    Sign(u64),
}

struct Reader {
    scope: Scope,
    stays: Option<Stays>,
    behind: VecDeque<u64>,
    has_missed: bool,
    wants_sign: bool,
    is_ended: bool,
    heard_at: Timestamp,
    waker: Option<Waker>,
}

impl Reader {
    fn hear(&mut self, event: &Event) {
        if !self.scope.concerns(event) || self.has_missed {
            return;
        }
        if matches!(event.change, Change::Reset) || self.behind.len() >= MAX_BEHIND {
            self.has_missed = true;
            self.behind = VecDeque::new();
        } else {
            self.behind.push_back(event.number);
        }
    }

    fn resume(&mut self, last: Last, log: &Log) {
        match last {
            Last::None => {}
            Last::Unknown => self.has_missed = true,
            Last::Number(number) => match log.behind(number) {
                Some(events) => events.for_each(|event| self.hear(event)),
                None => self.has_missed = true,
            },
        }
    }

    fn next(&mut self, log: &Log) -> Option<Next> {
        let (has_missed, wants_sign) = (self.has_missed, self.wants_sign);
        self.has_missed = false;
        if has_missed {
            return Some(Next::Reset(log.last()));
        }
        if let Some(number) = self.behind.pop_front() {
            return Some(match log.get(number) {
                Some(event) => Next::Event(event.clone()),
                None => {
                    self.behind = VecDeque::new();
                    Next::Reset(log.last())
                }
            });
        }
        self.wants_sign = false;
        wants_sign.then(|| Next::Sign(log.last()))
    }
}

/// All who watch.
#[derive(Default)]
pub(super) struct Readers {
    all: HashMap<ReaderId, Reader>,
    by_namespace: HashMap<Arc<str>, Vec<ReaderId>>,
    everywhere: Vec<ReaderId>,
    newest: ReaderId,
    /// Whose turn it is, to be woken without the lock.
    woken: Vec<Waker>,
}

impl Readers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds one that goes on behind `last`.
    pub(super) fn open(
        &mut self,
        scope: Scope,
        last: Last,
        stays: Option<Stays>,
        log: &Log,
        now: Timestamp,
        is_ended: bool,
    ) -> ReaderId {
        self.newest += 1;
        match &scope {
            Scope::Namespace(namespace, _) => {
                self.by_namespace.entry(namespace.clone()).or_default().push(self.newest);
            }
            Scope::Namespaces(_) => self.everywhere.push(self.newest),
        }
        let mut reader = Reader {
            scope,
            stays,
            behind: VecDeque::new(),
            has_missed: false,
            wants_sign: true,
            is_ended,
            heard_at: now,
            waker: None,
        };
        reader.resume(last, log);
        self.all.insert(self.newest, reader);
        self.newest
    }

    /// Removes one, and returns what it held.
    pub(super) fn leave(&mut self, id: ReaderId) -> Option<impl Sized + use<>> {
        let reader = self.all.remove(&id)?;
        match &reader.scope {
            Scope::Namespaces(_) => self.everywhere.retain(|other| *other != id),
            Scope::Namespace(namespace, _) => {
                if let Some(readers) = self.by_namespace.get_mut(namespace) {
                    readers.retain(|other| *other != id);
                    if readers.is_empty() {
                        self.by_namespace.remove(namespace);
                    }
                }
            }
        }
        Some(reader)
    }

    /// Tells an event to all whom it concerns.
    pub(super) fn tell(&mut self, event: &Event) {
        let Self { all, by_namespace, everywhere, woken, .. } = self;
        let mut tell = |reader: &mut Reader| {
            reader.hear(event);
            woken.extend(reader.waker.take_if(|_| reader.has_missed || !reader.behind.is_empty()));
        };
        let Some(namespace) = &event.namespace else { return all.values_mut().for_each(tell) };
        for id in by_namespace.get(namespace).into_iter().flatten().chain(&*everywhere) {
            all.get_mut(id).into_iter().for_each(&mut tell);
        }
    }

    /// What is next for one, or who is to be woken once there is something; `None` at the end.
    pub(super) fn poll(&mut self, id: ReaderId, log: &Log, now: Timestamp, waker: &Waker) -> Poll<Option<Next>> {
        let Some(reader) = self.all.get_mut(&id).filter(|reader| !reader.is_ended) else { return Poll::Ready(None) };
        if let Some(next) = reader.next(log) {
            reader.heard_at = now;
            return Poll::Ready(Some(next));
        }
        reader.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Has a sign given to those who heard nothing for long; returns the checks of those who have one.
    pub(super) fn tend(&mut self, now: Timestamp) -> Vec<(ReaderId, Stays)> {
        for reader in self.all.values_mut() {
            let quiet = now.as_millis() - reader.heard_at.as_millis();
            if !(0..QUIET_MILLIS).contains(&quiet) {
                reader.wants_sign = true;
                self.woken.extend(reader.waker.take());
            }
        }
        self.all.iter().filter_map(|(id, reader)| Some((*id, reader.stays.clone()?))).collect()
    }

    /// Ends the watch of one.
    pub(super) fn end(&mut self, id: ReaderId) {
        if let Some(reader) = self.all.get_mut(&id) {
            reader.is_ended = true;
            self.woken.extend(reader.waker.take());
        }
    }

    /// Ends the watch of all.
    pub(super) fn end_all(&mut self) {
        for reader in self.all.values_mut() {
            reader.is_ended = true;
            self.woken.extend(reader.waker.take());
        }
    }

    /// Who is to be woken.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }
}
