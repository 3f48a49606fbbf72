//! What a store is: the traits that every engine answers, and their contract.
//!
//! [`Reader`] is what can be read of a store, of a snapshot and of a view alike; [`Store`] adds what changes. They hold only
//! what every engine must answer itself: what can be built from that is [`StoreExt`].

mod batch;
mod capabilities;
mod ext;
mod only;
mod range;
mod read_only;
mod snapshot;

use std::any::Any;
use std::sync::Arc;

pub use batch::{Batch, Condition, Expiry, Operation, Outcome};
pub(crate) use batch::{sum, target_is_live};
pub use capabilities::Capabilities;
pub use ext::StoreExt;
pub use only::Only;
pub use range::{Order, Range};
pub use read_only::ReadOnly;
pub use snapshot::{Diff, Snapshot, SnapshotId, SnapshotInfo, merge_diff};
pub(crate) use snapshot::{EntryPages, NamespacePages};

use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::value::{Entry, Revision};
use crate::waiting::Waiting;

/// How much lives somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Live entries.
    pub entries: u64,
    /// The lengths of their values, in bytes of msgpack; keys and the store's own records do not count.
    pub size_bytes: u64,
}

/// What a namespace is besides its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// How much lives in it.
    pub usage: Usage,
    /// The revision of the last batch operation that changed it. Expiry does not move it.
    pub revision: Revision,
}

/// What can be read of a store, a snapshot or a view.
///
/// # Contract
/// - `get` answers the entry that the last write left, or `None` where nothing is live.
/// - `get` and `get_many` within one namespace see a batch whole or not at all.
/// - An entry is gone at its `expires_at`, for every read, list and count.
/// - Names are listed in ascending byte order, or descending where the range says so.
/// - A range is by prefix, never by pattern: `%`, `_` and `*` mean themselves, and case counts.
/// - A range that starts after a cursor neither repeats nor skips an entry that stood still.
/// - A page holds as many live entries as the limit allows, also where expired ones were left out.
/// - A namespace exists while it holds a live key.
/// - `usage` is exact, and reading never writes.
pub trait Reader: Any + Send + Sync {
    /// The entry of `key`, or `None`.
    ///
    /// # Errors
    /// `Unavailable` when the engine does not answer.
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>>;

    /// The entries of several keys, in the order of `pairs`.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>>;

    /// A page of a namespace's live entries.
    ///
    /// # Cost
    /// O(log n + entries passed).
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>>;

    /// A page of a namespace's live keys, without their values.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>>;

    /// A page of the namespaces that hold a live key.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>>;

    /// What a namespace holds; `None` where no key of it is live.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>>;

    /// How much lives in all namespaces together.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn usage(&self) -> Result<Usage>;
}

/// A namespaced store of msgpack values.
///
/// Every method takes `&self` and is called from any number of threads at once. It blocks until done; a caller that must not
/// block asks [`Capabilities::waits`] and calls from a thread of its own.
///
/// # Contract
/// - `write` carries out a batch whole or not at all; a failed batch leaves the state and every revision as they were.
/// - Conditions are judged on the state before the batch.
/// - A failed condition is `Conflict` and tells the actual revision, 0 where nothing is live.
/// - A batch names each key at most once, and a namespace either whole or by keys; else it is `Invalid`.
/// - Each operation that changes something takes its own revision, in the order of the batch.
/// - `set` writes whatever stood there; on a live key it keeps `created_at`.
/// - `set` clears an expiry unless it gives one.
/// - A write on an expired key is a first write.
/// - `delete` of nothing changes nothing and takes no revision.
/// - `add` creates an absent key with the summand, and keeps the expiry of a live one.
/// - `add` on another kind is `WrongType`, a sum outside `i64` is `Invalid`, and the entry stays untouched.
/// - `ensure` writes unless the key is live, and else answers the revision that stands.
/// - `touch` sets or clears the expiry of a live entry and keeps its value.
/// - `delete_namespace` removes every key of it; of an absent one it changes nothing.
/// - `copy_namespace` copies one consistent cut, taken before the batch, revisions and times included where
///   [`Capabilities::copies_keep_revisions`]; an absent source changes nothing.
/// - A target of `copy_namespace` with a live key is `Conflict`.
/// - A revision is higher than any that the namespace gave before, also after a delete, a `restore` or a `clear`.
/// - An integer is stored in its shortest msgpack form, and a value that is not what its kind says is `Invalid`.
/// - A name above the limit is `Invalid`, and a value or a batch above a limit in [`Capabilities`] is `TooLarge`.
/// - Removing what has expired never takes a value that was written afresh.
/// - `sweep` removes at most so many entries that are due, and tells how many.
/// - A batch over several namespaces is one instant where [`Capabilities::atomic_across_namespaces`], else `Unsupported`.
/// - `snapshot` removes what is due and then takes a consistent cut, which later writes do not change.
/// - A snapshot's id is higher than that of every snapshot taken before it in this store, over restores too.
/// - A snapshot's parent is the snapshot taken before it in this store, also when that one is gone.
/// - Expiry does not run inside a snapshot.
/// - `restore` brings every entry of the snapshot back with the revision it had, and nothing else stays.
/// - An entry that is restored after its time is gone.
/// - `history` lists the snapshots that the store retains, oldest first; taking one drops the oldest beyond the bound.
/// - A dropped snapshot answers `NotFound` by its id; one still held stays readable where
///   [`Capabilities::held_snapshots_outlive_history`].
/// - A snapshot of another engine is `Unsupported` for `restore`.
/// - `clear` removes every entry and keeps the snapshots taken before.
/// - A view is a consistent cut like a snapshot, outside the history.
/// - After `close` every operation is `Invalid`; closing again is nothing.
pub trait Store: Reader {
    /// What this engine can do, and its limits.
    fn capabilities(&self) -> &Capabilities;

    /// Carries out a batch: every operation or none. Answers one outcome per operation, in their order.
    ///
    /// # Cost
    /// O(operations × log n); never copies what it does not change.
    ///
    /// # Errors
    /// `Conflict`, `WrongType`, `Invalid`, `TooLarge`, `Unsupported`: nothing is written. `Unavailable`: it may have happened,
    /// and a repeat under a revision condition cannot apply it twice.
    fn write(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>>;

    /// Carries out one operation, under one condition or none: a batch of one, by a shorter way where the engine has one.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn apply(&self, operation: Operation<'_>, condition: Option<Condition<'_>>) -> Result<Outcome> {
        let mut batch = Batch::new();
        batch.push(operation);
        if let Some(condition) = condition {
            batch.require(condition);
        }
        Ok(self.write(&batch)?.remove(0))
    }

    /// Removes every entry. Snapshots that were taken stay as they are.
    ///
    /// # Errors
    /// `Unavailable`: some namespaces may be gone where not [`Capabilities::one_instant`]; a repeat completes it.
    fn clear(&self) -> Result<()>;

    /// Takes a snapshot and retains it in the history.
    ///
    /// # Cost
    /// What is due, and O(1) in memory and on SQLite, O(namespaces) on Redis.
    ///
    /// # Errors
    /// `Unavailable`: nothing is retained.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>>;

    /// A consistent cut of this moment, outside the history: it has no id, drops no snapshot and is freed with its last owner.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn view(&self) -> Result<Arc<dyn Reader>>;

    /// A view of which only one namespace is read; what it says of others is left open.
    ///
    /// # Cost
    /// That of [`Store::view`], or less where that grows with the number of namespaces.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn view_of(&self, namespace: &Namespace<'_>) -> Result<Arc<dyn Reader>> {
        let _ = namespace;
        self.view()
    }

    /// Makes the state what `snapshot` holds.
    ///
    /// # Cost
    /// O(1) in memory, else O(changes since).
    ///
    /// # Errors
    /// `Unsupported` for a snapshot of another engine, `NotFound` for a dropped one: nothing changes. `Unavailable`: where not
    /// [`Capabilities::one_instant`] some namespaces may be restored; a repeat completes it.
    fn restore(&self, snapshot: &dyn Snapshot) -> Result<()>;

    /// What the store retains, oldest first.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn history(&self) -> Result<Vec<Arc<dyn Snapshot>>>;

    /// A retained snapshot.
    ///
    /// # Errors
    /// `NotFound` when the store retains none of that id.
    fn snapshot_by_id(&self, id: SnapshotId) -> Result<Arc<dyn Snapshot>>;

    /// Drops a snapshot from the history; `false` when it is not there.
    ///
    /// # Errors
    /// `Unavailable`: it may be dropped.
    fn drop_snapshot(&self, id: SnapshotId) -> Result<bool>;

    /// Removes at most `most` entries that are due, and answers how many it removed; who wants more calls again. A store that is
    /// written sweeps by itself; this is for one that is not.
    ///
    /// # Cost
    /// O(`most`). On Redis a call looks at so many namespaces, the ones behind those of the call before.
    ///
    /// # Errors
    /// `Unavailable`: some of them may be removed.
    fn sweep(&self, most: usize) -> Result<usize>;

    /// Removes all that is expired and gives back what room the engine can.
    ///
    /// # Errors
    /// `Unavailable`: some of it may be done.
    fn compact(&self) -> Result<()>;

    /// Ends the use of the store, for every handle to it. Snapshots that are held stay readable in memory.
    ///
    /// # Errors
    /// `Unavailable` when what was written could not be handed over; it is closed all the same.
    fn close(&self) -> Result<()>;

    /// Another handle to the same store, whose calls wait as `waiting` says.
    fn with_waiting(&self, waiting: Waiting) -> Arc<dyn Store>;
}
