//! A file that was cut off or changed: an error or what was written, never a panic, and never something else for a closed file that
//! was cut. SQLite keeps no sums of its pages: a value whose bytes were changed in place reads as it stands.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rusqlite::Connection;
use swarmstate::{Error, Reader, Sqlite, SqliteOptions, Store, StoreExt};

use super::{Shown, everything, open};

/// A store of every shape, closed: its bytes, those of a copy whose log was not copied into it yet, and what it holds.
struct Sample {
    file: Vec<u8>,
    log: Option<Vec<u8>>,
    entries: Vec<Shown>,
}

fn fill(store: &Sqlite, turns: Range<i64>) {
    for i in turns {
        store.set(&format!("n{}", i % 3), &format!("k{}", i % 40), i).expect("valid");
        store.set("text", &format!("k{i}"), &*format!("{i}").repeat(60)).expect("valid");
        store.set("large", &format!("k{}", i % 7), &*vec![i as u8; 2000 + 500 * i as usize]).expect("valid");
        store.set_for("soon", &format!("k{i}"), i, Duration::from_secs(3600)).expect("valid");
        if i % 5 == 0 {
            store.snapshot().expect("valid");
        }
    }
    store.delete_namespace("n2").expect("valid");
}

impl Sample {
    fn make(has_log: bool) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("state.db");
        let store = open(&path).expect("the folder is there");
        fill(&store, 0..15);
        if has_log {
            store.compact().expect("it copies the log");
            fill(&store, 15..30);
        }
        let entries = everything(&store).expect("it can be read");
        if !has_log {
            store.close().expect("it is open");
        }
        let read = |name: &str| fs::read(folder.path().join(name)).ok();
        Self { file: read("state.db").expect("it is there"), log: read("state.db-wal"), entries }
    }

    fn write(&self, path: &Path, file: &[u8]) {
        fs::write(path, file).expect("there is room");
        if let Some(log) = &self.log {
            fs::write(path.with_extension("db-wal"), log).expect("there is room");
        }
    }
}

static CLOSED: LazyLock<Sample> = LazyLock::new(|| Sample::make(false));
static LOGGED: LazyLock<Sample> = LazyLock::new(|| Sample::make(true));

/// Whether the error is one of a file that is damaged or no store.
fn is_expected(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::Invalid { .. } | Error::Unsupported { .. })
}

/// Cuts the file to each length; what still opens must read right, unless a log beside it hides that its end is missing.
fn assert_right_or_refused(sample: &Sample, lengths: impl Iterator<Item = usize>) {
    for length in lengths {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("state.db");
        sample.write(&path, &sample.file[..length]);

        let found = open(&path).and_then(|store| everything(&store));

        match found {
            Ok(_) if sample.log.is_some() => {}
            Ok(found) => assert_eq!(found, sample.entries, "of {} bytes {length} are left", sample.file.len()),
            Err(error) => assert!(is_expected(&error), "of {} bytes {length} are left: {error:?}", sample.file.len()),
        }
    }
}

#[test]
fn a_file_that_was_cut_off_is_refused_or_read_right() {
    let whole = CLOSED.file.len();
    let pages = (1..whole / 4096).flat_map(|page| [page * 4096 - 1, page * 4096, page * 4096 + 1]);

    assert_right_or_refused(
        &CLOSED,
        pages.chain((1..whole).step_by(3001)).chain([1, 15, 16, 99, 100, 511, 512, whole - 1]),
    );
}

#[test]
fn a_file_that_was_cut_off_beside_its_log_is_an_error_or_a_value_and_never_a_panic() {
    let whole = LOGGED.file.len();
    assert!(LOGGED.log.as_ref().is_some_and(|log| !log.is_empty()));

    assert_right_or_refused(&LOGGED, (1..whole / 4096).map(|page| page * 4096).chain((1..whole).step_by(5003)));
}

#[test]
fn a_log_that_was_cut_off_loses_its_end_and_nothing_else() {
    let log = LOGGED.log.as_ref().expect("it has one");
    for length in (0..log.len()).step_by(60_013).chain([1, 31, 32, 33, log.len() - 1]) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("state.db");
        fs::write(&path, &LOGGED.file).expect("there is room");
        fs::write(path.with_extension("db-wal"), &log[..length]).expect("there is room");

        let store = open(&path).expect("an earlier state is whole");

        let found = everything(&store).expect("it is whole");
        assert_eq!(store.usage().expect("it can be read").entries, found.len() as u64);
        assert!(found.len() >= 40, "what the file itself holds is there");
        store.increment("n1", "more", 1).expect("it goes on");
    }
}

/// Does with a store what can be done, and answers the first error.
fn use_it(path: &Path) -> Result<(), Error> {
    let options = SqliteOptions { timeout: Duration::from_secs(2), ..SqliteOptions::default() };
    let store = Sqlite::open(path, options)?;
    let results = [
        everything(&store).map(drop),
        store.usage().map(drop),
        store.increment("n0", "k0", 1).map(drop),
        store.set("large", "k0", &*vec![1; 9000]).map(drop),
        store.delete("text", "k5").map(drop),
        store.copy_namespace("large", "copy").map(drop),
        store.history().and_then(|all| all.iter().try_for_each(|snapshot| everything(&**snapshot).map(drop))),
        store.history().and_then(|all| compare_and_restore(&store, &all)),
        store.delete_namespace("n1").map(drop),
        store.snapshot().map(drop),
        store.clear(),
        store.compact(),
    ];
    store.close()?;
    results.into_iter().collect()
}

fn compare_and_restore(store: &Sqlite, all: &[Arc<dyn swarmstate::Snapshot>]) -> Result<(), Error> {
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(()) };
    last.diff(&**first)?;
    store.restore(&**first)?;
    store.drop_snapshot(last.info().id).map(drop)
}

#[test]
fn flipped_bytes_are_an_error_or_a_value_and_never_a_panic() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    let sample = &*CLOSED;
    let place = (0..sample.file.len(), any::<u8>());
    let header = (0..200_usize, any::<u8>());
    let flips = prop_oneof![
        proptest::collection::vec(place.clone(), 1..40),
        proptest::collection::vec(header, 1..3),
        proptest::collection::vec(place, 200..2000)
    ];
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });

    runner
        .run(&flips, |flips| {
            let folder = tempfile::tempdir().expect("there is room for a folder");
            let path = folder.path().join("state.db");
            let mut file = sample.file.clone();
            flips.iter().for_each(|(place, mask)| file[*place] ^= mask);
            fs::write(&path, file).expect("there is room");

            if let Err(error) = use_it(&path) {
                prop_assert!(is_expected(&error), "{error:?}");
            }
            Ok(())
        })
        .unwrap();
}

fn integer_columns(table: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("state.db");
    CLOSED.write(&path, &CLOSED.file);
    let file = Connection::open(&path).expect("it is there");
    let mut statement = file.prepare("SELECT name FROM pragma_table_info(?1) WHERE type = 'INTEGER'").expect("valid");
    statement.query_map([table], |row| row.get(0)).expect("valid").collect::<Result<_, _>>().expect("valid")
}

#[test]
fn numbers_that_no_store_writes_are_an_error_or_a_value_and_never_a_panic() {
    for table in ["meta", "namespace", "entry", "blob", "history", "namespace_history", "snapshot"] {
        for column in integer_columns(table).iter().filter(|column| *column != "one") {
            for number in [i64::MIN, -1, i64::MAX] {
                let folder = tempfile::tempdir().expect("there is room for a folder");
                let path = folder.path().join("state.db");
                CLOSED.write(&path, &CLOSED.file);
                let file = Connection::open(&path).expect("it is there");
                file.execute(&format!("UPDATE OR IGNORE {table} SET {column} = ?1"), [number]).expect("valid");
                drop(file);

                let result = use_it(&path);

                if let Err(error) = result {
                    let is_named =
                        is_expected(&error) || matches!(error, Error::Unavailable { .. } | Error::NotFound { .. });
                    assert!(is_named, "{table}.{column} = {number}: {error:?}");
                }
            }
        }
    }
}
