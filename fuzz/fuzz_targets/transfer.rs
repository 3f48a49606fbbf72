//! Arbitrary bytes as an export, and as JSON: refused with a reason, or taken whole and brought back the same.
//!
//! Run with `cargo fuzz run transfer --sanitizer none -- -max_total_time=60`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use swarmstate::msgpack::{MAX_DEPTH, check, from_json, to_json};
use swarmstate::transfer::{Failure, Format, export, import};
use swarmstate::{Error, Memory, Reader, Store, Usage};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = from_json(bytes, MAX_DEPTH) {
        let mut text = Vec::new();
        assert_eq!(to_json(&value, &mut text, usize::MAX), Ok(true), "what JSON said, JSON holds");
        assert_eq!(from_json(&text, MAX_DEPTH), Ok(value));
    }
    if check(bytes).is_ok() {
        let mut text = Vec::new();
        if to_json(bytes, &mut text, usize::MAX) == Ok(true) {
            assert_eq!(from_json(&text, MAX_DEPTH).as_deref(), Ok(bytes), "what JSON holds, it brings back");
        }
    }
    // As it is, and behind the header of each format, which few random bytes begin with.
    exchange(bytes);
    exchange(&[&b"\x92\xaaswarmstate\x01"[..], bytes].concat());
    exchange(&[&b"{\"format\":\"swarmstate\",\"version\":1}\n"[..], bytes].concat());
});

fn exchange(bytes: &[u8]) {
    let store = Memory::new();
    match import(&mut &*bytes, &store, &mut |_, _| Ok(())) {
        Ok(done) => assert_eq!(store.usage().expect("answers").entries, done.entries),
        Err(Failure::Store(Error::Invalid { what } | Error::TooLarge { what, .. })) => {
            assert!(!what.is_empty());
            assert_eq!(store.usage(), Ok(Usage::default()), "what is refused writes nothing");
            return;
        }
        Err(other) => panic!("{other:?}"),
    }
    for format in [Format::Msgpack, Format::JsonLines] {
        let (mut written, other) = (Vec::new(), Memory::new());
        export(&store, &mut written, format, &mut |_, _| Ok(())).expect("what was imported is well formed");
        import(&mut &*written, &other, &mut |_, _| Ok(())).expect("what was exported is whole");
        let (now, then) = (store.snapshot().expect("it is taken"), other.snapshot().expect("it is taken"));
        assert!(now.diff(&*then).expect("answers").is_empty(), "it comes back the same");
    }
}
