//! Snapshots over REST: decodes what a request wants of the history, and encodes what it answers.
//!
//! Whoever comes here has the scope `admin`.

use axum::http::StatusCode;

use super::answer::{Answer, document, entry_answer};
use super::history::Base;
use super::json::Document;
use super::ops::{Address, Keys, missing};
use super::refusal::{Refusal, Result};
use super::route::{History, ListQuery};
use crate::store::{SnapshotId, SnapshotInfo};

/// Carries out what a request wants of the history.
pub(super) fn history(keys: &Keys, wanted: &History, address: Address<'_>, query: &str) -> Result<Answer> {
    match wanted {
        History::List => {
            let snapshots = keys.snapshots()?;
            let list = Document::object().list("snapshots", snapshots, |out, info| out.extend(shown(&info).finish()));
            Ok(document(StatusCode::OK, list))
        }
        History::Take => Ok(document(StatusCode::CREATED, shown(&keys.take_snapshot()?))),
        History::Restore(id) => {
            let id = number(id)?;
            keys.restore(id)?;
            Ok(document(StatusCode::OK, Document::object().number("restored", id)))
        }
        History::Entry(id, ..) => {
            let entry = keys.get_in(number(id)?, address)?.ok_or_else(|| missing(address))?;
            Ok(entry_answer(address.namespace, &entry))
        }
        History::Diff(id) => diff(keys, number(id)?, query),
    }
}

fn diff(keys: &Keys, later: SnapshotId, query: &str) -> Result<Answer> {
    let base = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "base");
    let base = base
        .ok_or_else(|| Refusal::invalid("the query's base is missing: the id of the snapshot to start from, or now"))?;
    let base = if base.1 == "now" { Base::Now } else { Base::Snapshot(number(&base.1)?) };
    let page = ListQuery::read(query)?.query;
    let changes = keys.diff(later, base, page.cursor.as_deref(), page.limit)?;
    let shown = Document::object()
        .list("changes", changes.items, |out, (change, namespace, key)| {
            let change = Document::object().text("change", change.name()).text("namespace", &namespace);
            out.extend(change.text("key", &key).finish());
        })
        .number("total", changes.total as u64)
        .number("hidden", changes.hidden as u64)
        .optional_text("nextCursor", changes.next.as_deref());
    Ok(document(StatusCode::OK, shown))
}

pub(super) fn number(id: &str) -> Result<SnapshotId> {
    let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.parse().ok().filter(|_| is_number);
    id.ok_or_else(|| Refusal::invalid("a snapshot's id is a whole number"))
}

fn shown(info: &SnapshotInfo) -> Document {
    Document::object()
        .number("id", info.id)
        .number("takenAt", info.taken_at().as_millis())
        .optional_number("parent", info.parent)
        .number("entries", info.usage.entries)
        .number("sizeBytes", info.usage.size_bytes)
}
