//! The changes of one transaction: the store's record, the namespaces' records, and single entries.
//!
//! Each change has a number, the next of the one counter of the file, which is also the revision that users see. An entry carries
//! `since`, the number at which it became current. What a snapshot may still need is moved to the history under the number that
//! replaced it: the row `(born, died)` is what stood there at every number from `born` up to before `died`. Records of
//! namespaces are kept here until the end of the transaction, then written, and their old versions archived, once.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params};

use super::connection::Link;
use super::read::{count, from_kind, to_kind};
use super::{fault, sql};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::Namespace;
use crate::value::{Kind, Revision, Stamp, Value};

/// Values that are longer stand in a table of their own: a tree without rowids compares whole rows.
const INLINE_VALUE_BYTES: usize = 900;

/// Why a piece of work in a transaction came to nothing.
pub(super) enum Stop {
    /// It was refused before it changed anything: the transaction may go on.
    Refused(Error),
    /// SQLite failed: what the transaction holds must not be kept.
    Failed(rusqlite::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// What work in a transaction answers.
pub(super) type Attempt<T> = Result<T, Stop>;

/// The record of the whole store.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Meta {
    /// The last number given out.
    pub(super) last: i64,
    pub(super) entries: i64,
    pub(super) bytes: i64,
    /// Where the newest snapshot cuts; -1 when there is none.
    pub(super) newest: i64,
    /// The id of the last snapshot that was taken.
    pub(super) last_snapshot: i64,
}

/// The record of a namespace.
#[derive(Clone, Copy)]
pub(super) struct Space {
    pub(super) id: i64,
    pub(super) revision: i64,
    since: i64,
    pub(super) entries: i64,
    bytes: i64,
}

/// A namespace's record as it is now, and as it was when the transaction first changed it.
struct Kept {
    space: Space,
    /// What it was, and the number of its first change; `None` while it is unchanged.
    before: Option<(Space, i64)>,
}

/// What the store's own books say of an entry.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) since: i64,
    pub(super) blob: Option<i64>,
    pub(super) bytes: i64,
}

/// What stands under a key, as far as a write must know it.
pub(super) struct Standing {
    pub(super) stored: Stored,
    pub(super) kind: Kind,
    pub(super) revision: Revision,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    /// The value of an integer.
    pub(super) integer: Option<Vec<u8>>,
}

impl Standing {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            stored: Stored { since: row.get(2)?, blob: row.get(5)?, bytes: row.get(6)? },
            kind: to_kind(row.get(0)?)?,
            revision: row.get::<_, i64>(1)?.cast_unsigned(),
            created_at: Timestamp::from_millis(row.get(3)?),
            expires_at: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
            integer: row.get(7)?,
        })
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

/// The address of an entry by its namespace's id.
#[derive(Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) space: i64,
    pub(super) key: &'a str,
}

/// An open transaction that writes.
pub(super) struct Changes<'l> {
    pub(super) link: &'l Link,
    /// The time of all its changes.
    pub(super) now: Timestamp,
    pub(super) meta: Meta,
    /// The record as the file has it.
    written: Meta,
    /// Whether anything was due when the transaction began.
    pub(super) is_anything_due: bool,
    spaces: HashMap<i64, Kept>,
    ids: HashMap<String, Option<i64>>,
}

impl<'l> Changes<'l> {
    /// Begins to change what `link`, which has a writing transaction open, leads to.
    pub(super) fn begin(link: &'l Link, now: Timestamp) -> rusqlite::Result<Self> {
        let (meta, is_anything_due) = link.prepare_cached(sql::TOTAL)?.query_row([now.as_millis()], |row| {
            let meta = Meta {
                last: row.get(0)?,
                entries: count(row, 1)?,
                bytes: count(row, 2)?,
                newest: row.get(3)?,
                last_snapshot: count(row, 4)?,
            };
            Ok((meta, row.get(5)?))
        })?;
        Ok(Self { link, now, meta, written: meta, is_anything_due, spaces: HashMap::new(), ids: HashMap::new() })
    }

    /// Writes the records, and ends the transaction.
    pub(super) fn commit(mut self) -> rusqlite::Result<()> {
        self.write_records()?;
        self.link.run(sql::COMMIT, [])?;
        Ok(())
    }

    /// Writes the records of the store and of every namespace that changed.
    pub(super) fn write_records(&mut self) -> rusqlite::Result<()> {
        let Meta { last, entries, bytes, newest, last_snapshot } = self.meta;
        for kept in self.spaces.values_mut() {
            if let Some((before, number)) = kept.before.take() {
                write_space(self.link, newest, &mut kept.space, before, number)?;
            }
        }
        // A transaction that changes nothing costs no write.
        if (newest, last_snapshot) != (self.written.newest, self.written.last_snapshot) {
            self.link.run(sql::SET_META, [newest, last_snapshot])?;
        }
        if self.meta != self.written {
            self.link.run(sql::SET_TOTAL, [last, entries, bytes])?;
            self.written = self.meta;
        }
        Ok(())
    }

    /// Forgets the records of namespaces, which a statement for all of them is about to change.
    pub(super) fn forget_spaces(&mut self) -> rusqlite::Result<()> {
        self.write_records()?;
        self.spaces.clear();
        self.ids.clear();
        Ok(())
    }

    /// Gives out the next number.
    ///
    /// # Errors
    /// `Unavailable` after the last of 2⁶³.
    pub(super) fn next(&mut self) -> Result<i64> {
        let next = self.meta.last.checked_add(1);
        self.meta.last = next.ok_or_else(|| fault::unavailable("the store has given out every revision".to_owned()))?;
        Ok(self.meta.last)
    }

    /// Whether a snapshot may need what became current at `since`.
    pub(super) fn is_needed(&self, since: i64) -> bool {
        since <= self.meta.newest
    }

    /// The record of a namespace, live or not; `None` when the file has none.
    pub(super) fn space(&mut self, name: &str) -> rusqlite::Result<Option<Space>> {
        if let Some(known) = self.ids.get(name) {
            return Ok(known.and_then(|id| self.spaces.get(&id)).map(|kept| kept.space));
        }
        let found = self.link.prepare_cached(sql::SPACE_BY_NAME)?.query_row([name], read_space).optional()?;
        self.ids.insert(name.to_owned(), found.map(|space| space.id));
        // It may be known by its id already, and changed.
        Ok(found.map(|space| self.spaces.entry(space.id).or_insert(Kept { space, before: None }).space))
    }

    /// The record of a namespace while it holds a live key.
    pub(super) fn live_space(&mut self, name: &Namespace<'_>) -> rusqlite::Result<Option<Space>> {
        let Some(space) = self.space(name.as_str())?.filter(|space| space.entries > 0) else { return Ok(None) };
        let mut statement = self.link.prepare_cached(sql::SPACE_IS_LIVE)?;
        let is_live: bool = statement.query_row(params![space.id, self.now.as_millis()], |row| row.get(0))?;
        Ok(is_live.then_some(space))
    }

    /// The id of a namespace, which is made if the file has none.
    pub(super) fn space_id(&mut self, name: &str, number: i64) -> rusqlite::Result<i64> {
        if let Some(space) = self.space(name)? {
            return Ok(space.id);
        }
        self.link.run(sql::ADD_SPACE, params![name, number])?;
        let id = self.link.last_insert_rowid();
        // It was absent until now: born at 0, and archived like any version that a snapshot needs.
        let space = Space { id, revision: 0, since: 0, entries: 0, bytes: 0 };
        self.spaces.insert(id, Kept { space, before: None });
        self.ids.insert(name.to_owned(), Some(id));
        Ok(id)
    }

    /// Notes a change of a namespace, with its new revision unless it keeps the one that it has.
    pub(super) fn change_space(
        &mut self,
        id: i64,
        number: i64,
        revision: Option<i64>,
        (entries, bytes): (i64, i64),
    ) -> rusqlite::Result<()> {
        if !self.spaces.contains_key(&id) {
            let space = self.link.prepare_cached(sql::SPACE_BY_ID)?.query_row([id], read_space)?;
            self.spaces.insert(id, Kept { space, before: None });
        }
        let kept = self.spaces.get_mut(&id).expect("it was put in above");
        kept.before.get_or_insert((kept.space, number));
        kept.space.entries += entries;
        kept.space.bytes += bytes;
        kept.space.revision = revision.unwrap_or(kept.space.revision);
        self.meta.entries += entries;
        self.meta.bytes += bytes;
        Ok(())
    }

    /// How much is stored in a namespace that this transaction knows.
    pub(super) fn usage_of(&self, id: i64) -> (i64, i64) {
        self.spaces.get(&id).map_or((0, 0), |kept| (kept.space.entries, kept.space.bytes))
    }

    /// Gives a namespace the record that it had.
    pub(super) fn restore_space(&mut self, id: i64, number: i64, revision: i64, usage: (i64, i64)) -> Attempt<()> {
        self.change_space(id, number, None, (0, 0))?;
        let kept = self.spaces.get_mut(&id).expect("it was changed above");
        self.meta.entries += usage.0 - kept.space.entries;
        self.meta.bytes += usage.1 - kept.space.bytes;
        kept.space = Space { revision, entries: usage.0, bytes: usage.1, ..kept.space };
        Ok(())
    }

    /// What stands under a key, expired or not.
    pub(super) fn standing(&self, at: Address<'_>) -> rusqlite::Result<Option<Standing>> {
        let mut statement = self.link.prepare_cached(sql::STANDING)?;
        statement.query_row(params![at.space, at.key], Standing::read).optional()
    }

    /// Writes a value where `stored` stands.
    pub(super) fn put(
        &mut self,
        at: Address<'_>,
        stored: Option<Stored>,
        value: &Value<'_>,
        stamp: Stamp,
        number: i64,
    ) -> rusqlite::Result<()> {
        let free_blob = match stored {
            Some(stored) => self.leave(at, stored, number)?,
            None => {
                self.leave_absence(at, number)?;
                None
            }
        };
        let bytes = value.as_bytes();
        let (blob, inline) = match bytes.len() {
            ..=INLINE_VALUE_BYTES => (None, Some(bytes)),
            _ => (Some(self.put_blob(free_blob, bytes)?), None),
        };
        if let (Some(id), None) = (free_blob, blob) {
            self.link.run(sql::REMOVE_BLOB, [id])?;
        }
        let (created, updated) = (stamp.created_at.as_millis(), stamp.updated_at.as_millis());
        let expires = stamp.expires_at.map(Timestamp::as_millis);
        let (kind, revision) = (from_kind(value.kind()), stamp.revision.cast_signed());
        self.link.run(
            sql::PUT,
            params![at.space, at.key, kind, revision, number, created, updated, expires, blob, inline],
        )?;
        let (entries, before) = stored.map_or((1, 0), |stored| (0, stored.bytes));
        self.change_space(at.space, number, Some(number), (entries, bytes.len() as i64 - before))
    }

    fn put_blob(&self, free: Option<i64>, bytes: &[u8]) -> rusqlite::Result<i64> {
        match free {
            Some(id) => {
                self.link.run(sql::SET_BLOB, params![id, bytes])?;
                Ok(id)
            }
            None => {
                self.link.run(sql::ADD_BLOB, [bytes])?;
                Ok(self.link.last_insert_rowid())
            }
        }
    }

    /// Changes the expiry of what stands.
    pub(super) fn touch(
        &mut self,
        at: Address<'_>,
        stored: Stored,
        expires_at: Option<Timestamp>,
        number: i64,
    ) -> rusqlite::Result<()> {
        let free = self.leave(at, stored, number)?;
        let blob = match stored.blob {
            Some(id) if free.is_none() => Some(self.copy_blob(id)?),
            _ => free,
        };
        let expires = expires_at.map(Timestamp::as_millis);
        self.link.run(sql::RESTAMP, params![at.space, at.key, number, self.now.as_millis(), expires, blob])?;
        self.change_space(at.space, number, Some(number), (0, 0))
    }

    /// Removes what stands; `revision` is the namespace's from then on, if the removal is to show.
    pub(super) fn remove(
        &mut self,
        at: Address<'_>,
        stored: Stored,
        number: i64,
        revision: Option<i64>,
    ) -> rusqlite::Result<()> {
        if let Some(blob) = self.leave(at, stored, number)? {
            self.link.run(sql::REMOVE_BLOB, [blob])?;
        }
        self.link.run(sql::REMOVE, params![at.space, at.key])?;
        self.change_space(at.space, number, revision, (-1, -stored.bytes))
    }

    /// Archives what stands if a snapshot may need it; what comes back is a blob that nobody needs any more.
    pub(super) fn leave(&self, at: Address<'_>, stored: Stored, number: i64) -> rusqlite::Result<Option<i64>> {
        if !self.is_needed(stored.since) {
            return Ok(stored.blob);
        }
        self.link.run(sql::ARCHIVE, params![number, at.space, at.key])?;
        Ok(None)
    }

    /// Archives that nothing stood there, if a snapshot may need to know and no old version tells so.
    pub(super) fn leave_absence(&self, at: Address<'_>, number: i64) -> rusqlite::Result<()> {
        if self.meta.newest < 0 {
            return Ok(());
        }
        let mut statement = self.link.prepare_cached(sql::LAST_DIED)?;
        let last: Option<i64> = statement.query_row(params![at.space, at.key], |row| row.get(0))?;
        let born = last.unwrap_or(0);
        if self.is_needed(born) {
            self.link.run(sql::ARCHIVE_ABSENT, params![number, at.space, at.key, born])?;
        }
        Ok(())
    }

    pub(super) fn copy_blob(&self, id: i64) -> rusqlite::Result<i64> {
        match self.link.run(sql::COPY_BLOB, [id])? {
            1 => Ok(self.link.last_insert_rowid()),
            _ => Err(rusqlite::Error::QueryReturnedNoRows),
        }
    }

    /// Removes at most `most` of what is due, as ordinary deletes that nobody asked for; tells how many those were.
    pub(super) fn sweep(&mut self, most: usize) -> Attempt<usize> {
        let due = self.due(most)?;
        if due.is_empty() {
            return Ok(0);
        }
        let number = self.next()?;
        for (space, key, stored) in &due {
            self.remove(Address { space: *space, key }, *stored, number, None)?;
        }
        Ok(due.len())
    }

    fn due(&self, most: usize) -> rusqlite::Result<Vec<(i64, String, Stored)>> {
        let mut statement = self.link.prepare_cached(sql::DUE)?;
        let rows = statement
            .query_map(params![self.now.as_millis(), i64::try_from(most).unwrap_or(i64::MAX)], |row| {
                Ok((row.get(0)?, row.get(1)?, Stored { since: row.get(2)?, blob: row.get(3)?, bytes: row.get(4)? }))
            })?;
        rows.collect()
    }
}

fn read_space(row: &Row<'_>) -> rusqlite::Result<Space> {
    Ok(Space {
        id: row.get(0)?,
        revision: row.get(1)?,
        since: row.get(2)?,
        entries: count(row, 3)?,
        bytes: count(row, 4)?,
    })
}

/// Writes a namespace's record, and archives what it was before the transaction's change `number` if a snapshot may need it.
fn write_space(link: &Link, newest: i64, space: &mut Space, before: Space, number: i64) -> rusqlite::Result<()> {
    if before.since <= newest {
        let Space { id, revision, since, entries, bytes } = before;
        link.run(sql::ARCHIVE_SPACE, params![number, id, since, revision, entries, bytes])?;
    }
    // Without a snapshot no old version can name it, and ids are never given out again.
    if space.entries == 0 && newest < 0 {
        link.run(sql::REMOVE_SPACE, [space.id])?;
        return Ok(());
    }
    space.since = number;
    let Space { id, revision, since, entries, bytes } = *space;
    link.run(sql::SET_SPACE, params![id, revision, since, entries, bytes])?;
    Ok(())
}
