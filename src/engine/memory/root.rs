//! A whole state as one value: what a snapshot shares, a restore puts back, and a write changes a path of.
//!
//! Cloning is O(1). Beside the namespaces stand totals over all stored entries, and one map from (earliest expiry, namespace)
//! to the namespaces that hold something that goes; nothing here knows the time but by argument. The totals count entries that
//! are due but not yet removed; [`Root::due`] says how many those are.

use std::sync::Arc;

use triomphe::ThinArc;

use crate::clock::Timestamp;
use crate::key::Key;
use crate::map::{Leaf, Map};
use crate::store::Usage;
use crate::value::{Entry, INLINE_VALUE_BYTES, Revision, Stamp, Value};

/// A whole state.
#[derive(Clone, Default)]
pub(super) struct Root {
    pub(super) spaces: Map<Space>,
    /// Keys: the earliest expiry of a namespace, then its name.
    earliest: Map<Moment>,
    usage: Usage,
}

/// One namespace with all its entries. Cloning shares it.
#[derive(Clone)]
pub(super) struct Space(triomphe::Arc<Record>);

#[derive(Clone)]
struct Record {
    name: Arc<str>,
    entries: Map<Entry>,
    /// Keys: an entry's expiry, then its key.
    moments: Map<Moment>,
    usage: Usage,
    revision: Revision,
}

/// A name behind the moment at which it is due; it sorts by that moment.
#[derive(Clone)]
struct Moment(ThinArc<(), u8>);

/// What a change took out of a root, to be dropped where no lock is held.
#[derive(Default)]
pub(super) struct Garbage {
    entries: Vec<Entry>,
    spaces: Vec<Space>,
}

impl Leaf for Entry {
    fn key(&self) -> &[u8] {
        self.key_bytes()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Leaf for Space {
    fn key(&self) -> &[u8] {
        self.0.name.as_bytes()
    }

    fn is_same(&self, other: &Self) -> bool {
        triomphe::Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Leaf for Moment {
    fn key(&self) -> &[u8] {
        &self.0.slice
    }

    fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(&*self.0, &*other.0)
    }
}

const MOMENT_BYTES: usize = 8;

impl Moment {
    fn new(at: Timestamp, name: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice((), &Self::key_of(at, name)))
    }

    /// Big-endian with the sign flipped, so that byte order is time order.
    fn key_of(at: Timestamp, name: &[u8]) -> Vec<u8> {
        let ordered = at.as_millis().cast_unsigned() ^ (1 << 63);
        [&ordered.to_be_bytes(), name].concat()
    }

    fn at(&self) -> Timestamp {
        let bytes = self.0.slice[..MOMENT_BYTES].try_into().expect("a moment begins with eight bytes");
        Timestamp::from_millis((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
    }

    fn name(&self) -> &[u8] {
        &self.0.slice[MOMENT_BYTES..]
    }
}

impl Space {
    fn new(name: &str) -> Self {
        Self(triomphe::Arc::new(Record {
            name: name.into(),
            entries: Map::new(),
            moments: Map::new(),
            usage: Usage::default(),
            revision: 0,
        }))
    }

    /// The namespace's name.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// Every stored entry, due ones included.
    pub(super) fn entries(&self) -> &Map<Entry> {
        &self.0.entries
    }

    /// The revision of the last operation on it.
    pub(super) fn revision(&self) -> Revision {
        self.0.revision
    }

    /// What is live at `now`.
    ///
    /// # Cost
    /// O(due entries).
    pub(super) fn usage_at(&self, now: Timestamp) -> Usage {
        let due = self.due(now);
        Usage { entries: self.0.usage.entries - due.entries, size_bytes: self.0.usage.size_bytes - due.size_bytes }
    }

    /// Whether any entry is live at `now`.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.0.moments.is_empty() || self.usage_at(now).entries > 0
    }

    fn due(&self, now: Timestamp) -> Usage {
        let mut due = Usage::default();
        for moment in self.0.moments.iter().take_while(|moment| moment.at() <= now) {
            let entry = self.0.entries.get(moment.name());
            due.entries += 1;
            due.size_bytes += entry.map_or(0, |entry| entry.value().len() as u64);
        }
        due
    }

    fn earliest(&self) -> Option<Timestamp> {
        self.0.moments.first().map(Moment::at)
    }
}

/// A write of one entry, judged and numbered.
pub(super) struct Write<'a> {
    pub(super) namespace: &'a str,
    pub(super) key: &'a Key<'a>,
    pub(super) value: &'a Value<'a>,
    pub(super) revision: Revision,
    pub(super) now: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
}

impl Write<'_> {
    /// What the entry is stamped with; what is live under the key lends it its age.
    #[inline]
    fn stamp(&self, standing: Option<&Entry>) -> Stamp {
        let live = standing.filter(|entry| !entry.is_expired(self.now));
        Stamp {
            revision: self.revision,
            created_at: live.map_or(self.now, Entry::created_at),
            updated_at: self.now,
            expires_at: self.expires_at,
        }
    }
}

/// What an entry counts for.
struct Weight {
    size_bytes: u64,
    expires_at: Option<Timestamp>,
}

impl Weight {
    #[inline]
    fn of(entry: &Entry) -> Self {
        Self { size_bytes: entry.value().len() as u64, expires_at: entry.expires_at() }
    }
}

impl Record {
    /// Writes an entry and returns the one it replaces, unless that could be written over.
    #[inline]
    fn put(&mut self, write: &Write<'_>) -> Option<Entry> {
        let key = write.key.as_bytes();
        let mut old = None;
        let replaced = self.entries.write(key, |standing| {
            let stamp = write.stamp(standing.as_deref());
            if let Some(entry) = standing {
                old = Some(Weight::of(entry));
                if entry.rewrite(write.value, stamp) {
                    return None;
                }
            }
            Some(Entry::new(write.key, write.value, stamp))
        });
        self.revision = write.revision;
        let new = Weight { size_bytes: write.value.as_bytes().len() as u64, expires_at: write.expires_at };
        self.account(key, old, Some(new));
        replaced
    }

    /// Keeps usage and expiry index in step when the entry of `key` gives way to another.
    #[inline]
    fn account(&mut self, key: &[u8], old: Option<Weight>, new: Option<Weight>) {
        if let Some(old) = old {
            self.usage.entries -= 1;
            self.usage.size_bytes -= old.size_bytes;
            if let Some(at) = old.expires_at {
                self.moments.remove(&Moment::key_of(at, key));
            }
        }
        if let Some(new) = new {
            self.usage.entries += 1;
            self.usage.size_bytes += new.size_bytes;
            if let Some(at) = new.expires_at {
                self.moments.insert(Moment::new(at, key));
            }
        }
    }
}

impl Root {
    /// A namespace, if it holds any entry, due ones included.
    pub(super) fn space(&self, namespace: &[u8]) -> Option<&Space> {
        self.spaces.get(namespace)
    }

    /// A stored entry, due or not.
    pub(super) fn entry(&self, namespace: &[u8], key: &[u8]) -> Option<&Entry> {
        self.space(namespace)?.entries().get(key)
    }

    /// How many entries are stored, due ones included.
    pub(super) fn stored_entries(&self) -> u64 {
        self.usage.entries
    }

    /// Whether dropping this root frees next to nothing, because another root holds the same nodes.
    pub(super) fn is_shared(&self) -> bool {
        match self.spaces.len() {
            1 => self.spaces.first().is_some_and(|space| !space.0.is_unique()),
            _ => self.spaces.is_shared(),
        }
    }

    /// What is live at `now`.
    ///
    /// # Cost
    /// O(due entries).
    pub(super) fn usage_at(&self, now: Timestamp) -> Usage {
        let mut usage = self.usage;
        for space in self.due_spaces(now) {
            let due = space.due(now);
            usage.entries -= due.entries;
            usage.size_bytes -= due.size_bytes;
        }
        usage
    }

    fn due_spaces(&self, now: Timestamp) -> impl Iterator<Item = &Space> {
        let due = self.earliest.iter().take_while(move |moment| moment.at() <= now);
        due.filter_map(|moment| self.spaces.get(moment.name()))
    }

    /// Writes an entry.
    #[inline]
    pub(super) fn put(&mut self, write: &Write<'_>, garbage: &mut Garbage) {
        let replaced = self.change(write.namespace, |record| record.put(write));
        garbage.keep_entry(replaced);
    }

    /// Puts `entry` in the place of the one with its key.
    pub(super) fn replace(&mut self, namespace: &str, entry: Entry) {
        self.change(namespace, |record| {
            record.revision = entry.revision();
            let old = record.entries.insert(entry.clone());
            record.account(entry.key_bytes(), old.as_ref().map(Weight::of), Some(Weight::of(&entry)));
        });
    }

    /// Removes a stored entry. `revision` is the removal's own; none when it is an expiry.
    pub(super) fn remove(&mut self, namespace: &str, key: &[u8], revision: Option<Revision>, garbage: &mut Garbage) {
        let mut is_empty = false;
        self.change(namespace, |record| {
            let old = record.entries.remove(key);
            record.account(key, old.as_ref().map(Weight::of), None);
            record.revision = revision.unwrap_or(record.revision);
            is_empty = record.entries.is_empty();
            garbage.keep_entry(old);
        });
        if is_empty {
            self.spaces.remove(namespace.as_bytes());
        }
    }

    /// Removes a namespace, due entries included.
    pub(super) fn remove_space(&mut self, namespace: &str, garbage: &mut Garbage) {
        let Some(space) = self.spaces.remove(namespace.as_bytes()) else { return };
        self.settle(namespace, (space.0.usage, space.earliest()), (Usage::default(), None));
        garbage.spaces.push(space);
    }

    /// Makes `target` hold what `source` holds. Nothing may be stored there.
    pub(super) fn copy_space(&mut self, source: &Space, target: &str, revision: Revision) {
        let mut record = (*source.0).clone();
        record.name = target.into();
        record.revision = revision;
        self.add_space(Space(triomphe::Arc::new(record)));
    }

    /// Removes at most `most` due entries; tells how many those were.
    #[inline]
    pub(super) fn sweep(&mut self, now: Timestamp, most: usize, garbage: &mut Garbage) -> usize {
        if self.earliest.is_empty() { 0 } else { self.remove_due(now, most, garbage) }
    }

    fn remove_due(&mut self, now: Timestamp, most: usize, garbage: &mut Garbage) -> usize {
        let mut removed = 0;
        while removed < most {
            let Some(space) = self.due_spaces(now).next() else { break };
            let due = space.0.moments.iter().take_while(|moment| moment.at() <= now);
            let keys: Vec<Moment> = due.take(most - removed).cloned().collect();
            let name = space.0.name.clone();
            removed += keys.len();
            keys.iter().for_each(|moment| self.remove(&name, moment.name(), None, garbage));
        }
        removed
    }

    /// Changes a namespace's record in place where nothing shares it, and the totals with it.
    #[inline]
    fn change<R>(&mut self, namespace: &str, change: impl FnOnce(&mut Record) -> R) -> R {
        let Some(space) = self.spaces.get_mut(namespace.as_bytes()) else {
            return self.begin(namespace, change);
        };
        let before = (space.0.usage, space.earliest());
        let result = change(triomphe::Arc::make_mut(&mut space.0));
        let after = (space.0.usage, space.earliest());
        self.settle(namespace, before, after);
        result
    }

    /// Makes the first change of a namespace.
    #[inline(never)]
    fn begin<R>(&mut self, namespace: &str, change: impl FnOnce(&mut Record) -> R) -> R {
        let mut space = Space::new(namespace);
        let result = change(triomphe::Arc::make_mut(&mut space.0));
        self.add_space(space);
        result
    }

    fn add_space(&mut self, space: Space) {
        self.settle(space.name(), (Usage::default(), None), (space.0.usage, space.earliest()));
        self.spaces.insert(space);
    }

    /// Brings totals and schedule in step with what one namespace held, and when it was due, before and after a change.
    #[inline]
    fn settle(&mut self, name: &str, before: (Usage, Option<Timestamp>), after: (Usage, Option<Timestamp>)) {
        self.usage.entries = self.usage.entries - before.0.entries + after.0.entries;
        self.usage.size_bytes = self.usage.size_bytes - before.0.size_bytes + after.0.size_bytes;
        if before.1 != after.1 {
            self.reschedule(name.as_bytes(), before.1, after.1);
        }
    }

    #[cold]
    fn reschedule(&mut self, name: &[u8], before: Option<Timestamp>, after: Option<Timestamp>) {
        if let Some(at) = before {
            self.earliest.remove(&Moment::key_of(at, name));
        }
        if let Some(at) = after {
            self.earliest.insert(Moment::new(at, name));
        }
    }
}

impl Garbage {
    /// Keeps an entry whose memory takes long to free; a small one is dropped at once.
    #[inline]
    fn keep_entry(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry
            && entry.value().len() > INLINE_VALUE_BYTES
        {
            self.entries.push(entry);
        }
    }

    /// Whether there is nothing to drop.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.spaces.is_empty()
    }

    /// How many entries dropping this frees at the most.
    pub(super) fn entries(&self) -> u64 {
        self.spaces.iter().map(|space| space.0.usage.entries).sum::<u64>() + self.entries.len() as u64
    }
}
