//! Where a thread's records lie: one namespace for each thread, and in it one key for each record.
//!
//! All names are joined and split by [`key`](crate::key), so ids, namespaces and channels hold any character, and what is listed
//! of one checkpoint never shows another's. Keys of checkpoints sort by (`checkpoint_ns`, `checkpoint_id`), so the latest of a
//! namespace is the last of them; keys of writes sort by number, not by digits. What a put of small values writes stands side by
//! side: the newest checkpoint, the head, the newest values, so that a file's pages of keys in order are changed at one place.

use super::shape::Hash;
use super::version::{Made, Version};
use crate::error::Result;
use crate::key::{Key, KeyReader, KeyWriter, Namespace, Prefix};

/// What the namespace of a thread begins with; U+001F keeps it apart from a user's own.
const THREAD: &str = "\u{1f}thread:";
const HEAD: &str = "head";
const CHECKPOINT: &str = "checkpoint:";
const VALUE: &str = "value:";
const WRITE: &str = "write:";
const CHUNK: &str = "chunk:";
/// Digits of a hash, of 128 bits.
const HASH_DIGITS: usize = 22;
/// Stand before a version, so that 1, 1.0 and "1" are three, and those that the saver makes are by themselves.
const INTEGER: &str = "i";
const FLOAT: &str = "f";
const TEXT: &str = "s";
const MADE: &str = "m";

/// Where the branches of a thread lie.
pub(super) fn thread(thread_id: &str) -> Result<Namespace<'static>> {
    Namespace::new(KeyWriter::new().tag(THREAD).text(thread_id).finish())
}

/// What the namespaces of the threads begin with whose ids begin with `prefix`.
pub(super) fn threads(prefix: &str) -> Result<Prefix<'static>> {
    Prefix::new(KeyWriter::new().tag(THREAD).beginning(prefix).finish())
}

/// The thread that a namespace belongs to, if it is a thread's.
pub(super) fn read_thread(namespace: &str) -> Option<String> {
    let mut parts = KeyReader::new(namespace);
    parts.tag(THREAD)?;
    let thread_id = parts.text()?;
    parts.is_at_end().then(|| thread_id.into_owned())
}

/// The key of what a thread knows about itself.
pub(super) fn head() -> Key<'static> {
    Key::new(HEAD).expect("it is short")
}

fn checkpoints(checkpoint_ns: &str) -> KeyWriter {
    KeyWriter::new().tag(CHECKPOINT).text(checkpoint_ns)
}

/// The key of a checkpoint.
pub(super) fn checkpoint(checkpoint_ns: &str, checkpoint_id: &str) -> Result<Key<'static>> {
    Key::new(checkpoints(checkpoint_ns).text(checkpoint_id).finish())
}

/// What the keys of a thread's checkpoints begin with, in all its namespaces.
pub(super) fn all_checkpoints() -> Result<Prefix<'static>> {
    Prefix::new(CHECKPOINT)
}

/// What the keys of the checkpoints of one namespace begin with; with an id, it is the key of that one alone.
pub(super) fn checkpoints_in(checkpoint_ns: &str, checkpoint_id: Option<&str>) -> Result<Prefix<'static>> {
    let all = checkpoints(checkpoint_ns);
    Prefix::new(checkpoint_id.map_or_else(|| all.clone().finish(), |id| all.clone().text(id).finish()))
}

/// A cursor behind the checkpoints of `checkpoint_ns`, before those of the next namespace.
///
/// An id that begins with the greatest character may still lie behind it: who moves on by it expects the same namespace again.
pub(super) fn behind_checkpoints(checkpoint_ns: &str) -> Result<Key<'static>> {
    Key::new(checkpoints(checkpoint_ns).tag("\u{10ffff}").finish())
}

/// Namespace and id of a checkpoint, from its key.
pub(super) fn read_checkpoint(key: &str) -> Option<(String, String)> {
    let mut parts = KeyReader::new(key);
    parts.tag(CHECKPOINT)?;
    let (checkpoint_ns, checkpoint_id) = (parts.text()?, parts.text()?);
    parts.is_at_end().then(|| (checkpoint_ns.into_owned(), checkpoint_id.into_owned()))
}

/// The key of a channel's value at a version. Of the versions that the saver makes, the newest sorts
/// first.
pub(super) fn channel(checkpoint_ns: &str, channel: &str, version: &Version<'_>) -> Result<Key<'static>> {
    let key = KeyWriter::new().tag(VALUE).text(checkpoint_ns);
    let key = match version.stored() {
        Version::Integer(integer) => key.tag(INTEGER).number(!integer),
        Version::Float(float) => key.tag(FLOAT).number(!float_bits(float)),
        Version::Text(text) => key.tag(TEXT).text(text),
        Version::Made(Made { number, random }) => {
            key.tag(MADE).number(!number.cast_signed()).number(random.cast_signed())
        }
    };
    Key::new(key.text(channel).finish())
}

/// What the keys of all channels' values of a thread begin with.
pub(super) fn all_channels() -> Result<Prefix<'static>> {
    Prefix::new(VALUE)
}

/// Whether a key is that of a channel's value.
pub(super) fn is_channel(key: &str) -> bool {
    key.starts_with(VALUE)
}

/// The bits of a float, the same for 0.0 and -0.0, which are one version.
fn float_bits(float: f64) -> i64 {
    (float + 0.0).to_bits().cast_signed()
}

/// What the keys of all chunks of a thread begin with.
pub(super) fn all_chunks() -> Result<Prefix<'static>> {
    Prefix::new(CHUNK)
}

/// Whether a key is that of a chunk, a block or a node.
pub(super) fn is_chunk(key: &str) -> bool {
    key.starts_with(CHUNK)
}

/// The key of a chunk, a block or a node.
pub(super) fn chunk(hash: &Hash) -> Key<'static> {
    let key = KeyWriter::new().tag(CHUNK).digits::<HASH_DIGITS>(u128::from_be_bytes(*hash));
    Key::new(key.finish()).expect("it is short")
}

/// The key of a task's write.
pub(super) fn write(checkpoint_ns: &str, checkpoint_id: &str, task_id: &str, index: i64) -> Result<Key<'static>> {
    let key = KeyWriter::new().tag(WRITE).text(checkpoint_ns).text(checkpoint_id).text(task_id);
    Key::new(key.number(index).finish())
}

/// What the keys of a checkpoint's writes begin with.
pub(super) fn writes_of(checkpoint_ns: &str, checkpoint_id: &str) -> Result<Prefix<'static>> {
    Prefix::new(KeyWriter::new().tag(WRITE).text(checkpoint_ns).text(checkpoint_id).finish())
}

/// What the keys of all writes of a thread begin with.
pub(super) fn all_writes() -> Result<Prefix<'static>> {
    Prefix::new(WRITE)
}

/// What the key of a write says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WriteKey {
    pub(super) checkpoint_ns: String,
    pub(super) checkpoint_id: String,
    pub(super) task_id: String,
    pub(super) index: i64,
}

/// Checkpoint, task and index of a write, from its key.
pub(super) fn read_write(key: &str) -> Option<WriteKey> {
    let mut parts = KeyReader::new(key);
    parts.tag(WRITE)?;
    let write = WriteKey {
        checkpoint_ns: parts.text()?.into_owned(),
        checkpoint_id: parts.text()?.into_owned(),
        task_id: parts.text()?.into_owned(),
        index: parts.number()?,
    };
    parts.is_at_end().then_some(write)
}
