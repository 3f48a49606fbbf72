//! What the inspector reads of a store beyond what every client does: names of any characters, sizes and beginnings of values.
//!
//! Names stand in the query, so that none of them is taken for a part of a path. An answer is bounded whatever the store holds.
//! Namespaces of the integrations stay hidden here too; LangGraph's threads are shown by `threads`. Whoever comes here has the
//! scope `admin`.

use std::borrow::Cow;

use axum::http::StatusCode;

use super::answer::{Answer, document};
use super::json::Document;
use super::ops::{Address, INTEGRATIONS, Keys, Page, Query, missing};
use super::readable::{preview, readable};
use super::refusal::{Refusal, Result};
use super::route::{Inspect, ListQuery};
use super::snapshots::number;
use super::threads;
use crate::key::Namespace;
use crate::store::{NamespaceInfo, ReadOnly};
use crate::value::{Entry, Kind};

/// The most bytes of a value that is shown.
const SHOWN_BYTES: usize = 1024 * 1024;

/// The characters of a value in a list.
const PREVIEW: usize = 160;

/// Carries out what a request wants to look into.
pub(super) fn inspect(keys: &Keys, wanted: Inspect, query: &str) -> Result<Answer> {
    let shown = match wanted {
        Inspect::Store => store(keys),
        Inspect::Namespaces => namespaces(keys, &ListQuery::read(query)?.query),
        Inspect::Entries => entries(keys, &namespace(query)?, &ListQuery::read(query)?.query),
        Inspect::Entry => entry(keys, query),
        Inspect::Threads => threads::threads(keys, &ListQuery::read(query)?.query),
        Inspect::Checkpoints => threads::checkpoints(keys, query),
        Inspect::Checkpoint => threads::checkpoint(keys, query),
    };
    Ok(document(StatusCode::OK, shown?))
}

/// A parameter of the query, decoded; `None` where it is not there.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name).map(|(_, value)| value)
}

/// A parameter that must be there.
pub(super) fn required<'q>(query: &'q str, name: &str) -> Result<Cow<'q, str>> {
    parameter(query, name).ok_or_else(|| Refusal::invalid(format!("the query's {name} is missing")))
}

fn namespace(query: &str) -> Result<Cow<'_, str>> {
    let namespace = required(query, "namespace")?;
    match namespace.starts_with(INTEGRATIONS) {
        true => Err(Refusal::invalid(
            "namespaces of the integrations are not shown; LangGraph's threads have their own list",
        )),
        false => Ok(namespace),
    }
}

fn store(keys: &Keys) -> Result<Document> {
    let store = keys.store();
    let usage = store.usage()?;
    Ok(Document::object()
        .text("version", env!("CARGO_PKG_VERSION"))
        .text("engine", store.capabilities().engine)
        .flag("readOnly", ReadOnly::is(&**store))
        .number("entries", usage.entries)
        .number("sizeBytes", usage.size_bytes)
        .number("now", keys.now().as_millis()))
}

fn namespaces(keys: &Keys, query: &Query) -> Result<Document> {
    let Page { items, next, .. } = keys.namespaces(query)?;
    let mut rows = Vec::with_capacity(items.len());
    for name in items {
        // One that is gone since it was listed is left out.
        if let Some(info) = keys.store().namespace(&Namespace::new(&*name)?)? {
            rows.push((name, info));
        }
    }
    let row = |out: &mut Vec<u8>, (name, NamespaceInfo { usage, revision }): (String, NamespaceInfo)| {
        let row = Document::object().text("namespace", &name).number("entries", usage.entries);
        out.extend(row.number("sizeBytes", usage.size_bytes).number("revision", revision).finish());
    };
    Ok(Document::object().list("namespaces", rows, row).optional_text("nextCursor", next.as_deref()))
}

fn entries(keys: &Keys, namespace: &str, query: &Query) -> Result<Document> {
    let Page { items, total, next } = keys.list(namespace, query)?;
    let row = |out: &mut Vec<u8>, entry: Entry| {
        // What bytes begin with says nothing to a person.
        let preview = if entry.kind() == Kind::Bytes { String::new() } else { preview(entry.value(), PREVIEW) };
        out.extend(described(&entry).text("preview", &preview).finish());
    };
    Ok(Document::object()
        .list("entries", items, row)
        .optional_number("total", total)
        .text("namespace", namespace)
        .optional_text("nextCursor", next.as_deref()))
}

fn entry(keys: &Keys, query: &str) -> Result<Document> {
    let (namespace, key) = (namespace(query)?, required(query, "key")?);
    let address = Address { namespace: &namespace, key: &key };
    let entry = match parameter(query, "snapshot") {
        Some(id) => keys.get_in(number(&id)?, address)?,
        None => keys.get(address)?,
    };
    let entry = entry.ok_or_else(|| missing(address))?;
    let (value, is_exact) = readable(entry.value(), SHOWN_BYTES);
    Ok(described(&entry).text("namespace", &namespace).raw("value", &value).flag("exact", is_exact))
}

/// An entry without its value.
fn described(entry: &Entry) -> Document {
    Document::object()
        .text("key", entry.key())
        .text("valueType", entry.kind().name())
        .number("revision", entry.revision())
        .number("sizeBytes", entry.value().len() as u64)
        .optional_number("expiresAt", entry.expires_at().map(|at| at.as_millis()))
        .number("createdAt", entry.created_at().as_millis())
        .number("updatedAt", entry.updated_at().as_millis())
}
