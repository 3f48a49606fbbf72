//! What is put comes back, in order, whatever its names are.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use swarmstate::checkpoint::{Place, Query, Retention, Seen, Task, Threads, Version, Wanted};
use swarmstate::store::Range;
use swarmstate::{Error, Namespace, Prefix, StoreExt};

use crate::given::{ROOT, TASK, checkpoint, ids, on_every_engine, read, typed, values, write, written};
use crate::meeting::Meeting;

#[test]
fn a_checkpoint_comes_back_as_it_was_put() {
    on_every_engine(|_, threads| {
        let mut new = checkpoint("2", &[("a", Version::Text("7"), Some(b"seven")), ("b", Version::Integer(1), None)]);
        new.parent_id = Some("1");

        threads.put(ROOT, &new).expect("it is put");

        let saved = read(&threads, ROOT, Some("2"));
        let contents = saved.contents().expect("it can be read");
        assert_eq!(contents.parent_id.as_deref(), Some("1"));
        assert_eq!((contents.checkpoint.bytes, contents.metadata.bytes), (&b"checkpoint"[..], &b"metadata"[..]));
        assert_eq!(contents.versions, new.versions);
        assert_eq!(values(&contents), [("a", b"seven".to_vec())]);
        assert_eq!(contents.writes, []);
    });
}

#[test]
fn what_nodes_have_seen_comes_back_and_stands_in_the_whole_checkpoint() {
    on_every_engine(|_, threads| {
        let version = "00000000000000000000000000000007.00000000000000ff";
        let id = "1ef4f797-8335-6428-8001-8a1503f9b875";
        let mut new = checkpoint(id, &[("a", Version::Text(version), None)]);
        new.parent_id = Some("1ef4f797-8335-6428-8001-8a1503f9b874");
        // The list of 4 and "now".
        new.checkpoint = typed(b"\x92\x04\xa3now");
        let mut seen = Seen::default();
        seen.add_node("plan");
        seen.add_channel("a", Version::Text(version));
        seen.add_node("idle");
        seen.add_node("search");
        seen.add_channel("gone", Version::Integer(-1));
        new.seen = Some(seen);

        threads.put(ROOT, &new).expect("it is put");

        let saved = read(&threads, ROOT, None);
        let contents = saved.contents().expect("it can be read");
        assert_eq!(contents.parent_id.as_deref(), new.parent_id);
        let seen = contents.seen.expect("it was put");
        let [("plan", [("a", Version::Made(made))]), ("idle", []), ("search", [("gone", Version::Integer(-1))])] =
            seen.iter().collect::<Vec<_>>()[..]
        else {
            panic!("{seen:?}")
        };
        assert_eq!(made.text().as_str(), version);
        let (form, whole) = saved.address().checkpoint(1000).expect("it can be read");
        let kept = saved.address().checkpoint(100).expect("it can be read");
        assert_eq!(kept.1, contents.checkpoint.bytes);
        let whole = rmpv::decode::read_value(&mut &*whole).expect("it is msgpack").to_string();
        let seen = format!(r#"{{"plan": {{"a": "{version}"}}, "idle": {{}}, "search": {{"gone": -1}}}}"#);
        let wanted = format!(r#"{{"v": 4, "ts": "now", "id": "{id}", "versions_seen": {seen}}}"#);
        assert_eq!((form, whole), ("msgpack", wanted));
    });
}

#[test]
fn without_an_id_the_greatest_is_read() {
    on_every_engine(|_, threads| {
        for id in ["2", "10", "1", "20"] {
            threads.put(ROOT, &checkpoint(id, &[])).expect("it is put");
        }
        threads.put(Place { checkpoint_ns: "inner", ..ROOT }, &checkpoint("9", &[])).expect("it is put");

        assert_eq!(read(&threads, ROOT, None).address().checkpoint_id, "20");
        assert!(threads.get(Place { thread_id: "other", ..ROOT }, None).expect("it can be read").is_none());
    });
}

#[test]
fn versions_of_another_type_are_other_versions() {
    on_every_engine(|_, threads| {
        let versions = [Version::Integer(1), Version::Float(1.0), Version::Text("1"), Version::Integer(-1)];
        for (at, version) in versions.into_iter().enumerate() {
            let (id, value) = (format!("{at}"), [at as u8]);
            threads.put(ROOT, &checkpoint(&id, &[("a", version, Some(&value))])).expect("it is put");
        }

        for (at, version) in versions.into_iter().enumerate() {
            let saved = read(&threads, ROOT, Some(&format!("{at}")));
            let contents = saved.contents().expect("it can be read");
            assert_eq!(contents.versions, [("a", version)]);
            assert_eq!(values(&contents), [("a", vec![at as u8])]);
        }
    });
}

#[test]
fn the_zeros_of_both_signs_are_one_version() {
    on_every_engine(|_, threads| {
        threads.put(ROOT, &checkpoint("1", &[("a", Version::Float(0.0), Some(b"zero"))])).expect("it is put");
        let mut later = checkpoint("2", &[("a", Version::Float(-0.0), None)]);
        later.values.clear();
        threads.put(ROOT, &later).expect("it is put");

        let saved = read(&threads, ROOT, Some("2"));
        assert_eq!(values(&saved.contents().expect("it can be read")), [("a", b"zero".to_vec())]);
    });
}

#[test]
fn writes_come_by_path_task_and_number() {
    on_every_engine(|_, threads| {
        let numbered: Vec<_> = (0..12).map(|index| write(index, b"x")).collect();
        threads.put_writes(ROOT, "1", Task { id: "b", path: "1" }, &numbered).expect("they are put");
        threads.put_writes(ROOT, "1", Task { id: "c", path: "0" }, &[write(0, b"x")]).expect("they are put");
        threads
            .put_writes(ROOT, "1", Task { id: "a", path: "1" }, &[write(-1, b"x"), write(0, b"x")])
            .expect("they are put");
        threads.put(ROOT, &checkpoint("1", &[])).expect("it is put");

        let saved = read(&threads, ROOT, None);
        let found = written(&saved.contents().expect("it can be read"));
        let order: Vec<_> = found.iter().map(|(task, index, _)| (task.as_str(), *index)).collect();
        let first = [("c", 0), ("a", -1), ("a", 0)];
        assert_eq!(order, first.into_iter().chain((0..12).map(|index| ("b", index))).collect::<Vec<_>>());
    });
}

#[test]
fn the_first_write_of_an_index_stays_and_the_last_special_one() {
    on_every_engine(|_, threads| {
        threads.put(ROOT, &checkpoint("1", &[])).expect("it is put");
        threads
            .put_writes(
                ROOT,
                "1",
                TASK,
                &[write(0, b"first"), write(0, b"again"), write(-4, b"one"), write(-4, b"two")],
            )
            .expect("they are put");
        threads
            .put_writes(ROOT, "1", TASK, &[write(0, b"second"), write(0, b"third"), write(-4, b"three")])
            .expect("they are put");
        threads.put_writes(ROOT, "1", TASK, &[]).expect("nothing is put");

        let saved = read(&threads, ROOT, None);
        let found = written(&saved.contents().expect("it can be read"));
        let task = || "task".to_owned();
        assert_eq!(found, [(task(), -4, b"three".to_vec()), (task(), 0, b"first".to_vec())]);
    });
}

#[test]
fn names_hold_any_characters_and_never_meet() {
    on_every_engine(|_, threads| {
        let names = [
            "",
            "\0",
            "\u{1}",
            "\u{1}\u{1}",
            "\u{1f}",
            ":",
            "a",
            "a\0",
            "a\0b",
            "a:b",
            "🐝",
            "\u{10ffff}",
            "\u{10ffff}\0",
        ];
        for name in names {
            let place = Place { thread_id: name, checkpoint_ns: name };
            let new = checkpoint(name, &[(name, Version::Text(name), Some(name.as_bytes()))]);
            threads.put(place, &new).expect("it is put");
            threads
                .put_writes(place, name, Task { id: name, path: name }, &[write(0, name.as_bytes())])
                .expect("it is put");
        }

        for name in names {
            let place = Place { thread_id: name, checkpoint_ns: name };
            let saved = read(&threads, place, None);
            let contents = saved.contents().expect("it can be read");
            assert_eq!(saved.address().checkpoint_id, name);
            assert_eq!(values(&contents), [(name, name.as_bytes().to_vec())]);
            assert_eq!(written(&contents), [(name.to_owned(), 0, name.as_bytes().to_vec())]);
        }
        assert_eq!(ids(&threads, Query::default()).len(), names.len());
    });
}

#[test]
fn a_listing_finds_every_namespace_of_a_thread() {
    on_every_engine(|_, threads| {
        let names = ["", "\0", "\u{1}", "a", "a\0b", "ab", "\u{10ffff}"];
        for checkpoint_ns in names {
            for id in ["1", "\u{10ffff}1", "\u{10ffff}2"] {
                threads.put(Place { checkpoint_ns, ..ROOT }, &checkpoint(id, &[])).expect("it is put");
            }
        }

        let found = ids(&threads, Query { thread_id: Some("thread"), ..Query::default() });
        assert_eq!(found.len(), 3 * names.len());
        let newest: Vec<_> = found.iter().take(names.len()).map(|(_, ns, id)| (ns.as_str(), id.as_str())).collect();
        assert_eq!(newest, names.map(|name| (name, "\u{10ffff}2")));
    });
}

#[test]
fn a_listing_goes_from_the_newest_over_all_threads() {
    on_every_engine(|_, threads| {
        for number in 0..300 {
            let (thread_id, checkpoint_ns) =
                (format!("thread {}", number % 3), if number % 2 == 0 { "" } else { "inner" });
            let place = Place { thread_id: &thread_id, checkpoint_ns };
            threads.put(place, &checkpoint(&format!("{number:03}"), &[])).expect("it is put");
        }

        let all = ids(&threads, Query::default());
        let numbers: Vec<_> = all.iter().map(|(_, _, id)| id.clone()).collect();
        assert_eq!(numbers, (0..300).rev().map(|number| format!("{number:03}")).collect::<Vec<_>>());
        let some =
            Query { thread_id: Some("thread 1"), checkpoint_ns: Some(""), before: Some("016"), ..Query::default() };
        let some: Vec<_> = ids(&threads, some).into_iter().map(|(_, _, id)| id).collect();
        assert_eq!(some, ["010", "004"]);
        let one = Query { checkpoint_id: Some("150"), ..Query::default() };
        assert_eq!(ids(&threads, one), [("thread 0".to_owned(), String::new(), "150".to_owned())]);
        assert_eq!(ids(&threads, Query { before: Some("150"), ..one }), []);
    });
}

#[test]
fn a_listing_of_many_checkpoints_shows_each_once() {
    on_every_engine(|_, threads| {
        let names: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
        for name in &names {
            threads.put(ROOT, &checkpoint(name, &[])).expect("it is put");
        }

        let listed = ids(&threads, Query::default());

        assert!(listed.into_iter().map(|(_, _, id)| id).eq(names.into_iter().rev()));
    });
}

#[test]
fn a_listing_covers_more_threads_than_it_looks_up_at_a_time() {
    on_every_engine(|_, threads| {
        let names: Vec<String> = (0..1001).map(|number| format!("{number:04}")).collect();
        for thread_id in &names {
            threads.put(Place { thread_id, ..ROOT }, &checkpoint("1", &[])).expect("it is put");
        }

        let listed = ids(&threads, Query::default());

        assert!(
            listed.into_iter().map(|(thread_id, ..)| thread_id).eq(names),
            "equal ids come in the order of their threads"
        );
    });
}

#[test]
fn a_listing_of_one_id_shows_no_longer_one() {
    on_every_engine(|_, threads| {
        for id in ["1", "10", "1\0"] {
            threads.put(ROOT, &checkpoint(id, &[])).expect("it is put");
        }

        let listed = ids(&threads, Query { checkpoint_id: Some("1"), ..Query::default() });

        assert_eq!(listed, [("thread".to_owned(), String::new(), "1".to_owned())]);
    });
}

#[test]
fn an_open_listing_does_not_see_later_writes() {
    on_every_engine(|_, threads| {
        for id in ["1", "2", "3"] {
            threads.put(ROOT, &checkpoint(id, &[("a", Version::Integer(1), Some(b"old"))])).expect("it is put");
        }
        let mut listing = threads.list(&Query::default()).expect("it can be listed");

        threads.put(ROOT, &checkpoint("4", &[("a", Version::Integer(1), Some(b"new"))])).expect("it is put");
        threads.delete("thread").expect("it is deleted");

        let mut seen = Vec::new();
        while let Some(found) = listing.next().expect("it can be read") {
            let saved = listing.load(found).expect("it can be read");
            assert_eq!(values(&saved.contents().expect("it can be read")), [("a", b"old".to_vec())]);
            seen.push(saved.address().checkpoint_id.clone());
        }
        assert_eq!(seen, ["3", "2", "1"]);
    });
}

#[test]
fn a_thread_is_deleted_and_copied_whole() {
    on_every_engine(|store, threads| {
        threads.put(ROOT, &checkpoint("1", &[("a", Version::Integer(1), Some(b"value"))])).expect("it is put");
        threads.put_writes(ROOT, "1", TASK, &[write(0, b"write")]).expect("they are put");

        threads.copy("thread", "copy").expect("it is copied");
        threads.copy("thread", "thread").expect("nothing is copied");
        threads.copy("absent", "other").expect("nothing is copied");
        assert!(matches!(threads.copy("thread", "copy"), Err(Error::Conflict(_))));
        threads.delete("thread").expect("it is deleted");

        assert!(threads.get(ROOT, None).expect("it can be read").is_none());
        let saved = read(&threads, Place { thread_id: "copy", ..ROOT }, None);
        let contents = saved.contents().expect("it can be read");
        assert_eq!(values(&contents), [("a", b"value".to_vec())]);
        assert_eq!(written(&contents).len(), 1);
        threads.delete("copy").expect("it is deleted");
        assert_eq!(store.usage().expect("it can be read").entries, 0);
    });
}

#[test]
fn a_put_is_one_batch() {
    on_every_engine(|store, threads| {
        let longest = "x".repeat(5000);
        let new = checkpoint("1", &[("a", Version::Integer(1), Some(b"value")), (&longest, Version::Integer(1), None)]);

        let refused = threads.put(ROOT, &new);

        assert!(matches!(refused, Err(Error::Invalid { .. })));
        assert_eq!(store.usage().expect("it can be read").entries, 0);
    });
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    on_every_engine(|store, threads| {
        let namespace = "\u{1f}thread:thread\0";
        for (prefix, part) in
            [("checkpoint:", "its record"), ("value:", "channel \"a\""), ("write:", "one of its writes")]
        {
            threads.put(ROOT, &checkpoint("7", &[("a", Version::Integer(1), Some(b"value"))])).expect("it is put");
            threads.put_writes(ROOT, "7", TASK, &[write(0, b"write")]).expect("they are put");
            let range = Range::of(Prefix::new(prefix).expect("it is short"));
            let key = store
                .keys(&Namespace::new(namespace).expect("it is short"), &range)
                .expect("it can be listed")
                .remove(0);

            store.set(namespace, &key, "something else").expect("it is written");

            let found = threads.get(ROOT, None).and_then(|saved| saved.expect("it is there").contents().map(drop));
            let Err(Error::Corrupt { what }) = found else { panic!("{found:?} is not a corrupt record") };
            assert!(["\"7\"", "\"thread\"", part].iter().all(|fact| what.contains(fact)), "{what}");
            threads.delete("thread").expect("it is deleted");
        }
    });
}

#[test]
fn what_is_stored_is_plain_msgpack() {
    on_every_engine(|store, threads| {
        threads
            .put(
                ROOT,
                &checkpoint("1", &[("a", Version::Float(0.5), Some(b"value")), ("b", Version::Integer(1), None)]),
            )
            .expect("it is put");
        threads.put_writes(ROOT, "1", TASK, &[write(0, b"write")]).expect("they are put");

        let namespace = Namespace::new("\u{1f}thread:thread\0").expect("it is short");
        let entries = store.entries(&namespace, &Range::default()).expect("it can be listed");

        assert_eq!(entries.len(), 4);
        for entry in entries {
            let mut bytes = entry.value();
            rmpv::decode::read_value(&mut bytes).expect("it is msgpack");
            assert!(bytes.is_empty());
        }
    });
}

#[test]
fn what_concerns_one_thread_takes_a_cut_of_that_one_alone() {
    on_every_engine(|store, _| {
        let counting = Arc::new(Meeting::new(store.clone(), &|_, _| {}));
        let retention = Retention { keep_last: NonZeroUsize::new(1), ..Retention::default() };
        let threads = Threads::with_retention(counting.clone(), retention);

        for id in ["1", "2", "3"] {
            threads.put(ROOT, &checkpoint(id, &[("a", Version::Text(id), Some(b"value"))])).expect("it is put");
        }
        read(&threads, ROOT, None);
        threads.history(ROOT, None, &["a"]).expect("it can be read");
        threads.usage("thread").expect("it can be read");
        threads.list(&Query { thread_id: Some("thread"), ..Query::default() }).expect("it can be listed");
        threads.prune("thread", 1).expect("it is pruned");
        threads.delete_runs(&["run"]).expect("they are deleted");
        threads.copy("thread", "copy").expect("it is copied");

        assert_eq!(counting.whole_cuts.load(Ordering::SeqCst), 0);
        threads.list(&Query::default()).expect("they can be listed");
        assert_eq!(counting.whole_cuts.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn an_overview_looks_up_a_thousand_threads_at_a_time() {
    on_every_engine(|store, threads| {
        let (counting, names) = (Arc::new(Meeting::new(store.clone(), &|_, _| {})), 0..1001);
        for number in names.clone() {
            threads
                .put(Place { thread_id: &format!("{number:04}"), ..ROOT }, &checkpoint("1", &[]))
                .expect("it is put");
        }

        let found = Threads::new(counting.clone()).overview(&Wanted::default()).expect("they can be listed");

        assert!(found.iter().map(|thread| &*thread.thread_id).eq(names.map(|number| format!("{number:04}"))));
        assert!(found.iter().all(|thread| thread.latest.as_deref() == Some("1") && thread.checkpoints == 1));
        assert_eq!(counting.calls.load(Ordering::SeqCst), 5, "names and heads of two pages, and no name behind them");
    });
}
