//! A checkpoint as it was stored, with the values of its channels and the writes that wait on it.
//!
//! What is held here are the store's own entries; they are taken apart when somebody asks, without a copy of the values.

use std::borrow::Cow;

use super::Place;
use super::content::{Content, Stored, Trust};
use super::id::Id;
use super::layout::{self, WriteKey};
use super::record::{self, CheckpointRecord, Typed, WriteRecord};
use super::seen::{self, Seen};
use super::version::Version;
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::store::{Range, Reader};
use crate::value::Entry;

/// A checkpoint's record, without what lies beside it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The thread that it belongs to.
    pub thread_id: String,
    /// The namespace of its graph within the thread.
    pub checkpoint_ns: String,
    /// Its id.
    pub checkpoint_id: String,
    entry: Entry,
}

/// A checkpoint with the values of its channels and the writes that wait on it.
#[derive(Clone, Debug)]
pub struct Saved {
    found: Found,
    /// One for each channel of the record, in the same order.
    values: Vec<Option<Content>>,
    writes: Vec<Entry>,
    trust: Trust,
}

/// What a [`Saved`] holds, borrowed from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents<'a> {
    /// The checkpoint that this one follows.
    pub parent_id: Option<Cow<'a, str>>,
    /// The checkpoint without the values and versions of its channels.
    pub checkpoint: Typed<'a>,
    /// What its nodes have seen, if it is kept beside the checkpoint: that is then the list of its
    /// [`USUAL_FIELDS`](super::USUAL_FIELDS).
    pub seen: Option<Seen<'a>>,
    /// Its metadata.
    pub metadata: Typed<'a>,
    /// The version of every channel.
    pub versions: Vec<(&'a str, Version<'a>)>,
    /// The values of the channels that are not empty.
    pub values: Vec<(&'a str, Stored<'a>)>,
    /// The writes, by (`task_path`, `task_id`, `index`).
    pub writes: Vec<Write<'a>>,
}

/// A task's write to a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Write<'a> {
    /// The task's place in the graph.
    pub task_path: &'a str,
    /// The task.
    pub task_id: String,
    /// The place among the task's writes; below 0 for the special channels.
    pub index: i64,
    /// The channel.
    pub channel: &'a str,
    /// The value.
    pub value: Typed<'a>,
}

impl Found {
    /// Finds a checkpoint by its id, or the latest of its place.
    pub(super) fn find(
        view: &dyn Reader,
        thread: &Namespace<'_>,
        place: Place<'_>,
        checkpoint_id: Option<&str>,
    ) -> Result<Option<Self>> {
        if view.get(thread, &layout::head())?.is_none() {
            return Ok(None);
        }
        let entry = match checkpoint_id {
            Some(id) => view.get(thread, &layout::checkpoint(place.checkpoint_ns, id)?)?,
            None => {
                let all = layout::checkpoints_in(place.checkpoint_ns, None)?;
                view.entries(thread, &Range::of(all).descending().limit(1))?.pop()
            }
        };
        entry.map(|entry| Self::read(place.thread_id, entry)).transpose()
    }

    /// What `entry` says of itself by its key.
    pub(super) fn read(thread_id: &str, entry: Entry) -> Result<Self> {
        match layout::read_checkpoint(entry.key()) {
            Some((checkpoint_ns, checkpoint_id)) => {
                Ok(Self { thread_id: thread_id.to_owned(), checkpoint_ns, checkpoint_id, entry })
            }
            None => Err(Error::corrupt(format!(
                "thread {thread_id:?} holds a key that is no checkpoint's: {:?}",
                entry.key()
            ))),
        }
    }

    /// The metadata alone.
    ///
    /// # Errors
    /// `Corrupt` when the record is not what was stored.
    pub fn metadata(&self) -> Result<Typed<'_>> {
        Ok(self.record()?.metadata)
    }

    /// The checkpoint that this one follows.
    ///
    /// # Errors
    /// As [`Found::metadata`].
    pub fn parent_id(&self) -> Result<Option<Cow<'_, str>>> {
        Ok(self.record()?.parent_id.map(Id::text))
    }

    /// The form and the bytes of the checkpoint without the versions and values of its channels, in one piece however it is
    /// kept; if that is longer than `most_bytes`, as it is kept.
    ///
    /// # Errors
    /// As [`Found::metadata`].
    pub fn checkpoint(&self, most_bytes: usize) -> Result<(&str, Cow<'_, [u8]>)> {
        let record = self.record()?;
        let Typed { form, bytes } = record.checkpoint;
        let Some(seen) = self.seen_in(&record)? else { return Ok((form, Cow::Borrowed(bytes))) };
        let mut whole = Vec::with_capacity(2 * bytes.len());
        let told = seen::tell_whole(bytes, &seen, &self.checkpoint_id, &mut |part| {
            whole.extend_from_slice(part);
            (whole.len() <= most_bytes).then_some(())
        });
        match told {
            Some(()) => Ok((form, Cow::Owned(whole))),
            None if whole.len() > most_bytes => Ok((form, Cow::Borrowed(bytes))),
            None => Err(self.corrupt("its record")),
        }
    }

    /// How long the checkpoint is in one piece.
    pub(super) fn checkpoint_bytes(&self) -> Result<u64> {
        let record = self.record()?;
        let Some(seen) = self.seen_in(&record)? else { return Ok(record.checkpoint.bytes.len() as u64) };
        let mut length = 0;
        let told = seen::tell_whole(record.checkpoint.bytes, &seen, &self.checkpoint_id, &mut |part| {
            length += part.len() as u64;
            Some(())
        });
        told.map(|()| length).ok_or_else(|| self.corrupt("its record"))
    }

    fn seen_in<'a>(&self, record: &CheckpointRecord<'a>) -> Result<Option<Seen<'a>>> {
        record.seen().ok_or_else(|| self.corrupt("its record"))
    }

    /// Reads what lies beside the record.
    pub(super) fn load(self, view: &dyn Reader, thread: &Namespace<'_>, trust: Trust) -> Result<Saved> {
        let keys = self.channel_keys()?;
        let pairs: Vec<(Namespace<'_>, Key<'_>)> = keys.into_iter().map(|key| (thread.borrow(), key)).collect();
        let values = Content::load_all(view, thread, view.get_many(&pairs)?)?;
        let writes = self.write_entries(view, thread)?;
        Ok(Saved { found: self, values, writes, trust })
    }

    /// The entries of the writes that wait on it.
    pub(super) fn write_entries(&self, view: &dyn Reader, thread: &Namespace<'_>) -> Result<Vec<Entry>> {
        view.entries(thread, &Range::of(layout::writes_of(&self.checkpoint_ns, &self.checkpoint_id)?))
    }

    /// Takes the entries of its writes apart, in the order (`task_path`, `task_id`, `index`).
    pub(super) fn read_writes<'e>(&self, entries: &'e [Entry]) -> Result<Vec<Write<'e>>> {
        let mut writes = Vec::with_capacity(entries.len());
        for entry in entries {
            writes.push(read_write(entry).ok_or_else(|| self.corrupt("one of its writes"))?);
        }
        writes.sort_unstable_by(|a, b| (a.task_path, &a.task_id, a.index).cmp(&(b.task_path, &b.task_id, b.index)));
        Ok(writes)
    }

    /// What a channel of it holds; `None` where it is empty.
    pub(super) fn content_of(
        &self,
        view: &dyn Reader,
        thread: &Namespace<'_>,
        channel: &str,
    ) -> Result<Option<Content>> {
        match self.row_of(view, thread, channel)? {
            Some(row) => Content::load(view, thread, row),
            None => Ok(None),
        }
    }

    /// The row of a channel of it; `None` where it is empty.
    pub(super) fn row_of(&self, view: &dyn Reader, thread: &Namespace<'_>, channel: &str) -> Result<Option<Entry>> {
        let record = self.record()?;
        match record.versions.iter().find(|(name, _)| *name == channel) {
            Some((_, version)) => view.get(thread, &layout::channel(&self.checkpoint_ns, channel, version)?),
            None => Ok(None),
        }
    }

    /// The value that a channel of it holds, as it was stored.
    pub(super) fn read_content<'c>(&self, channel: &str, content: &'c Content, trust: Trust) -> Result<Stored<'c>> {
        content.read(trust).ok_or_else(|| self.corrupt(&format!("the value of channel {channel:?}")))
    }

    /// Namespace and id.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.checkpoint_ns, &self.checkpoint_id)
    }

    /// The keys of its channels' values.
    pub(super) fn channel_keys(&self) -> Result<Vec<Key<'static>>> {
        let versions = self.record()?.versions;
        versions.iter().map(|(channel, version)| layout::channel(&self.checkpoint_ns, channel, version)).collect()
    }

    pub(super) fn record(&self) -> Result<CheckpointRecord<'_>> {
        record::decode_checked(self.entry.value()).ok_or_else(|| self.corrupt("its record"))
    }

    #[cold]
    pub(super) fn corrupt(&self, part: &str) -> Error {
        let Self { thread_id, checkpoint_ns, checkpoint_id, .. } = self;
        Error::corrupt(format!(
            "checkpoint {checkpoint_id:?} of thread {thread_id:?}, namespace {checkpoint_ns:?}: {part} cannot be read"
        ))
    }
}

impl Saved {
    /// The thread, the namespace and the id.
    pub fn address(&self) -> &Found {
        &self.found
    }

    /// The bytes of all records that it consists of.
    pub fn size_bytes(&self) -> usize {
        let values = self.values.iter().flatten().map(Content::size_bytes).sum::<usize>();
        values + [&self.found.entry].into_iter().chain(&self.writes).map(|entry| entry.value().len()).sum::<usize>()
    }

    /// Takes the records apart.
    ///
    /// # Errors
    /// `Corrupt`, naming thread and checkpoint, when one is not what was stored.
    pub fn contents(&self) -> Result<Contents<'_>> {
        let record = self.found.record()?;
        let seen = self.found.seen_in(&record)?;
        let CheckpointRecord { parent_id, checkpoint, metadata, versions, .. } = record;
        let mut values = Vec::with_capacity(versions.len());
        for ((channel, _), content) in versions.iter().zip(&self.values) {
            let Some(content) = content else { continue };
            values.push((*channel, self.found.read_content(channel, content, self.trust)?));
        }
        Ok(Contents {
            parent_id: parent_id.map(Id::text),
            checkpoint,
            seen,
            metadata,
            versions: versions.into_owned(),
            values,
            writes: self.found.read_writes(&self.writes)?,
        })
    }
}

fn read_write(entry: &Entry) -> Option<Write<'_>> {
    let WriteKey { task_id, index, .. } = layout::read_write(entry.key())?;
    let WriteRecord { task_path, channel, value } = record::decode_checked(entry.value())?;
    Some(Write { task_path, task_id, index, channel, value })
}
