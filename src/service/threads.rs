//! LangGraph's threads, looked into: which there are, their checkpoints, and what the state was at each.
//!
//! Nothing of what a serializer wrote is executed: it is shown by `readable`. An answer has room for so much, and tells what it
//! left out.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::inspection::{parameter, required};
use super::json::Document;
use super::ops::{Keys, Query};
use super::readable::serialized;
use super::refusal::{Refusal, Result};
use super::route::ListQuery;
use crate::checkpoint::{Contents, Found, Place, Threads, Typed, Version, Wanted};
use crate::error::Error;

/// The most bytes that are shown of one value, of a row's metadata, and of all values of an answer.
const VALUE_BYTES: usize = 512 * 1024;
const ROW_BYTES: usize = 4 * 1024;
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Begins the cursors of both lists.
const CURSOR: &str = "t";

/// A page of the threads, in the order of their ids' bytes.
pub(super) fn threads(keys: &Keys, query: &Query) -> Result<Document> {
    let after = query.cursor.as_deref().map(decode).transpose()?;
    let wanted = Wanted { prefix: &query.prefix, after: after.as_deref(), limit: Some(query.limit + 1) };
    let mut rows = Threads::new(keys.store().clone()).overview(&wanted)?;
    let has_more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = rows.last().filter(|_| has_more).map(|last| encode(&last.thread_id));
    let list = Document::object().list("threads", rows, |out, thread| {
        let row = Document::object()
            .text("threadId", &thread.thread_id)
            .optional_text("latest", thread.latest.as_deref())
            .number("putAt", thread.put_at.as_millis())
            .number("checkpoints", thread.checkpoints);
        out.extend(row.finish());
    });
    Ok(list.optional_text("nextCursor", next.as_deref()))
}

/// A page of a thread's checkpoints, of all its graphs, newest id first.
pub(super) fn checkpoints(keys: &Keys, query: &str) -> Result<Document> {
    let (thread, page) = (required(query, "thread")?, ListQuery::read(query)?.query);
    let start = page.cursor.as_deref().map(decode).transpose()?;
    let start = start.as_deref().map(|start| start.split_once('\0').ok_or_else(no_cursor)).transpose()?;
    // Several graphs may have the same id, so a page begins with the id of the last one, and passes over what was shown.
    let before = start.map(|(id, _)| format!("{id}\0"));
    let query = crate::checkpoint::Query { thread_id: Some(&thread), before: before.as_deref(), ..Default::default() };
    let mut listing = Threads::new(keys.store().clone()).list(&query)?;
    let mut found = Vec::new();
    while let Some(checkpoint) = listing.next()? {
        let was_shown = start
            .is_some_and(|(id, graph)| checkpoint.checkpoint_id == id && checkpoint.checkpoint_ns.as_str() <= graph);
        if was_shown {
            continue;
        }
        found.push(checkpoint);
        if found.len() > page.limit {
            break;
        }
    }
    let has_more = found.len() > page.limit;
    found.truncate(page.limit);
    let next = found.last().filter(|_| has_more);
    let next = next.map(|last| encode(&format!("{}\0{}", last.checkpoint_id, last.checkpoint_ns)));
    let rows = found.iter().map(row).collect::<Result<Vec<_>>>()?;
    let list =
        Document::object().text("threadId", &thread).list("checkpoints", rows, |out, row| out.extend(row.finish()));
    Ok(list.optional_text("nextCursor", next.as_deref()))
}

fn row(found: &Found) -> Result<Document> {
    let (metadata, (form, checkpoint)) = (found.metadata()?, found.checkpoint(16 * ROW_BYTES)?);
    Ok(address(found)
        .optional_text("parentId", found.parent_id()?.as_deref())
        .raw("metadata", &serialized(metadata.form, metadata.bytes, ROW_BYTES).0)
        .raw("checkpoint", &serialized(form, &checkpoint, ROW_BYTES).0))
}

fn address(found: &Found) -> Document {
    Document::object().text("checkpointId", &found.checkpoint_id).text("graph", &found.checkpoint_ns)
}

/// A checkpoint: its state, channel by channel, and the writes that wait on it.
pub(super) fn checkpoint(keys: &Keys, query: &str) -> Result<Document> {
    let (thread, id) = (required(query, "thread")?, required(query, "checkpoint")?);
    let graph = parameter(query, "graph").unwrap_or_default();
    let place = Place { thread_id: &thread, checkpoint_ns: &graph };
    let missing = || Error::not_found(format!("checkpoint {id:?} of thread {thread:?}, graph {graph:?}"));
    let saved = Threads::new(keys.store().clone()).get(place, Some(&id))?.ok_or_else(missing)?;
    let contents = saved.contents()?;
    let (form, whole) = saved.address().checkpoint(VALUE_BYTES)?;
    let mut room = ANSWER_BYTES;
    let head = address(saved.address())
        .text("threadId", &thread)
        .optional_text("parentId", contents.parent_id.as_deref())
        .raw("metadata", &shown(contents.metadata, &mut room).0)
        .raw("checkpoint", &shown(Typed { form, bytes: &whole }, &mut room).0);
    let channels = channels(&contents, &mut room);
    let writes = writes(&contents, &mut room);
    let member = |out: &mut Vec<u8>, part: Document| out.extend(part.finish());
    Ok(head.list("channels", channels, member).list("writes", writes, member))
}

fn channels(contents: &Contents<'_>, room: &mut usize) -> Vec<Document> {
    let version_of =
        |name: &str| contents.versions.iter().find(|(channel, _)| *channel == name).map(|(_, version)| *version);
    let channel = |(name, stored): &(&str, crate::checkpoint::Stored<'_>)| {
        let bytes = stored.to_vec();
        let head =
            Document::object().text("channel", name).optional_text("version", version_of(name).map(written).as_deref());
        valued(head, Typed { form: stored.form(), bytes: &bytes }, room)
    };
    contents.values.iter().map(channel).collect()
}

fn writes(contents: &Contents<'_>, room: &mut usize) -> Vec<Document> {
    let write = |write: &crate::checkpoint::Write<'_>| {
        let head = Document::object()
            .text("channel", write.channel)
            .text("taskId", &write.task_id)
            .text("taskPath", write.task_path)
            .number("index", write.index);
        valued(head, write.value, room)
    };
    contents.writes.iter().map(write).collect()
}

/// Adds a value with its form, its size and whether it is shown exactly.
fn valued(head: Document, value: Typed<'_>, room: &mut usize) -> Document {
    let (json, is_exact) = shown(value, room);
    head.text("form", value.form)
        .number("sizeBytes", value.bytes.len() as u64)
        .raw("value", &json)
        .flag("exact", is_exact)
}

/// A value as JSON, for which there is only so much room left.
fn shown(value: Typed<'_>, room: &mut usize) -> (Vec<u8>, bool) {
    let shown = serialized(value.form, value.bytes, VALUE_BYTES.min(*room));
    *room = room.saturating_sub(shown.0.len());
    shown
}

fn written(version: Version<'_>) -> String {
    match version {
        Version::Integer(integer) => integer.to_string(),
        Version::Float(float) => float.to_string(),
        Version::Text(text) => text.to_owned(),
        Version::Made(made) => made.text().as_str().to_owned(),
    }
}

fn encode(place: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{CURSOR}{place}"))
}

fn decode(cursor: &str) -> Result<String> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.as_deref().and_then(|text| text.strip_prefix(CURSOR)).map(str::to_owned).ok_or_else(no_cursor)
}

fn no_cursor() -> Refusal {
    Refusal::invalid("the cursor is none that this service gave")
}
