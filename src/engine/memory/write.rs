//! How a batch changes a root: everything is judged first, then nothing can fail.

use std::sync::atomic::{AtomicU64, Ordering};

use super::root::{Garbage, Root, Space, Write};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::store::{Batch, Condition, Expiry, Operation, Outcome, sum, target_is_live};
use crate::value::{Entry, Revision, Stamp, Value};

/// The last revision that any memory store of this process gave: one counter for all, so that entries may go from store to
/// store with the revision they have.
static LAST_REVISION: AtomicU64 = AtomicU64::new(0);

/// The next revision. Called with the store's lock held, so that revisions rise in the order of the writes.
fn next_revision() -> Revision {
    LAST_REVISION.fetch_add(1, Ordering::Relaxed) + 1
}

/// Carries out a checked batch, or leaves `root` as it is.
pub(super) fn write(root: &mut Root, batch: &Batch<'_>, now: Timestamp, garbage: &mut Garbage) -> Result<Vec<Outcome>> {
    for (position, condition) in batch.conditions().iter().enumerate() {
        judge(root, condition, position, now)?;
    }
    let mut plans = Vec::with_capacity(batch.operations().len());
    for (position, operation) in batch.operations().iter().enumerate() {
        plans.push(plan(root, operation, position, now)?);
    }
    let carried_out = batch.operations().iter().zip(plans);
    Ok(carried_out.map(|(operation, plan)| carry_out(root, operation, plan, now, garbage)).collect())
}

/// Carries out one checked operation, or leaves `root` as it is.
pub(super) fn apply(
    root: &mut Root,
    operation: &Operation<'_>,
    condition: Option<&Condition<'_>>,
    now: Timestamp,
    garbage: &mut Garbage,
) -> Result<Outcome> {
    if let Some(condition) = condition {
        judge(root, condition, 0, now)?;
    }
    if let Operation::Set { namespace, key, value, expiry } = operation {
        return Ok(put(root, (namespace, key), value, (now, expiry.resolve(now)?), garbage));
    }
    let plan = plan(root, operation, 0, now)?;
    Ok(carry_out(root, operation, plan, now, garbage))
}

fn judge(root: &Root, condition: &Condition<'_>, position: usize, now: Timestamp) -> Result<()> {
    let namespace = condition.namespace();
    let actual = match condition.key() {
        Some(key) => live(root, namespace, key, now).map_or(0, Entry::revision),
        None => live_space(root, namespace, now).map_or(0, Space::revision),
    };
    condition.judge(actual, position)
}

fn live<'r>(root: &'r Root, namespace: &Namespace<'_>, key: &Key<'_>, now: Timestamp) -> Option<&'r Entry> {
    root.entry(namespace.as_bytes(), key.as_bytes()).filter(|entry| !entry.is_expired(now))
}

/// What an operation will do, found out before anything changes.
enum Plan {
    Nothing(Outcome),
    Write(Option<Timestamp>),
    Store { sum: i64, expires_at: Option<Timestamp> },
    Touch { entry: Entry, expires_at: Option<Timestamp> },
    Delete,
    DeleteNamespace,
    CopyNamespace(Space),
}

fn plan(root: &Root, operation: &Operation<'_>, position: usize, now: Timestamp) -> Result<Plan> {
    Ok(match operation {
        Operation::Set { expiry, .. } => Plan::Write(expiry.resolve(now)?),
        Operation::Ensure { namespace, key, expiry, .. } => match live(root, namespace, key, now) {
            Some(entry) => Plan::Nothing(Outcome { revision: entry.revision(), ..Outcome::default() }),
            None => Plan::Write(expiry.resolve(now)?),
        },
        Operation::Delete { namespace, key } => match live(root, namespace, key, now) {
            Some(_) => Plan::Delete,
            None => Plan::Nothing(Outcome::default()),
        },
        Operation::Touch { namespace, key, expiry } => match live(root, namespace, key, now) {
            Some(entry) => Plan::Touch { entry: entry.clone(), expires_at: expiry.resolve(now)? },
            None => Plan::Nothing(Outcome::default()),
        },
        Operation::Add { namespace, key, by, expiry } => {
            plan_add(live(root, namespace, key, now), (namespace, key), *by, *expiry, now)?
        }
        Operation::DeleteNamespace { namespace } => match live_space(root, namespace, now) {
            Some(_) => Plan::DeleteNamespace,
            None => Plan::Nothing(Outcome::default()),
        },
        Operation::CopyNamespace { source, target } => plan_copy(root, source, target, position, now)?,
    })
}

fn plan_add(
    standing: Option<&Entry>,
    address: (&Namespace<'_>, &Key<'_>),
    by: i64,
    expiry: Expiry,
    now: Timestamp,
) -> Result<Plan> {
    let Some(entry) = standing else {
        return Ok(Plan::Store { sum: by, expires_at: expiry.resolve(now)? });
    };
    let sum = sum(address, entry.kind(), entry.value(), by)?;
    Ok(Plan::Store { sum, expires_at: entry.expires_at() })
}

fn live_space<'r>(root: &'r Root, namespace: &Namespace<'_>, now: Timestamp) -> Option<&'r Space> {
    root.space(namespace.as_bytes()).filter(|space| space.is_live(now))
}

fn plan_copy(
    root: &Root,
    source: &Namespace<'_>,
    target: &Namespace<'_>,
    position: usize,
    now: Timestamp,
) -> Result<Plan> {
    let Some(space) = live_space(root, source, now) else { return Ok(Plan::Nothing(Outcome::default())) };
    match live_space(root, target, now) {
        None => Ok(Plan::CopyNamespace(space.clone())),
        Some(standing) => Err(target_is_live(target, standing.revision(), position)),
    }
}

fn carry_out(root: &mut Root, operation: &Operation<'_>, plan: Plan, now: Timestamp, garbage: &mut Garbage) -> Outcome {
    let namespace = operation.namespace();
    match (plan, operation.key()) {
        (Plan::Nothing(outcome), _) => outcome,
        (Plan::Write(expires_at), Some(key)) => {
            let value = operation.value().expect("only what brings a value is planned as a write of it");
            put(root, (namespace, key), value, (now, expires_at), garbage)
        }
        (Plan::Store { sum, expires_at }, Some(key)) => {
            let outcome = put(root, (namespace, key), &Value::from(sum), (now, expires_at), garbage);
            Outcome { integer: Some(sum), ..outcome }
        }
        (Plan::Touch { entry, expires_at }, _) => written(|revision| {
            let stamp = Stamp { revision, created_at: entry.created_at(), updated_at: now, expires_at };
            root.replace(namespace.as_str(), entry.restamped(stamp));
        }),
        (Plan::Delete, Some(key)) => {
            written(|revision| root.remove(namespace.as_str(), key.as_bytes(), Some(revision), garbage))
        }
        (Plan::DeleteNamespace, _) => written(|_| root.remove_space(namespace.as_str(), garbage)),
        (Plan::CopyNamespace(source), _) => written(|revision| {
            // What is stored but due does not count as the target's content.
            root.remove_space(namespace.as_str(), garbage);
            root.copy_space(&source, namespace.as_str(), revision);
        }),
        (_, None) => unreachable!("only a change of a key is planned with one"),
    }
}

#[inline]
fn put(
    root: &mut Root,
    (namespace, key): (&Namespace<'_>, &Key<'_>),
    value: &Value<'_>,
    (now, expires_at): (Timestamp, Option<Timestamp>),
    garbage: &mut Garbage,
) -> Outcome {
    let namespace = namespace.as_str();
    written(|revision| root.put(&Write { namespace, key, value, revision, now, expires_at }, garbage))
}

/// Makes a change under the next revision.
#[inline]
fn written(change: impl FnOnce(Revision)) -> Outcome {
    let revision = next_revision();
    change(revision);
    Outcome { revision, written: true, integer: None }
}
