//! A thread goes out of one store and into another by a file, whole or not at all.

use std::sync::Arc;

use proptest::prelude::*;
use swarmstate::checkpoint::{Place, Query, Threads, Version};
use swarmstate::store::{Only, Range, Reader};
use swarmstate::thread_import::import_thread;
use swarmstate::transfer::{Failure, Format, export};
use swarmstate::{Error, Key, Memory, Namespace, Prefix, StoreExt, Usage};

use crate::given::{ROOT, TASK, checkpoint, ids, on_every_engine, read, values, write, written};

/// Puts a thread with a value in chunks, a write that waits, and a second namespace.
fn put_thread(threads: &Threads) {
    let long = vec![7; 20_000];
    let values: [(&str, Version<'_>, Option<&[u8]>); 2] =
        [("long", Version::Integer(1), Some(&long)), ("none", Version::Float(0.5), None)];
    threads.put(ROOT, &checkpoint("1", &values)).expect("it is put");
    threads.put(Place { checkpoint_ns: "inner|x:1", ..ROOT }, &checkpoint("2", &[])).expect("it is put");
    threads.put_writes(ROOT, "1", TASK, &[write(0, b"waits"), write(-1, b"special")]).expect("they are put");
}

fn exported(threads: &Threads, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let records = threads.records(ROOT.thread_id).expect("the thread lives");
    export(&records, &mut out, format, &mut |_, _| Ok(())).expect("a Vec takes every byte");
    out
}

fn imported(mut bytes: &[u8], threads: &Threads, thread_id: Option<&str>) -> Result<String, Failure> {
    import_thread(&mut bytes, threads, thread_id, &mut |_, _| Ok(()))
}

/// Threads of an empty store in memory.
fn in_memory() -> (Arc<Memory>, Threads) {
    let store = Arc::new(Memory::new());
    (store.clone(), Threads::new(store))
}

#[test]
fn a_thread_comes_out_of_a_file_as_it_went_in() {
    on_every_engine(|_, ours| {
        put_thread(&ours);
        for (format, id) in [(Format::Msgpack, "by msgpack"), (Format::JsonLines, "by lines")] {
            let place = Place { thread_id: id, ..ROOT };
            let (_, elsewhere) = in_memory();
            let bytes = exported(&ours, format);

            for theirs in [&elsewhere, &ours] {
                assert_eq!(imported(&bytes, theirs, Some(id)).expect("it is whole"), id);

                let (one, other) = (read(&ours, ROOT, None), read(theirs, place, None));
                let (one, other) = (one.contents().expect("it is sound"), other.contents().expect("it is sound"));
                assert_eq!(values(&one), values(&other));
                assert_eq!(written(&one), written(&other));
                assert_eq!(ids(theirs, Query { thread_id: Some(id), ..Query::default() }).len(), 2);
                assert_eq!(theirs.usage(id), ours.usage(ROOT.thread_id));
            }
        }
    });
}

#[test]
fn a_thread_that_lives_is_never_overwritten() {
    let (store, threads) = in_memory();
    put_thread(&threads);
    let before = store.usage();

    let refused = imported(&exported(&threads, Format::Msgpack), &threads, None);

    assert!(matches!(refused, Err(Failure::Store(Error::Conflict(_)))), "{refused:?}");
    assert_eq!(store.usage(), before);
}

#[test]
fn an_absent_thread_has_no_records() {
    let (_, threads) = in_memory();

    assert!(matches!(threads.records("absent"), Err(Error::NotFound { .. })));
}

#[test]
fn a_reader_of_one_namespace_shows_no_other() {
    let store = Memory::new();
    for namespace in ["a", "ab", "b"] {
        store.set(namespace, "k", namespace).expect("valid");
    }
    let name = |name: &'static str| Namespace::new(name).expect("short");
    let key = || Key::new("k").expect("short");

    let only = Only::new(Arc::new(store), name("ab"));

    let listed = |range: Range<'_>| only.namespaces(&range).expect("answers");
    let behind = |name: &'static str| Range::default().after(Key::new(name).expect("short"));
    assert_eq!(listed(Range::default()), ["ab"]);
    assert_eq!(listed(behind("a")), ["ab"]);
    assert_eq!(listed(behind("b").descending()), ["ab"]);
    assert_eq!(listed(Range::of(Prefix::new("a").expect("short"))), ["ab"]);
    for range in [
        behind("ab"),
        behind("ab").descending(),
        Range::of(Prefix::new("b").expect("short")),
        Range::default().limit(0),
    ] {
        assert_eq!(listed(range), [""; 0]);
    }
    let found = only.get_many(&[(name("a"), key()), (name("ab"), key()), (name("b"), key())]).expect("answers");
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    assert!(only.get(&name("a"), &key()).expect("answers").is_none());
    assert_eq!(only.keys(&name("b"), &Range::default()), Ok(Vec::new()));
    assert_eq!(only.entries(&name("b"), &Range::default()).map(|page| page.len()), Ok(0));
    assert_eq!(only.namespace(&name("a")), Ok(None));
    assert_eq!(only.usage(), Ok(Usage { entries: 1, size_bytes: 3 }));
}

proptest! {
    #[test]
    fn a_file_with_other_bytes_leaves_nothing_or_a_whole_thread(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        lines in any::<bool>(),
    ) {
        let (_, ours) = in_memory();
        put_thread(&ours);
        let mut bytes = exported(&ours, if lines { Format::JsonLines } else { Format::Msgpack });
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (store, theirs) = in_memory();

        match imported(&bytes, &theirs, Some("x")) {
            Ok(_) => prop_assert_eq!(theirs.overview(&Default::default()).expect("answers").len(), 1),
            Err(Failure::Store(Error::Invalid { .. } | Error::TooLarge { .. })) => {
                prop_assert_eq!(store.usage(), Ok(Usage::default()));
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
