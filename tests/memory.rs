//! What the memory engine promises besides the contract: time at its ends, and what a snapshot costs and shares.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use swarmstate::waiting::Waiting;
use swarmstate::{
    Batch, Clock, Condition, Expiry, Key, Memory, MemoryOptions, Namespace, Operation, Range, Reader, Store, StoreExt,
    Timestamp, Usage,
};

fn store_at(start: Timestamp) -> (Memory, Clock) {
    let clock = Clock::manual(start);
    let options = MemoryOptions { clock: clock.clone(), ..MemoryOptions::default() };
    (Memory::with_options(options).expect("the options are valid"), clock)
}

fn set(of_key: &str, expiry: Expiry) -> Operation<'_> {
    let (namespace, key) = (Namespace::new("n").expect("short"), Key::new(of_key).expect("short"));
    Operation::Set { namespace, key, value: 1.into(), expiry }
}

fn keys(reader: &(impl Reader + ?Sized)) -> Vec<String> {
    reader.keys(&Namespace::new("n").expect("short"), &Range::default()).expect("memory answers")
}

#[test]
fn an_expiry_at_the_end_of_time_is_never() {
    let (store, clock) = store_at(Timestamp::from_millis(i64::MAX - 10));
    store.apply(set("at", Expiry::At(Timestamp::MAX)), None).expect("valid");
    store.apply(set("after", Expiry::After(Duration::from_millis(10))), None).expect("valid");
    store.apply(set("before", Expiry::After(Duration::from_millis(9))), None).expect("valid");

    clock.advance(Duration::from_secs(1));
    store.compact().expect("memory answers");
    store.set("n", "at", 2).expect("valid");

    assert_eq!(keys(&store), ["after", "at"]);
    assert_eq!(store.usage(), Ok(Usage { entries: 2, size_bytes: 2 }));
    assert!(store.delete("n", "at").expect("valid") && store.delete("n", "after").expect("valid"));
    assert_eq!(store.usage(), Ok(Usage::default()));
}

fn tick(clock: &Clock) {
    clock.advance(Duration::from_millis(1));
    thread::yield_now();
}

#[test]
fn a_snapshot_holds_and_compares_the_same_entries_while_time_runs() {
    let (store, clock) = store_at(Timestamp::from_millis(0));
    let empty = store.snapshot().expect("it is taken");
    let names: Vec<String> = (0..1000).map(|number| format!("k{number:03}")).collect();

    for _ in 0..20 {
        for (name, millis) in names.iter().zip(1..) {
            store.apply(set(name, Expiry::After(Duration::from_millis(millis))), None).expect("valid");
        }
        clock.advance(Duration::from_millis(500));
        let start = Barrier::new(2);
        let snapshot = thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                (0..400).for_each(|_| tick(&clock));
            });
            start.wait();
            store.snapshot().expect("it is taken")
        });

        let added = snapshot.diff(&*empty).expect("memory answers").added;
        assert_eq!(added.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), keys(&*snapshot));
        assert_eq!(snapshot.usage().expect("memory answers").entries, keys(&*snapshot).len() as u64);
    }
}

#[test]
fn a_snapshot_reads_right_at_both_ends_of_time() {
    for start in [i64::MIN, i64::MIN / 1000 - 1, i64::MAX / 1000 + 1, i64::MAX - 10] {
        let (store, _) = store_at(Timestamp::from_millis(start));
        store.apply(set("k", Expiry::After(Duration::from_millis(1))), None).expect("valid");

        let snapshot = store.snapshot().expect("it is taken");

        assert_eq!((keys(&*snapshot), snapshot.info().usage.entries), (vec!["k".to_owned()], 1), "{start}");
    }
}

/// A store in which, besides `n/k` and `m/k` that are at 1, so much is due that no write comes to remove those two.
fn store_with_due_entries_that_stay() -> Memory {
    let (store, clock) = store_at(Timestamp::from_millis(0));
    for number in 0..1000 {
        store.set_for("due", &format!("{number}"), number, Duration::from_millis(1)).expect("valid");
    }
    for name in ["m", "n"] {
        store.set_for(name, "k", 1, Duration::from_millis(2)).expect("valid");
    }
    clock.advance(Duration::from_millis(2));
    store
}

#[test]
fn a_write_on_an_expired_key_that_is_still_stored_is_a_first_write() {
    let store = store_with_due_entries_that_stay();

    store.replace("n", "k", 5, 0).expect("nothing is live");
    assert_eq!(store.increment("m", "k", 7), Ok(7));

    let entries = store.entries(&Namespace::new("n").expect("short"), &Range::default()).expect("memory answers");
    assert_eq!(entries[0].created_at(), entries[0].updated_at());
    assert_eq!(store.usage(), Ok(Usage { entries: 2, size_bytes: 2 }));
    assert!(!store.delete("due", "999").expect("valid") && !store.delete_namespace("due").expect("valid"));
}

#[test]
fn a_namespace_whose_entries_are_expired_and_still_stored_does_not_exist() {
    let store = store_with_due_entries_that_stay();
    store.set("source", "a", 1).expect("valid");
    store.set("source", "b", 2).expect("valid");

    assert!(!store.copy_namespace("m", "other").expect("it holds nothing"));
    assert!(store.copy_namespace("source", "n").expect("it holds nothing"));

    let absent = Condition::NamespaceAt { namespace: Namespace::new("m").expect("short"), revision: 0 };
    store.apply(set("c", Expiry::Never), Some(absent)).expect("nothing is live");
    assert_eq!(keys(&store), ["a", "b", "c"]);
    assert_eq!(store.namespaces(&Range::default()), Ok(vec!["n".to_owned(), "source".to_owned()]));
    assert_eq!(store.usage(), Ok(Usage { entries: 5, size_bytes: 5 }));
    store.compact().expect("memory answers");
    assert_eq!((keys(&store).len(), store.usage()), (3, Ok(Usage { entries: 5, size_bytes: 5 })));
}

#[test]
fn long_batches_and_pages_run_as_the_caller_waits_and_short_ones_do_not() {
    static WAITS: AtomicUsize = AtomicUsize::new(0);
    let waiting = Waiting::around(|work| {
        WAITS.fetch_add(1, Ordering::SeqCst);
        work();
    });
    let store = Memory::new().with_waiting(waiting);
    let names: Vec<String> = (0..5_001).map(|number| format!("k{number}")).collect();
    let batch = |count: usize| {
        let operations = names[..count].iter().map(|name| set(name, Expiry::Never)).collect();
        Batch::from_parts(operations, Vec::new())
    };
    let waits_of = |work: &dyn Fn()| {
        let before = WAITS.load(Ordering::SeqCst);
        work();
        WAITS.load(Ordering::SeqCst) - before
    };

    assert_eq!(waits_of(&|| drop(store.write(&batch(5_000)).expect("valid"))), 0);
    assert_eq!(waits_of(&|| assert_eq!(keys(&*store).len(), 5_000)), 0);
    assert_eq!(waits_of(&|| drop(store.write(&batch(5_001)).expect("valid"))), 1);
    assert_eq!(waits_of(&|| assert_eq!(keys(&*store).len(), 5_001)), 1);
    let page = Range::default().limit(5_000);
    let namespace = Namespace::new("n").expect("short");
    assert_eq!(waits_of(&|| assert_eq!(store.keys(&namespace, &page).expect("memory answers").len(), 5_000)), 0);
}
