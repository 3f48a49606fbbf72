//! How a batch changes a store: everything is judged first, then only SQLite itself can fail.

use std::collections::HashMap;

use rusqlite::params;

use super::changes::{Address, Attempt, Changes, Space, Standing};
use super::sql;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::store::{Batch, Condition, Expiry, Operation, Outcome, sum, target_is_live};
use crate::value::{Revision, Stamp, Value};

/// Carries out a checked batch, or leaves the transaction as it is.
pub(super) fn write(changes: &mut Changes<'_>, batch: &Batch<'_>) -> Attempt<Vec<Outcome>> {
    let mut found = Found::new();
    for (position, condition) in batch.conditions().iter().enumerate() {
        condition.judge(actual_revision(changes, condition, &mut found)?, position)?;
    }
    let mut plans = Vec::with_capacity(batch.operations().len());
    for (position, operation) in batch.operations().iter().enumerate() {
        plans.push(plan(changes, operation, position, &mut found)?);
    }
    carry_out(changes, batch, plans)
}

/// What conditions found under their keys, live or not, so that an operation on one of them need not look again.
type Found<'b> = HashMap<(&'b str, &'b str), Option<Standing>>;

fn actual_revision<'b>(
    changes: &mut Changes<'_>,
    condition: &'b Condition<'_>,
    found: &mut Found<'b>,
) -> rusqlite::Result<Revision> {
    let Some(key) = condition.key() else {
        let space = changes.live_space(condition.namespace())?;
        return Ok(space.map_or(0, |space| space.revision.cast_unsigned()));
    };
    let standing = standing_now(changes, condition.namespace(), key)?;
    let revision = standing.as_ref().filter(|standing| standing.is_live(changes.now)).map_or(0, |live| live.revision);
    found.insert((condition.namespace().as_str(), key.as_str()), standing);
    Ok(revision)
}

/// What an operation will do, found out before anything changes.
enum Plan {
    Nothing(Outcome),
    /// Writes the operation's own value, or the sum, over what stands.
    Write {
        standing: Option<Standing>,
        expires_at: Option<Timestamp>,
        sum: Option<i64>,
    },
    Touch {
        standing: Standing,
        expires_at: Option<Timestamp>,
    },
    Delete(Standing),
    DeleteNamespace(Space),
    CopyNamespace(Space),
}

fn plan<'b>(
    changes: &mut Changes<'_>,
    operation: &'b Operation<'_>,
    position: usize,
    found: &mut Found<'b>,
) -> Attempt<Plan> {
    let now = changes.now;
    let mut standing = |changes: &mut Changes<'_>, namespace: &'b Namespace<'_>, key: &'b Key<'_>| match found
        .remove(&(namespace.as_str(), key.as_str()))
    {
        Some(standing) => Ok(standing),
        None => standing_now(changes, namespace, key),
    };
    Ok(match operation {
        Operation::Set { namespace, key, expiry, .. } => {
            let standing = standing(changes, namespace, key)?;
            Plan::Write { standing, expires_at: expiry.resolve(now)?, sum: None }
        }
        Operation::Ensure { namespace, key, expiry, .. } => match standing(changes, namespace, key)? {
            Some(standing) if standing.is_live(now) => {
                Plan::Nothing(Outcome { revision: standing.revision, ..Outcome::default() })
            }
            standing => Plan::Write { standing, expires_at: expiry.resolve(now)?, sum: None },
        },
        Operation::Add { namespace, key, by, expiry } => {
            let standing = standing(changes, namespace, key)?;
            plan_add(standing, (namespace, key), *by, *expiry, now)?
        }
        Operation::Touch { namespace, key, expiry } => match standing(changes, namespace, key)? {
            Some(standing) if standing.is_live(now) => Plan::Touch { standing, expires_at: expiry.resolve(now)? },
            _ => Plan::Nothing(Outcome::default()),
        },
        Operation::Delete { namespace, key } => {
            let live = standing(changes, namespace, key)?.filter(|standing| standing.is_live(now));
            live.map_or(Plan::Nothing(Outcome::default()), Plan::Delete)
        }
        Operation::DeleteNamespace { namespace } => {
            changes.live_space(namespace)?.map_or(Plan::Nothing(Outcome::default()), Plan::DeleteNamespace)
        }
        Operation::CopyNamespace { source, target } => match (changes.live_space(source)?, changes.live_space(target)?)
        {
            (None, _) => Plan::Nothing(Outcome::default()),
            (Some(source), None) => Plan::CopyNamespace(source),
            (_, Some(standing)) => {
                return Err(target_is_live(target, standing.revision.cast_unsigned(), position).into());
            }
        },
    })
}

fn standing_now(changes: &mut Changes<'_>, name: &Namespace<'_>, key: &Key<'_>) -> rusqlite::Result<Option<Standing>> {
    match changes.space(name.as_str())? {
        Some(space) => changes.standing(Address { space: space.id, key: key.as_str() }),
        None => Ok(None),
    }
}

fn plan_add(
    standing: Option<Standing>,
    address: (&Namespace<'_>, &Key<'_>),
    by: i64,
    expiry: Expiry,
    now: Timestamp,
) -> Result<Plan> {
    match standing {
        Some(standing) if standing.is_live(now) => {
            let sum = sum(address, standing.kind, standing.integer.as_deref().unwrap_or_default(), by)?;
            let expires_at = standing.expires_at;
            Ok(Plan::Write { standing: Some(standing), expires_at, sum: Some(sum) })
        }
        standing => Ok(Plan::Write { standing, expires_at: expiry.resolve(now)?, sum: Some(by) }),
    }
}

/// Numbers the changes in the order of the batch, and makes them. Copies come first, so that they copy what stood before the
/// batch; no other change touches their targets, and no copy reads another one's target.
fn carry_out(changes: &mut Changes<'_>, batch: &Batch<'_>, plans: Vec<Plan>) -> Attempt<Vec<Outcome>> {
    let mut numbers = Vec::with_capacity(plans.len());
    for plan in &plans {
        numbers.push(if matches!(plan, Plan::Nothing(_)) { 0 } else { changes.next()? });
    }
    for ((operation, plan), number) in batch.operations().iter().zip(&plans).zip(&numbers) {
        if let Plan::CopyNamespace(source) = plan {
            copy_namespace(changes, source, operation.namespace(), *number)?;
        }
    }
    let mut outcomes = Vec::with_capacity(plans.len());
    for ((operation, plan), number) in batch.operations().iter().zip(plans).zip(numbers) {
        outcomes.push(change(changes, operation, plan, number)?);
    }
    Ok(outcomes)
}

fn change(changes: &mut Changes<'_>, operation: &Operation<'_>, plan: Plan, number: i64) -> Attempt<Outcome> {
    let mut outcome = Outcome { revision: number.cast_unsigned(), written: true, integer: None };
    match (plan, operation.key()) {
        (Plan::Nothing(nothing), _) => return Ok(nothing),
        (Plan::CopyNamespace(_), _) => {}
        (Plan::DeleteNamespace(space), _) => delete_namespace(changes, &space, number)?,
        (Plan::Write { standing, expires_at, sum }, Some(key)) => {
            outcome.integer = sum;
            let summed = sum.map(Value::from);
            let value = operation.value().or(summed.as_ref()).expect("what is written is a value or a sum");
            let space = changes.space_id(operation.namespace().as_str(), number)?;
            let now = changes.now;
            let created_at =
                standing.as_ref().filter(|standing| standing.is_live(now)).map_or(now, |live| live.created_at);
            let stamp = Stamp { revision: outcome.revision, created_at, updated_at: now, expires_at };
            let stored = standing.map(|standing| standing.stored);
            changes.put(Address { space, key: key.as_str() }, stored, value, stamp, number)?;
        }
        (Plan::Touch { standing, expires_at }, Some(key)) => {
            let space = changes.space_id(operation.namespace().as_str(), number)?;
            changes.touch(Address { space, key: key.as_str() }, standing.stored, expires_at, number)?;
        }
        (Plan::Delete(standing), Some(key)) => {
            let space = changes.space_id(operation.namespace().as_str(), number)?;
            changes.remove(Address { space, key: key.as_str() }, standing.stored, number, Some(number))?;
        }
        (_, None) => unreachable!("only a change of a key is planned with one"),
    }
    Ok(outcome)
}

/// Removes every entry of a namespace, by statements for all of them.
fn delete_namespace(changes: &mut Changes<'_>, space: &Space, number: i64) -> rusqlite::Result<()> {
    let newest = changes.meta.newest;
    if newest >= 0 {
        changes.link.run(sql::ARCHIVE_ENTRIES_OF, params![number, space.id, newest])?;
    }
    changes.link.run(sql::REMOVE_BLOBS_OF, params![space.id, newest])?;
    changes.link.run(sql::REMOVE_ENTRIES_OF, [space.id])?;
    // An earlier change of the same transaction may have changed how much there is.
    let (entries, bytes) = changes.usage_of(space.id);
    changes.change_space(space.id, number, Some(number), (-entries, -bytes))
}

/// Copies what is live in `source`, by statements for all of it but the large values.
fn copy_namespace(changes: &mut Changes<'_>, source: &Space, target: &Namespace<'_>, number: i64) -> Attempt<()> {
    let id = changes.space_id(target.as_str(), number)?;
    // What is stored but due does not count as the target's content.
    if let Some(target) = changes.space(target.as_str())?.filter(|target| target.entries > 0) {
        delete_namespace(changes, &target, number)?;
    }
    let (link, now) = (changes.link, changes.now.as_millis());
    link.run(sql::COPY_ENTRIES, params![source.id, id, number, now])?;
    let mut large = link.prepare_cached(sql::LARGE_ENTRIES)?;
    let mut rows = large.query(params![source.id, now])?;
    let mut copied: Vec<(String, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        copied.push((row.get(0)?, row.get(1)?));
    }
    drop(rows);
    for (key, blob) in copied {
        let blob = changes.copy_blob(blob)?;
        link.run(sql::COPY_ENTRY, params![source.id, id, number, key, blob])?;
    }
    if changes.meta.newest >= 0 {
        link.run(sql::ARCHIVE_ABSENT_OF, params![number, id, changes.meta.newest])?;
    }
    let usage = link.prepare_cached(sql::USAGE_OF)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    changes.change_space(id, number, Some(number), usage)?;
    Ok(())
}
