//! What is known of threads without reading their checkpoints, and how much room one takes.

use super::census::Census;
use super::content::recorded_length;
use super::layout;
use super::listing::threads_in;
use super::record::{self, WriteRecord};
use super::thread::{Thread, read_head};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::store::{Range, Reader};

/// Threads that are looked up at a time.
const PAGE: usize = 1000;

/// Which threads an overview shows; the default is all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only those whose id begins so.
    pub prefix: &'a str,
    /// Only those whose id comes after this one, which need not exist.
    pub after: Option<&'a str>,
    /// The most threads.
    pub limit: Option<usize>,
}

/// What is known of a thread without reading its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// The thread.
    pub thread_id: String,
    /// The latest checkpoint of its root graph.
    pub latest: Option<String>,
    /// When a checkpoint was put last.
    pub put_at: Timestamp,
    /// How many checkpoints there are, in all namespaces.
    pub checkpoints: u64,
}

/// How much room a thread takes, and how much it would take whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// The bytes of all its keys and values.
    pub stored_bytes: u64,
    /// The bytes that the serializer makes of its checkpoints, metadata, writes and each version of a channel.
    pub serialized_bytes: u64,
    /// How many checkpoints there are, in all namespaces.
    pub checkpoints: u64,
    /// How many chunks, blocks and nodes there are.
    pub chunks: u64,
}

/// The threads that are wanted, in the order of their ids' bytes.
pub(super) fn threads(reader: &dyn Reader, wanted: &Wanted<'_>) -> Result<Vec<ThreadInfo>> {
    let mut found = Vec::new();
    let mut last = wanted.after.map(str::to_owned);
    let limit = wanted.limit.unwrap_or(usize::MAX);
    while found.len() < limit {
        let page = threads_in(reader, wanted.prefix, last.as_deref(), PAGE.min(limit - found.len()))?;
        let Some(behind) = page.last() else { break };
        last = Some(behind.clone());
        let pairs = page.iter().map(|thread_id| Ok((layout::thread(thread_id)?, layout::head())));
        let heads = reader.get_many(&pairs.collect::<Result<Vec<_>>>()?)?;
        for (thread_id, head) in page.into_iter().zip(heads) {
            let Some(entry) = head else { continue };
            let head = read_head(&thread_id, &entry)?;
            let put_at = head.put_at().unwrap_or_else(|| entry.updated_at());
            let (latest, checkpoints) = (head.record.latest, head.record.checkpoints);
            found.push(ThreadInfo { thread_id, latest, put_at, checkpoints });
        }
    }
    Ok(found)
}

/// How much room a thread takes, on one consistent cut; nothing where it is not there.
pub(super) fn usage(view: &dyn Reader, thread: &Thread<'_>) -> Result<ThreadUsage> {
    let Some(head) = thread.head(view)? else { return Ok(ThreadUsage::default()) };
    let census = Census::take(view, thread)?;
    let mut serialized = 0;
    for found in census.all() {
        serialized += found.checkpoint_bytes()? + found.metadata()?.bytes.len() as u64;
    }
    for entry in view.entries(&thread.namespace, &Range::of(layout::all_writes()?))? {
        let write: WriteRecord<'_> = record::decode_checked(entry.value()).ok_or_else(|| corrupt(thread, "a write"))?;
        serialized += write.value.bytes.len() as u64;
    }
    for entry in view.entries(&thread.namespace, &Range::of(layout::all_channels()?))? {
        serialized += recorded_length(&entry).ok_or_else(|| corrupt(thread, "a channel's value"))?;
    }
    let keys = view.keys(&thread.namespace, &Range::default())?;
    let key_bytes: usize = keys.iter().map(String::len).sum();
    Ok(ThreadUsage {
        stored_bytes: census.usage()?.size_bytes + key_bytes as u64,
        serialized_bytes: serialized,
        checkpoints: head.record.checkpoints,
        chunks: keys.iter().filter(|key| layout::is_chunk(key)).count() as u64,
    })
}

fn corrupt(thread: &Thread<'_>, what: &str) -> Error {
    Error::corrupt(format!("{what} of thread {:?} cannot be read", thread.id))
}
