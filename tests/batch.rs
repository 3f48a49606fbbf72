//! What a batch refuses before any engine looks at it, at the edge of each limit.

use swarmstate::{Batch, Capabilities, Condition, Error, Expiry, Key, Kind, Namespace, Value};

fn name(text: &str) -> Namespace<'_> {
    Namespace::new(text).expect("short")
}

fn key(text: &str) -> Key<'_> {
    Key::new(text).expect("short")
}

fn sets<'a>(of_keys: &[&'a str]) -> Batch<'a> {
    let mut batch = Batch::new();
    for of_key in of_keys {
        batch.set(name("n"), key(of_key), Value::borrowed(Kind::Json, b"\x91\x01"), Expiry::Never);
    }
    batch
}

#[test]
fn a_batch_takes_as_many_operations_as_the_limit_says() {
    let mut capabilities = Capabilities::memory();
    capabilities.max_batch_operations = 2;

    assert_eq!(sets(&["a", "b"]).check(&capabilities), Ok(()));
    assert!(matches!(sets(&["a", "b", "c"]).check(&capabilities), Err(Error::TooLarge { size: 3, limit: 2, .. })));
}

#[test]
fn a_batch_takes_as_many_bytes_of_names_and_values_as_the_limit_says() {
    let mut capabilities = Capabilities::memory();
    capabilities.max_batch_bytes = 8;

    assert_eq!(sets(&["a", "b"]).check(&capabilities), Ok(()));
    assert!(matches!(sets(&["a", "bb"]).check(&capabilities), Err(Error::TooLarge { size: 9, limit: 8, .. })));
}

#[test]
fn a_value_is_as_large_as_the_limit_says() {
    let mut capabilities = Capabilities::memory();
    capabilities.max_value_bytes = 2;
    assert_eq!(sets(&["a"]).check(&capabilities), Ok(()));

    capabilities.max_value_bytes = 1;
    assert!(matches!(sets(&["a"]).check(&capabilities), Err(Error::TooLarge { size: 2, limit: 1, .. })));
}

#[test]
fn a_condition_on_another_namespace_counts_where_a_batch_holds_one() {
    let mut capabilities = Capabilities::memory();
    capabilities.atomic_across_namespaces = false;
    let mut batch = sets(&["a"]);
    batch.require(Condition::KeyPresent { namespace: name("n"), key: key("b") });
    assert_eq!(batch.check(&capabilities), Ok(()));

    batch.require(Condition::KeyPresent { namespace: name("m"), key: key("b") });

    assert!(matches!(batch.check(&capabilities), Err(Error::Unsupported { .. })));
    assert_eq!(batch.check(&Capabilities::memory()), Ok(()));
}

#[test]
fn the_last_of_several_sets_of_a_key_stays() {
    let mut batch = sets(&["a", "b", "a", "c", "b"]);

    batch.keep_last_sets();

    let left = batch.operations().iter().map(|operation| operation.key().expect("a set").as_str());
    assert_eq!(left.collect::<Vec<_>>(), ["a", "c", "b"]);
    assert_eq!(batch.check(&Capabilities::memory()), Ok(()));
}
