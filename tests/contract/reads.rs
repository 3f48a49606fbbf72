//! What every reader keeps to.

use swarmstate::{Key, Operation, Range, StoreExt, Usage};

use crate::engines::Engine;
use crate::given::{
    address, after, assert_read_together, everything, get, integer, key, keys, namespace, prefix, set_for, write,
};

/// `get` answers the entry that the last write left, or `None` where nothing is live.
pub(crate) fn get_answers_what_the_last_write_left(engine: &Engine) {
    let store = engine.store();
    assert!(get(&*store, "k").is_none());
    store.set("n", "k", 1).expect("valid");
    engine.pass(5);

    let revision = store.set("n", "k", "text").expect("valid");

    let entry = get(&*store, "k").expect("it is live");
    assert_eq!((entry.key(), entry.value(), entry.revision()), ("k", &b"\xa4text"[..], revision));
    assert_eq!(entry.updated_at().as_millis() - entry.created_at().as_millis(), 5);
    let pairs = [address("n", "missing"), address("n", "k"), address("missing", "k")];
    let found = store.get_many(&pairs).expect("the engine answers");
    assert_eq!(
        found.iter().map(|entry| entry.as_ref().map(|entry| entry.revision())).collect::<Vec<_>>(),
        [None, Some(revision), None]
    );
}

/// `get` and `get_many` within one namespace see a batch whole or not at all.
pub(crate) fn reads_of_one_namespace_see_a_batch_whole_or_not_at_all(engine: &Engine) {
    assert_read_together(&*engine.store(), [("n", "a"), ("n", "b")]);
}

/// An entry is gone at its `expires_at`, for every read, list and count.
pub(crate) fn an_entry_is_gone_at_its_time_for_every_read(engine: &Engine) {
    let store = engine.store();
    set_for(&*store, "k", 1, 10);
    store.set("n", "stays", 2).expect("valid");
    let expires_at = get(&*store, "k").expect("it is live").expires_at().expect("it goes");
    assert_eq!(expires_at.as_millis() - engine.now().as_millis(), 10);

    engine.pass(9);
    assert_eq!(keys(&*store), ["k", "stays"]);
    engine.pass(1);

    assert!(get(&*store, "k").is_none());
    assert!(store.get_many(&[address("n", "k")]).expect("the engine answers")[0].is_none());
    assert_eq!(keys(&*store), ["stays"]);
    assert_eq!(store.entries(&namespace("n"), &Range::default()).expect("the engine answers").len(), 1);
    assert_eq!(store.usage().expect("the engine answers"), Usage { entries: 1, size_bytes: 1 });
    let info = store.namespace(&namespace("n")).expect("the engine answers").expect("it exists");
    assert_eq!(info.usage, Usage { entries: 1, size_bytes: 1 });
    assert!(!store.contains("n", "k").expect("the engine answers"));
}

/// Names are listed in ascending byte order, or descending where the range says so.
pub(crate) fn names_are_listed_in_byte_order_both_ways(engine: &Engine) {
    let store = engine.store();
    let ascending = ["", "\0", "A", "B", "a", "a\0", "aa", "ab", "b", "é", "日本", "🦀"];
    for name in ["日本", "", "b", "ab", "A", "🦀", "\0", "aa", "a", "é", "a\0", "B"] {
        store.set("n", name, 1).expect("valid");
        store.set(name, "k", 1).expect("valid");
    }

    let mut descending = ascending;
    descending.reverse();
    let backwards = Range::default().descending();
    assert_eq!(keys(&*store), ascending);
    assert_eq!(store.keys(&namespace("n"), &backwards).expect("the engine answers"), descending);
    let entries = store.entries(&namespace("n"), &backwards).expect("the engine answers");
    assert_eq!(entries.iter().map(|entry| entry.key()).collect::<Vec<_>>(), descending);
    let mut namespaces = store.namespaces(&Range::default()).expect("the engine answers");
    namespaces.retain(|name| name != "n");
    assert_eq!(namespaces, ascending);
    let first = store.namespaces(&backwards.limit(1)).expect("the engine answers");
    assert_eq!(first, ["🦀"]);
}

/// A range is by prefix, never by pattern: `%`, `_` and `*` mean themselves, and case counts.
pub(crate) fn a_range_is_by_prefix_and_never_by_pattern(engine: &Engine) {
    let store = engine.store();
    let names = ["user:1", "User:2", "user%", "user_", "user*", "userx", "user", "use", "us", "user:\u{10ffff}"];
    for name in names {
        store.set("n", name, 1).expect("valid");
        store.set(name, "k", 1).expect("valid");
    }

    for text in ["user", "user:", "user%", "user_", "user*", "User", "", "%", "userx1", "user:\u{10ffff}"] {
        let mut expected = names.iter().filter(|name| name.starts_with(text)).copied().collect::<Vec<_>>();
        expected.sort_unstable();
        assert_eq!(store.keys(&namespace("n"), &prefix(text)).expect("the engine answers"), expected, "{text}");
        let mut namespaces = store.namespaces(&prefix(text)).expect("the engine answers");
        namespaces.retain(|name| name != "n");
        assert_eq!(namespaces, expected, "{text}");
    }
}

/// A range that starts after a cursor neither repeats nor skips an entry that stood still.
pub(crate) fn a_cursor_neither_repeats_nor_skips(engine: &Engine) {
    let store = engine.store();
    let names = (0..50).map(|number| format!("k{number:02}")).collect::<Vec<_>>();
    for name in &names {
        store.set("n", name, 1).expect("valid");
    }

    for backwards in [false, true] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        for round in 0.. {
            let mut range = prefix("k").limit(7);
            range.after = cursor.as_deref().map(key);
            let page = store
                .keys(&namespace("n"), &if backwards { range.descending() } else { range })
                .expect("the engine answers");
            let Some(last) = page.last() else { break };
            cursor = Some(last.clone());
            seen.extend(page);
            // What comes and goes meanwhile touches neither what was seen nor what is to come.
            store.set("n", &format!("k{round:02}x"), 1).expect("valid");
            store.delete("n", cursor.as_deref().expect("just set")).expect("valid");
            store.set("n", cursor.as_deref().expect("just set"), 2).expect("valid");
        }
        seen.retain(|name| names.contains(name));
        let mut expected = names.clone();
        if backwards {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }

    let between = prefix("").after(Key::new("k10zzz").expect("short")).limit(1);
    assert_eq!(store.keys(&namespace("n"), &between).expect("the engine answers"), ["k11"]);
}

/// A page holds as many live entries as the limit allows, also where expired ones were left out.
pub(crate) fn a_page_is_full_where_expired_entries_were_left_out(engine: &Engine) {
    let store = engine.store();
    for number in 0..300 {
        match number % 3 {
            0 => drop(store.set("n", &format!("k{number:03}"), 1).expect("valid")),
            _ => drop(set_for(&*store, &format!("k{number:03}"), 1, 10)),
        }
    }
    engine.pass(10);

    let page = store.entries(&namespace("n"), &prefix("k").limit(40)).expect("the engine answers");

    assert_eq!(page.len(), 40);
    assert_eq!(page[39].key(), "k117");
    assert_eq!(store.keys(&namespace("n"), &prefix("k").limit(0)).expect("the engine answers").len(), 0);
}

/// A namespace exists while it holds a live key.
pub(crate) fn a_namespace_exists_while_it_holds_a_live_key(engine: &Engine) {
    let store = engine.store();
    let exists = || store.namespace(&namespace("n")).expect("the engine answers").is_some();
    assert!(!exists());

    set_for(&*store, "k", 1, 10);
    store.set("n", "l", 1).expect("valid");
    store.set("m", "k", 1).expect("valid");
    assert!(exists());
    assert_eq!(store.namespaces(&Range::default()).expect("the engine answers"), ["m", "n"]);

    store.delete("n", "l").expect("valid");
    assert!(exists());
    engine.pass(10);
    assert!(!exists());
    assert_eq!(store.namespaces(&Range::default()).expect("the engine answers"), ["m"]);
}

/// `usage` is exact, and reading never writes.
pub(crate) fn usage_is_exact_and_reading_never_writes(engine: &Engine) {
    let store = engine.store();
    for number in 0..20 {
        set_for(&*store, &format!("k{number}"), number, 10 + number as u64);
    }
    store.set("m", "text", "four").expect("valid");
    let (namespace_n, key_k) = address("n", "k0");
    write(&*store, vec![Operation::Touch { namespace: namespace_n, key: key_k, expiry: after(1000) }]).expect("valid");

    engine.pass(14);

    // k1 to k4 are due; "four" takes five bytes with its head.
    let usage = Usage { entries: 17, size_bytes: 16 + 5 };
    let before = store.snapshot().expect("it is taken");
    let seen = everything(&*store);
    for _ in 0..3 {
        assert_eq!(store.usage().expect("the engine answers"), usage);
        assert_eq!(before.info().usage, usage);
        assert_eq!(integer(&*store, "k5"), Some(5));
        assert_eq!(everything(&*store), seen);
    }
    assert!(store.snapshot().expect("it is taken").diff(&*before).expect("they compare").is_empty());
}
