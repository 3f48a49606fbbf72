//! What only the inside of the engine shows: what is stored although nobody can read it.

use std::time::Duration;

use super::{Memory, MemoryOptions, SWEPT_PER_WRITE};
use crate::clock::{Clock, Timestamp};
use crate::store::{Batch, Reader, Store, StoreExt};

/// A store in which 100 entries are due, 20 of them in the namespace that is due first.
fn store_with_due_entries() -> Memory {
    let clock = Clock::manual(Timestamp::from_millis(0));
    let options = MemoryOptions { clock: clock.clone(), ..MemoryOptions::default() };
    let store = Memory::with_options(options).expect("the options are valid");
    for number in 0..100 {
        let (name, millis) = if number < 20 { ("first", 1) } else { ("second", 2) };
        store.set_for(name, &format!("k{number}"), number, Duration::from_millis(millis)).expect("valid");
    }
    clock.advance(Duration::from_millis(2));
    store
}

fn stored(store: &Memory) -> usize {
    usize::try_from(store.shared.state.read().root.stored_entries()).expect("few")
}

#[test]
fn a_write_removes_a_share_of_what_is_due_and_reading_none() {
    let store = store_with_due_entries();
    assert_eq!((store.usage().expect("memory answers").entries, stored(&store)), (0, 100));

    store.delete("other", "k").expect("valid");
    assert_eq!(stored(&store), 100 - SWEPT_PER_WRITE);
    store.write(&Batch::new()).expect("valid");
    assert_eq!(stored(&store), 100 - 2 * SWEPT_PER_WRITE);
    store.delete("other", "k").expect("valid");
    store.delete("other", "k").expect("valid");
    assert_eq!(stored(&store), 0);
}

#[test]
fn compacting_removes_all_that_is_due() {
    let store = store_with_due_entries();

    store.compact().expect("memory answers");

    assert_eq!(stored(&store), 0);
}

#[test]
fn a_snapshot_holds_nothing_that_is_due() {
    let store = store_with_due_entries();

    store.snapshot().expect("it is taken");

    assert_eq!(stored(&store), 0);
}

#[test]
fn a_root_that_another_holds_is_known_for_shared_until_it_is_the_last() {
    for names in [&["n"][..], &["m", "n"]] {
        let store = Memory::new();
        names.iter().for_each(|name| assert!(store.set(name, "k", 1).is_ok()));
        let root = store.root().expect("memory answers");
        assert!(root.is_shared());

        store.clear().expect("memory answers");

        assert!(!root.is_shared());
    }
}
