//! One thread in its store: whether it lives, what it knows about itself, and how it changes.
//!
//! A thread lives while its head does. The head carries the thread's time to live as its own expiry, so the store's clock
//! judges it, for every read alike; what an expired head leaves behind is no thread's any more, and goes before the next write.
//! Whatever changes checkpoints, channels' values or chunks writes the head under the condition that nobody else did since it
//! was read.

use super::layout;
use super::record::{self, HeadRecord, Secret, encode_checked};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::Namespace;
use crate::store::{Batch, Condition, Expiry, Reader, Store};
use crate::value::{Entry, Revision};

/// How often a change is tried again after somebody else changed the thread; each time, that somebody got on.
const TRIES: usize = 100;

/// A thread and the store that it is in.
pub(super) struct Thread<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) id: &'a str,
    pub(super) namespace: Namespace<'static>,
}

/// The head of a thread as it was read.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// 0 = there is none yet.
    pub(super) revision: Revision,
    pub(super) expiry: Expiry,
    /// When it was written, if it was.
    updated_at: Option<Timestamp>,
    pub(super) record: HeadRecord,
}

impl Head {
    /// When a checkpoint was put last.
    pub(super) fn put_at(&self) -> Option<Timestamp> {
        self.record.put_at.map(Timestamp::from_millis).or(self.updated_at)
    }
}

/// What the entry of a head says.
pub(super) fn read_head(thread_id: &str, entry: &Entry) -> Result<Head> {
    let record = record::decode_checked(entry.value())
        .ok_or_else(|| Error::corrupt(format!("the head of thread {thread_id:?} cannot be read")))?;
    let expiry = entry.expires_at().map_or(Expiry::Never, Expiry::At);
    Ok(Head { revision: entry.revision(), expiry, updated_at: Some(entry.updated_at()), record })
}

impl<'a> Thread<'a> {
    pub(super) fn new(store: &'a dyn Store, id: &'a str) -> Result<Self> {
        Ok(Self { store, id, namespace: layout::thread(id)? })
    }

    /// The head, or `None` where no thread lives.
    pub(super) fn head(&self, reader: &dyn Reader) -> Result<Option<Head>> {
        let entry = reader.get(&self.namespace, &layout::head())?;
        entry.map(|entry| read_head(self.id, &entry)).transpose()
    }

    /// Removes what an expired thread left, unless it lives again; `false` where nothing was left.
    pub(super) fn remove_remains(&self) -> Result<bool> {
        let Some(left) = self.store.namespace(&self.namespace)? else { return Ok(false) };
        let mut batch = Batch::new();
        batch.require(Condition::NamespaceAt { namespace: self.namespace.borrow(), revision: left.revision });
        batch.require(Condition::KeyAbsent { namespace: self.namespace.borrow(), key: layout::head() });
        batch.delete_namespace(self.namespace.borrow());
        self.store.write(&batch).map(|_| true)
    }

    /// Makes room where an expired thread left something, and answers the head of a thread that is not there yet.
    pub(super) fn begin(&self) -> Result<Head> {
        self.remove_remains()?;
        let record =
            HeadRecord { secret: fresh_secret()?, latest: None, checkpoints: 0, puts_since_sweep: 0, put_at: None };
        Ok(Head { revision: 0, expiry: Expiry::Never, updated_at: None, record })
    }

    /// Adds to `batch` that it replaces the head that was read by `head`, and only that one; the first head of a thread finds
    /// nothing else there either, such as records on their way in.
    pub(super) fn replace_head<'b>(&'b self, batch: &mut Batch<'b>, head: &Head) {
        batch.require(match head.revision {
            0 => Condition::NamespaceAt { namespace: self.namespace.borrow(), revision: 0 },
            revision => Condition::at(self.namespace.borrow(), layout::head(), revision),
        });
        batch.set(self.namespace.borrow(), layout::head(), encode_checked(&head.record, 128), head.expiry);
    }
}

fn fresh_secret() -> Result<Secret> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Unavailable { what: format!("the system gives no random bytes: {error}") })?;
    Ok(Secret::new(bytes))
}

/// Runs `attempt`, again where somebody else changed meanwhile what it had read.
pub(super) fn retried<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match attempt() {
            Err(Error::Conflict(_)) => {}
            result => return result,
        }
    }
    attempt()
}
