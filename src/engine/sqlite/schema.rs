//! The layout of the file: its tables, its version, and how one version becomes the next.
//!
//! A file is ours when its application id says so; nothing is written into any other one. A new file gets all migrations in
//! one transaction and before it goes over to a write-ahead log, so a crash leaves an empty file or a whole store, and both ids
//! can be read from the file's first page from then on.
//!
//! `docs/engines/sqlite.md` tells readers of the file what the columns mean.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::fault::{self, Place};
use super::sql;
use crate::error::{Error, Result};

/// "SwSt": what marks a file as a store of ours, in its header.
pub(super) const APPLICATION_ID: i32 = 0x5377_5374;

/// Between two tries to go over to a write-ahead log.
const PAUSE: Duration = Duration::from_millis(1);

/// What makes each version of the layout out of the one before it, the first out of an empty file. Only ever add to it.
const MIGRATIONS: [&str; 1] = [FIRST];

/// Before the first table, since they cannot be changed after it: small pages, of which a commit writes whole ones, and free pages that
/// can be given back in slices.
const FORM: &str = "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;";

const FIRST: &str = "
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  newest_snapshot INTEGER NOT NULL,
  last_snapshot INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, -1, 0);

CREATE TABLE namespace (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  revision INTEGER NOT NULL,
  since INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX namespace_empty ON namespace (id) WHERE entries = 0 AND id > 0;
INSERT INTO namespace VALUES (0, NULL, 0, 0, 0, 0);

CREATE TABLE entry (
  namespace INTEGER NOT NULL,
  key TEXT NOT NULL,
  kind INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  since INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER,
  blob INTEGER,
  value BLOB,
  PRIMARY KEY (namespace, key),
  CHECK ((blob IS NULL) <> (value IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_expiry ON entry (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE blob (
  id INTEGER PRIMARY KEY,
  data BLOB NOT NULL
) STRICT;

CREATE TABLE history (
  died INTEGER NOT NULL,
  namespace INTEGER NOT NULL,
  key TEXT NOT NULL,
  born INTEGER NOT NULL,
  kind INTEGER,
  revision INTEGER,
  created_at INTEGER,
  updated_at INTEGER,
  expires_at INTEGER,
  blob INTEGER,
  value BLOB,
  PRIMARY KEY (died, namespace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_key ON history (namespace, key, died);

CREATE TABLE namespace_history (
  died INTEGER NOT NULL,
  namespace INTEGER NOT NULL,
  born INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (died, namespace)
) STRICT, WITHOUT ROWID;
CREATE INDEX namespace_history_namespace ON namespace_history (namespace, died);

CREATE TABLE snapshot (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  parent INTEGER,
  taken_at INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshot_at ON snapshot (at);

CREATE TABLE unneeded (
  id INTEGER PRIMARY KEY,
  died_after INTEGER NOT NULL,
  died_until INTEGER NOT NULL,
  born_above INTEGER NOT NULL
) STRICT;
";

/// Makes the file behind `connection` a store of the newest layout, unless it is one.
///
/// # Errors
/// `Invalid` for a file that is not ours, `Unsupported` for a layout of a newer release, `Corrupt` for one that is damaged: the
/// file stays as it was.
pub(super) fn prepare(connection: &mut Connection, place: Place<'_>, timeout: Duration) -> Result<()> {
    let named = |error| fault::opening(error, place);
    let mut version = read_version(connection, place)?;
    if version == 0 {
        connection.execute_batch(FORM).map_err(named)?;
    }
    if version < MIGRATIONS.len() {
        version = migrate(connection, place)?;
    }
    if version > MIGRATIONS.len() {
        return Err(Error::unsupported(format!(
            "{place} has the layout {version} of a newer swarmstate, and this one reads up to {}; upgrade it",
            MIGRATIONS.len()
        )));
    }
    require_whole(connection, place)?;
    match &*write_ahead(connection, place, timeout)? {
        "wal" => Ok(()),
        _ => {
            Err(Error::unsupported(format!("{place} lies where SQLite can keep no write-ahead log; use a local disk")))
        }
    }
}

/// Goes over to a write-ahead log. Of several connections that do at once SQLite refuses all but one without a wait, so that they
/// do not wait for each other; they try again.
fn write_ahead(connection: &Connection, place: Place<'_>, timeout: Duration) -> Result<String> {
    let deadline = Instant::now().checked_add(timeout);
    loop {
        match connection.query_row(sql::WRITE_AHEAD, [], |row| row.get(0)) {
            Err(error) if fault::is_busy(&error) && deadline.is_none_or(|at| Instant::now() < at) => {
                thread::sleep(PAUSE);
            }
            mode => return mode.map_err(|error| fault::opening(error, place)),
        }
    }
}

/// The version of the layout; 0 for a file that holds nothing yet.
fn read_version(connection: &Connection, place: Place<'_>) -> Result<usize> {
    let ids = connection.query_row(sql::IDENTITY, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let (application, version, tables): (i32, i64, i64) = ids.map_err(|error| fault::opening(error, place))?;
    let is_empty = application == 0 && version == 0 && tables == 0;
    // SQLite takes a file of one byte for an empty one, and would write over it.
    if is_empty && place.bytes()? == 1 {
        return Err(Error::invalid(format!("{place} is no SQLite file, so no store; name another file")));
    }
    if application != APPLICATION_ID && !is_empty {
        return Err(Error::invalid(format!("{place} is a SQLite file, but no store of swarmstate; name another file")));
    }
    usize::try_from(version).map_err(|_| Error::corrupt(format!("{place} claims the layout {version}")))
}

/// Brings the layout up to date, in one transaction; of several processes that try at once, one does it.
fn migrate(connection: &mut Connection, place: Place<'_>) -> Result<usize> {
    let named = |error| fault::opening(error, place);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(named)?;
    let version = read_version(&transaction, place)?;
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration).map_err(named)?;
    }
    if version < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(named)?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(named)?;
    }
    transaction.commit().map_err(named)?;
    Ok(version.max(MIGRATIONS.len()))
}

/// Finds out whether the end of the file is missing. A log beside it may hold that end, so only a file without one tells.
fn require_whole(connection: &Connection, place: Place<'_>) -> Result<()> {
    // Another process may shorten the file between the two looks, so a file that seems short is looked at again.
    for _ in 0..3 {
        let (pages, page): (i64, i64) = connection
            .query_row(sql::LENGTH, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| fault::opening(error, place))?;
        if place.log_bytes() > 0 || place.bytes()? >= (pages * page).cast_unsigned() {
            return Ok(());
        }
    }
    Err(Error::corrupt(format!("{place} is cut off: it is shorter than its header says; bring back a backup")))
}
