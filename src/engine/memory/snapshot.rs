//! A state that stands still: what snapshots and views of the memory engine read.

use std::sync::Arc;

use super::retire::retire;
use super::root::{Root, Space};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::map::{Change, Leaf, Map};
use crate::store::{Diff, NamespaceInfo, Order, Range, Reader, Snapshot, SnapshotInfo, Usage, merge_diff};
use crate::value::Entry;
use crate::waiting::Waiting;

/// A root with what the history knows about it.
pub(super) struct Kept {
    pub(super) info: SnapshotInfo,
    /// The moment of the cut: what was due by then is not in the root.
    pub(super) at: Timestamp,
    pub(super) root: Root,
}

/// A snapshot of a memory store. It stays readable for as long as somebody holds it.
pub struct MemorySnapshot {
    pub(super) kept: Arc<Kept>,
    /// What a fork goes by: the clock of the store that it was taken from.
    pub(super) clock: Clock,
    pub(super) waiting: Waiting,
}

/// A view of a memory store: its state at one moment.
pub(super) struct View {
    pub(super) root: Root,
    pub(super) at: Timestamp,
}

impl Drop for Kept {
    fn drop(&mut self) {
        retire_root(std::mem::take(&mut self.root));
    }
}

impl Drop for View {
    fn drop(&mut self) {
        retire_root(std::mem::take(&mut self.root));
    }
}

/// Drops a root; one whose nodes are shared costs nothing.
pub(super) fn retire_root(root: Root) {
    let entries = if root.is_shared() { 0 } else { root.stored_entries() };
    retire(root, entries);
}

/// The reads of one moment, for all that hold a root.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) root: &'a Root,
    pub(super) at: Timestamp,
}

impl Moment<'_> {
    pub(super) fn get(self, namespace: &Namespace<'_>, key: &Key<'_>) -> Option<Entry> {
        let entry = self.root.entry(namespace.as_bytes(), key.as_bytes())?;
        (!entry.is_expired(self.at)).then(|| entry.clone())
    }

    pub(super) fn entries(self, namespace: &Namespace<'_>, range: &Range<'_>) -> Vec<Entry> {
        let Some(space) = self.root.space(namespace.as_bytes()) else { return Vec::new() };
        self.live(space, range).cloned().collect()
    }

    pub(super) fn keys(self, namespace: &Namespace<'_>, range: &Range<'_>) -> Vec<String> {
        let Some(space) = self.root.space(namespace.as_bytes()) else { return Vec::new() };
        self.live(space, range).map(|entry| entry.key().to_owned()).collect()
    }

    fn live<'m>(self, space: &'m Space, range: &Range<'_>) -> impl Iterator<Item = &'m Entry> {
        in_range(space.entries(), range).filter(move |entry| !entry.is_expired(self.at)).take(range.limit)
    }

    pub(super) fn namespaces(self, range: &Range<'_>) -> Vec<String> {
        let live = in_range(&self.root.spaces, range).filter(|space| space.is_live(self.at));
        live.take(range.limit).map(|space| space.name().to_owned()).collect()
    }

    pub(super) fn namespace(self, namespace: &Namespace<'_>) -> Option<NamespaceInfo> {
        let space = self.root.space(namespace.as_bytes())?;
        let usage = space.usage_at(self.at);
        (usage.entries > 0).then(|| NamespaceInfo { usage, revision: space.revision() })
    }
}

fn in_range<'m, L: Leaf>(map: &'m Map<L>, range: &Range<'_>) -> Box<dyn Iterator<Item = &'m L> + 'm> {
    let (prefix, after) = (range.prefix.as_bytes(), range.after.as_ref().map(Key::as_bytes));
    match range.order {
        Order::Ascending => Box::new(map.range(prefix, after)),
        Order::Descending => Box::new(map.range_back(prefix, after)),
    }
}

macro_rules! read_at_one_moment {
    ($type:ty) => {
        impl Reader for $type {
            fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
                Ok(self.moment().get(namespace, key))
            }

            fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
                Ok(pairs.iter().map(|(namespace, key)| self.moment().get(namespace, key)).collect())
            }

            fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
                Ok(self.moment().entries(namespace, range))
            }

            fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
                Ok(self.moment().keys(namespace, range))
            }

            fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
                Ok(self.moment().namespaces(range))
            }

            fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
                Ok(self.moment().namespace(namespace))
            }

            fn usage(&self) -> Result<Usage> {
                let Moment { root, at } = self.moment();
                Ok(root.usage_at(at))
            }
        }
    };
}

read_at_one_moment!(View);
read_at_one_moment!(MemorySnapshot);

impl View {
    pub(super) fn moment(&self) -> Moment<'_> {
        Moment { root: &self.root, at: self.at }
    }
}

impl MemorySnapshot {
    /// What was due was removed when it was taken, so nothing in it expires at that moment.
    fn moment(&self) -> Moment<'_> {
        Moment { root: &self.kept.root, at: self.kept.at }
    }
}

impl Snapshot for MemorySnapshot {
    fn info(&self) -> &SnapshotInfo {
        &self.kept.info
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn diff(&self, base: &dyn Snapshot) -> Result<Diff> {
        self.waiting.run(|| match base.downcast::<Self>() {
            Some(base) => Ok(diff(&self.kept.root, &base.kept.root)),
            None => merge_diff(self, base),
        })
    }
}

/// O(changes): skips what both share, whatever their history. Namespaces come in order, and so do the keys of each.
fn diff(later: &Root, base: &Root) -> Diff {
    let mut diff = Diff::default();
    for change in later.spaces.diff(&base.spaces) {
        match change {
            Change::Added(space) => diff.added.extend(addresses(space)),
            Change::Removed(space) => diff.removed.extend(addresses(space)),
            Change::Replaced { base, now } => diff_space(base, now, &mut diff),
        }
    }
    diff
}

fn addresses(space: &Space) -> impl Iterator<Item = (String, String)> {
    space.entries().iter().map(|entry| address(space, entry))
}

fn address(space: &Space, entry: &Entry) -> (String, String) {
    (space.name().to_owned(), entry.key().to_owned())
}

fn diff_space(base: &Space, now: &Space, diff: &mut Diff) {
    for change in now.entries().diff(base.entries()) {
        match change {
            Change::Added(entry) => diff.added.push(address(now, entry)),
            Change::Removed(entry) => diff.removed.push(address(base, entry)),
            Change::Replaced { base: old, now: new } if old.kind() != new.kind() || old.value() != new.value() => {
                diff.changed.push(address(now, new));
            }
            Change::Replaced { .. } => {}
        }
    }
}
