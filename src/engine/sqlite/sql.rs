//! Every statement of the engine, by name. Data comes only ever as parameters.
//!
//! A connection prepares each once and keeps it. The comments give the parameters; `now` is in milliseconds, `newest` is where the
//! newest snapshot cuts, `at` is where a snapshot cuts. `explain` in `tests.rs` holds the plans to the keys that they mean.

/// What an entry or an old version is, in the order that `read::entry` takes; the value stands in one of the last two columns.
macro_rules! version {
    ($table:literal) => {
        concat!(
            $table,
            ".key, ",
            $table,
            ".kind, ",
            $table,
            ".revision, ",
            $table,
            ".created_at, ",
            $table,
            ".updated_at, ",
            $table,
            ".expires_at, ",
            $table,
            ".value, (SELECT data FROM blob WHERE id = ",
            $table,
            ".blob)"
        )
    };
}

/// The length of an entry's value, without reading it.
macro_rules! size {
    () => {
        "iif(entry.blob IS NULL, length(entry.value), (SELECT length(data) FROM blob WHERE id = entry.blob))"
    };
}

macro_rules! is_live {
    ($now:literal) => {
        concat!("(expires_at IS NULL OR expires_at > ", $now, ")")
    };
}

macro_rules! id_of {
    ($name:literal) => {
        concat!("(SELECT id FROM namespace WHERE name = ", $name, ")")
    };
}

// The file.

pub(super) const IDENTITY: &str = "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), \
     (SELECT count(*) FROM sqlite_schema)";
pub(super) const LENGTH: &str =
    "SELECT (SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size)";
pub(super) const WRITE_AHEAD: &str = "PRAGMA journal_mode = WAL";
pub(super) const BEGIN: &str = "BEGIN";
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
/// Gives back at most so many free pages.
pub(super) const SHRINK: &str = "PRAGMA incremental_vacuum(1024)";
pub(super) const FREE_PAGES: &str = "PRAGMA freelist_count";
/// Copies what nobody has to be waited for: whether others copied, the pages of the log, and those that are copied
pub(super) const COPY_LOG: &str = "PRAGMA wal_checkpoint(PASSIVE)";
pub(super) const TRUNCATE_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

// The record of the whole store: a namespace's without a name, so that a commit writes one page for both, and what only
// snapshots change.

/// now: the record, and whether anything is due
pub(super) const TOTAL: &str = "SELECT revision, entries, bytes, newest_snapshot, last_snapshot, \
     EXISTS (SELECT 1 FROM entry WHERE expires_at <= ?1) FROM namespace, meta WHERE id = 0";
/// revision, entries, bytes
pub(super) const SET_TOTAL: &str = "UPDATE namespace SET revision = ?1, entries = ?2, bytes = ?3 WHERE id = 0";
/// newest_snapshot, last_snapshot
pub(super) const SET_META: &str = "UPDATE meta SET newest_snapshot = ?1, last_snapshot = ?2";
/// now
pub(super) const USAGE: &str = concat!(
    "SELECT entries - (SELECT count(*) FROM entry WHERE expires_at <= ?1), \
     bytes - (SELECT coalesce(sum(",
    size!(),
    "), 0) FROM entry WHERE expires_at <= ?1) FROM namespace WHERE id = 0"
);

// Namespaces.

/// name
pub(super) const SPACE_BY_NAME: &str = "SELECT id, revision, since, entries, bytes FROM namespace WHERE name = ?1";
/// id
pub(super) const SPACE_BY_ID: &str = "SELECT id, revision, since, entries, bytes FROM namespace WHERE id = ?1";
/// id
pub(super) const SPACE_NAME: &str = "SELECT name FROM namespace WHERE id = ?1";
/// name, since
pub(super) const ADD_SPACE: &str =
    "INSERT INTO namespace (name, revision, since, entries, bytes) VALUES (?1, 0, ?2, 0, 0)";
/// id, revision, since, entries, bytes
pub(super) const SET_SPACE: &str =
    "UPDATE namespace SET revision = ?2, since = ?3, entries = ?4, bytes = ?5 WHERE id = ?1";
/// id
pub(super) const REMOVE_SPACE: &str = "DELETE FROM namespace WHERE id = ?1";
/// died, id, born, revision, entries, bytes
pub(super) const ARCHIVE_SPACE: &str = "INSERT INTO namespace_history VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const REMOVE_EMPTY_SPACES: &str = "DELETE FROM namespace WHERE entries = 0 AND id > 0 \
     AND NOT EXISTS (SELECT 1 FROM history WHERE history.namespace = namespace.id) \
     AND NOT EXISTS (SELECT 1 FROM namespace_history WHERE namespace_history.namespace = namespace.id)";
/// id, now
pub(super) const SPACE_IS_LIVE: &str =
    concat!("SELECT EXISTS (SELECT 1 FROM entry WHERE namespace = ?1 AND ", is_live!("?2"), ")");
/// name, now
pub(super) const SPACE_NOW: &str = concat!(
    "SELECT entries - (SELECT count(*) FROM entry WHERE expires_at <= ?2 AND namespace = id), \
     bytes - (SELECT coalesce(sum(",
    size!(),
    "), 0) FROM entry WHERE expires_at <= ?2 AND namespace = id), \
     revision FROM namespace WHERE name = ?1"
);
/// name, at
pub(super) const SPACE_AT: &str = "SELECT entries, bytes, revision FROM namespace WHERE name = ?1 AND since <= ?2 \
     UNION ALL SELECT old.entries, old.bytes, old.revision FROM namespace JOIN namespace_history AS old \
     ON old.namespace = namespace.id WHERE name = ?1 AND old.died > ?2 AND old.born <= ?2";

macro_rules! spaces_now {
    ($order:literal) => {
        concat!(
            "SELECT name FROM namespace WHERE name >= ?1 AND name < ?2 AND entries > 0 \
             AND EXISTS (SELECT 1 FROM entry WHERE namespace = id AND ",
            is_live!("?3"),
            ") \
             ORDER BY name ",
            $order,
            " LIMIT ?4"
        )
    };
}

/// from, below, now, limit
pub(super) const SPACES_NOW: [&str; 2] = [spaces_now!("ASC"), spaces_now!("DESC")];

macro_rules! spaces_at {
    ($order:literal) => {
        concat!(
            "SELECT name FROM namespace WHERE name >= ?1 AND name < ?2 AND ((since <= ?3 AND entries > 0) OR EXISTS \
             (SELECT 1 FROM namespace_history AS old WHERE old.namespace = id AND old.died > ?3 AND old.born <= ?3 \
             AND old.entries > 0)) ORDER BY name ",
            $order,
            " LIMIT ?4"
        )
    };
}

/// from, below, at, limit
pub(super) const SPACES_AT: [&str; 2] = [spaces_at!("ASC"), spaces_at!("DESC")];

// Reading entries.

/// name, key, now
pub(super) const GET_NOW: &str = concat!(
    "SELECT ",
    version!("entry"),
    " FROM entry WHERE namespace = ",
    id_of!("?1"),
    " AND key = ?2 AND ",
    is_live!("?3")
);
/// name, key, at
pub(super) const GET_AT: &str = concat!(
    "SELECT ",
    version!("entry"),
    " FROM entry WHERE namespace = ",
    id_of!("?1"),
    " AND key = ?2 AND since <= ?3 \
     UNION ALL SELECT ",
    version!("history"),
    " FROM history WHERE namespace = ",
    id_of!("?1"),
    " AND key = ?2 AND died > ?3 AND born <= ?3 AND kind IS NOT NULL"
);

macro_rules! entries_now {
    ($columns:expr, $order:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM entry WHERE namespace = ",
            id_of!("?1"),
            " AND key >= ?2 AND key < ?3 AND ",
            is_live!("?4"),
            " ORDER BY 1 ",
            $order,
            " LIMIT ?5"
        )
    };
}

macro_rules! entries_at {
    ($now:expr, $old:expr, $order:literal) => {
        concat!(
            "SELECT ",
            $now,
            " FROM entry WHERE namespace = ",
            id_of!("?1"),
            " AND key >= ?2 AND key < ?3 AND since <= ?4 UNION ALL SELECT ",
            $old,
            " FROM history WHERE namespace = ",
            id_of!("?1"),
            " AND key >= ?2 AND key < ?3 AND died > ?4 AND born <= ?4 \
             AND kind IS NOT NULL ORDER BY 1 ",
            $order,
            " LIMIT ?5"
        )
    };
}

/// name, from, below, now, limit
pub(super) const ENTRIES_NOW: [&str; 2] =
    [entries_now!(version!("entry"), "ASC"), entries_now!(version!("entry"), "DESC")];
/// name, from, below, now, limit
pub(super) const KEYS_NOW: [&str; 2] = [entries_now!("key", "ASC"), entries_now!("key", "DESC")];
/// name, from, below, at, limit
pub(super) const ENTRIES_AT: [&str; 2] = [
    entries_at!(version!("entry"), version!("history"), "ASC"),
    entries_at!(version!("entry"), version!("history"), "DESC"),
];
/// name, from, below, at, limit
pub(super) const KEYS_AT: [&str; 2] =
    [entries_at!("entry.key", "history.key", "ASC"), entries_at!("entry.key", "history.key", "DESC")];

// Writing entries.

/// id, key: what a write must know of what stands there; the value only of an integer
pub(super) const STANDING: &str = concat!(
    "SELECT kind, revision, since, created_at, expires_at, blob, ",
    size!(),
    ", iif(kind = 0, value, NULL) FROM entry WHERE namespace = ?1 AND key = ?2"
);
/// id, key, kind, revision, since, created_at, updated_at, expires_at, blob, value
pub(super) const PUT: &str = "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
     ON CONFLICT (namespace, key) DO UPDATE SET kind = ?3, revision = ?4, since = ?5, created_at = ?6, updated_at = ?7, \
     expires_at = ?8, blob = ?9, value = ?10";
/// id, key, revision, updated_at, expires_at, blob
pub(super) const RESTAMP: &str = "UPDATE entry SET revision = ?3, since = ?3, updated_at = ?4, expires_at = ?5, blob = ?6 \
     WHERE namespace = ?1 AND key = ?2";
/// id, key
pub(super) const REMOVE: &str = "DELETE FROM entry WHERE namespace = ?1 AND key = ?2";
/// now, limit
pub(super) const DUE: &str = concat!(
    "SELECT namespace, key, since, blob, ",
    size!(),
    " FROM entry WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2"
);
/// data
pub(super) const ADD_BLOB: &str = "INSERT INTO blob (data) VALUES (?1)";
/// id, data
pub(super) const SET_BLOB: &str = "UPDATE blob SET data = ?2 WHERE id = ?1";
/// id
pub(super) const COPY_BLOB: &str = "INSERT INTO blob (data) SELECT data FROM blob WHERE id = ?1";
/// id
pub(super) const REMOVE_BLOB: &str = "DELETE FROM blob WHERE id = ?1";

// Whole namespaces, and the whole store.

/// id, newest
pub(super) const REMOVE_BLOBS_OF: &str = "DELETE FROM blob WHERE id IN \
     (SELECT blob FROM entry WHERE namespace = ?1 AND blob IS NOT NULL AND since > ?2)";
/// id
pub(super) const REMOVE_ENTRIES_OF: &str = "DELETE FROM entry WHERE namespace = ?1";
/// died, id, newest
pub(super) const ARCHIVE_ENTRIES_OF: &str = "INSERT INTO history SELECT ?1, namespace, key, since, kind, revision, \
     created_at, updated_at, expires_at, blob, value FROM entry WHERE namespace = ?2 AND since <= ?3";
/// source, target, since, now: what stands in the rows themselves
pub(super) const COPY_ENTRIES: &str = concat!(
    "INSERT INTO entry SELECT ?2, key, kind, revision, ?3, created_at, updated_at, expires_at, NULL, value FROM entry \
     WHERE namespace = ?1 AND blob IS NULL AND ",
    is_live!("?4")
);
/// source, now
pub(super) const LARGE_ENTRIES: &str =
    concat!("SELECT key, blob FROM entry WHERE namespace = ?1 AND blob IS NOT NULL AND ", is_live!("?2"));
/// source, target, since, key, blob
pub(super) const COPY_ENTRY: &str = "INSERT INTO entry SELECT ?2, key, kind, revision, ?3, created_at, updated_at, expires_at, ?5, NULL FROM entry \
     WHERE namespace = ?1 AND key = ?4";
/// died, target, newest: that the copied keys were absent, where no old version tells so
pub(super) const ARCHIVE_ABSENT_OF: &str = "INSERT INTO history (died, namespace, key, born) SELECT ?1, ?2, key, coalesce(last, 0) FROM (SELECT key, \
     (SELECT max(died) FROM history WHERE history.namespace = ?2 AND history.key = entry.key) AS last \
     FROM entry WHERE namespace = ?2) WHERE coalesce(last, 0) <= ?3";
/// id
pub(super) const USAGE_OF: &str =
    concat!("SELECT count(*), coalesce(sum(", size!(), "), 0) FROM entry WHERE namespace = ?1");
/// died, newest
pub(super) const ARCHIVE_ENTRIES: &str = "INSERT INTO history SELECT ?1, namespace, key, since, kind, revision, \
     created_at, updated_at, expires_at, blob, value FROM entry WHERE since <= ?2";
/// newest
pub(super) const REMOVE_BLOBS: &str =
    "DELETE FROM blob WHERE id IN (SELECT blob FROM entry WHERE blob IS NOT NULL AND since > ?1)";
pub(super) const REMOVE_ENTRIES: &str = "DELETE FROM entry";
/// died, newest
pub(super) const ARCHIVE_SPACES: &str = "INSERT INTO namespace_history SELECT ?1, id, since, revision, entries, bytes \
     FROM namespace WHERE since <= ?2 AND entries > 0 AND id > 0";
/// since
pub(super) const EMPTY_SPACES: &str =
    "UPDATE namespace SET since = ?1, entries = 0, bytes = 0 WHERE entries > 0 AND id > 0";

// Old versions.

/// died, id, key
pub(super) const ARCHIVE: &str = "INSERT INTO history SELECT ?1, namespace, key, since, kind, revision, created_at, \
     updated_at, expires_at, blob, value FROM entry WHERE namespace = ?2 AND key = ?3";
/// died, id, key, born
pub(super) const ARCHIVE_ABSENT: &str = "INSERT INTO history (died, namespace, key, born) VALUES (?1, ?2, ?3, ?4)";
/// id, key
pub(super) const LAST_DIED: &str = "SELECT max(died) FROM history WHERE namespace = ?1 AND key = ?2";
/// at: which keys changed since (the plus signs keep the search on `died`), and where their first change stands
pub(super) const CHANGED: &str =
    "SELECT namespace, key, min(died) FROM history WHERE died > ?1 GROUP BY +namespace, +key";
/// died, id, key: whether the key was live, and its blob
pub(super) const OLD_VERSION: &str =
    "SELECT kind IS NOT NULL, blob FROM history WHERE died = ?1 AND namespace = ?2 AND key = ?3";
/// older, newer: for each key that changed in between, its address, whether it was live and is, and whether the two are equal. What stood
/// at the newer cut is either what died after it, or current.
pub(super) const DIFF: &str = "SELECT changed.namespace, changed.key, old.kind IS NOT NULL, \
     coalesce(later.kind, entry.kind) IS NOT NULL, old.kind IS coalesce(later.kind, entry.kind) \
     AND coalesce(old.value, (SELECT data FROM blob WHERE id = old.blob)) IS coalesce(later.value, entry.value, \
     (SELECT data FROM blob WHERE id = coalesce(later.blob, entry.blob))) \
     FROM (SELECT namespace, key, min(died) AS died FROM history WHERE died > ?1 AND died <= ?2 \
     GROUP BY +namespace, +key) AS changed CROSS JOIN history AS old USING (died, namespace, key) \
     LEFT JOIN history AS later ON later.namespace = changed.namespace AND later.key = changed.key AND later.died > ?2 \
     AND later.born <= ?2 \
     LEFT JOIN entry ON entry.namespace = changed.namespace AND entry.key = changed.key AND entry.since <= ?2";
/// died, id, key, since, blob: brings an old version back
pub(super) const REVIVE: &str = "INSERT INTO entry SELECT namespace, key, kind, revision, ?4, created_at, updated_at, \
     expires_at, ?5, value FROM history WHERE died = ?1 AND namespace = ?2 AND key = ?3";
/// at: which namespaces changed since, and what they were
pub(super) const CHANGED_SPACES: &str = "SELECT namespace, revision, entries, bytes, min(died) FROM namespace_history \
     WHERE died > ?1 GROUP BY +namespace";

// Snapshots.

/// id, at, parent, taken_at, entries, bytes
pub(super) const ADD_SNAPSHOT: &str = "INSERT INTO snapshot VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const SNAPSHOTS: &str = "SELECT id, parent, taken_at, entries, bytes, at FROM snapshot ORDER BY id";
/// id
pub(super) const SNAPSHOT: &str = "SELECT id, parent, taken_at, entries, bytes, at FROM snapshot WHERE id = ?1";
/// id
pub(super) const SNAPSHOT_STANDS: &str = "SELECT 1 FROM snapshot WHERE id = ?1";
/// id
pub(super) const REMOVE_SNAPSHOT: &str = "DELETE FROM snapshot WHERE id = ?1";
/// at: the nearest cuts before (or the same) and after it
pub(super) const NEIGHBOURS: &str = "SELECT (SELECT max(at) FROM snapshot WHERE at <= ?1), \
     (SELECT min(at) FROM snapshot WHERE at > ?1)";
pub(super) const NEWEST_CUT: &str = "SELECT coalesce(max(at), -1) FROM snapshot";
/// how many stay
pub(super) const SNAPSHOTS_BEYOND: &str = "SELECT id FROM snapshot ORDER BY id DESC LIMIT -1 OFFSET ?1";

// Old versions that nobody needs any more, removed in slices.

/// after, until, above
pub(super) const ADD_UNNEEDED: &str = "INSERT INTO unneeded (died_after, died_until, born_above) VALUES (?1, ?2, ?3)";
pub(super) const UNNEEDED: &str = "SELECT id, died_after, died_until, born_above FROM unneeded ORDER BY id LIMIT 1";
/// id, after
pub(super) const SET_UNNEEDED: &str = "UPDATE unneeded SET died_after = ?2 WHERE id = ?1";
/// id
pub(super) const REMOVE_UNNEEDED: &str = "DELETE FROM unneeded WHERE id = ?1";
/// after, until, above, limit
pub(super) const UNNEEDED_VERSIONS: &str = "SELECT died, namespace, key, blob FROM history \
     WHERE died > ?1 AND died <= ?2 AND born > ?3 ORDER BY died, namespace, key LIMIT ?4";
/// died, id, key
pub(super) const REMOVE_VERSION: &str = "DELETE FROM history WHERE died = ?1 AND namespace = ?2 AND key = ?3";
/// after, until, above
pub(super) const REMOVE_OLD_SPACES: &str = "DELETE FROM namespace_history WHERE died > ?1 AND died <= ?2 AND born > ?3";

/// Every statement on the tables.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    USAGE,
    SPACE_BY_NAME,
    SPACE_BY_ID,
    SPACE_NAME,
    ADD_SPACE,
    SET_SPACE,
    REMOVE_SPACE,
    ARCHIVE_SPACE,
    REMOVE_EMPTY_SPACES,
    SPACE_IS_LIVE,
    SPACE_NOW,
    SPACE_AT,
    SPACES_NOW[0],
    SPACES_NOW[1],
    SPACES_AT[0],
    SPACES_AT[1],
    GET_NOW,
    GET_AT,
    ENTRIES_NOW[0],
    ENTRIES_NOW[1],
    KEYS_NOW[0],
    KEYS_NOW[1],
    ENTRIES_AT[0],
    ENTRIES_AT[1],
    KEYS_AT[0],
    KEYS_AT[1],
    STANDING,
    PUT,
    RESTAMP,
    REMOVE,
    DUE,
    ADD_BLOB,
    SET_BLOB,
    COPY_BLOB,
    REMOVE_BLOB,
    REMOVE_BLOBS_OF,
    REMOVE_ENTRIES_OF,
    ARCHIVE_ENTRIES_OF,
    COPY_ENTRIES,
    LARGE_ENTRIES,
    COPY_ENTRY,
    ARCHIVE_ABSENT_OF,
    USAGE_OF,
    ARCHIVE_ENTRIES,
    REMOVE_BLOBS,
    REMOVE_ENTRIES,
    ARCHIVE_SPACES,
    EMPTY_SPACES,
    ARCHIVE,
    ARCHIVE_ABSENT,
    LAST_DIED,
    CHANGED,
    OLD_VERSION,
    DIFF,
    REVIVE,
    CHANGED_SPACES,
    ADD_SNAPSHOT,
    SNAPSHOTS,
    SNAPSHOT,
    SNAPSHOT_STANDS,
    REMOVE_SNAPSHOT,
    NEIGHBOURS,
    NEWEST_CUT,
    SNAPSHOTS_BEYOND,
    ADD_UNNEEDED,
    UNNEEDED,
    SET_UNNEEDED,
    REMOVE_UNNEEDED,
    UNNEEDED_VERSIONS,
    REMOVE_VERSION,
    REMOVE_OLD_SPACES,
];
