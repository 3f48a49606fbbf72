"""Opening, copying and closing stores, what an engine says it can do, and the clock that stores go by."""

import copy
import io
import pickle
import subprocess
import sys

import pytest

import swarmstate as ss

# Where `clock` stands at first.
START_MILLIS = 1_700_000_000_000


def test_copy_brings_every_entry_with_its_kind_and_expiry(make_store, clock, fill):
    source, target = make_store(), make_store()
    fill(source, [("a", "k", 1), ("b", "k", b"\0"), ("b", "text", "x")])
    source.set("b", "soon", {}, ttl=10)
    clock.advance(1)

    assert ss.copy(source, target) == 4

    assert [target.items(namespace) for namespace in target.namespaces()] == [
        [("k", 1)],
        [("k", b"\0"), ("soon", {}), ("text", "x")],
    ]
    assert target.entry("b", "soon").expires_at == START_MILLIS + 10_000
    assert target.entry("a", "k").created_at == START_MILLIS + 1000
    assert target.increment("a", "k") == 2
    assert source.get("a", "k") == 1


def test_copy_and_exports_go_from_every_engine_to_every_engine(make_store, make_other_store, fill):
    source, copied, imported = make_store(), make_other_store(), make_other_store()
    fill(source, [("a", "k", 1), ("b", "k", b"\0"), ("b", "text", "x")])
    source.set("b", "soon", {"deep": [None, 1.5]}, ttl=10)
    file = io.BytesIO()

    ss.copy(source, copied)
    ss.export(source, file)
    file.seek(0)
    ss.import_(file, imported)

    for target in (copied, imported):
        assert target.namespaces() == ["a", "b"]
        for namespace in target.namespaces():
            assert target.items(namespace) == source.items(namespace)
        assert target.entry("b", "soon").expires_at == source.entry("b", "soon").expires_at
        assert target.increment("a", "k") == 2


def test_copy_takes_a_snapshot_too(make_store):
    source, target = make_store(), make_store()
    source.set("n", "k", 1)
    snapshot = source.snapshot()
    source.set("n", "k", 2)

    ss.copy(snapshot, target)

    assert target.get("n", "k") == 1


def test_copy_tells_its_progress_to_the_end(make_store, fill):
    source, target = make_store(), make_store()
    fill(source, [(f"n{i % 3}", str(i), i) for i in range(2500)])
    told = []

    ss.copy(source, target, progress=lambda done, total: told.append((done, total)))

    assert told[-1] == (2500, 2500)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(target) == 2500


def test_copy_of_nothing_is_nothing(make_store):
    assert ss.copy(make_store(), make_store(), progress=pytest.fail) == 0


def test_copy_into_a_namespace_that_lives_is_a_conflict_and_writes_nothing(make_store, fill):
    source, target = make_store(), make_store()
    fill(source, [("a", "k", 1), ("b", "k", 1)])
    target.set("b", "other", 2)

    with pytest.raises(ss.ConflictError) as caught:
        ss.copy(source, target)

    assert [caught.value.namespace, target.namespaces()] == ["b", ["b"]]


def test_an_exception_from_progress_ends_the_copy_and_passes_on(make_store):
    source, target = make_store(), make_store()
    source.set_many([("n", str(i), i) for i in range(3000)])

    def stop(done, total):
        raise LookupError(f"{done} of {total}")

    with pytest.raises(LookupError, match="of 3000"):
        ss.copy(source, target, progress=stop)

    assert 0 < len(target) < 3000


def test_copy_reads_its_source_as_it_stood(make_store, fill):
    source, target = make_store(), make_store()
    fill(source, [(f"n{i}", "k", i) for i in range(5)])

    ss.copy(source, target, progress=lambda done, total: source.set("n4", "k", "changed"))

    assert [target.get(f"n{i}", "k") for i in range(5)] == [0, 1, 2, 3, 4]


def test_copy_leaves_the_history_of_its_source_alone(make_store):
    source, target = make_store(max_history=1), make_store()
    source.set("n", "k", 1)
    snapshot = source.snapshot()

    ss.copy(source, target)

    assert [kept.id for kept in source.history()] == [snapshot.id]
    assert source.snapshot().parent == snapshot.id


def test_open_gives_a_new_memory_store_each_time():
    one, other = ss.open("memory:"), ss.open("memory:?max_history=2")
    one.set("n", "k", 1)
    for _ in range(3):
        other.snapshot()

    assert isinstance(one, ss.Store)
    assert [len(one), len(other), len(other.history())] == [1, 0, 2]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory", "names no engine"),
        ("", "names no engine"),
        ("nothing://x", '"nothing" names no engine'),
        ("memory:name", 'gives "name"'),
        ("memory:?size=1", 'no option "size"'),
        ("memory:?max_history=many", 'not "many"'),
        ("memory:?max_history=0", "at least 1"),
        ("memory:?max_history=-1", 'not "-1"'),
    ],
)
def test_a_url_that_opens_nothing_says_what_is_wrong(url, message):
    with pytest.raises(ss.InvalidError, match=message):
        ss.open(url)


def export_of(snapshot):
    file = io.BytesIO()
    ss.export(snapshot, file)
    file.seek(0)
    return file


USES = {
    "set": lambda store, snapshot: store.set("n", "k", 1),
    "get": lambda store, snapshot: store.get("n", "k"),
    "entry": lambda store, snapshot: store.entry("n", "k"),
    "contains": lambda store, snapshot: store.contains("n", "k"),
    "delete": lambda store, snapshot: store.delete("n", "k"),
    "increment": lambda store, snapshot: store.increment("n", "k"),
    "touch": lambda store, snapshot: store.touch("n", "k", 1),
    "keys": lambda store, snapshot: store.keys("n"),
    "items": lambda store, snapshot: store.items("n"),
    "namespaces": lambda store, snapshot: store.namespaces(),
    "set_many": lambda store, snapshot: store.set_many([("n", "k", 1)]),
    "get_many": lambda store, snapshot: store.get_many([("n", "k")]),
    "delete_namespace": lambda store, snapshot: store.delete_namespace("n"),
    "copy_namespace": lambda store, snapshot: store.copy_namespace("n", "m"),
    "batch": lambda store, snapshot: store.batch().__exit__(None, None, None),
    "clear": lambda store, snapshot: store.clear(),
    "snapshot": lambda store, snapshot: store.snapshot(),
    "restore": lambda store, snapshot: store.restore(snapshot),
    "history": lambda store, snapshot: store.history(),
    "snapshot_by_id": lambda store, snapshot: store.snapshot_by_id(snapshot.id),
    "drop_snapshot": lambda store, snapshot: store.drop_snapshot(snapshot.id),
    "compact": lambda store, snapshot: store.compact(),
    "size_bytes": lambda store, snapshot: store.size_bytes,
    "len": lambda store, snapshot: len(store),
    "in": lambda store, snapshot: ("n", "k") in store,
    "diff": lambda store, snapshot: store.diff(snapshot),
    "export": lambda store, snapshot: ss.export(store, io.BytesIO()),
    "import": lambda store, snapshot: ss.import_(export_of(snapshot), store),
    "copy from": lambda store, snapshot: ss.copy(store, snapshot.fork()),
    "copy to": lambda store, snapshot: ss.copy(snapshot, store),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_refuses_every_use(store, use):
    store.set("n", "k", 1)
    snapshot = store.snapshot()
    store.close()

    with pytest.raises(ss.InvalidError, match="the store is closed"):
        USES[use](store, snapshot)


def test_closing_again_is_nothing_and_a_closed_store_still_tells_what_it_is(store):
    store.close()
    store.close()

    assert repr(store).startswith(f"<{type(store).__name__} ")
    assert "closed" in repr(store)


def test_a_store_is_closed_at_the_end_of_its_with_block(make_store):
    with make_store() as store:
        store.set("n", "k", 1)

    with pytest.raises(ss.InvalidError, match="closed"):
        store.get("n", "k")


def test_an_exception_passes_through_a_stores_with_block(make_store):
    with pytest.raises(LookupError), make_store():
        raise LookupError


def test_a_store_says_where_it_is_and_how_much_it_holds(store):
    store.set("n", "k", "four")

    match store:
        case ss.SqliteStore():
            where = f'"{store.path}"'
        case ss.RedisStore():
            where = f"on {store.address}"
        case _:
            where = "in memory"
    assert repr(store) == f"<{type(store).__name__} {where}: 1 entries, 5 bytes>"


def test_a_subclass_of_store_is_a_store():
    class Mine(ss.Store):
        def double(self, namespace, key):
            self.set(namespace, key, self.get(namespace, key) * 2)

    store = Mine(max_history=1)
    store.set("n", "k", 2)
    store.double("n", "k")

    assert store.get("n", "k") == 4


def test_what_belongs_to_a_store_is_neither_pickled_nor_copied(store, clock):
    store.set("n", "k", 1)

    for thing in (store, store.snapshot(), store.entry("n", "k"), store.batch(), store.capabilities, clock):
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot pickle"):
                make(thing)


def test_memory_capabilities_say_what_the_page_says():
    capabilities = ss.Store().capabilities

    assert repr(capabilities) == "<Capabilities of memory>"
    assert [capabilities.engine, capabilities.persistent, capabilities.waits] == ["memory", False, False]
    assert capabilities.atomic_across_namespaces is capabilities.one_instant is True
    assert capabilities.held_snapshots_outlive_history is capabilities.copies_keep_revisions is True
    assert [capabilities.max_name_bytes, capabilities.max_value_bytes] == [4096, 256 * 2**20]
    assert [capabilities.max_batch_operations, capabilities.max_batch_bytes] == [1_000_000, 2**30]


def test_a_manual_clock_stands_until_it_is_moved():
    clock = ss.Clock(1.5)

    clock.advance(2)
    clock.advance(0.25)

    assert [clock.now(), repr(clock)] == [3.75, "Clock(start=3.75)"]
    assert ss.Clock().now() == 0


def test_two_stores_can_go_by_one_clock(make_store, clock):
    stores = [make_store(), make_store()]
    for store in stores:
        store.set("n", "k", 1, ttl=10)

    clock.advance(10)

    assert [len(store) for store in stores] == [0, 0]


FORKING = """
import os
import swarmstate as ss

store = ss.Store()
store.set("n", "k", "before")
child = os.fork()
store.set("n", "k", f"by {child == 0}")
snapshot = store.snapshot()
store.clear()
store.restore(snapshot)
assert store.items("n") == [("k", f"by {child == 0}")]
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_forked_child_has_a_copy_of_a_memory_store():
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=60)


def test_a_store_and_its_snapshots_cannot_be_sent_to_another_process(store):
    for thing in (store, store.snapshot(), store.batch()):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(thing)
