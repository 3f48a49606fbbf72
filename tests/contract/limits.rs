//! What a store refuses for its form or size.

use swarmstate::{Batch, Condition, Error, Expiry, Key, Kind, Namespace, Operation, Prefix, StoreExt, Value};

use crate::engines::Engine;
use crate::given::{address, everything, get, json, write};

fn set(value: Value<'static>) -> Vec<Operation<'static>> {
    let (namespace, key) = address("n", "k");
    vec![Operation::Set { namespace, key, value, expiry: Expiry::Never }]
}

/// An integer is stored in its shortest msgpack form, and a value that is not what its kind says is `Invalid`.
pub(crate) fn an_integer_is_stored_in_its_shortest_form(engine: &Engine) {
    let store = engine.store();
    for (integer, shortest) in [
        (0, &b"\x00"[..]),
        (127, b"\x7f"),
        (128, b"\xcc\x80"),
        (-32, b"\xe0"),
        (-33, b"\xd0\xdf"),
        (65_536, b"\xce\x00\x01\x00\x00"),
        (i64::MIN, b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
        (i64::MAX, b"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        store.delete("n", "k").expect("valid");
        store.increment("n", "k", integer).expect("valid");
        assert_eq!(get(&*store, "k").expect("it is live").value(), shortest);
    }
    let standing = everything(&*store);

    for (kind, bytes) in [
        (Kind::Integer, &b"\xcc\x05"[..]),
        (Kind::Integer, b"\xd3\x00\x00\x00\x00\x00\x00\x00\x05"),
        (Kind::Integer, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        (Kind::Integer, b"\x05\x05"),
        (Kind::Integer, b"\xa1x"),
        (Kind::String, b"\xc4\x01x"),
        (Kind::Bytes, b"\xa1x"),
        (Kind::String, b"\xa5x"),
        (Kind::String, b"\xa1xy"),
        (Kind::Bytes, b"\xc4\x02x"),
        (Kind::Json, b""),
        (Kind::String, b""),
    ] {
        let refused = write(&*store, set(Value::shared(kind, bytes.to_vec())));
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{kind} {bytes:?}: {refused:?}");
    }
    assert_eq!(everything(&*store), standing);
}

/// A name above the limit is `Invalid`, and a value or a batch above a limit in `Capabilities` is `TooLarge`.
pub(crate) fn what_is_above_a_limit_is_refused(engine: &Engine) {
    let store = engine.store();
    let capabilities = store.capabilities();
    let (longest, too_long) = ("é".repeat(2048), "é".repeat(2048) + "x");
    assert_eq!((longest.len(), capabilities.max_name_bytes), (4096, 4096));
    store.set(&longest, &longest, 1).expect("the names are within the limit");
    assert!(store.contains(&longest, &longest).expect("the engine answers"));
    assert!(matches!(Namespace::new(&*too_long), Err(Error::Invalid { .. })));
    assert!(matches!(Key::new(&*too_long), Err(Error::Invalid { .. })));
    assert!(matches!(Prefix::new(&*too_long), Err(Error::Invalid { .. })));
    let standing = everything(&*store);

    let mut bytes = vec![0xc6];
    bytes.extend_from_slice(&u32::try_from(capabilities.max_value_bytes).expect("256 MiB").to_be_bytes());
    bytes.resize(usize::try_from(capabilities.max_value_bytes).expect("256 MiB") + 5, 0);
    let refused = write(&*store, set(Value::shared(Kind::Bytes, bytes)));
    assert!(
        matches!(refused, Err(Error::TooLarge { limit, .. }) if limit == capabilities.max_value_bytes),
        "{refused:?}"
    );

    let mut batch = Batch::new();
    for _ in 0..=capabilities.max_batch_operations {
        let (namespace, key) = address("n", "k");
        batch.set(namespace, key, Value::borrowed(Kind::Json, b"\xc0"), Expiry::Never);
    }
    assert!(matches!(store.write(&batch), Err(Error::TooLarge { .. })));
    let (namespace, key) = address("n", "k");
    let conditions = vec![Condition::KeyAbsent { namespace, key }; capabilities.max_batch_operations + 1];
    let refused = store.write(&Batch::from_parts(Vec::new(), conditions));
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");

    let operations = (0..1000).map(|number| {
        let key = Key::new(format!("k{number}")).expect("short");
        Operation::Set { namespace: crate::given::namespace("n"), key, value: large(), expiry: Expiry::Never }
    });
    let limit = capabilities.max_batch_bytes;
    let needed = usize::try_from(limit / LARGE_BYTES).expect("few") + 1;
    let batch = Batch::from_parts(operations.take(needed).collect(), Vec::new());
    let refused = store.write(&batch);
    assert!(matches!(refused, Err(Error::TooLarge { limit: told, .. }) if told == limit), "{refused:?}");

    let (namespace, key) = address("n", "k");
    let operation = Operation::Set { namespace, key, value: json(1), expiry: Expiry::After(std::time::Duration::MAX) };
    assert!(matches!(store.apply(operation, None::<Condition<'_>>), Err(Error::Invalid { .. })));
    assert_eq!(everything(&*store), standing);
}

const LARGE_BYTES: u64 = 8 * 1024 * 1024;

/// A value of eight mebibytes and its head; clones share one allocation.
fn large() -> Value<'static> {
    static LARGE: std::sync::OnceLock<Value<'static>> = std::sync::OnceLock::new();
    let make = || {
        let mut bytes = vec![0xc6, 0, 0x80, 0, 0];
        bytes.resize(usize::try_from(LARGE_BYTES).expect("8 MiB") + 5, 7);
        Value::shared(Kind::Bytes, bytes)
    };
    LARGE.get_or_init(make).clone()
}
