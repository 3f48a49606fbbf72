//! Writing to a thread: checkpoints with their channels' values, and what tasks wrote.
//!
//! A large value is compared with the one that the parent checkpoint names. What is read for that is read outside the batch; the
//! batch insists on the head as it was before, so all of it stood when the batch was written.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::content::{Content, Trust};
use super::encode::{Encoded, MOST_WHOLE_BYTES, Previous, encode_after, encode_whole};
use super::id::Id;
use super::recent::{CutValue, Recent};
use super::record::{CheckpointRecord, Secret, WriteRecord, encode_checked};
use super::saved::Found;
use super::thread::{Head, Thread, read_head, retried};
use super::{ChannelValue, NewCheckpoint, NewWrite, Task, layout};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{Batch, Condition, Expiry, Operation};
use crate::value::Entry;

/// Stores a checkpoint and answers how many puts there were since the last sweep; `Conflict` where the thread changed meanwhile.
pub(super) fn put(
    thread: &Thread<'_>,
    recent: &Recent,
    expiry: Expiry,
    checkpoint_ns: &str,
    new: &NewCheckpoint<'_>,
) -> Result<u64> {
    let key = layout::checkpoint(checkpoint_ns, new.checkpoint_id)?;
    if let Some(head) = recent.take_head(thread.id).filter(|_| !new.values.iter().any(is_large)) {
        match put_unread(thread, recent, expiry, head, (key.borrow(), checkpoint_ns, new)) {
            Err(Error::Conflict(_)) => {}
            result => return result,
        }
    }
    let parent = parent_key(checkpoint_ns, new)?;
    let pairs = [Some(layout::head()), Some(key.borrow()), parent].into_iter().flatten();
    let pairs: Vec<_> = pairs.map(|key| (thread.namespace.borrow(), key)).collect();
    let mut standing = thread.store.get_many(&pairs)?.into_iter();
    let mut head = match standing.next().flatten() {
        Some(entry) => read_head(thread.id, &entry)?,
        None => thread.begin()?,
    };
    head.expiry = expiry;
    let is_new = standing.next().flatten().is_none();
    note_put(&mut head, checkpoint_ns, new.checkpoint_id, is_new);
    let parent = standing.next().flatten();
    let rows = encode_values(thread, recent, checkpoint_ns, new, &head, parent)?;
    write(thread, recent, head, rows, (key, new), None)
}

/// Stores a checkpoint of small values without reading, on the head that was written last; `Conflict` where that is not the
/// head any more, or the checkpoint is there already.
fn put_unread(
    thread: &Thread<'_>,
    recent: &Recent,
    expiry: Expiry,
    mut head: Head,
    (key, checkpoint_ns, new): (Key<'_>, &str, &NewCheckpoint<'_>),
) -> Result<u64> {
    head.expiry = expiry;
    note_put(&mut head, checkpoint_ns, new.checkpoint_id, true);
    let rows = encode_values(thread, recent, checkpoint_ns, new, &head, None)?;
    let is_new = Condition::KeyAbsent { namespace: thread.namespace.borrow(), key: key.borrow() };
    write(thread, recent, head, rows, (key.borrow(), new), Some(is_new))
}

/// Where the parent lies, if a value is large enough to be compared with the one that the parent names.
fn parent_key(checkpoint_ns: &str, new: &NewCheckpoint<'_>) -> Result<Option<Key<'static>>> {
    let is_any_large = new.values.iter().any(is_large);
    new.parent_id.filter(|_| is_any_large).map(|id| layout::checkpoint(checkpoint_ns, id)).transpose()
}

fn is_large(value: &ChannelValue<'_>) -> bool {
    value.value.is_some_and(|value| value.bytes.len() > MOST_WHOLE_BYTES)
}

/// A channel's row on its way into the store.
struct NewRow {
    key: Key<'static>,
    encoded: Encoded,
    /// The row that it was compared with.
    before: Option<Key<'static>>,
}

fn encode_values(
    thread: &Thread<'_>,
    recent: &Recent,
    checkpoint_ns: &str,
    new: &NewCheckpoint<'_>,
    head: &Head,
    parent: Option<Entry>,
) -> Result<Vec<NewRow>> {
    let mut before = previous_rows(thread, checkpoint_ns, new, parent)?;
    // Half of a batch at the most: the other half is for the rows and the checkpoint.
    let mut most_pieces = thread.store.capabilities().max_batch_operations / 2;
    let mut rows = Vec::with_capacity(new.values.len());
    for (value, before) in new.values.iter().zip(&mut before) {
        let key = layout::channel(checkpoint_ns, value.channel, &value.version)?;
        let before = before.take();
        let previous = match &before {
            Some(row) => previous(thread, recent, &head.record.secret, row)?,
            None => None,
        };
        let encoded = match (value.value, previous) {
            (Some(value), Some(previous)) => encode_after(&head.record.secret, value, &previous, most_pieces),
            (value, _) => encode_whole(value),
        };
        most_pieces -= encoded.pieces.len();
        rows.push(NewRow { key, encoded, before: before.map(|(key, _)| key) });
    }
    Ok(rows)
}

/// For each large value the row that the parent names for its channel.
fn previous_rows(
    thread: &Thread<'_>,
    checkpoint_ns: &str,
    new: &NewCheckpoint<'_>,
    parent: Option<Entry>,
) -> Result<Vec<Option<(Key<'static>, Entry)>>> {
    let mut rows: Vec<Option<(Key<'static>, Entry)>> = new.values.iter().map(|_| None).collect();
    let Some(parent) = parent else { return Ok(rows) };
    let found = Found::read(thread.id, parent)?;
    // A parent that cannot be read is no reason to refuse its child.
    let Ok(record) = found.record() else { return Ok(rows) };
    let (mut places, mut pairs) = (Vec::new(), Vec::new());
    for (place, value) in new.values.iter().enumerate().filter(|(_, value)| is_large(value)) {
        if let Some((_, version)) = record.versions.iter().find(|(channel, _)| *channel == value.channel) {
            places.push(place);
            pairs.push((thread.namespace.borrow(), layout::channel(checkpoint_ns, value.channel, version)?));
        }
    }
    if pairs.is_empty() {
        return Ok(rows);
    }
    let entries = thread.store.get_many(&pairs)?;
    for ((place, (_, key)), entry) in places.into_iter().zip(pairs).zip(entries) {
        rows[place] = entry.map(|entry| (key, entry));
    }
    Ok(rows)
}

/// The value of a row, taken from what was stored last or read anew; `None` where nothing whole stands.
fn previous(
    thread: &Thread<'_>,
    recent: &Recent,
    secret: &Secret,
    (key, row): &(Key<'static>, Entry),
) -> Result<Option<Previous>> {
    if let Some(value) = recent.get(thread.namespace.as_str(), key.as_str(), row.revision()) {
        return Ok(Some(Previous::Cut(value)));
    }
    let trust = Trust::of(thread.store);
    let content = Content::load(thread.store, &thread.namespace, row.clone())?;
    let Some(content) = content.filter(|content| content.read(trust).is_some()) else { return Ok(None) };
    let cut = CutValue::of(secret, &content);
    Ok(Some(cut.map_or_else(|| Previous::Whole(content), |cut| Previous::Cut(Arc::new(cut)))))
}

/// Writes the rows, the checkpoint and the head, and answers how many puts the head counts since the last sweep.
fn write(
    thread: &Thread<'_>,
    recent: &Recent,
    mut head: Head,
    mut rows: Vec<NewRow>,
    (key, new): (Key<'_>, &NewCheckpoint<'_>),
    condition: Option<Condition<'_>>,
) -> Result<u64> {
    let mut conditions = Vec::with_capacity(2);
    conditions.extend(condition);
    let mut batch = Batch::from_parts(Vec::with_capacity(rows.len() + 2), conditions);
    thread.replace_head(&mut batch, &head);
    let first_row = batch.operations().len();
    for row in &rows {
        match &row.encoded.row {
            Some(value) => batch.set(thread.namespace.borrow(), row.key.borrow(), value.clone(), Expiry::Never),
            // There may be a value that was put under the same version.
            None => batch.delete(thread.namespace.borrow(), row.key.borrow()),
        };
    }
    let mut named = HashSet::new();
    for (hash, piece) in rows.iter().flat_map(|row| &row.encoded.pieces) {
        if named.insert(hash) {
            batch.ensure(thread.namespace.borrow(), layout::chunk(hash), piece.clone(), Expiry::Never);
        }
    }
    set_checkpoint(&mut batch, thread, key, new);
    let outcomes = thread.store.write(&batch)?;
    drop(batch);
    head.revision = outcomes[0].revision;
    for (row, outcome) in rows.iter_mut().zip(&outcomes[first_row..]) {
        if let Some(cut) = row.encoded.cut.take() {
            let before = row.before.as_ref().map(Key::as_str);
            recent.keep(thread.namespace.as_str(), row.key.as_str(), outcome.revision, cut, before);
        }
    }
    let puts = head.record.puts_since_sweep;
    recent.keep_head(thread.id, head);
    Ok(puts)
}

/// Tells the head of a put.
fn note_put(head: &mut Head, checkpoint_ns: &str, checkpoint_id: &str, is_new: bool) {
    let record = &mut head.record;
    record.checkpoints += u64::from(is_new);
    record.puts_since_sweep += 1;
    record.put_at = None;
    if checkpoint_ns.is_empty() && record.latest.as_deref().is_none_or(|latest| latest < checkpoint_id) {
        record.latest = Some(checkpoint_id.to_owned());
    }
}

fn set_checkpoint<'b>(batch: &mut Batch<'b>, thread: &'b Thread<'_>, key: Key<'b>, new: &NewCheckpoint<'_>) {
    let seen = new.seen.as_ref().map(|seen| seen.to_bytes(&new.versions));
    let record = CheckpointRecord {
        parent_id: new.parent_id.map(Id::of),
        checkpoint: new.checkpoint,
        metadata: new.metadata,
        versions: Cow::Borrowed(&new.versions),
        origin: Cow::Borrowed(&new.origin),
        seen: seen.as_deref(),
    };
    let parts = [new.checkpoint.bytes, new.metadata.bytes, seen.as_deref().unwrap_or_default()];
    let size_hint = parts.map(<[u8]>::len).iter().sum::<usize>() + 64 * new.versions.len();
    batch.set(thread.namespace.borrow(), key, encode_checked(&record, size_hint), Expiry::Never);
}

/// Stores what a task wrote.
pub(super) fn put_writes(
    thread: &Thread<'_>,
    expiry: Expiry,
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
        let value = encode_checked(&record, write.value.bytes.len());
        batch.push(match write.index {
            0.. => Operation::Ensure { namespace, key, value, expiry },
            _ => Operation::Set { namespace, key, value, expiry },
        });
    }
    retried(|| match thread.store.write(&batch) {
        // The head is looked for by the write itself: but for a thread's first, nothing is read.
        Err(Error::Conflict(_)) => start(thread, expiry).and_then(|()| thread.store.write(&batch).map(drop)),
        result => result.map(drop),
    })
}

/// Gives a thread that is not there its head, for writes that come before their checkpoint.
fn start(thread: &Thread<'_>, expiry: Expiry) -> Result<()> {
    if thread.head(thread.store)?.is_some() {
        return Ok(());
    }
    let mut head = thread.begin()?;
    head.expiry = expiry;
    let mut batch = Batch::new();
    thread.replace_head(&mut batch, &head);
    thread.store.write(&batch).map(drop)
}

/// Whether another write of the same call takes the place of `write`.
fn is_superseded(write: &NewWrite<'_>, later: &[NewWrite<'_>], earlier: &[NewWrite<'_>]) -> bool {
    let rivals = if write.index < 0 { later } else { earlier };
    rivals.iter().any(|rival| rival.index == write.index)
}
