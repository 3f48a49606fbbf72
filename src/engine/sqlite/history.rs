//! Snapshots: taking, comparing, bringing back and dropping them.
//!
//! A snapshot is one row: where it cuts, between two numbers. What it needs besides is in the history, where every change after
//! it has left what stood before. So the rows that died after a cut are the list of what has changed since, and all that is
//! done here costs what changed.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params};

use super::changes::{Address, Attempt, Changes};
use super::connection::Link;
use super::{read, sql};
use crate::error::Error;
use crate::key::Namespace;
use crate::store::{Diff, EntryPages, NamespacePages, Snapshot, SnapshotId, SnapshotInfo};
use crate::value::{Entry, Stamp};

/// Old versions that one transaction removes.
const SLICE: usize = 4096;

/// A snapshot's row: what it tells, and where it cuts.
#[derive(Clone)]
pub(super) struct Cut {
    pub(super) info: SnapshotInfo,
    pub(super) at: i64,
}

impl Cut {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let info = SnapshotInfo {
            id: row.get::<_, i64>(0)?.cast_unsigned(),
            parent: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
            taken_at_micros: row.get(2)?,
            usage: read::usage_in(row, 3)?,
        };
        Ok(Self { info, at: row.get(5)? })
    }
}

pub(super) fn snapshots(link: &Link) -> rusqlite::Result<Vec<Cut>> {
    link.prepare_cached(sql::SNAPSHOTS)?.query_map([], Cut::read)?.collect()
}

pub(super) fn snapshot(link: &Link, id: SnapshotId) -> rusqlite::Result<Option<Cut>> {
    link.prepare_cached(sql::SNAPSHOT)?.query_row([id.cast_signed()], Cut::read).optional()
}

/// Whether a snapshot has not been dropped. Its old versions are there for the rest of the transaction.
pub(super) fn stands(link: &Link, id: SnapshotId) -> rusqlite::Result<bool> {
    link.prepare_cached(sql::SNAPSHOT_STANDS)?.exists([id.cast_signed()])
}

#[cold]
pub(super) fn dropped(id: SnapshotId) -> Error {
    Error::not_found(format!("snapshot {id}"))
}

/// Takes a snapshot of a store in which nothing is due, and drops those beyond `most`.
pub(super) fn take(changes: &mut Changes<'_>, taken_at_micros: i64, most: Option<usize>) -> Attempt<Cut> {
    // What changed in this transaction is archived by the cuts before this one.
    changes.write_records()?;
    let meta = &mut changes.meta;
    let parent = Some(meta.last_snapshot).filter(|id| *id > 0);
    meta.last_snapshot += 1;
    meta.newest = meta.last;
    let (id, at, entries, bytes) = (meta.last_snapshot, meta.last, meta.entries, meta.bytes);
    changes.link.run(sql::ADD_SNAPSHOT, params![id, at, parent, taken_at_micros, entries, bytes])?;
    if let Some(most) = most {
        for id in beyond(changes.link, most)? {
            drop_snapshot(changes, id)?;
        }
    }
    let cut = snapshot(changes.link, id.cast_unsigned())?;
    Ok(cut.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
}

fn beyond(link: &Link, most: usize) -> rusqlite::Result<Vec<SnapshotId>> {
    let mut statement = link.prepare_cached(sql::SNAPSHOTS_BEYOND)?;
    let ids = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get::<_, i64>(0))?;
    ids.map(|id| Ok(id?.cast_unsigned())).collect()
}

/// Drops a snapshot, and notes which old versions nobody needs any more; `false` when it is not there.
pub(super) fn drop_snapshot(changes: &mut Changes<'_>, id: SnapshotId) -> Attempt<bool> {
    let link = changes.link;
    let Some(cut) = snapshot(link, id)? else { return Ok(false) };
    link.run(sql::REMOVE_SNAPSHOT, [id.cast_signed()])?;
    let neighbours = link.prepare_cached(sql::NEIGHBOURS)?.query_row([cut.at], |row| Ok((row.get(0)?, row.get(1)?)));
    let (before, after): (Option<i64>, Option<i64>) = neighbours?;
    changes.meta.newest = link.prepare_cached(sql::NEWEST_CUT)?.query_row([], |row| row.get(0))?;
    // What a snapshot that is taken later needs will have died later than all there is now.
    let until = after.unwrap_or(changes.meta.last);
    if before != Some(cut.at) && cut.at < until {
        link.run(sql::ADD_UNNEEDED, params![cut.at, until, before.unwrap_or(-1)])?;
    }
    Ok(true)
}

/// Removes a slice of what was noted; `false` when nothing is left to do.
pub(super) fn release(changes: &mut Changes<'_>) -> Attempt<bool> {
    let link = changes.link;
    let noted = link
        .prepare_cached(sql::UNNEEDED)?
        .query_row([], |row| Ok::<(i64, i64, i64, i64), _>((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let Some((id, after, until, above)) = noted.optional()? else { return Ok(false) };
    link.run(sql::REMOVE_OLD_SPACES, params![after, until, above])?;
    match remove_versions(link, after, until, above)? {
        // Versions that died of one change may stand on both sides of the end of the slice.
        Some(last) => drop(link.run(sql::SET_UNNEEDED, params![id, last.saturating_sub(1)])?),
        None => {
            link.run(sql::REMOVE_UNNEEDED, [id])?;
            link.run(sql::REMOVE_EMPTY_SPACES, [])?;
        }
    }
    Ok(true)
}

/// Removes old versions, at most a slice; tells where it ended if there may be more.
fn remove_versions(link: &Link, after: i64, until: i64, above: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = link.prepare_cached(sql::UNNEEDED_VERSIONS)?;
    let rows = statement.query_map(params![after, until, above, SLICE as i64], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let versions = rows.collect::<rusqlite::Result<Vec<(i64, i64, String, Option<i64>)>>>()?;
    for (died, space, key, blob) in &versions {
        link.run(sql::REMOVE_VERSION, params![died, space, key])?;
        if let Some(blob) = blob {
            link.run(sql::REMOVE_BLOB, [blob])?;
        }
    }
    Ok(versions.last().map(|(died, ..)| *died).filter(|_| versions.len() == SLICE))
}

/// Removes every entry.
pub(super) fn clear(changes: &mut Changes<'_>) -> Attempt<()> {
    let number = changes.next()?;
    changes.forget_spaces()?;
    let (link, newest) = (changes.link, changes.meta.newest);
    if newest >= 0 {
        link.run(sql::ARCHIVE_ENTRIES, [number, newest])?;
        link.run(sql::ARCHIVE_SPACES, [number, newest])?;
    }
    link.run(sql::REMOVE_BLOBS, [newest])?;
    link.run(sql::REMOVE_ENTRIES, [])?;
    link.run(sql::EMPTY_SPACES, [number])?;
    if newest < 0 {
        link.run(sql::REMOVE_EMPTY_SPACES, [])?;
    }
    (changes.meta.entries, changes.meta.bytes) = (0, 0);
    Ok(())
}

/// Makes the state what stood at `cut`, with the revisions of then.
pub(super) fn restore(changes: &mut Changes<'_>, cut: &Cut) -> Attempt<()> {
    if !stands(changes.link, cut.info.id)? {
        return Err(dropped(cut.info.id).into());
    }
    let number = changes.next()?;
    for (space, key, died) in changed(changes.link, cut.at)? {
        bring_back(changes, Address { space, key: &key }, died, number)?;
    }
    let mut statement = changes.link.prepare_cached(sql::CHANGED_SPACES)?;
    let rows = statement
        .query_map([cut.at], |row| Ok((row.get(0)?, row.get(1)?, (read::count(row, 2)?, read::count(row, 3)?))))?;
    for (space, revision, usage) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        changes.restore_space(space, number, revision, usage)?;
    }
    Ok(())
}

/// The keys that changed after a cut, each with the number at which it first did.
fn changed(link: &Link, at: i64) -> rusqlite::Result<Vec<(i64, String, i64)>> {
    let mut statement = link.prepare_cached(sql::CHANGED)?;
    let rows = statement.query_map([at], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// Puts the version that died at `died` where something else, or nothing, stands. Counts are the namespace's business.
fn bring_back(changes: &Changes<'_>, at: Address<'_>, died: i64, number: i64) -> rusqlite::Result<()> {
    let link = changes.link;
    match changes.standing(at)? {
        Some(standing) => {
            if let Some(blob) = changes.leave(at, standing.stored, number)? {
                link.run(sql::REMOVE_BLOB, [blob])?;
            }
            link.run(sql::REMOVE, params![at.space, at.key])?;
        }
        None => changes.leave_absence(at, number)?,
    }
    let mut old = link.prepare_cached(sql::OLD_VERSION)?;
    let (was_live, blob): (bool, Option<i64>) =
        old.query_row(params![died, at.space, at.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if was_live {
        // The old version stays with the snapshot, and so does its blob.
        let blob = blob.map(|blob| changes.copy_blob(blob)).transpose()?;
        link.run(sql::REVIVE, params![died, at.space, at.key, number, blob])?;
    }
    Ok(())
}

/// Makes the state what another store's snapshot holds, under new revisions.
///
/// # Cost
/// O(n) in both.
pub(super) fn take_over(changes: &mut Changes<'_>, snapshot: &dyn Snapshot) -> Attempt<()> {
    clear(changes)?;
    let mut namespaces = NamespacePages::new(snapshot);
    while let Some(name) = namespaces.next()? {
        let namespace = Namespace::new(name)?;
        let mut entries = EntryPages::new(snapshot, &namespace);
        while let Some(entry) = entries.next()? {
            let number = changes.next()?;
            let space = changes.space_id(namespace.as_str(), number)?;
            changes.put(Address { space, key: entry.key() }, None, &entry.to_value(), stamp(&entry, number), number)?;
        }
    }
    Ok(())
}

fn stamp(entry: &Entry, number: i64) -> Stamp {
    Stamp {
        revision: number.cast_unsigned(),
        created_at: entry.created_at(),
        updated_at: entry.updated_at(),
        expires_at: entry.expires_at(),
    }
}

/// What lies between two snapshots that stand, of which `older` cuts first.
pub(super) fn diff(link: &Link, older: i64, newer: i64) -> rusqlite::Result<Diff> {
    let (mut names, mut diff) = (HashMap::new(), Diff::default());
    let mut statement = link.prepare_cached(sql::DIFF)?;
    let mut rows = statement.query([older, newer])?;
    while let Some(row) = rows.next()? {
        let list = match (row.get(2)?, row.get(3)?, row.get(4)?) {
            (false, true, _) => &mut diff.added,
            (true, false, _) => &mut diff.removed,
            (true, true, false) => &mut diff.changed,
            (false, false, _) | (true, true, true) => continue,
        };
        list.push((name(link, &mut names, row.get(0)?)?, row.get(1)?));
    }
    for list in [&mut diff.added, &mut diff.removed, &mut diff.changed] {
        list.sort_unstable();
    }
    Ok(diff)
}

/// The name of a namespace, looked up once.
fn name(link: &Link, known: &mut HashMap<i64, String>, space: i64) -> rusqlite::Result<String> {
    if let Some(name) = known.get(&space) {
        return Ok(name.clone());
    }
    let name: String = link.prepare_cached(sql::SPACE_NAME)?.query_row([space], |row| row.get(0))?;
    known.insert(space, name.clone());
    Ok(name)
}
