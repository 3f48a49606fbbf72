"""Long-term memory: items under labels, searched, listed and gone at their time, on every engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph_memory_given import Letters, index_of, keys, plain

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver, SwarmStateStore

START = 1_700_000_000.0
AT_START = datetime.fromtimestamp(START, timezone.utc)


@pytest.fixture
def memory(store: ss.Store) -> SwarmStateStore:
    return SwarmStateStore(store)


def test_a_memory_opens_a_store_by_its_url_and_makes_one_of_its_own(store: ss.Store) -> None:
    assert SwarmStateStore(store).store is store
    assert SwarmStateStore("memory:?max_history=3").store.capabilities.engine == "memory"
    assert SwarmStateStore().store is not SwarmStateStore().store
    with pytest.raises(ss.InvalidError):
        SwarmStateStore("nowhere:")


def test_what_was_put_comes_back(memory: SwarmStateStore, clock: ss.Clock) -> None:
    value = {"text": "é", "none": None, "list": [1, 2.5, True, {"deep": "er"}], "": 0}
    memory.put(("users", "ann"), "profile", value)
    clock.advance(60)
    memory.put(("users", "ann"), "profile", value | {"text": "new"})

    found = memory.get(("users", "ann"), "profile")

    assert isinstance(memory, BaseStore)
    assert found is not None
    assert (found.namespace, found.key, found.value) == (("users", "ann"), "profile", value | {"text": "new"})
    assert found.created_at == AT_START
    assert found.updated_at.timestamp() == START + 60
    assert memory.get(("users",), "profile") is None
    assert memory.get(("users", "ann"), "other") is None


def test_two_memories_on_one_store_see_one_another_at_once(store: ss.Store) -> None:
    one, other = SwarmStateStore(store), SwarmStateStore(store)
    one.put(("n",), "k", {"by": "one"})
    assert plain(other.get(("n",), "k")) == (("n",), "k", {"by": "one"}, None)

    other.delete(("n",), "k")

    assert one.get(("n",), "k") is None
    assert one.search(()) == []
    assert one.list_namespaces() == []


def test_items_meet_neither_threads_nor_a_users_own_entries(store: ss.Store) -> None:
    store.set("items", "k", 1)
    memory, saver = SwarmStateStore(store), SwarmStateSaver(store)
    memory.put(("items",), "k", {"is": "an item"})

    saver.delete_thread("items")
    store.delete_namespace("items")

    assert keys(memory.search(())) == ["k"]
    assert all(namespace.startswith("\x1f") for namespace in store.namespaces())
    assert saver.threads() == []


def test_labels_and_keys_hold_any_characters(memory: SwarmStateStore) -> None:
    odd = ["", ".", "a.b", "a", "a\0", "\0", "\x01", "=", ">", "a>b=c", "*", "%", "_", "\U0010ffff", "é", "A", "items"]
    addresses = [
        ((first, second), key) for first in odd for second in odd[:6] for key in ("", "=", "\U0010ffff", "k\0")
    ]
    memory.batch([PutOp(labels, key, {"at": [*labels, key]}) for labels, key in addresses])

    found = memory.batch([GetOp(labels, key) for labels, key in addresses])
    listed = memory.batch([ListNamespacesOp(limit=1000)])[0]
    under = memory.batch([SearchOp((label,), limit=1000) for label in odd])

    assert [item.value["at"] for item in found] == [[*labels, key] for labels, key in addresses]
    assert listed == sorted({labels for labels, _ in addresses})
    for label, items in zip(odd, under, strict=True):
        assert {item.namespace[0] for item in items} == {label}
        assert len(items) == 24


def test_the_labels_that_langgraph_refuses_are_refused(memory: SwarmStateStore) -> None:
    for labels in [(), ("a.b",), ("",), ("langgraph",), (1,)]:
        with pytest.raises(InvalidNamespaceError):
            memory.put(labels, "k", {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="label of a namespace"):
        memory.batch([GetOp(("a", 1), "k")])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'namespace' must be a tuple of str, not str"):
        memory.batch([SearchOp("users")])  # type: ignore[arg-type]
    assert memory.search(()) == []


def test_a_batch_reads_what_was_before_its_writes(memory: SwarmStateStore) -> None:
    memory.put(("n",), "old", {"v": 1})

    answers = memory.batch(
        [
            PutOp(("n",), "new", {"v": 2}),
            GetOp(("n",), "old"),
            PutOp(("n",), "old", None),
            GetOp(("n",), "new"),
            SearchOp(("n",)),
            ListNamespacesOp(),
            PutOp(("n",), "new", {"v": 3}),
        ]
    )

    assert [answers[0], answers[2], answers[3], answers[6]] == [None] * 4
    assert plain(answers[1]) == (("n",), "old", {"v": 1}, None)
    assert keys(answers[4]) == ["old"]
    assert answers[5] == [("n",)]
    assert [plain(item) for item in memory.search(())] == [(("n",), "new", {"v": 3}, None)]
    assert memory.batch([]) == []


@pytest.mark.parametrize(
    ("refused", "error", "says"),
    [
        (PutOp(("n",), "bad", {"a": [{1, 2}]}), TypeError, r'value\["a"\]\[0\]: set is not storable'),
        (PutOp(("n",), "bad", {"a": 2**64}), ValueError, "value"),
        (PutOp(("n",), "k" * 5000, {}), ss.InvalidError, "4096"),
        (PutOp(("n" * 5000,), "bad", {}), ss.InvalidError, "4096"),
        (PutOp(("n",), "bad", {}, ttl=0), ss.InvalidError, "ttl must be above 0"),
        (SearchOp(("n",), filter={"a": {"$near": 1}}), ss.InvalidError, r"\$near is no operator"),
        (SearchOp(("n",), limit=-1), ss.InvalidError, "limit must not be negative"),
        (SearchOp(("n",), offset=-1), ss.InvalidError, "offset must not be negative"),
        (ListNamespacesOp(match_conditions=(MatchCondition("infix", ("a",)),)), ss.InvalidError, "infix"),  # type: ignore[arg-type]
        ("get", ss.InvalidError, "not str"),
    ],
)
def test_what_is_refused_writes_nothing(
    memory: SwarmStateStore, refused: Any, error: type[Exception], says: str
) -> None:
    memory.put(("n",), "stays", {"v": 1})

    with pytest.raises(error, match=says):
        memory.batch([PutOp(("n",), "first", {"v": 1}), PutOp(("n",), "stays", None), refused])

    assert keys(memory.search(())) == ["stays"]


def test_writers_of_one_batch_are_never_seen_halfway(memory: SwarmStateStore, run_threads: Callable[..., Any]) -> None:
    labels = [("left",), ("right", "below")]

    def write(by: str) -> None:
        for number in range(20):
            memory.batch([PutOp(label, "k", {"by": by, "number": number}) for label in labels])

    def read() -> list[bool]:
        seen = [memory.batch([GetOp(label, "k") for label in labels]) for _ in range(40)]
        found = [memory.search(()) for _ in range(20)]
        pairs = [pair for pair in [*seen, *found] if pair and pair[0] is not None]
        return [len(pair) == 2 and pair[1] is not None and pair[0].value == pair[1].value for pair in pairs]

    *_, whole = run_threads([lambda: write("one"), lambda: write("other"), read])

    assert all(whole)


def test_a_search_goes_by_labels_filters_and_pages(memory: SwarmStateStore) -> None:
    for number in range(25):
        memory.put(
            ("numbers", "odd" if number % 2 else "even"), f"{number:02}", {"n": number, "third": number % 3 == 0}
        )
    memory.put(("numbersign",), "x", {"n": 99})

    assert len(memory.search(("numbers",))) == 10
    assert keys(memory.search(("numbers", "odd"), limit=3)) == ["01", "03", "05"]
    assert keys(memory.search(("numbers",), filter={"third": True}, limit=100)) == [
        *("00", "06", "12", "18", "24"),
        *("03", "09", "15", "21"),
    ]
    assert keys(memory.search(("numbers",), filter={"third": True}, limit=4, offset=3)) == ["18", "24", "03", "09"]
    assert keys(memory.search((), filter={"n": {"$gte": 23}}, limit=100)) == ["24", "23", "x"]
    assert memory.search(("numbers",), limit=0) == []
    pages = [keys(memory.search(("numbers",), limit=7, offset=offset)) for offset in range(0, 28, 7)]
    assert [key for page in pages for key in page] == keys(memory.search(("numbers",), limit=100))


@pytest.mark.parametrize(
    ("filter", "kept"),
    [
        ({"n": 1}, ["int"]),
        ({"n": 1.0}, ["int"]),
        ({"n": True}, ["int"]),
        ({"n": "1"}, ["text"]),
        ({"n": None}, ["dict", "list", "nothing"]),
        ({"n": {"$ne": 1}}, ["dict", "half", "list", "nothing", "text"]),
        ({"n": {"$eq": 0.5}}, ["half"]),
        ({"n": {"$gt": 0.5, "$lt": 2}}, ["int", "text"]),
        ({"n": {"$lte": 0.5}}, ["half"]),
        ({"deep": {"er": {"at": 3}}}, ["dict"]),
        ({"deep": {"er": {"at": {"$gt": 2}}}}, ["dict"]),
        ({"deep.er.at": 3}, ["dict"]),
        ({"deep.er.at": {"$gte": 4}}, []),
        ({"deep.er.none.there": None, "deep": {"$ne": None}}, ["dict"]),
        ({"tags": ["a", {"b": 1}]}, ["list"]),
        ({"tags": ["a"]}, []),
        ({"dotted.name": 7}, ["list"]),
        ({"deep": {}}, ["dict"]),
        ({}, ["dict", "half", "int", "list", "nothing", "text"]),
    ],
)
def test_a_filter_keeps_what_equals_and_compares(
    memory: SwarmStateStore, filter: dict[str, Any], kept: list[str]
) -> None:
    values: dict[str, dict[str, Any]] = {
        "int": {"n": 1},
        "half": {"n": 0.5},
        "text": {"n": "1"},
        "dict": {"deep": {"er": {"at": 3}}},
        "list": {"tags": ["a", {"b": 1, "c": 2}], "dotted.name": 7},
        "nothing": {},
    }
    memory.batch([PutOp(("n",), key, value) for key, value in values.items()])

    assert keys(memory.search(("n",), filter=filter)) == kept


def test_namespaces_are_listed_by_patterns_and_depth(memory: SwarmStateStore) -> None:
    for labels in [("a",), ("a", "b"), ("a", "b", "c"), ("a", "b", "d", "e"), ("ab",), ("x", "b"), ("x", "y", "c")]:
        memory.put(labels, "k", {})
        memory.put(labels, "\U0010ffff", {})

    def listed(**options: Any) -> list[str]:
        return ["/".join(labels) for labels in memory.list_namespaces(**options)]

    assert listed() == ["a", "a/b", "a/b/c", "a/b/d/e", "ab", "x/b", "x/y/c"]
    assert listed(prefix=("a",)) == ["a", "a/b", "a/b/c", "a/b/d/e"]
    assert listed(prefix=("*", "b")) == ["a/b", "a/b/c", "a/b/d/e", "x/b"]
    assert listed(suffix=("b",)) == ["a/b", "x/b"]
    assert listed(prefix=("a", "b"), suffix=("*", "e")) == ["a/b/d/e"]
    assert listed(max_depth=1) == ["a", "ab", "x"]
    assert listed(max_depth=2, suffix=("c",)) == ["a/b", "x/y"]
    assert listed(limit=2, offset=3) == ["a/b/d/e", "ab"]
    assert listed(max_depth=2, limit=2, offset=1) == ["a/b", "ab"]
    assert listed(prefix=("a", "b", "c", "d")) == []


def test_an_item_goes_at_its_time(memory: SwarmStateStore, clock: ss.Clock) -> None:
    memory.put(("n",), "short", {}, ttl=1)
    memory.put(("n", "below"), "long", {}, ttl=2.5)
    memory.put(("n",), "endless", {})

    clock.advance(60)

    assert memory.get(("n",), "short", refresh_ttl=False) is None
    assert keys(memory.search((), refresh_ttl=False)) == ["endless", "long"]
    clock.advance(90)
    assert keys(memory.search((), refresh_ttl=False)) == ["endless"]
    assert memory.list_namespaces() == [("n",)]


def test_a_read_puts_the_end_off_and_is_no_change(memory: SwarmStateStore, clock: ss.Clock) -> None:
    memory.put(("n",), "got", {"v": 1}, ttl=1)
    memory.put(("n",), "found", {"v": 2}, ttl=1)
    memory.put(("n",), "left", {"v": 3}, ttl=1)

    for _ in range(3):
        clock.advance(45)
        assert memory.get(("n",), "got") is not None
        assert keys(memory.search(("n",), filter={"v": 2})) == ["found"]

    found = memory.search(("n",), refresh_ttl=False)
    assert keys(found) == ["found", "got"]
    assert {item.updated_at for item in found} == {AT_START}
    assert {item.created_at for item in found} == {AT_START}
    clock.advance(60)
    assert memory.search(("n",)) == []


def test_the_time_to_live_is_that_of_the_last_put(store: ss.Store, clock: ss.Clock) -> None:
    memory = SwarmStateStore(store, ttl={"default_ttl": 1, "refresh_on_read": False})
    memory.put(("n",), "default", {})
    memory.put(("n",), "endless", {}, ttl=None)
    memory.put(("n",), "again", {}, ttl=1)
    memory.put(("n",), "again", {}, ttl=2)
    clock.advance(30)
    memory.get(("n",), "default")

    clock.advance(30)

    assert keys(memory.search(())) == ["again", "endless"]
    clock.advance(60)
    assert keys(memory.search(())) == ["endless"]


def test_more_items_than_a_batch_holds_are_put_off(store: ss.Store, clock: ss.Clock) -> None:
    memory = SwarmStateStore(store, ttl={"default_ttl": 1})
    count = 11_000
    for first in range(0, count, 1000):
        memory.batch([PutOp(("n",), f"{number:05}", {}, ttl=1) for number in range(first, first + 1000)])
    clock.advance(45)

    assert len(memory.search(("n",), limit=20_000)) == count

    clock.advance(45)
    assert len(memory.search(("n",), limit=20_000, refresh_ttl=False)) == count


def test_a_sweep_frees_what_has_ended(memory: SwarmStateStore, clock: ss.Clock) -> None:
    memory.put(("n",), "ends", {}, ttl=1)
    memory.put(("n",), "stays", {})
    clock.advance(60)

    memory.sweep_ttl()

    assert keys(memory.search(())) == ["stays"]
    before = memory.store.snapshot()
    assert len(before) == 1


def test_a_sweeper_sweeps_until_it_is_stopped(memory: SwarmStateStore) -> None:
    swept, gone = threading.Event(), threading.Event()
    fails = iter([True])

    class Items:
        def sweep(self) -> None:
            if next(fails, False):
                raise ss.UnavailableError("not now")
            swept.set()

    memory._items = Items()  # type: ignore[assignment]
    first = memory.start_ttl_sweeper(sweep_interval_minutes=1e-5)
    first.add_done_callback(lambda _: gone.set())

    assert swept.wait(60)
    assert memory.start_ttl_sweeper() is first
    assert memory.stop_ttl_sweeper()
    assert gone.wait(60)
    assert first.result() is None
    assert memory.stop_ttl_sweeper()


def test_a_sweeper_ends_with_its_future_and_with_its_memory(store: ss.Store) -> None:
    memory = SwarmStateStore(store, ttl={"sweep_interval_minutes": 60})

    cancelled = memory.start_ttl_sweeper()
    assert cancelled.cancel()
    assert memory.stop_ttl_sweeper(timeout=60)
    left = memory.start_ttl_sweeper()
    thread = memory._sweeper._thread  # type: ignore[union-attr]
    del memory

    assert left is not cancelled
    thread.join(60)
    assert not thread.is_alive()
    assert left.cancelled()


def test_an_interval_that_is_not_above_zero_is_refused(memory: SwarmStateStore) -> None:
    with pytest.raises(ss.InvalidError, match="sweep_interval_minutes must be above 0, but is 0"):
        memory.start_ttl_sweeper(0)


async def test_async_twins_do_the_same(memory: SwarmStateStore, clock: ss.Clock) -> None:
    await memory.aput(("a", "b"), "k", {"v": 1}, ttl=1)
    await memory.aput(("a",), "k", {"v": 2})

    assert plain(await memory.aget(("a", "b"), "k")) == (("a", "b"), "k", {"v": 1}, None)
    assert keys(await memory.asearch(("a",), filter={"v": 2})) == ["k"]
    assert await memory.alist_namespaces(prefix=("a",)) == [("a",), ("a", "b")]
    await memory.adelete(("a",), "k")
    clock.advance(60)
    assert await memory.asearch(()) == []


@pytest.mark.parametrize("waits", [False, True])
async def test_only_where_the_engine_waits_async_calls_leave_the_event_loop(store: ss.Store, waits: bool) -> None:
    memory = SwarmStateStore(store)
    inner, threads = memory._items, set()

    class Items:
        def read(self, questions: list[Any]) -> list[Any]:
            threads.add(threading.get_ident())
            return inner.read(questions)

        def write(self, changes: list[Any]) -> None:
            threads.add(threading.get_ident())
            inner.write(changes)

    memory._items, memory._waits = Items(), waits  # type: ignore[assignment]

    await asyncio.gather(*(memory.aput(("n",), str(number), {}) for number in range(10)))
    assert len(await memory.asearch(("n",))) == 10

    assert (threading.get_ident() in threads) is not waits


def test_a_snapshot_holds_every_item(memory: SwarmStateStore) -> None:
    memory.put(("n",), "k", {"v": 1})
    before = memory.store.snapshot()
    memory.put(("n",), "k", {"v": 2})
    memory.put(("m",), "k", {"v": 3})

    memory.store.restore(before)

    assert [plain(item) for item in memory.search(())] == [(("n",), "k", {"v": 1}, None)]


def test_a_query_ranks_by_the_nearest_field(store: ss.Store) -> None:
    memory = SwarmStateStore(store, index=index_of("title", "parts[*].text"))
    memory.put(("n",), "title", {"title": "aab", "parts": []})
    memory.put(("n",), "part", {"title": "zzz", "parts": [{"text": "yyy"}, {"text": "aaa"}]})
    memory.put(("n",), "far", {"title": "xxx"})
    memory.put(("n",), "own", {"other": "aaa", "title": "zz"}, index=["other"])
    memory.put(("n",), "none", {"title": "aaa"}, index=False)
    memory.put(("m",), "elsewhere", {"title": "aaa"})

    found = memory.search(("n",), query="aaaa")

    assert [(item.key, None if item.score is None else round(item.score, 6)) for item in found] == [
        ("own", 1.0),
        ("part", 1.0),
        ("title", 0.894427),
        ("far", 0.0),
        ("none", None),
    ]
    assert keys(memory.search(("n",), query="aaaa", limit=2, offset=2)) == ["title", "far"]
    assert keys(memory.search(("n",), query="aaaa", filter={"title": {"$ne": "zz"}}, limit=2)) == ["part", "title"]
    assert keys(memory.search((), query="aaaa", limit=1)) == ["elsewhere"]


def test_a_put_replaces_what_an_item_is_found_by(store: ss.Store, clock: ss.Clock) -> None:
    memory = SwarmStateStore(store, index=index_of("text"))
    memory.put(("n",), "k", {"text": "aaa"}, ttl=1)
    memory.put(("n",), "other", {"text": "ab"})
    clock.advance(45)
    assert keys(memory.search(("n",), query="a")) == ["k", "other"]
    clock.advance(45)
    assert keys(memory.search(("n",), query="a")) == ["k", "other"]

    memory.put(("n",), "k", {"text": "bbb"})
    assert keys(memory.search(("n",), query="a")) == ["other", "k"]
    memory.put(("n",), "k", {"text": "aaa"}, index=False)
    assert keys(memory.search(("n",), query="a")) == ["other", "k"]
    memory.delete(("n",), "k")
    assert keys(memory.search(("n",), query="a")) == ["other"]
    clock.advance(120)
    assert keys(memory.search(("n",), query="a")) == ["other"]


def test_the_whole_value_is_embedded_where_no_fields_are_named(store: ss.Store) -> None:
    embed = Letters()
    memory = SwarmStateStore(store, index={"dims": 26, "embed": embed})

    memory.batch([PutOp(("n",), "1", {"a": "b"}), PutOp(("n",), "2", {"a": "b"}), PutOp(("n",), "3", None)])

    assert embed.texts == ['{"a": "b"}']
    assert [round(item.score or 0, 6) for item in memory.search((), query="ab")] == [1.0, 1.0]


def test_without_an_index_a_query_is_left_out_of_account(memory: SwarmStateStore) -> None:
    memory.put(("n",), "k", {"text": "aaa"})

    assert [plain(item) for item in memory.search(("n",), query="a")] == [(("n",), "k", {"text": "aaa"}, None)]


def test_an_embedding_of_another_length_is_refused(store: ss.Store) -> None:
    memory = SwarmStateStore(store, index={"dims": 3, "embed": Letters(), "fields": ["text"]})

    with pytest.raises(ss.InvalidError, match="26 dimensions, and the index is configured for 3"):
        memory.batch([PutOp(("n",), "plain", {}, index=False), PutOp(("n",), "k", {"text": "a"})])
    with pytest.raises(ss.InvalidError, match="26 dimensions"):
        memory.search((), query="a")
    assert memory.search(()) == []

    SwarmStateStore(store, index=index_of("text")).put(("n",), "k", {"text": "a"})
    short = SwarmStateStore(store, index={"dims": 2, "embed": lambda texts: [[1.0, 0.0] for _ in texts]})
    with pytest.raises(ss.InvalidError, match=r'item "k" under \["n"\] was embedded in 26 dimensions'):
        short.search((), query="a")


def test_a_number_that_is_not_finite_is_refused_and_a_zero_vector_is_near_nothing(store: ss.Store) -> None:
    vectors = {"nan": [float("nan"), 0.0], "zero": [0.0, 0.0], "one": [0.0, 2.0], "huge": [1e30, 1e30]}
    memory = SwarmStateStore(store, index={"dims": 2, "embed": lambda texts: [vectors[text] for text in texts]})
    memory._fields = [["text"]]

    with pytest.raises(ss.InvalidError, match="not finite"):
        memory.put(("n",), "nan", {"text": "nan"})
    for name in ("zero", "one", "huge"):
        memory.put(("n",), name, {"text": name})

    assert [(item.key, round(item.score or 0, 6)) for item in memory.search((), query="one")] == [
        ("one", 1.0),
        ("huge", 0.707107),
        ("zero", 0.0),
    ]
    assert [item.score for item in memory.search((), query="zero")] == [0.0, 0.0, 0.0]


async def test_async_search_embeds_and_ranks(store: ss.Store) -> None:
    memory = SwarmStateStore(store, index=index_of("text"))
    await memory.abatch([PutOp(("n",), text, {"text": text}) for text in ("abc", "aaa", "xyz")])

    found = await memory.abatch(
        [SearchOp(("n",), query="a"), SearchOp(("n",), query="z", limit=1), GetOp(("n",), "abc")]
    )

    assert keys(found[0]) == ["aaa", "abc", "xyz"]
    assert keys(found[1]) == ["xyz"]
    assert plain(found[2]) == (("n",), "abc", {"text": "abc"}, None)


@pytest.mark.parametrize(
    "junk", [None, 7, "text", b"", [], [None, None], [1, 2, 3, 4], [-1, None, {}], [None, "x", {}]]
)
def test_a_record_that_was_tampered_with_is_named(store: ss.Store, junk: Any) -> None:
    memory = SwarmStateStore(store, index=index_of("text"))
    memory.put(("n",), "k", {"text": "a"})
    (namespace,) = store.namespaces()

    for key in store.keys(namespace):
        before = store.snapshot()
        store.set(namespace, key, junk)
        with pytest.raises(ss.CorruptError, match=r'"k"|vectors'):
            memory.search((), query="a", filter={"text": "a"})
        store.restore(before)

    store.set(namespace, "item>", 1)
    with pytest.raises(ss.CorruptError, match="not the key of an item"):
        memory.list_namespaces()
