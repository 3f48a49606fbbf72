//! A store through which nothing is written.
//!
//! Every call that would change an entry, the history or what is kept of either is `Unsupported` before the engine hears of it;
//! reading is the engine's own. Who holds the engine itself writes as ever.

use std::any::Any;
use std::sync::Arc;

use super::{Batch, Capabilities, Condition, NamespaceInfo, Operation, Outcome, Range, Reader};
use super::{Snapshot, SnapshotId, Store, Usage};
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::value::Entry;
use crate::waiting::Waiting;

/// A store of any engine, to be read alone.
pub struct ReadOnly(Arc<dyn Store>);

impl ReadOnly {
    /// The same store, without its writes.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Whether `store` is one.
    pub fn is(store: &dyn Store) -> bool {
        (store as &dyn Any).is::<Self>()
    }
}

#[cold]
fn refused<T>() -> Result<T> {
    Err(Error::unsupported("the store is open for reading alone; to write, open or serve it without read-only"))
}

impl Reader for ReadOnly {
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        self.0.get(namespace, key)
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        self.0.get_many(pairs)
    }

    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        self.0.entries(namespace, range)
    }

    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        self.0.keys(namespace, range)
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        self.0.namespaces(range)
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        self.0.namespace(namespace)
    }

    fn usage(&self) -> Result<Usage> {
        self.0.usage()
    }
}

impl Store for ReadOnly {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn write(&self, _batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        refused()
    }

    fn apply(&self, _operation: Operation<'_>, _condition: Option<Condition<'_>>) -> Result<Outcome> {
        refused()
    }

    fn clear(&self) -> Result<()> {
        refused()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        refused()
    }

    fn view(&self) -> Result<Arc<dyn Reader>> {
        self.0.view()
    }

    fn view_of(&self, namespace: &Namespace<'_>) -> Result<Arc<dyn Reader>> {
        self.0.view_of(namespace)
    }

    fn restore(&self, _snapshot: &dyn Snapshot) -> Result<()> {
        refused()
    }

    fn history(&self) -> Result<Vec<Arc<dyn Snapshot>>> {
        self.0.history()
    }

    fn snapshot_by_id(&self, id: SnapshotId) -> Result<Arc<dyn Snapshot>> {
        self.0.snapshot_by_id(id)
    }

    fn drop_snapshot(&self, _id: SnapshotId) -> Result<bool> {
        refused()
    }

    fn compact(&self) -> Result<()> {
        refused()
    }

    /// Removes nothing: what is due is gone for readers all the same.
    fn sweep(&self, _most: usize) -> Result<usize> {
        Ok(0)
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }

    fn with_waiting(&self, waiting: Waiting) -> Arc<dyn Store> {
        Arc::new(Self(self.0.with_waiting(waiting)))
    }
}
