"""How long checkpoints and threads are kept: by number, and by the time since the last put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_given import checkpoint_of, config_of, delta_chat, get, ids, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver


def put_many(saver: SwarmStateSaver, count: int, thread_id: str = "thread", checkpoint_ns: str = "") -> None:
    config = config_of(thread_id, checkpoint_ns)
    for number in range(count):
        config = put(saver, config, f"{number:04}", {"a": number}, version=str(number))


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_at_most_twice_as_many_stand_as_are_kept(store: ss.Store, keep: int) -> None:
    saver = SwarmStateSaver(store, keep_last=keep)
    config, most = config_of(), 0
    for number in range(23):
        config = put(saver, config, f"{number:04}", {"a": number}, version=str(number))
        found = ids(saver.list(config_of()))
        most = max(most, len(found))
        assert found[:keep] == [f"{each:04}" for each in range(number, max(number - keep, -1), -1)]

    assert most < 2 * keep + 1
    (thread,) = saver.threads()
    assert thread.checkpoints == len(ids(saver.list(config_of())))


def test_only_what_is_put_with_a_bound_is_swept(store: ss.Store) -> None:
    put_many(SwarmStateSaver(store), 5, "unbounded")
    saver = SwarmStateSaver(store, keep_last=1)
    put_many(saver, 5)

    assert len(ids(saver.list(config_of("unbounded")))) == 5
    assert len(ids(saver.list(config_of()))) == 1


def test_two_savers_that_keep_different_numbers_lose_no_newest(store: ss.Store) -> None:
    savers = [SwarmStateSaver(store, keep_last=2), SwarmStateSaver(store, keep_last=3)]
    config = config_of()
    for number in range(20):
        config = put(savers[number % 2], config, f"{number:04}", {"a": ["x" * 3000, number]}, version=str(number))

        assert get(savers[0], config_of()).checkpoint["channel_values"] == {"a": ["x" * 3000, number]}
        assert ids(savers[1].list(config_of()))[:2] == [f"{number:04}", f"{number - 1:04}"][: number + 1]


@given(turns=st.integers(1, 12), keep=st.integers(1, 4), prunes=st.sets(st.integers(0, 11)))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_delta_channel_never_misses_what_was_removed(
    store: ss.Store, turns: int, keep: int, prunes: set[int]
) -> None:
    store.clear()
    saver = SwarmStateSaver(store, keep_last=keep)
    graph, untouched = delta_chat(saver), delta_chat(InMemorySaver())

    for turn in range(turns):
        for each in (graph, untouched):
            each.invoke({"log": [f"question {turn}"]}, config_of())
        if turn in prunes:
            saver.prune(["thread"])

        assert graph.get_state(config_of()).values == untouched.get_state(config_of()).values


def test_a_thread_past_its_time_is_gone_for_every_read(store: ss.Store, clock: ss.Clock) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    put_many(saver, 3)
    saver.put_writes(config_of(checkpoint_id="0002"), [("a", 1)], "task")
    put_many(SwarmStateSaver(store), 1, "for ever")
    clock.advance(59.5)
    assert len(ids(saver.list(config_of()))) == 3

    clock.advance(0.5)

    assert saver.get_tuple(config_of()) is None
    assert saver.get_tuple(config_of(checkpoint_id="0001")) is None
    assert list(saver.list(config_of())) == []
    assert ids(saver.list(None)) == ["0000"]
    assert [thread.thread_id for thread in saver.threads()] == ["for ever"]
    assert saver.usage("thread") == (0, 0, 0, 0)
    assert saver.get_delta_channel_history(config=config_of(), channels=["a"]) == {"a": {"writes": []}}
    saver.copy_thread("thread", "copy")
    assert saver.get_tuple(config_of("copy")) is None


def test_every_put_gives_a_thread_its_time_anew_and_writes_do_not(store: ss.Store, clock: ss.Clock) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    put(saver, config_of(), "1")
    clock.advance(40)
    put(saver, config_of(), "2")
    clock.advance(40)
    saver.put_writes(config_of(checkpoint_id="2"), [("a", 1)], "task")
    assert ids(saver.list(config_of())) == ["2", "1"]

    clock.advance(20)

    assert saver.get_tuple(config_of()) is None


def test_a_put_that_gives_no_time_keeps_the_thread(store: ss.Store, clock: ss.Clock) -> None:
    put(SwarmStateSaver(store, ttl=60), config_of(), "1")
    put(SwarmStateSaver(store), config_of(), "2")

    clock.advance(1000)

    assert ids(SwarmStateSaver(store).list(config_of())) == ["2", "1"]


@pytest.mark.parametrize("begin", ["put", "put_writes", "copy_thread"])
def test_a_thread_that_begins_again_has_nothing_of_its_former_time(
    store: ss.Store, clock: ss.Clock, begin: str
) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    put_many(saver, 3)
    saver.put_writes(config_of(checkpoint_id="9"), [("old", 1)], "task")
    clock.advance(60)
    put(saver, config_of("source"), "9")

    if begin == "put_writes":
        saver.put_writes(config_of(checkpoint_id="9"), [("new", 1)], "task")
    if begin == "copy_thread":
        saver.copy_thread("source", "thread")
    else:
        put(saver, config_of(), "9")

    assert ids(saver.list(config_of())) == ["9"]
    written = [("task", "new", 1)] if begin == "put_writes" else []
    assert get(saver, config_of()).pending_writes == written
    assert len(store.keys("\x1fthread:thread\0")) == 2 + len(written)


def test_what_pruning_leaves_keeps_its_time(store: ss.Store, clock: ss.Clock) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    put_many(saver, 3)
    clock.advance(30)
    (before,) = saver.threads()
    saver.prune(["thread"])
    (after,) = saver.threads()
    assert after == before._replace(checkpoints=1)

    clock.advance(30)

    assert saver.get_tuple(config_of()) is None


def test_what_expired_threads_leave_is_removed(store: ss.Store, clock: ss.Clock) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    for number in range(100):
        put_many(saver, 1, f"{number}")
    clock.advance(60)
    assert len(store.namespaces()) == 100

    put_many(saver, 64, "other")

    assert len(store.namespaces()) == 1
    clock.advance(60)
    assert saver.remove_expired() == 1
    assert saver.remove_expired() == 0
    assert store.namespaces() == []


@pytest.mark.parametrize("remove", [lambda saver: saver.prune(["thread"]), lambda saver: saver.delete_for_runs(["x"])])
def test_a_sweep_removes_what_an_expired_thread_left(
    store: ss.Store, clock: ss.Clock, remove: Callable[[SwarmStateSaver], None]
) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    put_many(saver, 3)
    clock.advance(60)

    remove(saver)

    assert store.namespaces() == []


def test_a_restored_snapshot_brings_no_thread_back_whose_time_is_over(store: ss.Store, clock: ss.Clock) -> None:
    saver = SwarmStateSaver(store, ttl=60)
    put_many(saver, 3)
    snapshot = store.snapshot()
    clock.advance(30)
    saver.delete_thread("thread")
    store.restore(snapshot)
    assert len(ids(saver.list(None))) == 3

    clock.advance(30)
    store.restore(snapshot)

    assert ids(saver.list(None)) == []
    put(saver, config_of(), "new")
    assert ids(saver.list(None)) == ["new"]


@pytest.mark.parametrize(
    "options", [{"keep_last": 0}, {"keep_last": -1}, {"ttl": 0}, {"ttl": -1}, {"ttl": float("inf")}]
)
def test_a_bound_that_keeps_nothing_is_invalid(store: ss.Store, options: dict[str, Any]) -> None:
    with pytest.raises(ss.InvalidError, match=next(iter(options))):
        SwarmStateSaver(store, **options)


@pytest.mark.parametrize("options", [{"keep_last": "1"}, {"keep_last": 1.5}, {"ttl": "1"}])
def test_a_bound_of_another_type_is_a_type_error(store: ss.Store, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        SwarmStateSaver(store, **options)


def test_a_value_that_versions_share_lives_as_long_as_its_thread(store: ss.Store, clock: ss.Clock) -> None:
    saver = SwarmStateSaver(store, ttl=60, keep_last=2)
    words = [f"word {number}" for number in range(3000)]
    config = config_of()
    for number in range(20):
        checkpoint = checkpoint_of(f"{number:04}", {"a": words[: 1000 + 100 * number]}, str(number))
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
        clock.advance(50)

        assert get(saver, config_of()).checkpoint["channel_values"]["a"] == words[: 1000 + 100 * number]
