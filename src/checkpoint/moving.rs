//! A thread on its way out of a store or into one, record by record.
//!
//! A thread lives while its head does, so an arriving one gets its head last: until then no read sees anything of it, and
//! the next write to the thread removes what has come. Each batch insists that nobody wrote to the thread since the one before, so
//! two threads never mingle. How the records travel is left to others.

use super::Threads;
use super::layout;
use super::record::{self, CheckpointRecord, HeadRecord, WriteRecord};
use super::thread::Thread;
use crate::clock::Timestamp;
use crate::error::{Conflict, Error, Expected, Result};
use crate::key::{Key, Namespace};
use crate::store::{Batch, Capabilities, Condition, Expiry, Only, Store};
use crate::value::{Revision, Value};

impl Threads {
    /// All records of a thread, as of one moment, and nothing else of the store.
    ///
    /// # Errors
    /// `NotFound` where no such thread lives; else as [`Threads::get`].
    pub fn records(&self, thread_id: &str) -> Result<Only> {
        let namespace = layout::thread(thread_id)?;
        let view = self.store.view_of(&namespace)?;
        match view.get(&namespace, &layout::head())? {
            Some(_) => Ok(Only::new(view, namespace)),
            None => Err(Error::not_found(format!("thread {thread_id:?}"))),
        }
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    /// Makes room for a thread that is to arrive.
    ///
    /// # Errors
    /// `Conflict` where a thread of that id lives.
    pub(crate) fn arrival(&self, thread_id: &str) -> Result<Arrival<'_>> {
        let thread = Thread::new(&*self.store, thread_id)?;
        require_room(&thread)?;
        thread.remove_remains()?;
        Ok(Arrival { store: &*self.store, namespace: thread.namespace, revision: 0 })
    }
}

/// The id of the thread whose records `namespace` holds.
///
/// # Errors
/// `Invalid` where it is no thread's.
pub(crate) fn thread_in(namespace: &Namespace<'_>) -> Result<String> {
    layout::read_thread(namespace.as_str())
        .ok_or_else(|| Error::invalid(format!("namespace {:?} is not that of a thread", namespace.as_str())))
}

fn require_room(thread: &Thread<'_>) -> Result<()> {
    if thread.head(thread.store)?.is_none() {
        return Ok(());
    }
    let actual = thread.store.namespace(&thread.namespace)?.map_or(0, |standing| standing.revision);
    let namespace = thread.namespace.as_str().to_owned();
    Err(Box::new(Conflict { namespace, key: None, expected: Expected::Absent, actual, position: 0 }).into())
}

/// Whether `key` is that of a thread's head.
pub(crate) fn is_head(key: &Key<'_>) -> bool {
    *key == layout::head()
}

/// Checks that a record is one of a thread's, as far as that can be told of it alone.
///
/// # Errors
/// `Invalid` says what is wrong with it.
pub(crate) fn check_record(key: &Key<'_>, value: &Value<'_>, expires_at: Option<Timestamp>) -> Result<()> {
    let (name, bytes) = (key.as_str(), value.as_bytes());
    if is_head(key) {
        return sound(name, record::decode_checked::<HeadRecord>(bytes).is_some());
    }
    if expires_at.is_some() {
        return Err(Error::invalid(format!("key {name:?} expires, which only the head of a thread does")));
    }
    if layout::read_checkpoint(name).is_some() {
        let found: Option<CheckpointRecord<'_>> = record::decode_checked(bytes);
        return sound(name, found.is_some_and(|record| record.seen().is_some()));
    }
    if layout::read_write(name).is_some() {
        return sound(name, record::decode_checked::<WriteRecord<'_>>(bytes).is_some());
    }
    // What a channel holds is verified whenever it is read.
    if layout::is_chunk(name) || layout::is_channel(name) {
        return Ok(());
    }
    Err(Error::invalid(format!("key {name:?} is not one of a thread's")))
}

fn sound(name: &str, is_sound: bool) -> Result<()> {
    if is_sound { Ok(()) } else { Err(Error::invalid(format!("the record of key {name:?} is not what was stored"))) }
}

/// A thread whose records are arriving.
pub(crate) struct Arrival<'a> {
    store: &'a dyn Store,
    /// Where the records go.
    namespace: Namespace<'static>,
    /// The revision that the last batch left the thread at; 0 = nothing has come.
    revision: Revision,
}

impl Arrival<'_> {
    /// Writes some records, none of which is the head.
    ///
    /// # Errors
    /// `Conflict` where somebody else wrote to the thread meanwhile; else as [`Store::write`].
    pub(crate) fn write<'o>(&mut self, records: impl Iterator<Item = (Key<'o>, Value<'static>, Expiry)>) -> Result<()> {
        let namespace = self.namespace.clone();
        let mut batch = Batch::new();
        batch.require(self.is_untouched());
        for (key, value, expiry) in records {
            batch.set(namespace.borrow(), key, value, expiry);
        }
        let outcomes = self.store.write(&batch)?;
        self.revision = outcomes.last().map_or(self.revision, |outcome| outcome.revision);
        Ok(())
    }

    fn is_untouched(&self) -> Condition<'static> {
        Condition::NamespaceAt { namespace: self.namespace.clone(), revision: self.revision }
    }

    /// Writes the head, and with it the thread is there.
    ///
    /// # Errors
    /// `Invalid` where the thread's time is over; else as [`Arrival::write`].
    pub(crate) fn finish(&mut self, value: Value<'static>, expires_at: Option<Timestamp>) -> Result<()> {
        let expiry = expires_at.map_or(Expiry::Never, Expiry::At);
        self.write([(layout::head(), value, expiry)].into_iter())?;
        if expires_at.is_some() && self.store.get(&self.namespace, &layout::head())?.is_none() {
            return Err(Error::invalid("the time to live of the thread in the export is over"));
        }
        Ok(())
    }

    /// Removes what has come. What fails now is removed by the next write to the thread.
    pub(crate) fn abandon(&self) {
        if self.revision == 0 {
            return;
        }
        let mut batch = Batch::new();
        batch.require(self.is_untouched());
        batch.delete_namespace(self.namespace.borrow());
        let _ = self.store.write(&batch);
    }
}
