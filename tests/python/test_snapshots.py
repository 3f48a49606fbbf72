"""Snapshots: what one knows, restore, diff, fork, and the history that retains them."""

import pytest

import swarmstate as ss

# Where `clock` stands at first.
START_MILLIS = 1_700_000_000_000


def test_a_snapshot_reads_like_a_store_that_stands_still(store, clock):
    store.set("n", "a", 1, ttl=10)
    revision = store.set("n", "b", 2)
    store.set("m", "k", None)
    snapshot = store.snapshot()

    store.clear()
    clock.advance(100)

    assert [snapshot.get("n", "a"), snapshot.get("n", "zzz", default=7), len(snapshot)] == [1, 7, 3]
    assert snapshot.get("m", "k", "default") is None
    assert [snapshot.entry("n", "b").revision, snapshot.entry("n", "zzz")] == [revision, None]
    assert [snapshot.namespaces(), snapshot.namespaces(prefix="n")] == [["m", "n"], ["n"]]
    assert [snapshot.namespaces(reverse=True, limit=1), snapshot.namespaces(after="m")] == [["n"], ["n"]]
    assert snapshot.items("n") == [("a", 1), ("b", 2)]
    assert [snapshot.items("n", after="a"), snapshot.items("n", reverse=True, limit=1)] == [[("b", 2)]] * 2
    assert snapshot.items("n", prefix="a") == [("a", 1)]
    assert ("n", "a") in snapshot and ("n", "c") not in snapshot
    assert repr(snapshot) == f"<Snapshot {snapshot.id}: 3 entries, 3 bytes>"


def test_what_is_due_is_not_in_a_snapshot(store, clock):
    store.set("n", "gone", 1, ttl=10)
    store.set("n", "kept", 2, ttl=11)
    clock.advance(10)

    snapshot = store.snapshot()

    assert [snapshot.keys, len(snapshot), snapshot.size_bytes] == [[("n", "kept")], 1, 1]


def test_an_entry_restored_after_its_time_is_gone(store, clock):
    store.set("n", "k", 1, ttl=10)
    snapshot = store.snapshot()
    clock.advance(10)

    store.restore(snapshot)

    assert [store.get("n", "k"), len(store), store.namespaces()] == [None, 0, []]


def test_restore_brings_entries_back_with_their_revision_and_times(store, clock):
    revision = store.set("n", "k", 1)
    snapshot = store.snapshot()
    clock.advance(5)
    store.set("n", "k", 2)

    store.restore(snapshot)

    entry = store.entry("n", "k")
    assert [entry.value, entry.revision, entry.created_at] == [1, revision, START_MILLIS]
    assert store.set("n", "k", 3, if_revision=revision) > revision


def test_a_snapshot_can_be_restored_any_number_of_times_and_forward_again(store):
    store.set("n", "k", 1)
    first = store.snapshot()
    store.set("n", "k", 2)
    second = store.snapshot()

    for snapshot, value in [(first, 1), (first, 1), (second, 2), (first, 1)]:
        store.restore(snapshot)
        assert store.get("n", "k") == value


def test_a_snapshot_of_another_store_of_the_engine_restores_too(make_store):
    source, target = make_store(), make_store()
    source.set("n", "k", 1)
    target.set("m", "k", 2)
    snapshot = source.snapshot()

    if source.capabilities.engine == "memory":
        target.restore(snapshot)
        assert target.items("n") == [("k", 1)]
        assert target.namespaces() == ["n"]


def test_ids_rise_and_parents_chain_over_restore_clear_and_drops(store):
    first = store.snapshot()
    store.restore(first)
    second = store.snapshot()
    store.clear()
    store.drop_snapshot(second.id)
    third = store.snapshot()

    assert first.id < second.id < third.id
    assert [first.parent, second.parent, third.parent] == [None, first.id, second.id]


def test_a_diff_looks_at_values_and_kinds_only(store, clock):
    store.set_many([("n", key, 1) for key in "abcde"])
    base = store.snapshot()

    clock.advance(1)
    store.set("n", "a", 1)
    store.touch("n", "b", 60)
    store.delete("n", "c")
    store.set("n", "c", 1)
    store.set("n", "d", True)
    store.set("n", "e", 1.0)

    assert store.snapshot().diff(base) == {"added": [], "removed": [], "changed": [("n", "d"), ("n", "e")]}


def test_a_diff_goes_either_way(store):
    store.set("n", "removed", 1)
    store.set("n", "changed", 1)
    earlier = store.snapshot()
    store.delete_namespace("n")
    store.set("n", "changed", 2)
    store.set("m", "added", 1)
    later = store.snapshot()

    forward, backward = later.diff(earlier), earlier.diff(later)

    assert forward == {"added": [("m", "added")], "removed": [("n", "removed")], "changed": [("n", "changed")]}
    assert backward == {"added": [("n", "removed")], "removed": [("m", "added")], "changed": [("n", "changed")]}
    assert later.diff(later) == {"added": [], "removed": [], "changed": []}


def test_snapshots_of_two_stores_can_be_compared(make_store):
    left, right = make_store(), make_store()
    left.set_many([("n", "same", 1), ("n", "left", 1), ("n", "both", 1)])
    right.set_many([("n", "same", 1), ("n", "right", 1), ("n", "both", 2)])

    assert right.snapshot().diff(left.snapshot()) == {
        "added": [("n", "right")],
        "removed": [("n", "left")],
        "changed": [("n", "both")],
    }


def test_a_fork_and_its_origin_do_not_see_one_another(store):
    store.set("n", "k", 1)
    fork = store.snapshot().fork()

    store.set("n", "k", 2)
    fork.set("n", "own", 3)

    assert isinstance(fork, ss.Store)
    assert [fork.items("n"), store.items("n")] == [[("k", 1), ("own", 3)], [("k", 2)]]
    assert fork.history() == []


def test_a_fork_lives_on_when_its_origin_is_closed(store):
    store.set("n", "k", [1])
    fork = store.snapshot().fork(max_history=1)
    store.close()

    fork.snapshot()
    fork.snapshot()

    assert [fork.get("n", "k"), len(fork.history())] == [[1], 1]


def test_a_fork_goes_by_the_clock_of_its_origin(store, clock):
    store.set("n", "k", 1, ttl=60)

    fork = store.snapshot().fork()

    assert fork.get("n", "k") == 1
    clock.advance(60)
    assert fork.get("n", "k") is None


def test_history_lists_what_is_retained_oldest_first(store):
    taken = [store.snapshot() for _ in range(3)]

    assert [snapshot.id for snapshot in store.history()] == [snapshot.id for snapshot in taken]


def test_max_history_drops_the_oldest(make_store):
    store = make_store(max_history=2)
    store.set("n", "k", 0)
    taken = [store.snapshot() for _ in range(3)]

    assert [snapshot.id for snapshot in store.history()] == [taken[1].id, taken[2].id]
    with pytest.raises(ss.NotFoundError, match=f"snapshot {taken[0].id} does not exist"):
        store.snapshot_by_id(taken[0].id)


def test_a_snapshot_is_found_by_its_id(store):
    store.set("n", "k", 1)
    taken = store.snapshot()
    store.set("n", "k", 2)

    found = store.snapshot_by_id(taken.id)

    assert [found.id, found.get("n", "k")] == [taken.id, 1]
    with pytest.raises(KeyError):
        store.snapshot_by_id(taken.id + 1)


def test_a_dropped_snapshot_leaves_the_history_and_stays_readable_where_the_engine_says_so(store):
    store.set("n", "k", 1)
    first, second = store.snapshot(), store.snapshot()

    assert store.drop_snapshot(first.id) is True
    assert store.drop_snapshot(first.id) is False

    assert [snapshot.id for snapshot in store.history()] == [second.id]
    if store.capabilities.held_snapshots_outlive_history:
        assert first.get("n", "k") == 1
    else:
        with pytest.raises(ss.NotFoundError):
            first.get("n", "k")
