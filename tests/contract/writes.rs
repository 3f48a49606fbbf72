//! What every write keeps to.

use std::thread;

use swarmstate::{Batch, Condition, Error, Expected, Expiry, Kind, Operation, Outcome, Range, Store, StoreExt, Value};

use crate::engines::Engine;
use crate::given::{
    address, after, assert_read_together, everything, get, integer, json, key, keys, namespace, prefix, set_both,
    set_for, write,
};

fn set(of_key: &'static str, value: u8) -> Operation<'static> {
    let (namespace, key) = address("n", of_key);
    Operation::Set { namespace, key, value: json(value), expiry: Expiry::Never }
}

fn add(of_key: &'static str, by: i64) -> Operation<'static> {
    let (namespace, key) = address("n", of_key);
    Operation::Add { namespace, key, by, expiry: Expiry::Never }
}

fn delete(of_key: &'static str) -> Operation<'static> {
    let (namespace, key) = address("n", of_key);
    Operation::Delete { namespace, key }
}

fn ensure(of_key: &'static str, value: u8) -> Operation<'static> {
    let (namespace, key) = address("n", of_key);
    Operation::Ensure { namespace, key, value: json(value), expiry: Expiry::Never }
}

fn touch(of_key: &'static str, expiry: Expiry) -> Operation<'static> {
    let (namespace, key) = address("n", of_key);
    Operation::Touch { namespace, key, expiry }
}

fn at(of_key: &'static str, revision: u64) -> Condition<'static> {
    let (namespace, key) = address("n", of_key);
    Condition::at(namespace, key, revision)
}

fn revision_of(store: &dyn Store) -> u64 {
    store.namespace(&namespace("n")).expect("the engine answers").map_or(0, |info| info.revision)
}

/// `write` carries out a batch whole or not at all; a failed batch leaves the state and every revision as they were.
pub(crate) fn a_batch_is_carried_out_whole_or_not_at_all(engine: &Engine) {
    let store = engine.store();
    store.set("n", "text", "x").expect("valid");
    set_for(&*store, "goes", 7, 1000);
    store.set("n", "number", i64::MAX).expect("valid");
    let (standing, revision) = (everything(&*store), revision_of(&*store));

    let failures: [Vec<Operation<'_>>; 4] = [
        vec![set("a", 1), delete("goes"), add("text", 1)],
        vec![set("a", 1), touch("goes", Expiry::Never), add("number", 1)],
        vec![set("a", 1), ensure("b", 1), set("a", 2)],
        vec![set("a", 1), Operation::CopyNamespace { source: namespace("n"), target: namespace("n") }],
    ];
    for operations in failures {
        assert!(write(&*store, operations).is_err());
        assert_eq!((everything(&*store), revision_of(&*store)), (standing.clone(), revision));
    }

    let outcomes = write(&*store, vec![set("a", 1), delete("goes"), add("c", 5)]).expect("valid");
    assert!(outcomes.iter().all(|outcome| outcome.written));
    assert_eq!(keys(&*store), ["a", "c", "number", "text"]);
}

/// Conditions are judged on the state before the batch.
pub(crate) fn conditions_are_judged_on_the_state_before_the_batch(engine: &Engine) {
    let store = engine.store();
    let first = store.set("n", "k", 1).expect("valid");
    let mut batch = Batch::new();
    let (here, there) = (address("n", "k"), address("n", "new"));
    batch.push(delete("k")).push(set("new", 2));
    batch.require(at("k", first)).require(at("new", 0)).require(at("k", first));
    batch.require(Condition::KeyPresent { namespace: here.0.clone(), key: here.1 });
    batch.require(Condition::KeyAbsent { namespace: there.0, key: there.1 });
    batch.require(Condition::NamespaceAt { namespace: here.0, revision: first });

    store.write(&batch).expect("all hold");

    assert_eq!(keys(&*store), ["new"]);
    let again = store.write(&batch);
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
}

/// A failed condition is `Conflict` and tells the actual revision, 0 where nothing is live.
pub(crate) fn a_failed_condition_tells_the_actual_revision(engine: &Engine) {
    let store = engine.store();
    let revision = store.set("n", "k", 1).expect("valid");
    set_for(&*store, "gone", 1, 10);
    engine.pass(10);
    let last = revision_of(&*store);
    assert_eq!(store.namespaces(&Range::default()).expect("the engine answers"), ["n"]);
    let present = |of_key| Condition::KeyPresent { namespace: namespace("n"), key: key(of_key) };
    let whole = |name, revision| Condition::NamespaceAt { namespace: namespace(name), revision };

    for (condition, expected, actual) in [
        (at("k", revision + 1), Expected::Revision(revision + 1), revision),
        (at("k", 0), Expected::Absent, revision),
        (at("gone", 7), Expected::Revision(7), 0),
        (present("gone"), Expected::Present, 0),
        (whole("n", last + 1), Expected::Revision(last + 1), last),
        (whole("missing", 3), Expected::Revision(3), 0),
    ] {
        let mut batch = Batch::new();
        batch.push(set("never", 1)).require(at("k", revision)).require(condition.clone());
        if condition.namespace().as_str() == "missing" && !store.capabilities().atomic_across_namespaces {
            continue;
        }
        let Err(Error::Conflict(conflict)) = store.write(&batch) else { panic!("{condition:?} does not hold") };
        assert_eq!((conflict.expected, conflict.actual, conflict.position), (expected, actual, 1), "{condition:?}");
        assert_eq!(conflict.namespace, condition.namespace().as_str());
        assert_eq!(conflict.key.as_deref(), condition.key().map(|key| key.as_str()));
        assert!(matches!(store.apply(set("never", 1), Some(condition)), Err(Error::Conflict(_))));
    }
    assert_eq!(keys(&*store), ["k"]);
    assert!(store.apply(set("gone", 1), Some(at("gone", 0))).expect("the expired key is absent").written);
}

/// A batch names each key at most once, and a namespace either whole or by keys; else it is `Invalid`.
pub(crate) fn a_batch_names_each_key_at_most_once(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let whole = || Operation::DeleteNamespace { namespace: namespace("n") };
    let standing = everything(&*store);

    for operations in [
        vec![set("a", 1), set("a", 1)],
        vec![set("a", 1), delete("b"), add("a", 1)],
        vec![delete("k"), ensure("k", 1)],
        vec![touch("k", Expiry::Never), touch("k", Expiry::Never)],
        vec![set("a", 1), whole()],
        vec![whole(), set("a", 1)],
        vec![whole(), whole()],
    ] {
        let refused = write(&*store, operations);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(everything(&*store), standing);
    assert_eq!(write(&*store, Vec::new()), Ok(Vec::new()));
}

/// Each operation that changes something takes its own revision, in the order of the batch.
pub(crate) fn each_change_takes_its_own_revision_in_order(engine: &Engine) {
    let store = engine.store();
    let before = store.set("n", "z", 1).expect("valid");

    let outcomes = write(
        &*store,
        vec![set("b", 1), delete("missing"), add("a", 4), ensure("z", 9), touch("z", after(50)), delete("b2")],
    );
    assert!(matches!(outcomes, Err(Error::Invalid { .. })), "z is named twice");
    let operations = vec![set("b", 1), delete("missing"), add("a", 4), touch("z", after(50)), delete("none")];
    let outcomes = write(&*store, operations).expect("valid");

    let revisions = outcomes.iter().map(|outcome| outcome.revision).collect::<Vec<_>>();
    assert!(before < revisions[0] && revisions[0] < revisions[2] && revisions[2] < revisions[3], "{revisions:?}");
    assert_eq!((revisions[1], revisions[4]), (0, 0));
    assert_eq!(outcomes[2], Outcome { revision: revisions[2], written: true, integer: Some(4) });
    for (of_key, revision) in [("b", revisions[0]), ("a", revisions[2]), ("z", revisions[3])] {
        assert_eq!(get(&*store, of_key).expect("it is live").revision(), revision);
    }
    assert_eq!(revision_of(&*store), revisions[3]);
}

/// `set` writes whatever stood there; on a live key it keeps `created_at`.
pub(crate) fn set_writes_whatever_stood_there_and_keeps_the_age(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let created_at = get(&*store, "k").expect("it is live").created_at();

    for (value, kind) in [
        (Value::from("text"), Kind::String),
        (Value::from(&b"raw"[..]), Kind::Bytes),
        (json(3), Kind::Json),
        (Value::shared(Kind::Json, b"\x05".to_vec()), Kind::Json),
        (Value::from(5), Kind::Integer),
    ] {
        engine.pass(7);
        store.set("n", "k", value.clone()).expect("valid");
        let entry = get(&*store, "k").expect("it is live");
        assert_eq!((entry.value(), entry.kind(), entry.created_at()), (value.as_bytes(), kind, created_at));
        assert_eq!(entry.updated_at(), engine.now());
    }

    store.delete("n", "k").expect("valid");
    store.set("n", "k", 1).expect("valid");
    assert_eq!(get(&*store, "k").expect("it is live").created_at(), engine.now());
}

/// `set` clears an expiry unless it gives one.
pub(crate) fn set_clears_an_expiry_unless_it_gives_one(engine: &Engine) {
    let store = engine.store();
    set_for(&*store, "k", 1, 10);
    set_for(&*store, "l", 1, 10);

    store.set("n", "k", 2).expect("valid");
    set_for(&*store, "l", 2, 20);

    assert_eq!(get(&*store, "k").expect("it is live").expires_at(), None);
    engine.pass(19);
    assert_eq!(keys(&*store), ["k", "l"]);
    engine.pass(1);
    assert_eq!(keys(&*store), ["k"]);
}

/// A write on an expired key is a first write.
pub(crate) fn a_write_on_an_expired_key_is_a_first_write(engine: &Engine) {
    let store = engine.store();
    for of_key in ["set", "add", "ensure", "touch", "delete"] {
        set_for(&*store, of_key, 40, 10);
    }
    engine.pass(10);

    let operations =
        vec![set("set", 1), add("add", 2), ensure("ensure", 3), touch("touch", Expiry::Never), delete("delete")];
    let outcomes = write(&*store, operations).expect("valid");

    assert_eq!(outcomes.iter().map(|outcome| outcome.written).collect::<Vec<_>>(), [true, true, true, false, false]);
    assert_eq!(outcomes[1].integer, Some(2));
    for of_key in ["set", "add", "ensure"] {
        let entry = get(&*store, of_key).expect("it is live");
        assert_eq!((entry.created_at(), entry.expires_at()), (engine.now(), None));
    }
    assert_eq!(store.usage().expect("the engine answers").entries, 3);
}

/// `delete` of nothing changes nothing and takes no revision.
pub(crate) fn deleting_nothing_changes_nothing(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let (standing, revision) = (everything(&*store), revision_of(&*store));

    let outcome = store.apply(delete("missing"), None).expect("valid");

    assert_eq!(outcome, Outcome::default());
    assert!(!store.delete("missing", "k").expect("valid"));
    assert_eq!((everything(&*store), revision_of(&*store)), (standing, revision));
    assert!(store.delete("n", "k").expect("valid"));
    assert!(!store.delete("n", "k").expect("valid"));
}

/// `add` creates an absent key with the summand, and keeps the expiry of a live one.
pub(crate) fn add_creates_with_the_summand_and_keeps_an_expiry(engine: &Engine) {
    let store = engine.store();
    let add_for = |by, millis| {
        let (namespace, key) = address("n", "k");
        store.apply(Operation::Add { namespace, key, by, expiry: after(millis) }, None).expect("valid").integer
    };

    assert_eq!(add_for(-3, 10), Some(-3));
    engine.pass(4);
    assert_eq!(add_for(5, 1000), Some(2));

    let entry = get(&*store, "k").expect("it is live");
    assert_eq!(entry.kind(), Kind::Integer);
    assert_eq!(entry.expires_at().expect("it goes").as_millis() - engine.now().as_millis(), 6);
    assert_eq!(entry.created_at().as_millis() + 4, engine.now().as_millis());
    engine.pass(6);
    assert_eq!(add_for(1, 10), Some(1));
}

/// `add` on another kind is `WrongType`, a sum outside `i64` is `Invalid`, and the entry stays untouched.
pub(crate) fn add_leaves_what_it_cannot_add_to(engine: &Engine) {
    let store = engine.store();
    store.set("n", "string", "5").expect("valid");
    store.set("n", "json", Value::shared(Kind::Json, b"\x05".to_vec())).expect("valid");
    store.set("n", "bytes", &b"5"[..]).expect("valid");
    store.set("n", "most", i64::MAX).expect("valid");
    store.set("n", "least", i64::MIN).expect("valid");
    let (standing, revision) = (everything(&*store), revision_of(&*store));

    for (of_key, kind) in [("string", Kind::String), ("json", Kind::Json), ("bytes", Kind::Bytes)] {
        let refused = store.increment("n", of_key, 1);
        assert_eq!(refused, Err(Error::WrongType { namespace: "n".into(), key: of_key.into(), kind }));
    }
    assert!(matches!(store.increment("n", "most", 1), Err(Error::Invalid { .. })));
    assert!(matches!(store.increment("n", "least", -1), Err(Error::Invalid { .. })));

    assert_eq!((everything(&*store), revision_of(&*store)), (standing, revision));
    assert_eq!(store.increment("n", "most", i64::MIN), Ok(-1));
}

/// `ensure` writes unless the key is live, and else answers the revision that stands.
pub(crate) fn ensure_writes_unless_the_key_is_live(engine: &Engine) {
    let store = engine.store();

    let first = store.apply(ensure("k", 1), None).expect("valid");
    let second = store.apply(ensure("k", 2), None).expect("valid");

    assert!(first.written && !second.written);
    assert_eq!(first.revision, second.revision);
    assert_eq!(get(&*store, "k").expect("it is live").value(), json(1).as_bytes());
    assert_eq!(revision_of(&*store), first.revision);
}

/// `touch` sets or clears the expiry of a live entry and keeps its value.
pub(crate) fn touch_changes_the_expiry_and_keeps_the_value(engine: &Engine) {
    let store = engine.store();
    let large = "x".repeat(100_000);
    store.set("n", "k", &*large).expect("valid");
    let (before, usage) = (get(&*store, "k").expect("it is live"), store.usage().expect("the engine answers"));
    engine.pass(3);

    let outcome = store.apply(touch("k", after(10)), None).expect("valid");

    let entry = get(&*store, "k").expect("it is live");
    assert_eq!((entry.value(), entry.kind(), entry.created_at()), (before.value(), before.kind(), before.created_at()));
    assert_eq!((entry.revision(), entry.updated_at()), (outcome.revision, engine.now()));
    assert!(outcome.written && outcome.revision > before.revision());
    assert_eq!(entry.expires_at().expect("it goes").as_millis() - engine.now().as_millis(), 10);
    assert_eq!(store.usage().expect("the engine answers"), usage);

    assert!(store.apply(touch("k", Expiry::Never), None).expect("valid").written);
    engine.pass(11);
    assert_eq!(keys(&*store), ["k"]);
    assert_eq!(store.apply(touch("missing", after(10)), None), Ok(Outcome::default()));
}

/// `delete_namespace` removes every key of it; of an absent one it changes nothing.
pub(crate) fn delete_namespace_removes_every_key(engine: &Engine) {
    let store = engine.store();
    for name in ["n", "nn", "n:"] {
        store.set(name, "k", 1).expect("valid");
    }
    set_for(&*store, "goes", 1, 10);

    assert!(store.delete_namespace("n").expect("valid"));
    assert!(!store.delete_namespace("n").expect("valid"));

    assert_eq!(store.namespaces(&Range::default()).expect("the engine answers"), ["n:", "nn"]);
    assert_eq!(store.usage().expect("the engine answers").entries, 2);
    set_for(&*store, "goes", 1, 10);
    engine.pass(10);
    let outcome = store.apply(Operation::DeleteNamespace { namespace: namespace("n") }, None);
    assert_eq!(outcome, Ok(Outcome::default()), "what is expired does not exist");
}

/// `copy_namespace` copies one consistent cut, taken before the batch, revisions and times included where
/// `Capabilities::copies_keep_revisions`; an absent source changes nothing.
pub(crate) fn copy_namespace_copies_one_cut(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    set_for(&*store, "goes", 2, 10);
    engine.pass(3);
    let originals = store.entries(&namespace("n"), &Range::default()).expect("the engine answers");
    let copy = || Operation::CopyNamespace { source: namespace("n"), target: namespace("m") };
    assert!(!store.copy_namespace("missing", "m").expect("valid"));

    match store.capabilities().atomic_across_namespaces {
        true => drop(write(&*store, vec![set("k", 9), copy(), delete("goes")]).expect("valid")),
        false => {
            store.apply(copy(), None).expect("valid");
            write(&*store, vec![set("k", 9), delete("goes")]).expect("valid");
        }
    }

    let copies = store.entries(&namespace("m"), &Range::default()).expect("the engine answers");
    assert_eq!(copies.len(), 2);
    for (copied, original) in copies.iter().zip(&originals) {
        assert_eq!((copied.key(), copied.value()), (original.key(), original.value()));
        assert_eq!((copied.kind(), copied.expires_at()), (original.kind(), original.expires_at()));
        if store.capabilities().copies_keep_revisions {
            assert_eq!((copied.revision(), copied.created_at()), (original.revision(), original.created_at()));
            assert_eq!(copied.updated_at(), original.updated_at());
        }
    }
    assert_eq!(keys(&*store), ["k"]);
    store.set("m", "k", 5).expect("valid");
    assert_eq!(get(&*store, "k").expect("it is live").value(), json(9).as_bytes(), "the copy is apart");
    engine.pass(7);
    assert_eq!(store.keys(&namespace("m"), &Range::default()).expect("the engine answers"), ["k"]);
}

/// A target of `copy_namespace` with a live key is `Conflict`.
pub(crate) fn copying_onto_a_live_key_is_a_conflict(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let standing = store.set("m", "k", 2).expect("valid");

    let Err(Error::Conflict(conflict)) = store.copy_namespace("n", "m") else { panic!("the target is taken") };

    assert_eq!((&*conflict.namespace, conflict.key, conflict.actual), ("m", None, standing));
    assert!(matches!(store.copy_namespace("n", "n"), Err(Error::Conflict(_))));
    store.delete("m", "k").expect("valid");
    store.set_for("m", "goes", 1, std::time::Duration::from_millis(10)).expect("valid");
    engine.pass(10);
    assert!(store.copy_namespace("n", "m").expect("what is expired is no obstacle"));
    assert_eq!(store.keys(&namespace("m"), &Range::default()).expect("the engine answers"), ["k"]);
    assert_eq!(store.usage().expect("the engine answers").entries, 2);
}

/// A revision is higher than any that the namespace gave before, also after a delete, a `restore` or a `clear`.
pub(crate) fn a_revision_is_higher_than_any_before(engine: &Engine) {
    let store = engine.store();
    let empty = store.snapshot().expect("it is taken");
    let mut highest = 0;
    let mut write_higher = || {
        let revision = store.set("n", "k", 1).expect("valid");
        assert!(revision > highest, "{revision} comes after {highest}");
        highest = revision;
    };

    write_higher();
    write_higher();
    store.delete("n", "k").expect("valid");
    write_higher();
    store.delete_namespace("n").expect("valid");
    write_higher();
    store.restore(&*empty).expect("it is ours");
    write_higher();
    store.clear().expect("the engine answers");
    write_higher();
    store.compact().expect("the engine answers");
    write_higher();
}

/// Removing what has expired never takes a value that was written afresh.
pub(crate) fn sweeping_never_takes_a_fresh_value(engine: &Engine) {
    let store = engine.store();

    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1_000 {
                engine.pass(1);
                store.compact().expect("the engine answers");
            }
        });
        for round in 0..500 {
            let of_key = format!("k{}", round % 7);
            set_for(&*store, &of_key, round, 1);
            store.set("n", &of_key, round).expect("valid");
            assert_eq!(integer(&*store, &of_key), Some(round), "the second write is not due");
        }
    });

    assert_eq!(store.usage().expect("the engine answers").entries, 7);
    store.compact().expect("the engine answers");
    assert_eq!(keys(&*store).len(), 7);
}

/// `sweep` removes at most so many entries that are due, and tells how many.
pub(crate) fn sweeping_is_bounded_and_counted(engine: &Engine) {
    let store = engine.store();
    for number in 0..5 {
        set_for(&*store, &format!("due-{number}"), number, 1_000);
    }
    store.set("n", "stays", 1).expect("valid");
    let early = store.sweep(3).expect("the engine answers");

    engine.pass(1_000);
    let swept = [3, 3, 3].map(|most| store.sweep(most).expect("the engine answers"));

    assert_eq!((early, swept), (0, [3, 2, 0]));
    assert_eq!(keys(&*store), ["stays"]);
}

/// A batch over several namespaces is one instant where `Capabilities::atomic_across_namespaces`, else `Unsupported`.
pub(crate) fn several_namespaces_are_one_instant_or_refused(engine: &Engine) {
    let (store, addresses) = (engine.store(), [("m", "k"), ("n", "k")]);
    if store.capabilities().atomic_across_namespaces {
        return assert_read_together(&*store, addresses);
    }
    assert!(matches!(write(&*store, set_both(addresses, 1)), Err(Error::Unsupported { .. })));
    assert_eq!(store.usage().expect("the engine answers").entries, 0);
}

/// `clear` removes every entry and keeps the snapshots taken before.
pub(crate) fn clear_removes_entries_and_keeps_snapshots(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    store.set("m", "k", 1).expect("valid");
    let snapshot = store.snapshot().expect("it is taken");

    store.clear().expect("the engine answers");

    assert_eq!(store.usage().expect("the engine answers").entries, 0);
    assert!(store.namespaces(&prefix("")).expect("the engine answers").is_empty());
    assert_eq!(integer(&*snapshot, "k"), Some(1));
    let ids = store.history().expect("the engine answers").iter().map(|kept| kept.info().id).collect::<Vec<_>>();
    assert_eq!(ids, [snapshot.info().id]);
    store.restore(&*snapshot).expect("it is ours");
    assert_eq!(store.usage().expect("the engine answers").entries, 2);
}

/// After `close` every operation is `Invalid`; closing again is nothing.
pub(crate) fn a_closed_store_refuses_everything(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let snapshot = store.snapshot().expect("it is taken");

    store.close().expect("it closes");
    store.close().expect("it is closed");

    let (n, k) = address("n", "k");
    let all = Range::default();
    let refusals: Vec<Result<(), Error>> = vec![
        store.get(&n, &k).map(drop),
        store.get_many(&[(n.clone(), k)]).map(drop),
        store.entries(&n, &all).map(drop),
        store.keys(&n, &all).map(drop),
        store.namespaces(&all).map(drop),
        store.namespace(&n).map(drop),
        store.usage().map(drop),
        write(&*store, vec![set("k", 2)]).map(drop),
        store.apply(set("k", 2), None).map(drop),
        store.clear(),
        store.snapshot().map(drop),
        store.view().map(drop),
        store.restore(&*snapshot),
        store.history().map(drop),
        store.snapshot_by_id(1).map(drop),
        store.drop_snapshot(1).map(drop),
        store.sweep(1).map(drop),
        store.compact(),
    ];
    for (position, refusal) in refusals.into_iter().enumerate() {
        assert!(matches!(refusal, Err(Error::Invalid { .. })), "{position}: {refusal:?}");
    }
}
