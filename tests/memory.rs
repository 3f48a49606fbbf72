//! What the memory engine promises besides the contract: time at its ends, and what a snapshot costs and shares.

use std::time::Duration;

use swarmstate::{
    Clock, Expiry, Key, Memory, MemoryOptions, Namespace, Operation, Range, Reader, Store, StoreExt, Timestamp, Usage,
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
