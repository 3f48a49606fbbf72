//! What must be true of the file itself, read by SQL of its own.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Each query answers rows only where the file contradicts itself.
const CONTRADICTIONS: [(&str, &str); 9] = [
    ("the record of the store counts its entries and bytes", "
        SELECT id FROM namespace WHERE id = 0 AND (entries <> (SELECT count(*) FROM entry) OR bytes <> (
            SELECT coalesce(sum(coalesce(length(value), (SELECT length(data) FROM blob WHERE id = blob))), 0) FROM entry))"),
    ("the record of each namespace counts its entries and bytes", "
        SELECT id FROM namespace WHERE id > 0 AND (entries <> (SELECT count(*) FROM entry WHERE namespace = id) OR bytes <> (
            SELECT coalesce(sum(coalesce(length(value), (SELECT length(data) FROM blob WHERE blob.id = entry.blob))), 0)
            FROM entry WHERE namespace = namespace.id))"),
    ("each entry is in a namespace", "SELECT key FROM entry WHERE namespace NOT IN (SELECT id FROM namespace)"),
    ("each large value belongs to one entry or old version", "
        SELECT id FROM blob WHERE 1 <> (SELECT count(*) FROM entry WHERE blob = blob.id)
            + (SELECT count(*) FROM history WHERE blob = blob.id)"),
    ("each entry and old version has its large value", "
        SELECT blob FROM (SELECT blob FROM entry UNION ALL SELECT blob FROM history)
        WHERE blob IS NOT NULL AND blob NOT IN (SELECT id FROM blob)"),
    ("an old version is needed by a snapshot, or noted as unneeded", "
        SELECT died FROM history WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE at >= born AND at < died)
            AND NOT EXISTS (SELECT 1 FROM unneeded WHERE died > died_after AND died <= died_until AND born > born_above)"),
    ("an old record of a namespace is needed by a snapshot, or noted as unneeded", "
        SELECT died FROM namespace_history WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE at >= born AND at < died)
            AND NOT EXISTS (SELECT 1 FROM unneeded WHERE died > died_after AND died <= died_until AND born > born_above)"),
    ("the newest cut is that of a snapshot that stands", "
        SELECT 1 FROM meta WHERE newest_snapshot <> (SELECT coalesce(max(at), -1) FROM snapshot)"),
    ("no number is beyond the last one", "
        SELECT 1 FROM meta, namespace WHERE id = 0 AND (revision < (SELECT max(since) FROM entry)
            OR revision < (SELECT max(died) FROM history) OR revision < (SELECT max(at) FROM snapshot)
            OR last_snapshot < (SELECT max(id) FROM snapshot))"),
];

/// What is left once no snapshot stands and everything was compacted.
const LEFTOVERS: &str = "SELECT (SELECT count(*) FROM history), (SELECT count(*) FROM namespace_history),
    (SELECT count(*) FROM unneeded), (SELECT count(*) FROM snapshot),
    (SELECT count(*) FROM namespace WHERE entries = 0 AND id > 0),
    (SELECT count(*) FROM blob) - (SELECT count(*) FROM entry WHERE blob IS NOT NULL)";

fn connect(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the file is there");
    connection.busy_timeout(std::time::Duration::from_secs(30)).expect("it is short");
    connection
}

/// Asserts that the file is whole and agrees with itself; answers the last number that it gave out.
pub(crate) fn assert_sound(path: &Path) -> u64 {
    let connection = connect(path);
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it can be read");
    assert_eq!(verdict, "ok");
    for (sentence, query) in CONTRADICTIONS {
        let mut statement = connection.prepare(query).expect("the layout is known");
        assert!(!statement.exists([]).expect("it can be read"), "it is not so that {sentence}");
    }
    let last: i64 = connection
        .query_row("SELECT revision FROM namespace WHERE id = 0", [], |row| row.get(0))
        .expect("there is one");
    last.cast_unsigned()
}

/// Asserts that nothing is kept for snapshots that are gone.
pub(crate) fn assert_nothing_left_over(path: &Path) {
    let connection = connect(path);
    let counts = connection.query_row(LEFTOVERS, [], |row| (0..6).map(|column| row.get(column)).collect());
    let counts: Vec<i64> = counts.expect("the layout is known");
    assert_eq!(counts, [0; 6], "history, old records, notes, snapshots, empty namespaces, blobs without an entry");
}
