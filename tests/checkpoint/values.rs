//! Large values come back byte for byte, take little room while they change little, and leave nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use swarmstate::checkpoint::{Origin, Place, Threads, Version};
use swarmstate::{Error, Store, StoreExt};

use crate::given::{ROOT, checkpoint, on_every_engine, read, values};
use crate::marks::{keys, named_chunks};

/// Text that does not repeat itself.
fn text(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b' ' + u8::try_from((state >> 33) % 90).expect("below 90")
    };
    (0..length).map(|_| next()).collect()
}

/// Puts a value as checkpoint `number` that follows `parent`.
fn put(threads: &Threads, number: usize, parent: Option<usize>, value: &[u8]) {
    let (id, version) = (format!("{number:05}"), format!("{number}"));
    let parent = parent.map(|parent| format!("{parent:05}"));
    let mut new = checkpoint(&id, &[("a", Version::Text(&version), Some(value))]);
    new.parent_id = parent.as_deref();
    threads.put(ROOT, &new).expect("it is put");
}

fn assert_reads(threads: &Threads, number: usize, value: &[u8]) {
    let saved = read(threads, ROOT, Some(&format!("{number:05}")));
    let found = values(&saved.contents().expect("it can be read"));
    assert!(found == [("a", value.to_vec())], "checkpoint {number} holds other bytes");
}

#[test]
fn a_value_that_grows_takes_what_is_new_and_comes_back_byte_for_byte() {
    on_every_engine(|store, threads| {
        let whole = text(400 * 1000, 1);
        for number in 0..1000 {
            put(&threads, number, number.checked_sub(1), &whole[..400 * (number + 1)]);
        }

        for number in [0, 9, 10, 11, 99, 500, 999] {
            assert_reads(&threads, number, &whole[..400 * (number + 1)]);
        }
        let stored = store.usage().expect("it can be read").size_bytes;
        assert!(stored < 2_000_000, "200 MB of versions take {stored} bytes");
        assert_eq!(keys(&**store, "thread", "chunk:"), named_chunks(&**store, "thread"));
    });
}

#[test]
fn another_saver_on_the_store_goes_on_as_sparingly() {
    on_every_engine(|store, threads| {
        let whole = text(100_000, 2);
        put(&threads, 0, None, &whole[..50_000]);
        put(&threads, 1, Some(0), &whole[..60_000]);
        put(&threads, 2, Some(1), &whole[..61_000]);
        let before = store.usage().expect("it can be read").size_bytes;

        put(&Threads::new(store.clone()), 3, Some(2), &whole[..62_000]);

        let after = store.usage().expect("it can be read").size_bytes;
        assert!(after - before < 20_000, "1,000 new bytes took {}", after - before);
        assert_reads(&threads, 3, &whole[..62_000]);
    });
}

#[test]
fn a_value_that_is_short_or_new_is_stored_whole() {
    on_every_engine(|store, threads| {
        let long = text(20_000, 3);
        put(&threads, 0, None, &long);
        put(&threads, 1, None, &long);
        put(&threads, 2, Some(1), &text(20_000, 4));
        put(&threads, 3, Some(2), &text(4096, 5));
        put(&threads, 4, Some(3), &text(4096, 5));

        assert!(keys(&**store, "thread", "chunk:").is_empty());
        assert_reads(&threads, 1, &long);
        assert_reads(&threads, 4, &text(4096, 5));
    });
}

#[test]
fn what_pruning_leaves_is_what_the_latest_names() {
    on_every_engine(|store, threads| {
        let whole = text(200_000, 6);
        for number in 0..50 {
            put(&threads, number, number.checked_sub(1), &whole[..4_000 * (number + 1)]);
        }
        let before = store.usage().expect("it can be read");

        threads.prune("thread", 1).expect("it is pruned");

        assert_reads(&threads, 49, &whole);
        assert_eq!(keys(&**store, "thread", "chunk:"), named_chunks(&**store, "thread"));
        let after = store.usage().expect("it can be read");
        assert!(after.entries < before.entries / 2 && after.size_bytes < 220_000, "{before:?} became {after:?}");
    });
}

#[test]
fn a_copied_thread_shares_what_comes_after_too() {
    on_every_engine(|store, threads| {
        let whole = text(100_000, 7);
        put(&threads, 0, None, &whole[..80_000]);
        put(&threads, 1, Some(0), &whole[..81_000]);
        threads.copy("thread", "copy").expect("it is copied");
        let chunks = keys(&**store, "copy", "chunk:").len();

        let mut new = checkpoint("00002", &[("a", Version::Text("2"), Some(&whole[..82_000]))]);
        new.parent_id = Some("00001");
        threads.put(Place { thread_id: "copy", ..ROOT }, &new).expect("it is put");

        assert!(keys(&**store, "copy", "chunk:").len() - chunks < 6);
        let saved = read(&threads, Place { thread_id: "copy", ..ROOT }, None);
        assert_eq!(values(&saved.contents().expect("it can be read")), [("a", whole[..82_000].to_vec())]);
    });
}

#[test]
fn a_chunk_that_is_not_what_was_stored_is_corrupt_and_takes_no_other_checkpoint_with_it() {
    on_every_engine(|store, threads| {
        let whole = text(100_000, 8);
        put(&threads, 0, None, &whole[..80_000]);
        put(&threads, 1, Some(0), &whole[..90_000]);
        for key in keys(&**store, "thread", "chunk:") {
            let namespace = "\u{1f}thread:thread\0";
            let snapshot = store.snapshot().expect("it is taken");
            for damage in [&b"other bytes"[..], b""] {
                store.set(namespace, &key, damage).expect("it is written");
                assert_corrupt(&threads);
            }
            store.set(namespace, &key, "no bytes").expect("it is written");
            assert_corrupt(&threads);
            store.delete(namespace, &key).expect("it is written");
            assert_corrupt(&threads);
            assert_reads(&threads, 0, &whole[..80_000]);

            put(&threads, 2, Some(1), &whole);
            assert_reads(&threads, 0, &whole[..80_000]);
            store.restore(&*snapshot).expect("it is restored");
        }
        assert_reads(&threads, 1, &whole[..90_000]);
    });
}

fn assert_corrupt(threads: &Threads) {
    let found = threads.get(ROOT, Some("00001")).and_then(|saved| saved.expect("it is there").contents().map(drop));
    let Err(Error::Corrupt { what }) = found else { panic!("{found:?} is not a corrupt value") };
    assert!(["\"00001\"", "\"thread\"", "channel \"a\""].iter().all(|fact| what.contains(fact)), "{what}");
}

/// One put of a history: which checkpoint it follows, and what becomes of that one's value.
#[derive(Clone, Debug)]
struct Step {
    parent: usize,
    at: usize,
    removed: usize,
    added: Vec<u8>,
    run: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let added =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..2000), (0..9000_usize).prop_map(|length| vec![7; length])];
    (any::<usize>(), any::<usize>(), 0..1500_usize, added, 0..3_u8).prop_map(|(parent, at, removed, added, run)| Step {
        parent,
        at,
        removed,
        added,
        run,
    })
}

fn come_back_and_are_swept_to_the_chunk(store: &Arc<dyn Store>, threads: &Threads, start: &[u8], steps: &[Step]) {
    let mut history = vec![start.to_vec()];
    put(threads, 0, None, &history[0]);
    let mut runs = BTreeMap::from([(0, "start".to_owned())]);
    for (number, step) in (1..).zip(steps) {
        let parent = step.parent % history.len();
        let mut value = history[parent].clone();
        let at = step.at % (value.len() + 1);
        value.splice(at..(at + step.removed).min(value.len()), step.added.iter().copied());
        let (id, version, parent_id) = (format!("{number:05}"), format!("{number}"), format!("{parent:05}"));
        let run_id = format!("run {}", step.run);
        let mut new = checkpoint(&id, &[("a", Version::Text(&version), Some(&value))]);
        new.parent_id = Some(&parent_id);
        new.origin = Origin { run_id: Some(&run_id), ..Origin::default() };
        threads.put(ROOT, &new).expect("it is put");
        history.push(value);
        runs.insert(number, run_id);
    }

    for (number, value) in history.iter().enumerate() {
        assert_reads(threads, number, value);
    }
    threads.delete_runs(&["run 1"]).expect("they are deleted");
    for (number, value) in history.iter().enumerate().filter(|(number, _)| runs[number] != "run 1") {
        assert_reads(threads, number, value);
    }
    assert_eq!(keys(&**store, "thread", "chunk:"), named_chunks(&**store, "thread"));
    assert_eq!(keys(&**store, "thread", "value:").len(), runs.values().filter(|run| *run != "run 1").count());
    threads.prune("thread", 2).expect("it is pruned");
    let left: Vec<usize> = runs.iter().filter(|(_, run)| *run != "run 1").map(|(number, _)| *number).collect();
    for number in left.iter().rev().take(2) {
        assert_reads(threads, *number, &history[*number]);
    }
    assert_eq!(keys(&**store, "thread", "chunk:"), named_chunks(&**store, "thread"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn histories_with_branches_come_back_and_are_swept_to_the_chunk(
        start in prop::collection::vec(any::<u8>(), 0..40_000),
        steps in prop::collection::vec(step(), 1..25),
    ) {
        on_every_engine(|store, threads| come_back_and_are_swept_to_the_chunk(store, &threads, &start, &steps));
    }
}
