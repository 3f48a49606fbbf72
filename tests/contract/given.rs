//! What the cases write and read with.

use std::thread;
use std::time::Duration;

use swarmstate::{
    Batch, Entry, Expiry, Key, Kind, Namespace, Operation, Outcome, Prefix, Range, Reader, Result, Store, StoreExt,
    Value,
};

pub(crate) fn namespace(name: &str) -> Namespace<'_> {
    Namespace::new(name).expect("the name is short")
}

pub(crate) fn key(name: &str) -> Key<'_> {
    Key::new(name).expect("the name is short")
}

pub(crate) fn address<'a>(in_namespace: &'a str, of_key: &'a str) -> (Namespace<'a>, Key<'a>) {
    (namespace(in_namespace), key(of_key))
}

pub(crate) fn prefix(text: &str) -> Range<'_> {
    Range::of(Prefix::new(text).expect("the prefix is short"))
}

pub(crate) fn after(millis: u64) -> Expiry {
    Expiry::After(Duration::from_millis(millis))
}

/// A value of kind `json`: the array of one small integer.
pub(crate) fn json(small: u8) -> Value<'static> {
    assert!(small < 128);
    Value::shared(Kind::Json, vec![0x91, small])
}

/// Reads `n/key`.
pub(crate) fn get(reader: &(impl Reader + ?Sized), of_key: &str) -> Option<Entry> {
    reader.get(&namespace("n"), &key(of_key)).expect("the engine answers")
}

/// The integer that stands under `n/key`.
pub(crate) fn integer(reader: &(impl Reader + ?Sized), of_key: &str) -> Option<i64> {
    get(reader, of_key).map(|entry| swarmstate::msgpack::read_integer(entry.value()).expect("an integer"))
}

/// Writes an integer under `n/key` that goes after `millis`.
pub(crate) fn set_for(store: &dyn Store, of_key: &str, value: i64, millis: u64) -> u64 {
    store.set_for("n", of_key, value, Duration::from_millis(millis)).expect("the write is valid")
}

/// Every key of `n`, in order.
pub(crate) fn keys(reader: &(impl Reader + ?Sized)) -> Vec<String> {
    reader.keys(&namespace("n"), &Range::default()).expect("the engine answers")
}

/// Writes a batch of these operations.
pub(crate) fn write(store: &dyn Store, operations: Vec<Operation<'_>>) -> Result<Vec<Outcome>> {
    store.write(&Batch::from_parts(operations, Vec::new()))
}

/// Everything that can be seen of the entries: address, value, kind, revision, times.
pub(crate) fn everything(reader: &(impl Reader + ?Sized)) -> Vec<String> {
    let mut seen = Vec::new();
    for name in reader.namespaces(&Range::default()).expect("the engine answers") {
        for entry in reader.entries(&namespace(&name), &Range::default()).expect("the engine answers") {
            seen.push(format!(
                "{name} {entry:?} {:?} {:?} {:?}",
                entry.value(),
                entry.created_at(),
                entry.updated_at()
            ));
        }
    }
    seen
}

/// The batch that sets both addresses to the same value.
pub(crate) fn set_both(addresses: [(&'static str, &'static str); 2], value: u8) -> Vec<Operation<'static>> {
    let set = |(in_namespace, of_key)| {
        let (namespace, key) = address(in_namespace, of_key);
        Operation::Set { namespace, key, value: json(value), expiry: Expiry::Never }
    };
    addresses.map(set).into()
}

/// While one thread writes both addresses in one batch, over and over, no reader sees them differ.
pub(crate) fn assert_read_together(store: &dyn Store, addresses: [(&'static str, &'static str); 2]) {
    write(store, set_both(addresses, 0)).expect("valid");
    let pairs = addresses.map(|(in_namespace, of_key)| address(in_namespace, of_key));

    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for value in (0..100).cycle().take(2_000) {
                write(store, set_both(addresses, value)).expect("valid");
            }
        });
        while !writer.is_finished() {
            let found = store.get_many(&pairs).expect("the engine answers");
            let values = found.iter().map(|entry| entry.as_ref().expect("never deleted").value()).collect::<Vec<_>>();
            assert_eq!(values[0], values[1]);
        }
    });
}
