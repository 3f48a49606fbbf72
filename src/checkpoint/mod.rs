//! LangGraph's threads as store operations.
//!
//! One thread is one namespace: every write to it is one atomic batch, and deleting or copying it is one operation. A checkpoint
//! is read from one consistent cut, so its channels and writes belong together whatever is written meanwhile. "Latest" is the
//! last key, never something remembered: all who share a store agree on it. What the bytes of a value mean is left to the
//! serializer that wrote them.

mod layout;
mod listing;
mod record;
mod saved;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::listing::{Listing, Query};
use self::record::{CheckpointRecord, WriteRecord, encode};
pub use self::record::{Typed, Version};
pub use self::saved::{Contents, Found, Saved, Write};
use crate::error::Result;
use crate::store::{Batch, Expiry, Operation, Store, StoreExt};

/// Where a graph's checkpoints lie: a thread, and in it the root graph's namespace or a subgraph's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The namespace of the graph within the thread; empty for the root graph.
    pub checkpoint_ns: &'a str,
}

/// A checkpoint to be stored.
#[derive(Clone, Debug)]
pub struct NewCheckpoint<'a> {
    /// Its id; ids sort by age.
    pub checkpoint_id: &'a str,
    /// The checkpoint that it follows.
    pub parent_id: Option<&'a str>,
    /// The checkpoint without the values and versions of its channels.
    pub checkpoint: Typed<'a>,
    /// Its metadata.
    pub metadata: Typed<'a>,
    /// The version of every channel.
    pub versions: Vec<(&'a str, Version<'a>)>,
    /// The channels that have a new version, and what they hold.
    pub values: Vec<ChannelValue<'a>>,
}

/// What a channel holds at a version.
#[derive(Clone, Copy, Debug)]
pub struct ChannelValue<'a> {
    /// The channel.
    pub channel: &'a str,
    /// The version.
    pub version: Version<'a>,
    /// The value; `None` = the channel is empty.
    pub value: Option<Typed<'a>>,
}

/// The task that writes.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its place in the graph, by which writes are ordered first.
    pub path: &'a str,
}

/// A write of a task to a channel.
#[derive(Clone, Copy, Debug)]
pub struct NewWrite<'a> {
    /// Its place among the task's writes; below 0 for the special channels, of which a task has one write each.
    pub index: i64,
    /// The channel.
    pub channel: &'a str,
    /// The value.
    pub value: Typed<'a>,
}

/// The threads that a store holds. Any number of these may share one store.
#[derive(Clone)]
pub struct Threads {
    store: Arc<dyn Store>,
}

impl Threads {
    /// The threads in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Stores a checkpoint and what its channels hold at their new versions; a version stored before is replaced.
    ///
    /// # Cost
    /// One batch of 1 + new values operations.
    ///
    /// # Errors
    /// `Invalid` when an address is longer than a name may be, `TooLarge` above the store's limits: nothing is written.
    /// `Unavailable`: it may have happened, and a repeat does no harm.
    pub fn put(&self, place: Place<'_>, new: &NewCheckpoint<'_>) -> Result<()> {
        let thread = layout::thread(place.thread_id)?;
        let mut batch = Batch::new();
        for ChannelValue { channel, version, value } in &new.values {
            let key = layout::channel(place.checkpoint_ns, channel, version)?;
            let record = encode(value, value.map_or(0, |value| value.bytes.len()));
            batch.set(thread.borrow(), key, record, Expiry::Never);
        }
        let record = CheckpointRecord {
            parent_id: new.parent_id,
            checkpoint: new.checkpoint,
            metadata: new.metadata,
            versions: Cow::Borrowed(&new.versions),
        };
        let size_hint = new.checkpoint.bytes.len() + new.metadata.bytes.len() + 64 * new.versions.len();
        let key = layout::checkpoint(place.checkpoint_ns, new.checkpoint_id)?;
        batch.set(thread.borrow(), key, encode(&record, size_hint), Expiry::Never);
        self.store.write(&batch).map(drop)
    }

    /// Stores what a task wrote after a checkpoint, which need not be there yet.
    ///
    /// Of writes at one index the first stays, and of those below 0 the last, also within one call.
    ///
    /// # Cost
    /// One batch of one operation for each write.
    ///
    /// # Errors
    /// As [`Threads::put`].
    pub fn put_writes(
        &self,
        place: Place<'_>,
        checkpoint_id: &str,
        task: Task<'_>,
        writes: &[NewWrite<'_>],
    ) -> Result<()> {
        let thread = layout::thread(place.thread_id)?;
        let mut batch = Batch::new();
        for (position, write) in writes.iter().enumerate() {
            if is_superseded(write, &writes[position + 1..], &writes[..position]) {
                continue;
            }
            let (namespace, expiry) = (thread.borrow(), Expiry::Never);
            let key = layout::write(place.checkpoint_ns, checkpoint_id, task.id, write.index)?;
            let record = WriteRecord { task_path: task.path, channel: write.channel, value: write.value };
            let value = encode(&record, write.value.bytes.len());
            batch.push(match write.index {
                0.. => Operation::Ensure { namespace, key, value, expiry },
                _ => Operation::Set { namespace, key, value, expiry },
            });
        }
        if batch.operations().is_empty() {
            return Ok(());
        }
        self.store.write(&batch).map(drop)
    }

    /// Reads a checkpoint by its id, or the latest of its place.
    ///
    /// # Cost
    /// O(channels + writes) reads of one consistent cut.
    ///
    /// # Errors
    /// `Corrupt` when a record is not what was stored, `Unavailable` when the store does not answer.
    pub fn get(&self, place: Place<'_>, checkpoint_id: Option<&str>) -> Result<Option<Saved>> {
        let thread = layout::thread(place.thread_id)?;
        let view = self.store.view_of(&thread)?;
        match Found::find(&*view, &thread, place, checkpoint_id)? {
            Some(found) => found.load(&*view, &thread).map(Some),
            None => Ok(None),
        }
    }

    /// Lists checkpoints, newest id first, as they stand now: what is written later does not show.
    ///
    /// # Cost
    /// One read for each thread and namespace that the query covers; the rest is read as the listing moves on.
    ///
    /// # Errors
    /// As [`Threads::get`].
    pub fn list(&self, query: &Query<'_>) -> Result<Listing> {
        Listing::open(self.store.view()?, query)
    }

    /// Removes a thread with all that it holds.
    ///
    /// # Errors
    /// As [`Threads::put`].
    pub fn delete(&self, thread_id: &str) -> Result<()> {
        self.store.delete_namespace(layout::thread(thread_id)?.as_str()).map(drop)
    }

    /// Copies a thread with all that it holds, under the same checkpoint ids. An absent source, or one that is the target, is
    /// nothing to do.
    ///
    /// # Cost
    /// That of [`StoreExt::copy_namespace`]: O(1) in memory.
    ///
    /// # Errors
    /// `Conflict` when the target holds anything: nothing is copied. Else as [`Threads::put`].
    pub fn copy(&self, source_id: &str, target_id: &str) -> Result<()> {
        if source_id == target_id {
            return Ok(());
        }
        let (source, target) = (layout::thread(source_id)?, layout::thread(target_id)?);
        self.store.copy_namespace(source.as_str(), target.as_str()).map(drop)
    }
}

/// Whether another write of the same call takes the place of `write`.
fn is_superseded(write: &NewWrite<'_>, later: &[NewWrite<'_>], earlier: &[NewWrite<'_>]) -> bool {
    let rivals = if write.index < 0 { later } else { earlier };
    rivals.iter().any(|rival| rival.index == write.index)
}
