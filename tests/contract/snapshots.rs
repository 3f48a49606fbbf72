//! What snapshots, views and diffs keep to.

use std::sync::Arc;
use std::thread;

use swarmstate::{
    Clock, Diff, Entry, Error, Key, Kind, Namespace, NamespaceInfo, Range, Reader, Result, Snapshot, SnapshotInfo,
    StoreExt, Usage, Value,
};

use crate::engines::Engine;
use crate::given::{everything, get, integer, key, keys, namespace, set_both, set_for, write};

/// `snapshot` removes what is due and then takes a consistent cut, which later writes do not change.
pub(crate) fn a_snapshot_is_a_consistent_cut_without_what_is_due(engine: &Engine) {
    let store = engine.store();
    set_for(&*store, "due", 1, 10);
    set_for(&*store, "later", 2, 11);
    store.set("n", "k", 3).expect("valid");
    engine.pass(10);

    let snapshot = store.snapshot().expect("it is taken");

    let seen = everything(&*snapshot);
    assert_eq!(keys(&*snapshot), ["k", "later"]);
    assert_eq!(snapshot.info().usage, Usage { entries: 2, size_bytes: 2 });
    assert_eq!(snapshot.info().taken_at(), engine.now());
    store.set("n", "k", 4).expect("valid");
    store.delete("n", "later").expect("valid");
    store.set("m", "new", 5).expect("valid");
    store.clear().expect("the engine answers");
    assert_eq!(everything(&*snapshot), seen);

    let store = engine.store();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for value in (0..100).cycle().take(2_000) {
                write(&*store, set_both([("n", "a"), ("n", "b")], value)).expect("valid");
            }
        });
        while !writer.is_finished() {
            let snapshot = store.snapshot().expect("it is taken");
            let values = ["a", "b"].map(|of_key| get(&*snapshot, of_key).map(|entry| entry.value().to_vec()));
            assert_eq!(values[0], values[1]);
            store.drop_snapshot(snapshot.info().id).expect("the engine answers");
        }
    });
}

/// A snapshot's id is higher than that of every snapshot taken before it in this store, over restores too.
pub(crate) fn ids_rise_over_restores(engine: &Engine) {
    let store = engine.store();
    let first = store.snapshot().expect("it is taken");
    let second = store.snapshot().expect("it is taken");

    store.restore(&*first).expect("it is ours");
    let third = store.snapshot().expect("it is taken");
    store.drop_snapshot(third.info().id).expect("the engine answers");
    store.clear().expect("the engine answers");
    let fourth = store.snapshot().expect("it is taken");

    let ids = [&first, &second, &third, &fourth].map(|snapshot| snapshot.info().id);
    assert!(ids[0] > 0 && ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

/// A snapshot's parent is the snapshot taken before it in this store, also when that one is gone.
pub(crate) fn a_parent_is_the_snapshot_taken_before(engine: &Engine) {
    let store = engine.store();
    let first = store.snapshot().expect("it is taken");
    let second = store.snapshot().expect("it is taken");

    store.drop_snapshot(second.info().id).expect("the engine answers");
    store.restore(&*first).expect("it is ours");
    let third = store.snapshot().expect("it is taken");

    assert_eq!(first.info().parent, None);
    assert_eq!(second.info().parent, Some(first.info().id));
    assert_eq!(third.info().parent, Some(second.info().id));
}

/// Expiry does not run inside a snapshot.
pub(crate) fn expiry_does_not_run_inside_a_snapshot(engine: &Engine) {
    let store = engine.store();
    set_for(&*store, "k", 1, 10);
    let snapshot = store.snapshot().expect("it is taken");
    let seen = everything(&*snapshot);

    engine.pass(1_000);
    store.compact().expect("the engine answers");

    assert_eq!(everything(&*snapshot), seen);
    assert_eq!(integer(&*snapshot, "k"), Some(1));
    assert_eq!(snapshot.usage().expect("the engine answers").entries, 1);
    assert_eq!(snapshot.namespaces(&Range::default()).expect("the engine answers"), ["n"]);
    assert!(snapshot.namespace(&namespace("n")).expect("the engine answers").is_some());
    assert!(get(&*store, "k").is_none());
}

/// `restore` brings every entry of the snapshot back with the revision it had, and nothing else stays.
pub(crate) fn restore_brings_back_every_entry_and_nothing_else(engine: &Engine) {
    let store = engine.store();
    store.set("n", "kept", 1).expect("valid");
    set_for(&*store, "changed", 2, 1_000);
    store.set("gone", "k", "x").expect("valid");
    let (seen, snapshot) = (everything(&*store), store.snapshot().expect("it is taken"));
    engine.pass(5);
    store.set("n", "changed", "other").expect("valid");
    store.delete_namespace("gone").expect("valid");
    store.set("new", "k", 1).expect("valid");

    store.restore(&*snapshot).expect("it is ours");

    assert_eq!(everything(&*store), seen);
    assert_eq!(store.usage().expect("the engine answers"), snapshot.info().usage);
    store.set("n", "kept", 9).expect("valid");
    assert_eq!(integer(&*snapshot, "kept"), Some(1));
    store.restore(&*snapshot).expect("it can be restored again");
    assert_eq!(everything(&*store), seen);
}

/// An entry that is restored after its time is gone.
pub(crate) fn an_entry_restored_after_its_time_is_gone(engine: &Engine) {
    let store = engine.store();
    set_for(&*store, "k", 1, 10);
    store.set("n", "stays", 2).expect("valid");
    let snapshot = store.snapshot().expect("it is taken");
    engine.pass(10);

    store.restore(&*snapshot).expect("it is ours");

    assert_eq!(keys(&*store), ["stays"]);
    assert_eq!(store.usage().expect("the engine answers").entries, 1);
    store.set("n", "other", 1).expect("valid");
    assert_eq!(store.snapshot().expect("it is taken").info().usage.entries, 2);
}

/// `history` lists the snapshots that the store retains, oldest first; taking one drops the oldest beyond the bound.
pub(crate) fn the_history_is_bounded_and_ordered(engine: &Engine) {
    let ids = |store: &dyn swarmstate::Store| {
        let history = store.history().expect("the engine answers");
        history.iter().map(|kept| kept.info().id).collect::<Vec<_>>()
    };
    let (free, bounded) = (engine.store(), (engine.open)(&engine.clock, Some(3)));
    for round in 0..5 {
        for store in [&free, &bounded] {
            store.set("n", "round", round).expect("valid");
            store.snapshot().expect("it is taken");
        }
    }

    let (all, last) = (ids(&*free), ids(&*bounded));
    assert_eq!((all.len(), last.len()), (5, 3));
    assert!(all.is_sorted() && last.is_sorted());
    assert!(matches!(bounded.snapshot_by_id(last[0] - 1), Err(Error::NotFound { .. })));
    let found = bounded.snapshot_by_id(last[0]).expect("it is retained");
    assert_eq!((found.info().id, integer(&*found, "round")), (last[0], Some(2)));

    assert!(bounded.drop_snapshot(last[1]).expect("the engine answers"));
    assert_eq!(ids(&*bounded), [last[0], last[2]]);
    bounded.snapshot().expect("it is taken");
    assert_eq!(ids(&*bounded).len(), 3);
}

/// A dropped snapshot answers `NotFound` by its id; one still held stays readable where
/// `Capabilities::held_snapshots_outlive_history`.
pub(crate) fn a_dropped_snapshot_is_not_found(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let snapshot = store.snapshot().expect("it is taken");
    let id = snapshot.info().id;

    assert!(store.drop_snapshot(id).expect("the engine answers"));
    assert!(!store.drop_snapshot(id).expect("the engine answers"));
    store.set("n", "k", 2).expect("valid");

    assert!(matches!(store.snapshot_by_id(id), Err(Error::NotFound { .. })));
    assert!(matches!(store.snapshot_by_id(id + 1), Err(Error::NotFound { .. })));
    let read = snapshot.get(&namespace("n"), &key("k"));
    match store.capabilities().held_snapshots_outlive_history {
        true => {
            assert_eq!(integer(&*snapshot, "k"), Some(1));
            store.restore(&*snapshot).expect("it is ours");
            assert_eq!(integer(&*store, "k"), Some(1));
        }
        false => {
            assert!(matches!(read, Err(Error::NotFound { .. })));
            assert!(matches!(store.restore(&*snapshot), Err(Error::NotFound { .. })));
            assert_eq!(integer(&*store, "k"), Some(2));
        }
    }
}

/// A snapshot of another engine is `Unsupported` for `restore`.
pub(crate) fn a_snapshot_of_another_engine_is_unsupported(engine: &Engine) {
    let store = engine.store();
    store.set("n", "k", 1).expect("valid");
    let stranger = Stranger { info: store.snapshot().expect("it is taken").info().clone() };

    let refused = store.restore(&stranger);

    assert!(matches!(refused, Err(Error::Unsupported { what }) if what.contains("copy")));
    assert_eq!(integer(&*store, "k"), Some(1));
    // Comparing works with any engine's: the stranger holds one entry, `other/k`.
    let ours = store.snapshot().expect("it is taken");
    let diff = ours.diff(&stranger).expect("they compare");
    let pair = |name: &str| (name.to_owned(), "k".to_owned());
    assert_eq!(diff, Diff { added: vec![pair("n")], removed: vec![pair("other")], changed: vec![] });
}

/// A snapshot of no engine at all, which holds `other/k`.
struct Stranger {
    info: SnapshotInfo,
}

impl Stranger {
    fn entry() -> Entry {
        let now = swarmstate::Timestamp::from_millis(0);
        let stamp = swarmstate::value::Stamp { revision: 1, created_at: now, updated_at: now, expires_at: None };
        Entry::new(&key("k"), &Value::from(1), stamp)
    }
}

impl Reader for Stranger {
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        Ok(((namespace.as_str(), key.as_str()) == ("other", "k")).then(Self::entry))
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        pairs.iter().map(|(namespace, key)| self.get(namespace, key)).collect()
    }

    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        let is_here = namespace.as_str() == "other" && range.after.is_none();
        Ok(is_here.then(Self::entry).into_iter().collect())
    }

    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        Ok(self.entries(namespace, range)?.iter().map(|entry| entry.key().to_owned()).collect())
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        Ok(range.after.is_none().then(|| "other".to_owned()).into_iter().collect())
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        Ok((namespace.as_str() == "other").then_some(NamespaceInfo { usage: Usage::default(), revision: 1 }))
    }

    fn usage(&self) -> Result<Usage> {
        Ok(Usage { entries: 1, size_bytes: 1 })
    }
}

impl Snapshot for Stranger {
    fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    fn clock(&self) -> &Clock {
        const { &Clock::system() }
    }

    fn diff(&self, base: &dyn Snapshot) -> Result<Diff> {
        swarmstate::store::merge_diff(self, base)
    }
}

/// A view is a consistent cut like a snapshot, outside the history.
pub(crate) fn a_view_is_a_cut_outside_the_history(engine: &Engine) {
    let store = (engine.open)(&engine.clock, Some(1));
    store.set("n", "k", 1).expect("valid");
    set_for(&*store, "goes", 2, 10);
    let snapshot = store.snapshot().expect("it is taken");
    engine.pass(5);

    let view: Arc<dyn Reader> = store.view().expect("it is taken");

    let seen = everything(&*view);
    assert_eq!(keys(&*view), ["goes", "k"]);
    store.set("n", "k", 3).expect("valid");
    store.clear().expect("the engine answers");
    engine.pass(100);
    assert_eq!(everything(&*view), seen);
    assert_eq!(view.usage().expect("the engine answers").entries, 2);
    let history = store.history().expect("the engine answers");
    assert_eq!(history.iter().map(|kept| kept.info().id).collect::<Vec<_>>(), [snapshot.info().id]);
    assert_eq!(store.snapshot().expect("it is taken").info().parent, Some(snapshot.info().id));
}

/// `diff` tells what lies between two snapshots, whichever is the older: each list is sorted by the bytes of namespace and key,
/// and times, expiry and revision do not count.
pub(crate) fn a_diff_tells_what_happened_from_base_to_later(engine: &Engine) {
    let store = engine.store();
    for of_key in ["b", "a", "same", "again", "touched", "kind"] {
        store.set("n", of_key, 1).expect("valid");
    }
    store.set("whole", "k", 1).expect("valid");
    let base = store.snapshot().expect("it is taken");
    engine.pass(5);
    store.set("n", "b", 2).expect("valid");
    store.set("n", "again", 2).expect("valid");
    store.set("n", "again", 1).expect("valid");
    set_for(&*store, "touched", 1, 1_000);
    store.set("n", "kind", Value::shared(Kind::Json, b"\x01".to_vec())).expect("valid");
    store.delete("n", "a").expect("valid");
    store.delete_namespace("whole").expect("valid");
    store.set("n", "z", 1).expect("valid");
    store.set("Z", "\0", 1).expect("valid");
    store.set("n", "", 1).expect("valid");

    let later = store.snapshot().expect("it is taken");

    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect::<Vec<_>>();
    let added = pairs(&[("Z", "\0"), ("n", ""), ("n", "z")]);
    let removed = pairs(&[("n", "a"), ("whole", "k")]);
    let changed = pairs(&[("n", "b"), ("n", "kind")]);
    let (forward, backward) = (later.diff(&*base), base.diff(&*later));
    let forward_expected = Diff { added: added.clone(), removed: removed.clone(), changed: changed.clone() };
    assert_eq!(forward.expect("they compare"), forward_expected);
    assert_eq!(backward.expect("they compare"), Diff { added: removed, removed: added, changed });
    assert!(later.diff(&*later).expect("they compare").is_empty());
    assert_eq!(swarmstate::store::merge_diff(&*later, &*base).expect("they compare"), forward_expected);
}
