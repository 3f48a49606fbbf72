"""The two pages that a user reads first, the store and its snapshots: each example gives what the page prints."""

import threading
import time

import numpy
import pytest

import swarmstate as ss


def test_a_store_reads_what_was_set():
    store = ss.Store()

    store.set("workflow", "onboarding", {"step": 3, "data": {"user": 42}})

    assert store.get("workflow", "onboarding") == {"step": 3, "data": {"user": 42}}


def test_a_store_takes_its_three_options_by_name_or_by_position():
    named = ss.Store(backend="memory", codec="msgpack", max_history=100)
    positional = ss.Store("memory", "msgpack", 100)

    assert [len(named), len(positional), len(ss.Store())] == [0, 0, 0]


def test_an_unknown_backend_is_a_value_error_that_names_it():
    with pytest.raises(ValueError, match='backend "redis" is unknown; it must be "memory"'):
        ss.Store(backend="redis")


def test_an_unknown_codec_is_a_value_error_that_names_it():
    with pytest.raises(ValueError, match='codec "json" is unknown; it must be "msgpack"'):
        ss.Store(codec="json")


def test_max_history_bounds_how_many_snapshots_are_retained():
    store = ss.Store(max_history=100)

    taken = [store.snapshot().id for _ in range(103)]

    assert [snapshot.id for snapshot in store.history()] == taken[3:]


def test_without_max_history_every_snapshot_is_retained():
    store = ss.Store()

    taken = [store.snapshot().id for _ in range(1000)]

    assert [snapshot.id for snapshot in store.history()] == taken


def test_the_everyday_operations_answer_what_the_page_prints(store):
    store.set("agents", "researcher", {"status": "running", "tokens": 1200})

    assert store.get("agents", "researcher") == {"status": "running", "tokens": 1200}
    assert store.get("agents", "missing") is None
    assert store.get("agents", "missing", default={}) == {}
    assert store.contains("agents", "researcher") is True
    assert store.delete("agents", "researcher") is True
    assert store.delete("agents", "researcher") is False
    assert store.contains("agents", "researcher") is False


def test_a_default_is_handed_back_as_the_object_that_it_is(store):
    default = object()

    assert store.get("agents", "missing", default) is default
    assert store.get("agents", "missing", default=default) is default


def test_a_stored_none_is_found_and_not_replaced_by_the_default(store):
    store.set("agents", "empty", None)

    assert store.get("agents", "empty", default="fallback") is None
    assert store.contains("agents", "empty") is True


def test_a_store_tells_what_it_holds(store):
    store.set("workflow", "onboarding", {"step": 3})
    store.set("agents", "writer", 2)
    store.set("agents", "researcher", 1)

    assert store.keys("agents") == ["researcher", "writer"]
    assert store.keys("nobody") == []
    assert store.namespaces() == ["agents", "workflow"]
    assert len(store) == 3


def test_clear_wipes_everything_and_keeps_snapshots_that_were_taken(store):
    store.set("agents", "researcher", 1)
    snapshot = store.snapshot()

    store.clear()

    assert [len(store), store.namespaces(), store.get("agents", "researcher")] == [0, [], None]
    assert snapshot.get("agents", "researcher") == 1
    store.restore(snapshot)
    assert store.get("agents", "researcher") == 1


def test_bytes_are_preserved_byte_for_byte(store):
    store.set("bin", "blob", b"\x00\x01\xff")

    assert store.get("bin", "blob") == b"\x00\x01\xff"


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -(2**63), 2**64 - 1, 1.5, "text", b"bytes", [], {}, {"a": [1, {"b": None}]}],
    ids=repr,
)
def test_each_storable_type_comes_back_as_it_was_set(store, value):
    store.set("n", "k", value)

    read = store.get("n", "k")

    assert read == value
    assert type(read) is type(value)


def test_a_tuple_comes_back_as_a_list(store):
    store.set("n", "k", {"pair": (1, (2, 3))})

    assert store.get("n", "k") == {"pair": [1, [2, 3]]}


class Custom:
    """An object that no store takes."""


@pytest.mark.parametrize(
    "value",
    [{1, 2}, frozenset(), numpy.zeros(3), numpy.float64(1).dtype, Custom()],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_another_type_is_a_type_error_when_it_is_set(store, value):
    store.set("n", "k", "before")

    with pytest.raises(TypeError, match="is not storable"):
        store.set("n", "k", value)
    with pytest.raises(TypeError, match=r'^value\["inner"\]\[1\]: '):
        store.set("n", "k", {"inner": [0, value]})

    assert store.get("n", "k") == "before"


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**5000], ids=["above", "below", "far above"])
def test_an_int_beyond_64_bits_is_a_value_error_when_it_is_set(store, value):
    with pytest.raises(ValueError, match="int is outside"):
        store.set("n", "k", value)
    with pytest.raises(ValueError, match=r'^value\["inner"\]: '):
        store.set("n", "k", {"inner": value})

    assert store.contains("n", "k") is False


def test_eight_threads_set_a_thousand_keys_each_without_locking(store):
    def worker(tid):
        for i in range(1000):
            store.set(f"t{tid}", str(i), {"tid": tid, "i": i})

    threads = [threading.Thread(target=worker, args=(t,)) for t in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    assert len(store) == 8000
    assert store.get("t7", "999") == {"tid": 7, "i": 999}


def test_restore_goes_back_to_the_savepoint(store):
    store.set("workflow", "onboarding", {"step": 3})
    snap = store.snapshot()

    store.set("workflow", "onboarding", {"step": 4})
    assert store.get("workflow", "onboarding") == {"step": 4}
    store.restore(snap)

    assert store.get("workflow", "onboarding") == {"step": 3}


def test_restore_replaces_every_namespace_and_key_of_the_store(store):
    store.set("kept", "k", 1)
    store.set("removed", "k", 2)
    snap = store.snapshot()

    store.set("kept", "k", 10)
    store.set("new", "k", 3)
    store.delete("removed", "k")
    store.restore(snap)

    assert [store.items(namespace) for namespace in store.namespaces()] == [[("k", 1)], [("k", 2)]]
    assert store.namespaces() == ["kept", "removed"]


def test_a_snapshot_never_changes(store):
    store.set("n", "k", {"list": [1]})
    snap = store.snapshot()

    store.set("n", "k", 2)
    store.set("n", "other", 3)
    snap.get("n", "k")["list"].append(2)

    assert snap.get("n", "k") == {"list": [1]}
    assert snap.keys == [("n", "k")]


def test_a_snapshot_knows_id_timestamp_parent_size_and_keys(make_store):
    store = make_store(clock=None)
    store.set("b", "k", "four")
    store.set("a", "k", 7)

    before = time.time()
    first = store.snapshot()
    second = store.snapshot()
    after = time.time()

    assert type(first.id) is int and first.id < second.id
    # A server's clock is known no better than its answers are quick.
    assert type(first.timestamp) is float and before - 1 <= first.timestamp <= second.timestamp <= after + 1
    assert [first.parent, second.parent] == [None, first.id]
    assert first.size_bytes == len(ss.dumps("four")) + len(ss.dumps(7)) == 6
    assert first.keys == [("a", "k"), ("b", "k")]


def test_a_diff_lists_what_was_added_removed_and_changed(store):
    store.set("n", "changed_key", 1)
    store.set("n", "removed_key", 1)
    store.set("n", "same_key", 1)
    base = store.snapshot()

    store.set("n", "added_key", 1)
    store.set("n", "changed_key", 999)
    store.delete("n", "removed_key")
    later = store.snapshot()

    assert later.diff(base) == {
        "added": [("n", "added_key")],
        "removed": [("n", "removed_key")],
        "changed": [("n", "changed_key")],
    }


def test_the_lists_of_a_diff_are_sorted(store):
    base = store.snapshot()

    for namespace, key in [("b", "1"), ("a", "2"), ("a", "10"), ("B", "1"), ("a", "")]:
        store.set(namespace, key, 0)

    added = store.snapshot().diff(base)["added"]
    assert added == [("B", "1"), ("a", ""), ("a", "10"), ("a", "2"), ("b", "1")]
