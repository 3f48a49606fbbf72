//! Writing to a thread: checkpoints with their channels' values, and what tasks wrote.

use std::borrow::Cow;

use super::record::{CheckpointRecord, WriteRecord, encode};
use super::thread::{Head, Thread, retried};
use super::{ChannelValue, NewCheckpoint, NewWrite, Task, layout};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{Batch, Condition, Expiry, Operation};

/// Stores a checkpoint; `Conflict` where the thread changed meanwhile.
pub(super) fn put(thread: &Thread<'_>, checkpoint_ns: &str, new: &NewCheckpoint<'_>) -> Result<()> {
    let key = layout::checkpoint(checkpoint_ns, new.checkpoint_id)?;
    let pairs = [(thread.namespace.borrow(), layout::head()), (thread.namespace.borrow(), key.borrow())];
    let standing = thread.store.get_many(&pairs)?;
    let mut head = match &standing[0] {
        Some(entry) => thread.read_head(entry)?,
        None => thread.begin()?,
    };
    let is_new = head.revision == 0 || standing[1].is_none();
    note_put(&mut head, checkpoint_ns, new.checkpoint_id, is_new);
    let mut batch = Batch::new();
    thread.replace_head(&mut batch, &head);
    for ChannelValue { channel, version, value } in &new.values {
        let key = layout::channel(checkpoint_ns, channel, version)?;
        let record = encode(value, value.map_or(0, |value| value.bytes.len()));
        batch.set(thread.namespace.borrow(), key, record, Expiry::Never);
    }
    set_checkpoint(&mut batch, thread, key, new);
    thread.store.write(&batch).map(drop)
}

/// Tells the head of a put.
fn note_put(head: &mut Head, checkpoint_ns: &str, checkpoint_id: &str, is_new: bool) {
    let record = &mut head.record;
    record.checkpoints += u64::from(is_new);
    record.puts_since_sweep += 1;
    if checkpoint_ns.is_empty() && record.latest.as_deref().is_none_or(|latest| latest < checkpoint_id) {
        record.latest = Some(checkpoint_id.to_owned());
    }
}

fn set_checkpoint<'b>(batch: &mut Batch<'b>, thread: &'b Thread<'_>, key: Key<'b>, new: &NewCheckpoint<'_>) {
    let record = CheckpointRecord {
        parent_id: new.parent_id,
        checkpoint: new.checkpoint,
        metadata: new.metadata,
        versions: Cow::Borrowed(&new.versions),
        origin: Cow::Borrowed(&new.origin),
    };
    let size_hint = new.checkpoint.bytes.len() + new.metadata.bytes.len() + 64 * new.versions.len();
    batch.set(thread.namespace.borrow(), key, encode(&record, size_hint), Expiry::Never);
}

/// Stores what a task wrote.
pub(super) fn put_writes(
    thread: &Thread<'_>,
    checkpoint_ns: &str,
    checkpoint_id: &str,
    task: Task<'_>,
    writes: &[NewWrite<'_>],
) -> Result<()> {
    let mut batch = Batch::new();
    batch.require(Condition::KeyPresent { namespace: thread.namespace.borrow(), key: layout::head() });
    for (position, write) in writes.iter().enumerate() {
        if is_superseded(write, &writes[position + 1..], &writes[..position]) {
            continue;
        }
        let (namespace, expiry) = (thread.namespace.borrow(), Expiry::Never);
        let key = layout::write(checkpoint_ns, checkpoint_id, task.id, write.index)?;
        let record = WriteRecord { task_path: task.path, channel: write.channel, value: write.value };
        let value = encode(&record, write.value.bytes.len());
        batch.push(match write.index {
            0.. => Operation::Ensure { namespace, key, value, expiry },
            _ => Operation::Set { namespace, key, value, expiry },
        });
    }
    retried(|| match thread.store.write(&batch) {
        // The head is looked for by the write itself: but for a thread's first, nothing is read.
        Err(Error::Conflict(_)) => start(thread).and_then(|()| thread.store.write(&batch).map(drop)),
        result => result.map(drop),
    })
}

/// Gives a thread that is not there its head, for writes that come before their checkpoint.
fn start(thread: &Thread<'_>) -> Result<()> {
    if thread.head(thread.store)?.is_some() {
        return Ok(());
    }
    let head = thread.begin()?;
    let mut batch = Batch::new();
    thread.replace_head(&mut batch, &head);
    thread.store.write(&batch).map(drop)
}

/// Whether another write of the same call takes the place of `write`.
fn is_superseded(write: &NewWrite<'_>, later: &[NewWrite<'_>], earlier: &[NewWrite<'_>]) -> bool {
    let rivals = if write.index < 0 { later } else { earlier };
    rivals.iter().any(|rival| rival.index == write.index)
}
