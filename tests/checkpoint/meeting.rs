//! A store that counts the calls to it, and lets something else happen right before one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use swarmstate::checkpoint::Threads;
use swarmstate::store::{NamespaceInfo, Range, Reader, Usage};
use swarmstate::waiting::Waiting;
use swarmstate::{
    Batch, Capabilities, Condition, Entry, Key, Namespace, Operation, Outcome, Result, Snapshot, SnapshotId, Store,
};

pub(crate) type Action = dyn Fn(&dyn Store, &Threads) + Sync;

/// A store that lets something else happen right before one of the calls to it.
pub(crate) struct Meeting {
    store: Arc<dyn Store>,
    pub(crate) calls: AtomicUsize,
    /// Before which call.
    pub(crate) at: AtomicUsize,
    intruder: &'static Action,
    /// How many cuts of the whole store were taken.
    pub(crate) whole_cuts: AtomicUsize,
}

impl Meeting {
    /// It lets nothing happen until it is told when.
    pub(crate) fn new(store: Arc<dyn Store>, intruder: &'static Action) -> Self {
        let (calls, never, whole_cuts) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Self { store, calls, at: never, intruder, whole_cuts }
    }

    fn meet(&self) -> &dyn Store {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at.load(Ordering::SeqCst) {
            (self.intruder)(&*self.store, &Threads::new(self.store.clone()));
        }
        &*self.store
    }
}

impl Reader for Meeting {
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        self.meet().get(namespace, key)
    }
    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        self.meet().get_many(pairs)
    }
    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        self.meet().entries(namespace, range)
    }
    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        self.meet().keys(namespace, range)
    }
    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        self.meet().namespaces(range)
    }
    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        self.meet().namespace(namespace)
    }
    fn usage(&self) -> Result<Usage> {
        self.meet().usage()
    }
}

impl Store for Meeting {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }
    fn write(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        self.meet().write(batch)
    }
    fn apply(&self, operation: Operation<'_>, condition: Option<Condition<'_>>) -> Result<Outcome> {
        self.meet().apply(operation, condition)
    }
    fn clear(&self) -> Result<()> {
        self.meet().clear()
    }
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.meet().snapshot()
    }
    fn view(&self) -> Result<Arc<dyn Reader>> {
        self.whole_cuts.fetch_add(1, Ordering::SeqCst);
        self.meet().view()
    }
    fn view_of(&self, namespace: &Namespace<'_>) -> Result<Arc<dyn Reader>> {
        self.meet().view_of(namespace)
    }
    fn restore(&self, snapshot: &dyn Snapshot) -> Result<()> {
        self.meet().restore(snapshot)
    }
    fn history(&self) -> Result<Vec<Arc<dyn Snapshot>>> {
        self.meet().history()
    }
    fn snapshot_by_id(&self, id: SnapshotId) -> Result<Arc<dyn Snapshot>> {
        self.meet().snapshot_by_id(id)
    }
    fn drop_snapshot(&self, id: SnapshotId) -> Result<bool> {
        self.meet().drop_snapshot(id)
    }
    fn sweep(&self, most: usize) -> Result<usize> {
        self.meet().sweep(most)
    }
    fn compact(&self) -> Result<()> {
        self.meet().compact()
    }
    fn close(&self) -> Result<()> {
        self.meet().close()
    }
    fn with_waiting(&self, waiting: Waiting) -> Arc<dyn Store> {
        self.store.with_waiting(waiting)
    }
}
