//! Snapshots and what lies between two of them.

use std::any::Any;

use super::{Order, Range, Reader};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::value::Entry;

/// A snapshot's number in its store: positive, and rising for ever.
pub type SnapshotId = u64;

/// What a snapshot knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its number in its store.
    pub id: SnapshotId,
    /// When it was taken, in microseconds since the Unix epoch.
    pub taken_at_micros: i64,
    /// The snapshot taken before it in the same store, whether or not that one still exists.
    pub parent: Option<SnapshotId>,
    /// How much it holds.
    pub usage: super::Usage,
}

impl SnapshotInfo {
    /// When it was taken, to the millisecond: what was due by then is not in it.
    pub fn taken_at(&self) -> Timestamp {
        Timestamp::from_millis(self.taken_at_micros.div_euclid(1000))
    }
}

/// A frozen copy of a whole store.
///
/// It reads like a store in which time stands still.
///
/// # Contract
/// - `diff` tells what lies between two snapshots, whichever is the older: each list is sorted by the bytes of namespace and key,
///   and times, expiry and revision do not count.
pub trait Snapshot: Reader {
    /// What it knows about itself.
    fn info(&self) -> &SnapshotInfo;

    /// What its store goes by, and a fork of it too.
    fn clock(&self) -> &Clock;

    /// What happened to get from `base` to `self`; either may be the older.
    ///
    /// # Cost
    /// O(changes) for two snapshots of one store, or of any memory stores; O(n) for any other pair.
    ///
    /// # Errors
    /// `NotFound` for a dropped snapshot, `Unavailable` when the engine does not answer.
    fn diff(&self, base: &dyn Snapshot) -> Result<Diff>;
}

/// The addresses that differ between two snapshots, each list sorted by the bytes of namespace and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Live only in the later one.
    pub added: Vec<(String, String)>,
    /// Live only in the base.
    pub removed: Vec<(String, String)>,
    /// Live in both, with other bytes or another kind. Times, expiry and revision do not count.
    pub changed: Vec<(String, String)>,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// The most entries, or namespaces, that are read at a time.
const PAGE: usize = 1000;

/// About the most bytes of values that are read at a time, judged by the page before; and the entries of a first page.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
const FIRST_PAGE: usize = 32;

/// Compares two readers of any engines by merging their ordered lists.
///
/// # Cost
/// O(n) in the entries of both.
///
/// # Errors
/// Whatever reading either of them answers.
pub fn merge_diff(later: &dyn Reader, base: &dyn Reader) -> Result<Diff> {
    let mut diff = Diff::default();
    let (mut ours, mut theirs) = (NamespacePages::new(later), NamespacePages::new(base));
    let (mut our, mut their) = (ours.next()?, theirs.next()?);
    while let Some(name) = smaller(&our, &their).cloned() {
        merge_namespace(later, base, &name, &mut diff)?;
        if our.as_ref() == Some(&name) {
            our = ours.next()?;
        }
        if their.as_ref() == Some(&name) {
            their = theirs.next()?;
        }
    }
    Ok(diff)
}

fn smaller<'a, T: Ord>(a: &'a Option<T>, b: &'a Option<T>) -> Option<&'a T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.as_ref().or(other.as_ref()),
    }
}

fn merge_namespace(later: &dyn Reader, base: &dyn Reader, name: &str, diff: &mut Diff) -> Result<()> {
    let namespace = Namespace::new(name)?;
    let (mut ours, mut theirs) = (EntryPages::new(later, &namespace), EntryPages::new(base, &namespace));
    let (mut our, mut their) = (ours.next()?, theirs.next()?);
    loop {
        let order = match (&our, &their) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(our), Some(their)) => our.key_bytes().cmp(their.key_bytes()),
        };
        let list = match order {
            std::cmp::Ordering::Less => Some(&mut diff.added),
            std::cmp::Ordering::Greater => Some(&mut diff.removed),
            std::cmp::Ordering::Equal if differ(&our, &their) => Some(&mut diff.changed),
            std::cmp::Ordering::Equal => None,
        };
        if let (Some(list), Some(entry)) = (list, our.as_ref().filter(|_| order.is_le()).or(their.as_ref())) {
            list.push((name.to_owned(), entry.key().to_owned()));
        }
        if order.is_le() {
            our = ours.next()?;
        }
        if order.is_ge() {
            their = theirs.next()?;
        }
    }
}

fn differ(our: &Option<Entry>, their: &Option<Entry>) -> bool {
    match (our, their) {
        (Some(our), Some(their)) => our.kind() != their.kind() || our.value() != their.value(),
        _ => true,
    }
}

/// Walks a reader's namespaces a page at a time.
pub(crate) struct NamespacePages<'a> {
    reader: &'a dyn Reader,
    page: std::vec::IntoIter<String>,
    last: Option<String>,
}

impl<'a> NamespacePages<'a> {
    pub(crate) fn new(reader: &'a dyn Reader) -> Self {
        Self { reader, page: Vec::new().into_iter(), last: None }
    }

    /// The next namespace in ascending order.
    pub(crate) fn next(&mut self) -> Result<Option<String>> {
        if self.page.as_slice().is_empty() {
            let range = page_after(self.last.as_deref())?;
            self.page = self.reader.namespaces(&range)?.into_iter();
        }
        let next = self.page.next();
        if next.is_some() {
            self.last.clone_from(&next);
        }
        Ok(next)
    }
}

/// Walks a namespace's entries a page at a time, in smaller pages where values are large.
pub(crate) struct EntryPages<'a> {
    reader: &'a dyn Reader,
    namespace: &'a Namespace<'a>,
    limit: usize,
    page: std::vec::IntoIter<Entry>,
    last: Option<Entry>,
}

impl<'a> EntryPages<'a> {
    pub(crate) fn new(reader: &'a dyn Reader, namespace: &'a Namespace<'a>) -> Self {
        Self { reader, namespace, limit: FIRST_PAGE, page: Vec::new().into_iter(), last: None }
    }

    /// The next entry in ascending order of keys.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        if self.page.as_slice().is_empty() {
            let range = page_after(self.last.as_ref().map(Entry::key))?.limit(self.limit);
            let page = self.reader.entries(self.namespace, &range)?;
            let bytes: usize = page.iter().map(|entry| entry.value().len()).sum();
            let each = bytes.checked_div(page.len()).unwrap_or(0).max(1);
            self.limit = (PAGE_BYTES / each).clamp(1, PAGE);
            self.page = page.into_iter();
        }
        let next = self.page.next();
        if next.is_some() {
            self.last.clone_from(&next);
        }
        Ok(next)
    }
}

fn page_after(last: Option<&str>) -> Result<Range<'_>> {
    let after = last.map(Key::new).transpose()?;
    Ok(Range { after, order: Order::Ascending, limit: PAGE, ..Range::default() })
}

impl dyn Snapshot {
    /// The engine's own type of snapshot, if this is one.
    pub(crate) fn downcast<T: Snapshot>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
