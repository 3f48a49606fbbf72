//! LangGraph's threads as store operations.
//!
//! One thread is one namespace: every write to it is one atomic batch, and deleting or copying it is one operation. A checkpoint
//! is read from one consistent cut, so its channels and writes belong together whatever is written meanwhile. "Latest" is the
//! last key, never something remembered: all who share a store agree on it. What the bytes of a value mean is left to the
//! serializer that wrote them.

mod census;
mod content;
mod cut;
mod encode;
mod fields;
mod history;
mod id;
mod layout;
mod listing;
mod moving;
mod overview;
mod put;
mod recent;
mod record;
mod retention;
mod saved;
mod seen;
mod shape;
mod sweep;
#[cfg(test)]
mod tests;
mod thread;
mod version;

use std::sync::Arc;

pub use self::content::Stored;
use self::content::Trust;
pub use self::history::{ChannelHistory, History};
use self::listing::threads_of;
pub use self::listing::{Listing, Query};
pub(crate) use self::moving::{Arrival, check_record, is_head, thread_in};
pub use self::overview::{ThreadInfo, ThreadUsage, Wanted};
use self::recent::Recent;
pub use self::record::{MSGPACK, Origin, Typed};
use self::retention::Keeper;
pub use self::retention::Retention;
pub use self::saved::{Contents, Found, Saved, Write};
pub use self::seen::{BEFORE_ID, Seen, USUAL_FIELDS};
use self::thread::{Thread, retried};
pub use self::version::{Made, MadeText, Version};
use crate::error::Result;
use crate::store::{Store, StoreExt};

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
    /// What its nodes have seen, if it is kept beside the checkpoint: that is then the list of its [`USUAL_FIELDS`].
    pub seen: Option<Seen<'a>>,
    /// Its metadata.
    pub metadata: Typed<'a>,
    /// What of its metadata decides how long it is kept.
    pub origin: Origin<'a>,
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
    recent: Arc<Recent>,
    keeper: Arc<Keeper>,
}

impl Threads {
    /// The threads in `store`, which are kept for ever.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with_retention(store, Retention::default())
    }

    /// The threads in `store`; what is put here is kept as `retention` says.
    pub fn with_retention(store: Arc<dyn Store>, retention: Retention) -> Self {
        Self { store, recent: Arc::default(), keeper: Arc::new(Keeper::new(retention)) }
    }

    /// Stores a checkpoint and what its channels hold at their new versions; a version stored before is replaced.
    ///
    /// # Cost
    /// One batch of 2 + new values + new chunks operations, after one read; with large values three. A value that has much in
    /// common with the one before it is compared with that; only what differs is hashed and written.
    ///
    /// # Errors
    /// `Invalid` when an address is longer than a name may be, `TooLarge` above the store's limits, `Corrupt` when the thread's
    /// head cannot be read: nothing is written. `Conflict` when others change the thread without a pause: nothing is
    /// written. `Unavailable`: it may have happened, and a repeat does no harm.
    pub fn put(&self, place: Place<'_>, new: &NewCheckpoint<'_>) -> Result<()> {
        let thread = Thread::new(&*self.store, place.thread_id)?;
        let expiry = self.keeper.expiry();
        let puts = retried(|| put::put(&thread, &self.recent, expiry, place.checkpoint_ns, new))?;
        if self.keeper.after_put(&thread, puts) {
            self.recent.take_head(thread.id);
        }
        Ok(())
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
        if writes.is_empty() {
            return Ok(());
        }
        let thread = Thread::new(&*self.store, place.thread_id)?;
        put::put_writes(&thread, self.keeper.expiry(), place.checkpoint_ns, checkpoint_id, task, writes)
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
            Some(found) => found.load(&*view, &thread, Trust::of(&*self.store)).map(Some),
            None => Ok(None),
        }
    }

    /// Reads what the ancestors of a checkpoint say about channels whose values are rebuilt from writes; the checkpoint is the
    /// latest of its place, or has an id.
    ///
    /// For each channel: the value at the nearest ancestor that stores one, and all writes since, that ancestor's own
    /// included and the checkpoint's own not.
    ///
    /// # Cost
    /// One walk of the ancestors for all channels, on one consistent cut.
    ///
    /// # Errors
    /// As [`Threads::get`].
    pub fn history(&self, place: Place<'_>, checkpoint_id: Option<&str>, channels: &[&str]) -> Result<History> {
        let view = self.store.view_of(&layout::thread(place.thread_id)?)?;
        History::read(&*view, place, checkpoint_id, channels, Trust::of(&*self.store))
    }

    /// Lists checkpoints, newest id first, as they stand now: what is written later does not show.
    ///
    /// # Cost
    /// One read for each thread and namespace that the query covers; the rest is read as the listing moves on.
    ///
    /// # Errors
    /// As [`Threads::get`].
    pub fn list(&self, query: &Query<'_>) -> Result<Listing> {
        let view = match query.thread_id {
            Some(thread_id) => self.store.view_of(&layout::thread(thread_id)?)?,
            None => self.store.view()?,
        };
        Listing::open(view, Trust::of(&*self.store), query)
    }

    /// Lists threads in the order of their ids' bytes, without reading a checkpoint.
    ///
    /// # Cost
    /// One look at each thread's head.
    ///
    /// # Errors
    /// `Corrupt` when a head cannot be read, `Unavailable` when the store does not answer.
    pub fn overview(&self, wanted: &Wanted<'_>) -> Result<Vec<ThreadInfo>> {
        overview::threads(&*self.store, wanted)
    }

    /// How much room a thread takes, as if there were no other; nothing where it is not there.
    ///
    /// # Cost
    /// Reads all of the thread but its chunks.
    ///
    /// # Errors
    /// As [`Threads::get`].
    pub fn usage(&self, thread_id: &str) -> Result<ThreadUsage> {
        let thread = Thread::new(&*self.store, thread_id)?;
        overview::usage(&*self.store.view_of(&thread.namespace)?, &thread)
    }

    /// Removes what is left of all threads whose time is over, and tells how many those were.
    ///
    /// Nothing of it can be read any more. Puts that give threads a time to live remove some of it as they go.
    ///
    /// # Cost
    /// One look at each thread's head.
    ///
    /// # Errors
    /// As [`Threads::put`]; some threads may be removed.
    pub fn remove_expired(&self) -> Result<u64> {
        let mut removed = 0;
        let mut names = threads_of(&*self.store);
        while let Some(thread_id) = names.next()? {
            removed += u64::from(retention::remove_expired(&Thread::new(&*self.store, &thread_id)?)?);
        }
        Ok(removed)
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
        let (source, target) = (Thread::new(&*self.store, source_id)?, Thread::new(&*self.store, target_id)?);
        if !self.store.contains(source.namespace.as_str(), layout::head().as_str())? {
            return Ok(());
        }
        if !self.store.contains(target.namespace.as_str(), layout::head().as_str())? {
            target.begin()?;
        }
        self.store.copy_namespace(source.namespace.as_str(), target.namespace.as_str()).map(drop)
    }

    /// Removes all but the newest `keep` checkpoints of each namespace of a thread; an absent thread is nothing to do.
    ///
    /// What stays besides: the ancestors from which the delta channels of those that stay are rebuilt, all writes of
    /// what stays, and writes that came before their checkpoint. A subgraph's namespace goes when the checkpoint that it ran
    /// under goes.
    ///
    /// # Cost
    /// O(records of the thread), mostly one batch.
    ///
    /// # Errors
    /// `Conflict` when others change the thread without a pause, `Corrupt` when one of its checkpoints cannot be read: the
    /// thread is as it was, or some of what nothing names any more is gone.
    pub fn prune(&self, thread_id: &str, keep: usize) -> Result<()> {
        let thread = Thread::new(&*self.store, thread_id)?;
        sweep::sweep(&thread, &|census| census.newest(keep).map(Some))
    }

    /// Removes the checkpoints of some runs, with their writes, from all threads. Values that other checkpoints name stay.
    ///
    /// # Cost
    /// Reads every checkpoint's record once.
    ///
    /// # Errors
    /// As [`Threads::prune`], after all other threads were done.
    pub fn delete_runs(&self, run_ids: &[&str]) -> Result<()> {
        let mut failed = None;
        let store = &*self.store;
        let mut names = threads_of(store);
        while let Some(thread_id) = names.next()? {
            let thread = Thread::new(store, &thread_id)?;
            let result = sweep::sweep(&thread, &|census| census.without_runs(run_ids));
            failed = failed.or(result.err());
        }
        failed.map_or(Ok(()), Err)
    }
}
