//! Snapshots of a served store: taken, listed, compared, read and restored, each operation once.
//!
//! Namespaces of the integrations are not shown here either, but a restore brings them back with everything else.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::ops::{Address, INTEGRATIONS, Keys};
use super::refusal::{Refusal, Result};
use crate::error::Error;
use crate::key::{Key, Namespace};
use crate::store::{SnapshotId, SnapshotInfo, merge_diff};
use crate::value::Entry;

/// What a change did to a key, from the base to the later snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Live only in the later one.
    Added,
    /// Live only in the base.
    Removed,
    /// Live in both, with another value.
    Changed,
}

impl Change {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// What a snapshot is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Another one.
    Snapshot(SnapshotId),
    /// What the store holds now.
    Now,
}

/// A page of what differs: what happened to which key of which namespace.
#[derive(Debug)]
pub struct Changes {
    /// The changes, those of a kind together, each kind in ascending order.
    pub items: Vec<(Change, String, String)>,
    /// How many there are in all.
    pub total: usize,
    /// How many there are besides in namespaces of the integrations, which are not shown.
    pub hidden: usize,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl Keys {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub fn take_snapshot(&self) -> Result<SnapshotInfo> {
        Ok(self.store().snapshot()?.info().clone())
    }

    /// The snapshots that the store retains, oldest first.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self.store().history()?.iter().map(|snapshot| snapshot.info().clone()).collect())
    }

    /// Makes the state what a snapshot holds.
    ///
    /// # Errors
    /// `NotFound` where the store retains none of that id.
    pub fn restore(&self, id: SnapshotId) -> Result<()> {
        let snapshot = self.store().snapshot_by_id(id)?;
        let restored = self.store().restore(&*snapshot);
        if matches!(restored, Ok(()) | Err(Error::Unavailable { .. } | Error::Corrupt { .. })) {
            self.changes().reset(None);
        }
        Ok(restored?)
    }

    /// The entry that a snapshot holds, or `None`.
    ///
    /// # Errors
    /// `NotFound` where the store retains no snapshot of that id.
    pub fn get_in(&self, id: SnapshotId, address: Address<'_>) -> Result<Option<Entry>> {
        let snapshot = self.store().snapshot_by_id(id)?;
        Ok(snapshot.get(&Namespace::new(address.namespace)?, &Key::new(address.key)?)?)
    }

    /// A page of what differs in `later` from `base`, or from this moment.
    ///
    /// # Cost
    /// That of the whole diff for each page: O(changes) between two snapshots, O(n) with this moment. The state goes on between
    /// pages, and so does what differs from it.
    ///
    /// # Errors
    /// `NotFound` where the store retains one of them not, `Invalid` for a cursor that is none.
    pub fn diff(&self, later: SnapshotId, base: Base, cursor: Option<&str>, limit: usize) -> Result<Changes> {
        let start = cursor.map_or(Ok(0), decode)?;
        let later = self.store().snapshot_by_id(later)?;
        let diff = match base {
            Base::Snapshot(id) => later.diff(&*self.store().snapshot_by_id(id)?)?,
            Base::Now => merge_diff(&*later, &*self.store().view()?)?,
        };
        let kinds = [(Change::Added, diff.added), (Change::Removed, diff.removed), (Change::Changed, diff.changed)];
        let all = kinds
            .into_iter()
            .flat_map(|(change, pairs)| pairs.into_iter().map(move |(namespace, key)| (change, namespace, key)));
        let (mut items, hidden): (Vec<_>, Vec<_>) =
            all.partition(|(_, namespace, _)| !namespace.starts_with(INTEGRATIONS));
        let total = items.len();
        items.drain(..start.min(total));
        items.truncate(limit);
        let end = start.min(total) + items.len();
        Ok(Changes { items, total, hidden: hidden.len(), next: (end < total).then(|| encode(end)) })
    }
}

/// Begins every cursor, so that what is none is told.
const CURSOR: &str = "d";

/// Both snapshots stand still, so a number is a place.
fn encode(place: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{CURSOR}{place}"))
}

fn decode(cursor: &str) -> Result<usize> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let place = decoded.as_deref().and_then(|text| text.strip_prefix(CURSOR)?.parse().ok());
    place.ok_or_else(|| Refusal::invalid("the cursor is none that this service gave"))
}
