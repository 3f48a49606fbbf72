//! Arbitrary bytes through `check`, `skip` and the walk: no panic, one verdict, and the verdict of an independent reader.
//!
//! Run with `cargo fuzz run msgpack --sanitizer none -- -max_total_time=60`; the code under test is safe Rust, so that no
//! sanitizer is needed and a stable compiler does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rmpv::ValueRef;
use swarmstate::msgpack::{self, Foreign, Item, Malformed, Walk, marker};

type Verdict = Result<Option<Foreign>, Malformed>;

fuzz_target!(|bytes: &[u8]| {
    let verdict = msgpack::check(bytes);
    let end = msgpack::skip(bytes, 0);
    if verdict.is_ok() {
        assert_eq!(end, Ok(bytes.len()), "what is well formed is walked to its end");
        let items = items_of(bytes);
        assert!((1..=bytes.len()).contains(&items), "every item takes a byte");
    }
    if let Some(integer) = msgpack::read_integer(bytes) {
        assert_eq!(msgpack::kind_of(bytes), msgpack::Lead::Integer);
        let mut shortest = Vec::new();
        msgpack::write_integer(&mut shortest, integer);
        assert!(shortest.len() <= bytes.len());
        assert_eq!(msgpack::read_integer(&shortest), Some(integer));
    }
    let lenient = verdict_with_reserved_as_nil(bytes);
    if !is_too_deep(&lenient) {
        assert_eq!(lenient.is_ok(), accepted_by_rmpv(bytes), "{lenient:?}");
    }
});

fn items_of(bytes: &[u8]) -> usize {
    let mut walk = Walk::new(bytes, 0);
    let mut items = 0;
    while let Ok(Some(step)) = walk.advance() {
        items += 1;
        assert!(step.depth <= msgpack::MAX_DEPTH);
        if let Item::Array(count) | Item::Map(count) = step.item {
            assert!(count <= bytes.len() - step.offset, "a count is never above what remains");
        }
    }
    items
}

/// Rmpv takes the reserved marker for nil; judges the value that it then sees.
fn verdict_with_reserved_as_nil(bytes: &[u8]) -> Verdict {
    let mut bytes = bytes.to_vec();
    loop {
        match msgpack::check(&bytes) {
            Err(malformed) if bytes.get(malformed.offset) == Some(&marker::RESERVED) => {
                bytes[malformed.offset] = marker::NIL
            }
            verdict => return verdict,
        }
    }
}

/// Rmpv's limit on nesting lies elsewhere.
fn is_too_deep(verdict: &Verdict) -> bool {
    verdict.is_err_and(|malformed| malformed.what.starts_with("nested deeper"))
}

fn accepted_by_rmpv(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    rmpv::decode::read_value_ref(&mut rest).is_ok_and(|value| rest.is_empty() && is_utf8_throughout(&value))
}

/// Rmpv carries text that is not UTF-8; the format, and `check`, do not.
fn is_utf8_throughout(value: &ValueRef<'_>) -> bool {
    match value {
        ValueRef::String(text) => text.is_str(),
        ValueRef::Array(items) => items.iter().all(is_utf8_throughout),
        ValueRef::Map(pairs) => pairs.iter().all(|(key, value)| is_utf8_throughout(key) && is_utf8_throughout(value)),
        _ => true,
    }
}
