//! Copies between stores, in batches that any engine takes.

use std::time::Duration;

use swarmstate::transfer::{copy, fork};
use swarmstate::{
    Clock, Error, Key, Kind, Memory, MemoryOptions, Namespace, Range, Reader, Store, StoreExt, Timestamp, Usage, Value,
};

fn store_at(clock: &Clock) -> Memory {
    let options = MemoryOptions { clock: clock.clone(), ..MemoryOptions::default() };
    Memory::with_options(options).expect("the options are valid")
}

/// The progress that a copy of `source` told.
fn progress_of(source: &dyn Reader, target: &dyn Store) -> Vec<(u64, u64)> {
    let mut told = Vec::new();
    let copied = copy(source, target, |done, total| {
        told.push((done, total));
        Ok::<(), Error>(())
    });
    assert_eq!(copied.ok(), Some(told.last().map_or(0, |(done, _)| *done)));
    told
}

#[test]
fn a_copy_keeps_values_kinds_and_expiries() {
    let clock = Clock::manual(Timestamp::from_millis(0));
    let (source, target) = (store_at(&clock), store_at(&clock));
    source.set_for("n", "goes", 1, Duration::from_millis(5)).expect("valid");
    source.set("n", "text", "t").expect("valid");
    source.set("m", "json", Value::borrowed(Kind::Json, b"\x90")).expect("valid");

    assert_eq!(progress_of(&source, &target), [(1, 3), (3, 3)]);

    for (name, of_key) in [("n", "goes"), ("n", "text"), ("m", "json")] {
        let (namespace, key) = (Namespace::new(name).expect("short"), Key::new(of_key).expect("short"));
        let [from, to] = [&source, &target].map(|store| store.get(&namespace, &key).expect("answers").expect("live"));
        assert_eq!((from.value(), from.kind(), from.expires_at()), (to.value(), to.kind(), to.expires_at()));
    }
}

#[test]
fn a_copy_goes_in_batches_of_at_most_a_thousand_entries_and_eight_mebibytes() {
    let (source, target) = (Memory::new(), Memory::new());
    for number in 0..1001 {
        source.set("many", &format!("k{number}"), number).expect("valid");
    }
    for number in 0..5 {
        source.set("large", &format!("k{number}"), &*"x".repeat(3 << 20)).expect("valid");
    }

    assert_eq!(progress_of(&source, &target), [(3, 1006), (5, 1006), (1005, 1006), (1006, 1006)]);
    assert_eq!(target.usage(), source.usage());
}

#[test]
fn a_copy_onto_a_namespace_that_lives_writes_nothing() {
    let (source, target) = (Memory::new(), Memory::new());
    source.set("a", "k", 1).expect("valid");
    source.set("z", "k", 1).expect("valid");
    target.set("z", "other", 2).expect("valid");

    let refused = copy(&source, &target, |_, _| Ok::<(), Error>(()));

    assert!(matches!(refused, Err(Error::Conflict(conflict)) if conflict.namespace == "z"));
    assert_eq!(target.namespaces(&Range::default()), Ok(vec!["z".to_owned()]));
    assert_eq!(target.usage(), Ok(Usage { entries: 1, size_bytes: 1 }));
}

#[test]
fn a_fork_goes_by_its_own_bound_and_by_the_clock_of_its_origin() {
    let clock = Clock::manual(Timestamp::from_millis(0));
    let origin = store_at(&clock);
    origin.set_for("n", "k", 1, Duration::from_millis(1)).expect("valid");

    let fork = fork(&*origin.snapshot().expect("it is taken"), Some(1)).expect("the bound is valid");
    fork.snapshot().expect("it is taken");
    fork.snapshot().expect("it is taken");

    assert_eq!((fork.history().expect("answers").len(), origin.history().expect("answers").len()), (1, 1));
    assert!(fork.contains("n", "k").expect("answers"));
    clock.advance(Duration::from_millis(1));
    assert!(!fork.contains("n", "k").expect("answers"));
}
