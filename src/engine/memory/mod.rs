//! The memory engine: one persistent map behind a lock.
//!
//! A read takes the lock shared and clones an `Arc`; a write takes it alone and changes the path to what it changes. A
//! snapshot is a clone of the root. Whatever takes long — walking a range, comparing, freeing — is done on a clone, after the
//! lock. The lock is tried first and waited for only through [`Waiting`], so that nobody waits for it with an interpreter's
//! lock in hand.

mod retire;
mod root;
mod snapshot;
#[cfg(test)]
mod tests;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
pub use snapshot::MemorySnapshot;

use self::retire::retire;
use self::root::{Garbage, Root};
use self::snapshot::{Kept, Moment, View, retire_root};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::store::{
    Batch, Capabilities, Condition, NamespaceInfo, Operation, Outcome, Range, Reader, Snapshot, SnapshotId,
    SnapshotInfo, Store, Usage,
};
use crate::value::Entry;
use crate::waiting::Waiting;

/// A batch of more operations, or a page that may hold more entries, runs inside the caller's [`Waiting`].
const LONG_WORK: usize = 5_000;
/// Due entries that one write removes besides its own work, at the most.
const SWEPT_PER_WRITE: usize = 32;

/// How a memory store is made.
#[derive(Clone, Debug, Default)]
pub struct MemoryOptions {
    /// The most snapshots that the history retains; `None` = all of them.
    pub max_history: Option<usize>,
    /// What tells the time.
    pub clock: Clock,
}

/// A store in this process' memory. Cloning makes another handle to the same store.
///
/// # Example
/// ```
/// use swarmstate::{Memory, Store, StoreExt};
///
/// let store = Memory::new();
/// store.set("workflow", "step", 3)?;
/// let savepoint = store.snapshot()?;
/// store.set("workflow", "step", 4)?;
/// store.restore(&*savepoint)?;
/// assert_eq!(store.increment("workflow", "step", 0)?, 3);
/// # Ok::<(), swarmstate::Error>(())
/// ```
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
    waiting: Waiting,
}

struct Shared {
    /// Everything that changes. Taken alone, before no other lock; no user code runs and nothing large is freed under it.
    state: RwLock<State>,
    options: MemoryOptions,
    capabilities: Capabilities,
}

#[derive(Default)]
struct State {
    root: Root,
    history: VecDeque<Arc<Kept>>,
    last_id: SnapshotId,
    is_closed: bool,
}

impl Memory {
    /// An empty store that retains every snapshot and goes by the system's clock.
    pub fn new() -> Self {
        Self::from_root(Root::default(), MemoryOptions::default())
    }

    /// An empty store.
    ///
    /// # Errors
    /// `Invalid` for a `max_history` of 0.
    pub fn with_options(options: MemoryOptions) -> Result<Self> {
        match options.max_history {
            Some(0) => Err(Error::invalid("max_history must be at least 1, or None for no bound")),
            _ => Ok(Self::from_root(Root::default(), options)),
        }
    }

    /// A store of its own that begins as `snapshot` is, and goes by the same clock. Neither sees the other's writes.
    ///
    /// # Cost
    /// O(1): both share what neither changes.
    ///
    /// # Errors
    /// As [`Memory::with_options`].
    pub fn fork(snapshot: &MemorySnapshot, max_history: Option<usize>) -> Result<Self> {
        let store = Self::with_options(MemoryOptions { max_history, clock: snapshot.clock.clone() })?;
        store.shared.state.write().root = snapshot.kept.root.clone();
        Ok(store)
    }

    fn from_root(root: Root, options: MemoryOptions) -> Self {
        let state = RwLock::new(State { root, ..State::default() });
        let shared = Shared { state, options, capabilities: Capabilities::memory() };
        Self { shared: Arc::new(shared), waiting: Waiting::plainly() }
    }

    /// Runs `work` on the state with the lock shared; it must be a matter of nanoseconds.
    fn read<R: Send>(&self, work: impl FnOnce(&State) -> R + Send) -> Result<R> {
        let run = |state: &State| if state.is_closed { Err(closed()) } else { Ok(work(state)) };
        match self.shared.state.try_read() {
            Some(state) => run(&state),
            None => self.waiting.run(|| run(&self.shared.state.read())),
        }
    }

    /// Runs `work` on the state, at the time that it is, with the lock taken alone.
    fn change<R: Send>(&self, work: impl FnOnce(&mut State, Timestamp, &mut Garbage) -> Result<R> + Send) -> Result<R> {
        self.change_at(Clock::now, work)
    }

    /// Runs `work` on the state, at what `tell` makes of the clock, with the lock taken alone; what `work` throws away is
    /// dropped after.
    fn change_at<T, R: Send>(
        &self,
        tell: impl FnOnce(&Clock) -> T + Send,
        work: impl FnOnce(&mut State, T, &mut Garbage) -> Result<R> + Send,
    ) -> Result<R> {
        let mut garbage = Garbage::default();
        let run = |state: &mut State| match state.is_closed {
            true => Err(closed()),
            // Time is read under the lock, so that it never runs back from one write to the next unless the clock is set back.
            false => work(state, tell(&self.shared.options.clock), &mut garbage),
        };
        let result = match self.shared.state.try_write() {
            Some(mut state) => run(&mut state),
            None => self.waiting.run(|| run(&mut self.shared.state.write())),
        };
        if !garbage.is_empty() {
            let entries = garbage.entries();
            retire(garbage, entries);
        }
        result
    }

    /// The root of this moment, to be read without the lock.
    fn root(&self) -> Result<Root> {
        self.read(|state| state.root.clone())
    }

    /// Reads a clone of the root without the lock.
    fn read_root<R>(&self, work: impl FnOnce(Moment<'_>) -> R) -> Result<R> {
        let view = View { root: self.root()?, at: self.now() };
        Ok(work(view.moment()))
    }

    /// Reads a page of at most `limit` names from a clone of the root.
    fn read_page<R: Send>(&self, limit: usize, work: impl FnOnce(Moment<'_>) -> R + Send) -> Result<R> {
        self.read_root(|moment| match limit > LONG_WORK && moment.root.stored_entries() > LONG_WORK as u64 {
            true => self.waiting.run(|| work(moment)),
            false => work(moment),
        })
    }

    fn write_here(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        batch.check(&self.shared.capabilities)?;
        self.change(|state, now, garbage| {
            state.root.sweep(now, SWEPT_PER_WRITE, garbage);
            write::write(&mut state.root, batch, now, garbage)
        })
    }

    /// Runs work that takes long as the caller wants it run, on a handle that has nothing more to wait for.
    fn run_long<R: Send>(&self, work: impl FnOnce(&Self) -> R + Send) -> R {
        let plain = Self { shared: self.shared.clone(), waiting: Waiting::plainly() };
        self.waiting.run(|| work(&plain))
    }

    fn snapshot_of(&self, kept: Arc<Kept>) -> Arc<dyn Snapshot> {
        Arc::new(MemorySnapshot { kept, clock: self.shared.options.clock.clone(), waiting: self.waiting })
    }

    fn now(&self) -> Timestamp {
        self.shared.options.clock.now()
    }

    fn is_live(&self, entry: &Entry) -> bool {
        entry.expires_at().is_none_or(|at| at > self.now())
    }
}

#[cold]
fn closed() -> Error {
    Error::invalid("the store is closed; open it again")
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader for Memory {
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        let entry = self.read(|state| state.root.entry(namespace.as_bytes(), key.as_bytes()).cloned())?;
        Ok(entry.filter(|entry| self.is_live(entry)))
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        self.read_root(|moment| pairs.iter().map(|(namespace, key)| moment.get(namespace, key)).collect())
    }

    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        self.read_page(range.limit, |moment| moment.entries(namespace, range))
    }

    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        self.read_page(range.limit, |moment| moment.keys(namespace, range))
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        self.read_page(range.limit, |moment| moment.namespaces(range))
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        self.read_root(|moment| moment.namespace(namespace))
    }

    fn usage(&self) -> Result<Usage> {
        self.read_root(|moment| moment.root.usage_at(moment.at))
    }
}

impl Store for Memory {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn write(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        if batch.operations().len() > LONG_WORK {
            return self.run_long(|store| store.write_here(batch));
        }
        self.write_here(batch)
    }

    fn apply(&self, operation: Operation<'_>, condition: Option<Condition<'_>>) -> Result<Outcome> {
        operation.check(&self.shared.capabilities)?;
        self.change(|state, now, garbage| {
            state.root.sweep(now, SWEPT_PER_WRITE, garbage);
            write::apply(&mut state.root, &operation, condition.as_ref(), now, garbage)
        })
    }

    fn clear(&self) -> Result<()> {
        let old = self.change(|state, _, _| Ok(std::mem::take(&mut state.root)))?;
        retire_root(old);
        Ok(())
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        let (kept, dropped) = self.change_at(Clock::now_and_micros, |state, (now, micros), garbage| {
            state.root.sweep(now, usize::MAX, garbage);
            Ok(state.keep(&self.shared.options, now, micros))
        })?;
        drop(dropped);
        Ok(self.snapshot_of(kept))
    }

    fn view(&self) -> Result<Arc<dyn Reader>> {
        Ok(Arc::new(View { root: self.root()?, at: self.now() }))
    }

    fn restore(&self, snapshot: &dyn Snapshot) -> Result<()> {
        let Some(snapshot) = snapshot.downcast::<MemorySnapshot>() else {
            return Err(Error::unsupported(
                "a memory store cannot restore another engine's snapshot; copy it into an empty store (`ss.copy`)",
            ));
        };
        let root = snapshot.kept.root.clone();
        let old = self.change(|state, _, _| Ok(std::mem::replace(&mut state.root, root)))?;
        retire_root(old);
        Ok(())
    }

    fn history(&self) -> Result<Vec<Arc<dyn Snapshot>>> {
        let history = self.read(|state| state.history.clone())?;
        Ok(history.into_iter().map(|kept| self.snapshot_of(kept)).collect())
    }

    fn snapshot_by_id(&self, id: SnapshotId) -> Result<Arc<dyn Snapshot>> {
        let kept = self.read(|state| state.position(id).map(|at| state.history[at].clone()))?;
        let kept = kept.ok_or_else(|| Error::not_found(format!("snapshot {id}")))?;
        Ok(self.snapshot_of(kept))
    }

    fn drop_snapshot(&self, id: SnapshotId) -> Result<bool> {
        let dropped = self.change(|state, _, _| Ok(state.position(id).and_then(|at| state.history.remove(at))))?;
        Ok(dropped.is_some())
    }

    fn sweep(&self, most: usize) -> Result<usize> {
        self.change(|state, now, garbage| Ok(state.root.sweep(now, most, garbage)))
    }

    fn compact(&self) -> Result<()> {
        self.change(|state, now, garbage| {
            state.root.sweep(now, usize::MAX, garbage);
            Ok(())
        })
    }

    fn close(&self) -> Result<()> {
        let end = |state: &mut State| std::mem::replace(state, State { is_closed: true, ..State::default() });
        let old = match self.shared.state.try_write() {
            Some(mut state) => end(&mut state),
            None => self.waiting.run(|| end(&mut self.shared.state.write())),
        };
        old.retire();
        Ok(())
    }

    fn with_waiting(&self, waiting: Waiting) -> Arc<dyn Store> {
        Arc::new(Self { shared: self.shared.clone(), waiting })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        std::mem::take(self.state.get_mut()).retire();
    }
}

impl State {
    /// Drops a state that nobody can reach any more, its history as one with its root: they share most of what they hold.
    fn retire(self) {
        let snapshots = self.history.iter().map(|kept| kept.info.usage.entries);
        let entries = snapshots.fold(self.root.stored_entries(), u64::max);
        retire(self, entries);
    }

    /// Retains the root, out of which all that was due at `now`, in `micros` to the microsecond, is removed; also answers the snapshot that the bound drops.
    fn keep(&mut self, options: &MemoryOptions, now: Timestamp, micros: i64) -> (Arc<Kept>, Option<Arc<Kept>>) {
        let parent = (self.last_id > 0).then_some(self.last_id);
        self.last_id += 1;
        let usage = self.root.usage_at(now);
        let info = SnapshotInfo { id: self.last_id, taken_at_micros: micros, parent, usage };
        let kept = Arc::new(Kept { info, at: now, root: self.root.clone() });
        self.history.push_back(kept.clone());
        let is_over = options.max_history.is_some_and(|most| self.history.len() > most);
        let dropped = if is_over { self.history.pop_front() } else { None };
        (kept, dropped)
    }

    fn position(&self, id: SnapshotId) -> Option<usize> {
        self.history.binary_search_by_key(&id, |kept| kept.info.id).ok()
    }
}
