//! What only the inside of the engine shows: how its books stand, which keys its statements use, and who writes with whom.

use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::clock::Timestamp;
use crate::store::{Condition, Expiry, Operation, StoreExt};
use crate::value::Value;

fn store_at(clock: &Clock) -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let durability = Durability::Normal;
    let options = SqliteOptions { durability, clock: clock.clone(), ..SqliteOptions::default() };
    let store = Sqlite::open(&folder.path().join("state.db"), options).expect("the options are valid");
    (folder, store)
}

fn store() -> (TempDir, Sqlite) {
    store_at(&Clock::system())
}

/// A value that stands in the table of large ones.
fn large(seed: u8) -> Value<'static> {
    Value::from(&[seed; 3000][..])
}

fn count(store: &Sqlite, statement: &str) -> i64 {
    store.read(|link, _| link.query_row(statement, [], |row| row.get(0))).expect("the statement is right")
}

/// Each is a query for what may not be: the numbers of rows that break a rule of the books.
const BREACHES: &[(&str, &str)] = &[
    (
        "the record of the store counts its entries",
        "SELECT count(*) FROM namespace WHERE id = 0 AND (entries <> (SELECT count(*) FROM entry) OR bytes <> (SELECT coalesce(sum(
         iif(blob IS NULL, length(value), (SELECT length(data) FROM blob WHERE id = entry.blob))), 0) FROM entry))",
    ),
    (
        "the record of a namespace counts its entries",
        "SELECT count(*) FROM namespace WHERE id > 0 AND (entries <> (SELECT count(*) FROM entry WHERE namespace = id)
         OR bytes <> (SELECT coalesce(sum(iif(blob IS NULL, length(value), (SELECT length(data) FROM blob AS b
         WHERE b.id = entry.blob))), 0) FROM entry WHERE namespace = namespace.id))",
    ),
    ("an entry has a namespace", "SELECT count(*) FROM entry WHERE namespace NOT IN (SELECT id FROM namespace)"),
    (
        "a blob has one owner",
        "SELECT count(*) FROM blob WHERE 1 <> (SELECT count(*) FROM entry WHERE entry.blob = blob.id)
         + (SELECT count(*) FROM history WHERE history.blob = blob.id)",
    ),
    (
        "a blob that is named is there",
        "SELECT count(*) FROM (SELECT blob FROM entry UNION ALL SELECT blob FROM history)
         WHERE blob IS NOT NULL AND blob NOT IN (SELECT id FROM blob)",
    ),
    ("a version was born before it died", "SELECT count(*) FROM history WHERE born >= died"),
    (
        "versions of a key do not overlap",
        "SELECT count(*) FROM history AS a JOIN history AS b USING (namespace, key)
         WHERE a.died < b.died AND b.born < a.died",
    ),
    (
        "what is current came after what is old",
        "SELECT count(*) FROM history JOIN entry USING (namespace, key) WHERE died > since",
    ),
    (
        "a snapshot needs every version that is kept",
        "SELECT count(*) FROM history WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE born <= at AND at < died)",
    ),
    (
        "a snapshot needs every record that is kept",
        "SELECT count(*) FROM namespace_history WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE born <= at AND at < died)",
    ),
    (
        "a namespace without entries is kept for a snapshot",
        "SELECT count(*) FROM namespace WHERE id > 0 AND entries = 0 AND NOT EXISTS (SELECT 1 FROM namespace_history
         WHERE namespace = id) AND NOT EXISTS (SELECT 1 FROM history WHERE namespace = id)",
    ),
    ("nothing is left to release", "SELECT count(*) FROM unneeded"),
    (
        "the newest snapshot cuts where the record says",
        "SELECT count(*) FROM meta WHERE newest_snapshot <> (SELECT coalesce(max(at), -1) FROM snapshot)",
    ),
];

fn assert_books(store: &Sqlite) {
    for (rule, breaches) in BREACHES {
        assert_eq!(count(store, breaches), 0, "{rule}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, u8, bool),
    Touch(u8, u8),
    Delete(u8, u8),
    DeleteNamespace(u8),
    Copy(u8, u8),
    Pass,
    Snapshot,
    Drop(prop::sample::Index),
    Restore(prop::sample::Index),
    Clear,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Step {
    fn carry_out(&self, store: &Sqlite, clock: &Clock) {
        let history = store.history().expect("the file answers");
        match self {
            Self::Set(name, key, value, is_short) => {
                let (name, key) = (NAMES[usize::from(*name)], key.to_string());
                let value = if value % 3 == 0 { large(*value) } else { Value::from(i64::from(*value)) };
                match is_short {
                    true => drop(store.set_for(name, &key, value, Duration::from_millis(1))),
                    false => drop(store.set(name, &key, value)),
                }
            }
            Self::Touch(name, key) => {
                let namespace = Namespace::new(NAMES[usize::from(*name)]).expect("short");
                let key = Key::new(key.to_string()).expect("short");
                let touch = Operation::Touch { namespace, key, expiry: Expiry::After(Duration::from_millis(2)) };
                store.apply(touch, None).expect("valid");
            }
            Self::Delete(name, key) => drop(store.delete(NAMES[usize::from(*name)], &key.to_string())),
            Self::DeleteNamespace(name) => drop(store.delete_namespace(NAMES[usize::from(*name)])),
            Self::Copy(from, to) => drop(store.copy_namespace(NAMES[usize::from(*from)], NAMES[usize::from(*to)])),
            Self::Pass => assert!(clock.advance(Duration::from_millis(1))),
            Self::Snapshot => drop(store.snapshot().expect("it is taken")),
            Self::Drop(index) if !history.is_empty() => {
                assert_eq!(store.drop_snapshot(index.get(&history).info().id), Ok(true));
            }
            Self::Restore(index) if !history.is_empty() => {
                store.restore(&**index.get(&history)).expect("it stands");
            }
            Self::Clear => store.clear().expect("the file answers"),
            Self::Drop(_) | Self::Restore(_) => {}
        }
    }
}

fn a_step() -> impl Strategy<Value = Step> {
    let (name, key) = (|| 0..3_u8, || 0..4_u8);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (name(), key(), any::<u8>(), any::<bool>()).prop_map(|(n, k, v, short)| Step::Set(n, k, v, short)),
        2 => (name(), key()).prop_map(|(n, k)| Step::Touch(n, k)),
        3 => (name(), key()).prop_map(|(n, k)| Step::Delete(n, k)),
        1 => name().prop_map(Step::DeleteNamespace),
        2 => (name(), name()).prop_map(|(from, to)| Step::Copy(from, to)),
        2 => Just(Step::Pass),
        3 => Just(Step::Snapshot),
        2 => index().prop_map(Step::Drop),
        2 => index().prop_map(Step::Restore),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_books_stand_after_every_step_and_keep_nothing_without_snapshots(
        steps in prop::collection::vec(a_step(), 1..50)
    ) {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let (_folder, store) = store_at(&clock);
        for step in &steps {
            step.carry_out(&store, &clock);
            assert_books(&store);
        }
        for kept in store.history().expect("the file answers") {
            store.drop_snapshot(kept.info().id).expect("the file answers");
        }
        assert_books(&store);
        prop_assert_eq!(count(&store, "SELECT count(*) FROM history"), 0);
        prop_assert_eq!(count(&store, "SELECT count(*) FROM namespace_history"), 0);
        prop_assert_eq!(count(&store, "SELECT count(*) FROM namespace WHERE id > 0 AND entries = 0"), 0);
    }
}

#[test]
fn more_old_versions_than_a_slice_are_released_also_where_one_change_left_them() {
    let (_folder, store) = store();
    let mut batch = Batch::new();
    for number in 0..10_000 {
        let (namespace, key) = (Namespace::new("n").expect("short"), Key::new(format!("{number:05}")).expect("short"));
        batch.set(namespace, key, if number % 100 == 0 { large(1) } else { Value::from(number) }, Expiry::Never);
    }
    store.write(&batch).expect("valid");
    let kept = store.snapshot().expect("it is taken");
    let dropped = store.snapshot().expect("it is taken");
    store.write(&batch).expect("valid");
    let between = store.snapshot().expect("it is taken");
    store.delete_namespace("n").expect("valid");

    store.drop_snapshot(between.info().id).expect("the file answers");
    assert_books(&store);
    assert_eq!(count(&store, "SELECT count(*) FROM history"), 10_000);
    store.drop_snapshot(dropped.info().id).expect("the file answers");
    assert_eq!(count(&store, "SELECT count(*) FROM history"), 10_000, "an equal cut needs them");
    store.drop_snapshot(kept.info().id).expect("the file answers");

    assert_books(&store);
    assert_eq!(count(&store, "SELECT count(*) FROM history"), 0);
}

#[test]
fn a_drop_that_was_interrupted_is_finished_by_the_next_one_and_takes_nothing_that_is_needed() {
    let (_folder, store) = store();
    store.set("n", "k", 1).expect("valid");
    let first = store.snapshot().expect("it is taken");
    store.set("n", "k", 2).expect("valid");
    store.change(|changes| history::drop_snapshot(changes, first.info().id)).expect("the file answers");
    assert_eq!(count(&store, "SELECT count(*) FROM unneeded"), 1);

    let second = store.snapshot().expect("it is taken");
    store.set("n", "k", 3).expect("valid");
    store.compact().expect("the file answers");

    assert_books(&store);
    let (n, k) = (Namespace::new("n").expect("short"), Key::new("k").expect("short"));
    assert_eq!(second.get(&n, &k).expect("it stands").expect("it was there").value(), b"\x02");
}

#[test]
fn a_refused_batch_leaves_the_others_of_its_commit() {
    let (_folder, store) = store();
    let missing = Condition::KeyPresent {
        namespace: Namespace::new("n").expect("short"),
        key: Key::new("missing").expect("short"),
    };

    let (first, refused, last) = thread::scope(|scope| {
        let Turn::Lead(lead) = store.shared.line.enter(|| None, None) else { panic!("nobody else writes") };
        let first = scope.spawn(|| store.set("n", "first", 1));
        store.shared.line.await_waiting(1);
        let refused = scope.spawn(|| {
            let (namespace, key) = (Namespace::new("n").expect("short"), Key::new("never").expect("short"));
            let value = Value::from(1);
            let set = Operation::Set { namespace, key, value, expiry: Expiry::Never };
            store.apply(set, Some(missing))
        });
        store.shared.line.await_waiting(2);
        let last = scope.spawn(|| store.set("n", "last", 1));
        store.shared.line.await_waiting(3);
        drop(lead);
        (first.join().expect("it ends"), refused.join().expect("it ends"), last.join().expect("it ends"))
    });

    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    assert_eq!((first, last), (Ok(1), Ok(2)), "both are in one commit, and the refused one took no revision");
    let keys = store.keys(&Namespace::new("n").expect("short"), &Range::default());
    assert_eq!(keys.expect("the file answers"), ["first", "last"]);
}

#[test]
fn compacting_gives_the_room_of_what_is_gone_back() {
    let (folder, store) = store();
    let length = || std::fs::metadata(folder.path().join("state.db")).expect("it is there").len();
    for number in 0..200 {
        store.set("n", &number.to_string(), Value::from(&[number as u8; 100_000][..])).expect("valid");
    }
    store.compact().expect("the file answers");
    let full = length();
    assert!(full > 20_000_000, "{full}");

    store.clear().expect("the file answers");
    store.compact().expect("the file answers");

    assert!(length() < 200_000, "{}", length());
    assert_eq!(count(&store, "SELECT count(*) FROM blob"), 0);
    let log = std::fs::metadata(folder.path().join("state.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0);
}

/// How many pages the log has had at the most.
fn log_pages(folder: &TempDir) -> i64 {
    let length = std::fs::metadata(folder.path().join("state.db-wal")).map_or(0, |log| log.len());
    i64::try_from(length).expect("it is a short file") / (4096 + 24)
}

/// Writes until about so many pages went into the log: one entry in each commit, on pages of its own.
fn fill(store: &Sqlite, pages: i64) {
    for number in 0..pages / 5 {
        store.set("n", &number.to_string(), Value::from(&[number as u8; 16_000][..])).expect("valid");
    }
}

#[test]
fn a_log_that_grew_is_copied_beside_the_writers_and_begun_anew() {
    let (folder, store) = store();
    let length = || std::fs::metadata(folder.path().join("state.db")).expect("it is there").len();

    while log_pages(&folder) < copier::COPIED_PAGES {
        assert!(length() < 200_000, "nothing is copied yet");
        fill(&store, 5);
    }
    store.shared.copier.finish();

    let log = log_pages(&folder);
    assert!(length() > 20_000, "{}", length());
    fill(&store, copier::COPIED_PAGES / 2);
    assert_eq!(log_pages(&folder), log, "what comes next stands at the beginning of the log");
    assert_books(&store);
}

#[test]
fn a_log_that_nobody_else_copies_is_copied_by_a_commit_before_it_is_much_too_long() {
    let (folder, store) = store();
    store.shared.copier.stall(true);

    fill(&store, copier::MOST_PAGES / 2);
    let mut longest = 0;
    for _ in 0..3 * copier::MOST_PAGES / 50 {
        fill(&store, 50);
        longest = log_pages(&folder).max(longest);
    }

    store.shared.copier.stall(false);
    assert!((copier::MOST_PAGES * 3 / 4..copier::MOST_PAGES * 5 / 4).contains(&longest), "{longest}");
    assert_books(&store);
}

#[test]
fn a_log_stays_bounded_beside_readers_that_come_and_go() {
    let (folder, store) = store();
    let (n, k) = (Namespace::new("n").expect("short"), Key::new("0").expect("short"));

    let mut longest = 0;
    for round in 0..1000 {
        let view = store.view().expect("the file answers");
        assert!(view.get(&n, &k).expect("the file answers").is_some() || round == 0);
        fill(&store, 50);
        drop(view);
        store.set("n", "round", round).expect("valid");
        longest = log_pages(&folder).max(longest);
    }

    assert!(longest < copier::MOST_PAGES * 5 / 4, "{longest}");
    assert_books(&store);
}

#[test]
fn a_view_that_stays_keeps_its_moment_while_the_log_is_copied() {
    let (folder, store) = store();
    store.set("n", "0", 1).expect("valid");
    let (n, k) = (Namespace::new("n").expect("short"), Key::new("0").expect("short"));

    let view = store.view().expect("the file answers");
    let seen = || view.get(&n, &k).expect("the file answers").expect("it is there").value().to_vec();
    assert_eq!(seen(), b"\x01");
    fill(&store, 2 * copier::MOST_PAGES);
    store.shared.copier.finish();
    assert_eq!(seen(), b"\x01");
    assert!(log_pages(&folder) > copier::MOST_PAGES, "the log is read, so it cannot be begun anew");

    drop(view);
    store.shared.copier.copy().expect("nobody is in the way");
    let log = log_pages(&folder);
    fill(&store, copier::COPIED_PAGES / 2);
    assert!(log_pages(&folder) < log, "it was begun anew, and so cut back");
    assert_books(&store);
}

#[test]
fn a_store_that_closes_while_its_log_is_copied_leaves_the_file_alone() {
    for _ in 0..5 {
        let (folder, store) = store();

        fill(&store, copier::COPIED_PAGES + 10);
        store.close().expect("it is this process'");

        let names = std::fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(names, 1, "SQLite removes the log with the last connection");
        let again = Sqlite::open(&folder.path().join("state.db"), SqliteOptions::default()).expect("it is a store");
        assert_books(&again);
    }
}

#[test]
fn a_handle_that_is_dropped_while_the_log_is_copied_leaves_the_file_alone() {
    let (folder, store) = store();

    fill(&store, copier::COPIED_PAGES + 10);
    drop(store);

    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
}

/// Every statement on tables that grow, and the plan's lines that are not a search on a key.
#[test]
fn every_statement_searches_by_a_key() {
    let (_folder, store) = store();
    let allowed = [
        // These mean the whole table.
        (sql::SNAPSHOTS, "SCAN snapshot"),
        (sql::SNAPSHOTS_BEYOND, "SCAN snapshot"),
        (sql::UNNEEDED, "SCAN unneeded"),
        (sql::REMOVE_EMPTY_SPACES, "SCAN namespace USING COVERING INDEX namespace_empty"),
        (sql::ARCHIVE_ENTRIES, "SCAN entry"),
        (sql::REMOVE_BLOBS, "SCAN entry"),
        // These sort what changed, and are as long as that.
        (sql::CHANGED, "USE TEMP B-TREE FOR GROUP BY"),
        (sql::DIFF, "USE TEMP B-TREE FOR GROUP BY"),
        (sql::DIFF, "SCAN changed"),
        (sql::CHANGED_SPACES, "USE TEMP B-TREE FOR GROUP BY"),
    ];

    for statement in sql::ALL {
        let plan: Result<Vec<String>> = store.read(|link, _| {
            let mut explained = link.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
            let (mut rows, mut lines) = (explained.raw_query(), Vec::new());
            while let Some(row) = rows.next()? {
                lines.push(row.get(3)?);
            }
            Ok(lines)
        });
        for line in plan.expect("the statement is right") {
            let walks =
                line.starts_with("SCAN") && !line.starts_with("SCAN meta") && !line.starts_with("SCAN CONSTANT");
            if walks || line.contains("TEMP B-TREE") {
                assert!(allowed.contains(&(statement, &*line)), "{statement}\n{line}");
            }
        }
    }
}
