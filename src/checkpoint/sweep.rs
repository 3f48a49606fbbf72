//! Removing checkpoints, and with them what nothing names any more.
//!
//! A sweep takes a census of the thread on one consistent cut, lets its caller choose which checkpoints stay, and removes the
//! rest in batches that insist on the head that was read: where anybody put a checkpoint meanwhile, the sweep takes a new
//! census. The checkpoints go first, so that a sweep that ends early leaves records that nothing names, never a checkpoint
//! that names what is gone.

use std::collections::HashSet;

use super::census::{Census, Kept};
use super::content::{Trust, named_by};
use super::layout;
use super::thread::{Head, Thread};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{Key, Prefix};
use crate::store::{Batch, Condition, Range};

/// How often a census is taken anew after somebody else changed the thread.
const TRIES: usize = 5;
/// The most keys that one batch removes.
const KEYS_PER_BATCH: usize = 5000;

/// Which checkpoints of a census stay; `None` = all of them, and nothing is to be done.
pub(super) type Choice<'f> = dyn for<'c, 'v> Fn(&'c Census<'v>) -> Result<Option<Kept<'c>>> + 'f;

/// Removes what `choose` does not keep, and what nothing names; an absent thread is nothing to do.
pub(super) fn sweep(thread: &Thread<'_>, choose: &Choice<'_>) -> Result<()> {
    for _ in 1..TRIES {
        match attempt(thread, choose) {
            Err(Error::Conflict(_)) => {}
            result => return result,
        }
    }
    attempt(thread, choose)
}

fn attempt(thread: &Thread<'_>, choose: &Choice<'_>) -> Result<()> {
    let view = thread.store.view_of(&thread.namespace)?;
    let Some(mut head) = thread.head(&*view)? else { return thread.remove_remains().map(drop) };
    let census = Census::take(&*view, thread)?;
    let Some(kept) = choose(&census)? else { return Ok(()) };
    let doomed = census.doomed(&kept)?;
    if doomed.is_empty() && head.record.puts_since_sweep == 0 {
        return Ok(());
    }
    if kept.is_empty() && census.is_nothing_but(&doomed)? {
        return delete_whole(thread, &head);
    }
    head.record.latest =
        kept.range(("", "")..).take_while(|(name, _)| name.is_empty()).last().map(|(_, id)| (*id).into());
    head.record.checkpoints = kept.len() as u64;
    head.record.puts_since_sweep = 0;
    head.record.put_at = head.put_at().map(Timestamp::as_millis);
    remove(thread, head, doomed)
}

/// Removes a thread of which nothing stays, unless somebody changed it.
fn delete_whole(thread: &Thread<'_>, head: &Head) -> Result<()> {
    let mut batch = Batch::new();
    batch.require(Condition::at(thread.namespace.borrow(), layout::head(), head.revision));
    batch.delete_namespace(thread.namespace.borrow());
    thread.store.write(&batch).map(drop)
}

/// Removes keys in batches that each write the head, so that whoever read between two of them finds it changed.
fn remove(thread: &Thread<'_>, mut head: Head, doomed: Vec<Key<'static>>) -> Result<()> {
    let most = KEYS_PER_BATCH.min(thread.store.capabilities().max_batch_operations - 1);
    let mut keys = doomed.into_iter();
    loop {
        let mut batch = Batch::new();
        thread.replace_head(&mut batch, &head);
        for key in keys.by_ref().take(most) {
            batch.delete(thread.namespace.borrow(), key);
        }
        head.revision = thread.store.write(&batch)?[0].revision;
        if keys.len() == 0 {
            return Ok(());
        }
    }
}

impl Census<'_> {
    /// The keys of all that nothing kept names: checkpoints first, then what belongs to them.
    fn doomed(&self, kept: &Kept<'_>) -> Result<Vec<Key<'static>>> {
        let mut doomed = Vec::new();
        for found in self.all().filter(|found| !kept.contains(&found.place())) {
            doomed.push(layout::checkpoint(&found.checkpoint_ns, &found.checkpoint_id)?);
        }
        for key in self.keys(layout::all_writes()?)? {
            if !self.is_write_kept(&key, kept) {
                doomed.push(Key::new(key)?);
            }
        }
        let named = self.named_rows(kept)?;
        for key in self.keys(layout::all_channels()?)? {
            if !named.contains(&key) {
                doomed.push(Key::new(key)?);
            }
        }
        let chunks = self.keys(layout::all_chunks()?)?;
        let named = if chunks.is_empty() { HashSet::new() } else { self.named_chunks(kept, named)? };
        for key in chunks {
            if !named.contains(&key) {
                doomed.push(Key::new(key)?);
            }
        }
        Ok(doomed)
    }

    /// The keys of the chunks that the rows name, which the kept checkpoints name.
    fn named_chunks(&self, kept: &Kept<'_>, rows: HashSet<String>) -> Result<HashSet<String>> {
        let thread = &self.thread.namespace;
        let pairs = rows.into_iter().map(|row| Ok((thread.borrow(), Key::new(row)?)));
        let rows = self.view.get_many(&pairs.collect::<Result<Vec<_>>>()?)?;
        match named_by(self.view, thread, rows.into_iter().flatten())? {
            Some(named) => Ok(named.iter().map(|hash| layout::chunk(hash).as_str().to_owned()).collect()),
            None => Err(self.corrupt(kept)?),
        }
    }

    /// The error that names the checkpoint of which something cannot be read.
    fn corrupt(&self, kept: &Kept<'_>) -> Result<Error> {
        for found in self.all().filter(|found| kept.contains(&found.place())) {
            found.clone().load(self.view, &self.thread.namespace, Trust::Nothing)?.contents()?;
        }
        Ok(Error::corrupt(format!("a value in thread {:?} cannot be read", self.thread.id)))
    }

    /// Whether a write belongs to a checkpoint that stays, or to one that is still to come.
    fn is_write_kept(&self, key: &str, kept: &Kept<'_>) -> bool {
        // A key that nobody here wrote is nobody's here to remove.
        let Some(write) = layout::read_write(key) else { return true };
        let address = (write.checkpoint_ns.as_str(), write.checkpoint_id.as_str());
        kept.contains(&address) || self.latest(address.0).is_none_or(|latest| latest < address.1)
    }

    /// The keys of the channels' values that the kept checkpoints name.
    fn named_rows(&self, kept: &Kept<'_>) -> Result<HashSet<String>> {
        let mut named = HashSet::new();
        for found in self.all().filter(|found| kept.contains(&found.place())) {
            named.extend(found.channel_keys()?.into_iter().map(|key| key.as_str().to_owned()));
        }
        Ok(named)
    }

    /// Whether the thread holds nothing besides its head and `doomed`.
    fn is_nothing_but(&self, doomed: &[Key<'_>]) -> Result<bool> {
        Ok(self.usage()?.entries == doomed.len() as u64 + 1)
    }

    fn keys(&self, prefix: Prefix<'_>) -> Result<Vec<String>> {
        self.view.keys(&self.thread.namespace, &Range::of(prefix))
    }
}
