"""What the checkpointer promises beyond LangGraph's own suite, one sentence a test."""

from __future__ import annotations

import copy
import itertools
import json
import threading
from typing import Any

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver
from langgraph_given import checkpoint_of, config_of, get, ids, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

ODD_NAMES = ["", "\0", "\x01", "\x01\x01", "\x1f", "\x1fthread:", ":", "/", "a\0b", "a:b", "🐝", "\U0010ffff", "%_*"]
SPECIAL = [*WRITES_IDX_MAP]


class JsonSerializer:
    """A serializer of one's own, which notes the threads that it works in."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.threads.add(threading.get_ident())
        return "my json", json.dumps(obj).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.threads.add(threading.get_ident())
        form, stored = data
        assert (form, type(stored)) == ("my json", bytes)
        return json.loads(stored)


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return SwarmStateSaver(store)


def test_a_saver_opens_a_store_by_its_url_and_makes_one_of_its_own(store: ss.Store) -> None:
    assert SwarmStateSaver(store).store is store
    assert SwarmStateSaver("memory:?max_history=3").store.capabilities.engine == "memory"
    assert SwarmStateSaver().store is not SwarmStateSaver().store
    with pytest.raises(ss.InvalidError):
        SwarmStateSaver("nowhere:")


def test_what_was_put_comes_back(saver: SwarmStateSaver) -> None:
    parent = put(saver, config_of(), "1")
    values = {"text": "é", "none": None, "bytes": b"\0", "bytearray": bytearray(b"x"), "nested": {"a": [1, {"b": 2.5}]}}
    checkpoint = checkpoint_of("2", values)
    stored = saver.put(parent, checkpoint, {"source": "loop", "step": 3}, checkpoint["channel_versions"])

    found = get(saver, config_of())

    assert found.config == stored == config_of(checkpoint_id="2")
    assert found.checkpoint == checkpoint
    assert found.metadata == {"source": "loop", "step": 3}
    assert found.parent_config == parent
    assert found.pending_writes == []
    assert get(saver, parent).parent_config is None


def test_the_configs_own_metadata_is_stored(saver: SwarmStateSaver) -> None:
    config = config_of()
    config["metadata"] = {"run_id": "run", "langgraph_step": 4}
    put(saver, config, "1", step=2)

    assert get(saver, config_of()).metadata == {"source": "loop", "step": 2, "run_id": "run"}


def test_arguments_are_never_changed(saver: SwarmStateSaver) -> None:
    config, writes = config_of(checkpoint_id="0"), [("a", [1]), ("b", {"c": 2})]
    config["metadata"] = {"run_id": "run"}
    checkpoint = checkpoint_of("1", {"a": [1, 2], "b": {"c": 3}})
    arguments: Any = (config, checkpoint, {"source": "loop"}, checkpoint["channel_versions"])
    before = copy.deepcopy((arguments, writes))

    saver.put(*arguments)
    saver.put_writes(config, writes, "task")
    list(saver.list(config, filter={"source": "loop"}, before=config))
    get(saver, config_of()).checkpoint["channel_values"]["a"].append(3)

    assert (arguments, writes) == before
    assert get(saver, config_of()).checkpoint["channel_values"]["a"] == [1, 2]


def test_a_channel_without_a_value_is_empty(saver: SwarmStateSaver) -> None:
    checkpoint = checkpoint_of("1", {"a": 1})
    checkpoint["channel_versions"] = {"a": "1", "gone": "1", "never stored": "1"}
    saver.put(config_of(), checkpoint, {}, {"a": "1", "gone": "1"})

    found = get(saver, config_of()).checkpoint

    assert found["channel_values"] == {"a": 1}
    assert found["channel_versions"] == checkpoint["channel_versions"]


def test_the_same_version_put_again_replaces_its_value(saver: SwarmStateSaver) -> None:
    put(saver, config_of(), "1", {"a": "old"})
    put(saver, config_of(), "2", {"a": "new"})

    assert get(saver, config_of(checkpoint_id="1")).checkpoint["channel_values"] == {"a": "new"}


def test_the_same_version_put_again_without_a_value_is_empty(saver: SwarmStateSaver) -> None:
    put(saver, config_of(), "1", {"a": "old"})
    empty = checkpoint_of("2")
    empty["channel_versions"] = {"a": "1"}
    saver.put(config_of(), empty, {}, {"a": "1"})

    assert get(saver, config_of(checkpoint_id="1")).checkpoint["channel_values"] == {}


def test_a_value_is_stored_once_for_all_checkpoints_of_its_version(saver: SwarmStateSaver) -> None:
    put(saver, config_of(), "1", {"a": "x" * 10_000})
    before = saver.store.size_bytes
    saver.put(config_of(), checkpoint_of("2", {"a": "x" * 10_000}), {}, {})

    assert saver.store.size_bytes - before < 1000
    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": "x" * 10_000}


def test_versions_of_another_type_are_other_versions(saver: SwarmStateSaver) -> None:
    versions = [1, 1.0, "1", "1.0", -1, 2**63 - 1]
    for number, version in enumerate(versions):
        put(saver, config_of(), str(number), {"a": number}, version=version)

    for number, version in enumerate(versions):
        found = get(saver, config_of(checkpoint_id=str(number))).checkpoint
        assert found["channel_values"] == {"a": number}
        assert found["channel_versions"] == {"a": version}
        assert type(found["channel_versions"]["a"]) is type(version)


@pytest.mark.parametrize("version", [2**63, -(2**63) - 1, 10**400])
def test_a_version_beyond_64_bits_is_invalid(saver: SwarmStateSaver, version: int) -> None:
    with pytest.raises(ss.InvalidError):
        put(saver, config_of(), "1", {"a": 1}, version=version)
    assert saver.get_tuple(config_of()) is None


def test_a_version_of_no_such_type_is_a_type_error(saver: SwarmStateSaver) -> None:
    with pytest.raises(TypeError, match="a channel's version is a str, an int or a float, not list"):
        put(saver, config_of(), "1", {"a": 1}, version=[1])


def test_branches_that_reach_the_same_number_do_not_share_a_value(saver: SwarmStateSaver) -> None:
    root = put(saver, config_of(), "1", {"a": "root"}, version=saver.get_next_version(None, None))
    current = get(saver, root).checkpoint["channel_versions"]["a"]
    left = put(saver, root, "2", {"a": "left"}, version=saver.get_next_version(current, None))
    right = put(saver, root, "3", {"a": "right"}, version=saver.get_next_version(current, None))

    assert get(saver, left).checkpoint["channel_values"] == {"a": "left"}
    assert get(saver, right).checkpoint["channel_values"] == {"a": "right"}
    assert get(saver, left).parent_config == get(saver, right).parent_config == root


@pytest.mark.parametrize("current", [None, 7, 7.5, "7", "00000000000000000000000000000007.0.123", "7.abc"])
def test_the_next_version_rises_and_is_never_the_same_twice(saver: SwarmStateSaver, current: Any) -> None:
    following = {saver.get_next_version(current, None) for _ in range(100)}

    assert len(following) == 100
    number = 1 if current is None else 8
    assert {int(version.split(".")[0]) for version in following} == {number}
    assert all(saver.get_next_version(version, None) > version for version in following)


def test_twelve_writes_of_a_task_stay_in_order(saver: SwarmStateSaver) -> None:
    config = put(saver, config_of(), "1")
    saver.put_writes(config, [("channel", number) for number in range(12)], "task")

    assert get(saver, config).pending_writes == [("task", "channel", number) for number in range(12)]


def test_writes_are_ordered_by_path_task_and_index(saver: SwarmStateSaver) -> None:
    config = put(saver, config_of(), "1")
    saver.put_writes(config, [("a", 1), ("b", 2)], "z", "~2")
    saver.put_writes(config, [("a", 3)], "b", "~10")
    saver.put_writes(config, [("a", 4)], "a", "~2")
    saver.put_writes(config, [("a", 5)], "y")

    assert get(saver, config).pending_writes == [
        ("y", "a", 5),
        ("b", "a", 3),
        ("a", "a", 4),
        ("z", "a", 1),
        ("z", "b", 2),
    ]


def test_the_first_write_at_an_index_stays(saver: SwarmStateSaver) -> None:
    config = put(saver, config_of(), "1")
    saver.put_writes(config, [("a", "first")], "task", "path")
    saver.put_writes(config, [("a", "second"), ("b", "new")], "task", "another path")

    assert get(saver, config).pending_writes == [("task", "b", "new"), ("task", "a", "first")]


@pytest.mark.parametrize("channel", SPECIAL)
def test_the_last_write_to_a_special_channel_stays(saver: SwarmStateSaver, channel: str) -> None:
    config = put(saver, config_of(), "1")
    saver.put_writes(config, [(channel, "first"), ("a", 1)], "task")
    saver.put_writes(config, [(channel, "second"), (channel, "third")], "task")

    assert get(saver, config).pending_writes == [("task", channel, "third"), ("task", "a", 1)]


def test_writes_may_come_before_their_checkpoint(saver: SwarmStateSaver) -> None:
    config = config_of(checkpoint_id="1")
    saver.put_writes(config, [("a", 1)], "task")
    assert saver.get_tuple(config) is None
    assert list(saver.list(config_of())) == []

    put(saver, config_of(), "1")

    assert get(saver, config).pending_writes == [("task", "a", 1)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_name_may_hold_any_character(saver: SwarmStateSaver, name: str) -> None:
    others = [other for other in ODD_NAMES if other != name]
    for place in [(name, ""), ("thread", name), *((other, other) for other in others)]:
        config = put(saver, config_of(*place), "1", {place[0]: place[1], "same": 1}, version=name)
        saver.put_writes(config, [(place[1], place[0])], place[0], place[1])

    for place in [(name, ""), ("thread", name), *((other, other) for other in others)]:
        found = get(saver, config_of(*place))
        assert found.config == config_of(*place, checkpoint_id="1")
        assert found.checkpoint["channel_values"] == {place[0]: place[1], "same": 1}
        assert found.pending_writes == [(place[0], place[1], place[0])]
    saver.delete_thread(name)
    assert len(list(saver.list(None))) == len(others) + 1


def test_ids_may_hold_any_character(saver: SwarmStateSaver) -> None:
    names = sorted(name for name in ODD_NAMES if name)
    for name in names:
        put(saver, config_of(), name)

    assert ids(saver.list(config_of())) == names[::-1]
    for smaller, name in itertools.pairwise(names):
        assert get(saver, config_of(checkpoint_id=name)).checkpoint["id"] == name
        assert ids(saver.list(config_of(), before=config_of(checkpoint_id=name)))[0] == smaller
    assert get(saver, config_of()).checkpoint["id"] == names[-1]


@pytest.mark.parametrize(
    "place", [{"thread_id": "x" * 5000}, {"checkpoint_ns": "x" * 5000}, {"checkpoint_id": "x" * 5000}]
)
def test_a_name_beyond_the_limit_is_invalid_and_nothing_is_written(
    saver: SwarmStateSaver, place: dict[str, str]
) -> None:
    config = config_of(**{"checkpoint_id": "1", **place})
    with pytest.raises(ss.InvalidError):
        put(saver, config, config["configurable"]["checkpoint_id"])
    with pytest.raises(ss.InvalidError):
        saver.put_writes(config, [("a", 1)], "task")
    with pytest.raises(ss.InvalidError):
        put(saver, config_of(), "1", {"short": 1, "x" * 5000: 1})
    assert len(saver.store) == 0


def test_a_lone_surrogate_is_an_encoding_error(saver: SwarmStateSaver) -> None:
    for config in (config_of("\ud800"), config_of(checkpoint_ns="\ud800"), config_of(checkpoint_id="\ud800")):
        with pytest.raises(UnicodeEncodeError):
            saver.put_writes({"configurable": {"checkpoint_id": "1", **config["configurable"]}}, [("a", 1)], "task")
    with pytest.raises(UnicodeEncodeError):
        put(saver, config_of(), "1", {"\ud800": 1})
    assert len(saver.store) == 0


def test_a_thread_id_that_is_no_text_is_taken_as_its_text(saver: SwarmStateSaver) -> None:
    stored = put(saver, {"configurable": {"thread_id": 7}}, "1")

    assert stored["configurable"]["thread_id"] == 7
    assert get(saver, {"configurable": {"thread_id": 7}}).config == stored
    assert get(saver, config_of("7")).config == config_of("7", checkpoint_id="1")


def test_a_listing_goes_from_the_newest_over_all_threads(saver: SwarmStateSaver) -> None:
    names = [f"{number:03}" for number in range(100)]
    for number, name in enumerate(names):
        put(saver, config_of(f"thread {number % 3}", ["", "inner:1"][number % 2]), name)

    assert ids(saver.list(None)) == names[::-1]
    assert ids(saver.list(config_of("thread 1", ""))) == names[4::6][::-1]
    assert ids(saver.list({"configurable": {"thread_id": "thread 1"}})) == names[1::3][::-1]
    assert ids(saver.list(config_of("nobody"))) == []


def test_a_listing_ends_at_its_limit(saver: SwarmStateSaver) -> None:
    for number in range(5):
        put(saver, config_of(), str(number), even=number % 2 == 0)

    assert ids(saver.list(None, limit=0)) == []
    assert ids(saver.list(None, limit=2)) == ["4", "3"]
    assert ids(saver.list(None, limit=2, filter={"even": True})) == ["4", "2"]
    assert ids(saver.list(None, limit=9)) == ["4", "3", "2", "1", "0"]


def test_before_is_strict_and_need_not_exist(saver: SwarmStateSaver) -> None:
    for name in ("1", "3", "5"):
        put(saver, config_of(), name)

    assert ids(saver.list(config_of(), before=config_of(checkpoint_id="3"))) == ["1"]
    assert ids(saver.list(config_of(), before=config_of(checkpoint_id="4"))) == ["3", "1"]
    assert ids(saver.list(config_of(), before=config_of())) == ["5", "3", "1"]
    assert ids(saver.list(config_of(checkpoint_id="3"))) == ["3"]
    assert ids(saver.list(config_of(checkpoint_id="3"), before=config_of(checkpoint_id="3"))) == []


def test_a_filter_is_equality_of_what_was_read_back(saver: SwarmStateSaver) -> None:
    put(saver, config_of(), "1", user="ann", score=1)
    put(saver, config_of(), "2", user=None, score=1.0, tags={"a": [1]})
    put(saver, config_of(), "3", score="1")

    def found(**filter: Any) -> list[str]:
        return ids(saver.list(None, filter=filter))

    assert found(user="ann") == ["1"]
    assert found(user=None) == ["3", "2"]
    assert found(score=1) == ["2", "1"]
    assert found(score=True) == ["2", "1"]
    assert found(score="1", user=None) == ["3"]
    assert found(tags={"a": [1]}) == ["2"]
    assert found(user="%") == []
    assert found(**{"user' OR '1'='1": "ann"}) == []


def test_a_listing_brings_pending_writes(saver: SwarmStateSaver) -> None:
    config = put(saver, config_of(), "1")
    saver.put_writes(config, [("a", 1)], "task")

    assert [item.pending_writes for item in saver.list(None)] == [[("task", "a", 1)]]


def test_an_open_listing_does_not_see_what_is_put_meanwhile(saver: SwarmStateSaver) -> None:
    for name in ("1", "2", "3"):
        put(saver, config_of(), name, {"a": "old"})
    listing = saver.list(None)
    put(saver, config_of(), "4")

    assert next(listing).checkpoint["id"] == "3"
    put(saver, config_of(), "0", {"a": "new"})
    saver.put_writes(config_of(checkpoint_id="2"), [("a", 1)], "task")
    assert [item.checkpoint["channel_values"] for item in listing] == [{"a": "old"}, {"a": "old"}]
    assert ids(saver.list(None)) == ["4", "3", "2", "1", "0"]


def test_two_savers_on_one_store_see_each_other_at_once(store: ss.Store) -> None:
    one, other = SwarmStateSaver(store), SwarmStateSaver(store)
    put(one, config_of(), "1")
    assert get(other, config_of()).checkpoint["id"] == "1"
    put(other, config_of(), "2")
    assert get(one, config_of()).checkpoint["id"] == "2"
    one.delete_thread("thread")
    assert other.get_tuple(config_of()) is None


def test_a_copy_with_an_allowlist_shares_the_data(saver: SwarmStateSaver) -> None:
    put(saver, config_of(), "1")

    allowed = saver.with_allowlist({("some.module", "SomeClass")})

    assert isinstance(allowed, SwarmStateSaver)
    assert allowed.store is saver.store
    assert get(allowed, config_of()).checkpoint["id"] == "1"


def test_a_deleted_thread_leaves_nothing(saver: SwarmStateSaver) -> None:
    config = put(saver, config_of(), "1", {"a": 1})
    put(saver, config_of(checkpoint_ns="inner"), "1", {"a": 1})
    saver.put_writes(config, [("a", 1)], "task")
    put(saver, config_of("thread2"), "1")

    saver.delete_thread("thread")
    saver.delete_thread("nobody")

    assert len(saver.store.namespaces()) == 1
    assert ids(saver.list(None)) == ["1"]


def test_a_thread_is_copied_whole(saver: SwarmStateSaver) -> None:
    parent = put(saver, config_of(), "1", {"a": 1})
    config = put(saver, parent, "2", {"a": 2}, version="2")
    put(saver, config_of(checkpoint_ns="inner"), "1")
    saver.put_writes(config, [("a", 3)], "task")

    saver.copy_thread("thread", "copy")
    saver.copy_thread("nobody", "else")
    saver.copy_thread("thread", "thread")
    saver.delete_thread("thread")

    found = get(saver, config_of("copy"))
    assert found.checkpoint["channel_values"] == {"a": 2}
    assert found.parent_config == config_of("copy", checkpoint_id="1")
    assert found.pending_writes == [("task", "a", 3)]
    assert len(list(saver.list({"configurable": {"thread_id": "copy"}}))) == 3
    assert saver.get_tuple(config_of("else")) is None


def test_a_copy_onto_a_thread_that_holds_anything_is_a_conflict(saver: SwarmStateSaver) -> None:
    put(saver, config_of(), "1", {"a": 1})
    saver.put_writes(config_of("other", checkpoint_id="9"), [("a", 1)], "task")

    with pytest.raises(ss.ConflictError):
        saver.copy_thread("thread", "other")

    assert list(saver.list(config_of("other"))) == []


def test_a_snapshot_of_the_store_brings_threads_back(saver: SwarmStateSaver) -> None:
    config = put(saver, config_of(), "1", {"a": 1})
    saver.put_writes(config, [("a", 2)], "task")
    before, snapshot = get(saver, config_of()), saver.store.snapshot()

    put(saver, config, "2", {"a": 3})
    saver.delete_thread("thread")
    put(saver, config_of("another"), "1")
    saver.store.restore(snapshot)

    assert get(saver, config_of()) == before
    assert ids(saver.list(None)) == ["1"]


def test_threads_move_with_their_store(saver: SwarmStateSaver) -> None:
    config, words = config_of(), [f"word {number}" for number in range(2000)]
    for number in range(4):
        config = put(saver, config, str(number), {"a": words[: 1900 + number]}, version=str(number))
        saver.put_writes(config, [("a", number)], "task")
    moved = SwarmStateSaver(ss.Store())

    ss.copy(saver.store, moved.store)

    assert list(moved.list(None)) == list(saver.list(None))
    assert moved.usage("thread") == saver.usage("thread")
    put(moved, config, "4", {"a": words[:1904]}, version="4")
    assert get(moved, config_of()).checkpoint["channel_values"] == {"a": words[:1904]}
    moved.prune(["thread"])
    assert get(moved, config_of()).checkpoint["channel_values"] == {"a": words[:1904]}


def test_a_record_that_cannot_be_read_names_thread_and_checkpoint(saver: SwarmStateSaver) -> None:
    put(saver, config_of("my thread"), "the id", {"a": 1})
    (namespace,) = saver.store.namespaces()
    for key in saver.store.keys(namespace):
        if key == "head":
            continue
        stored = saver.store.get(namespace, key)
        saver.store.set(namespace, key, {"not": "a record"})
        with pytest.raises(ss.CorruptError, match='"the id" of thread "my thread"'):
            saver.get_tuple(config_of("my thread"))
        with pytest.raises(ss.CorruptError, match='"the id" of thread "my thread"'):
            list(saver.list(None))
        saver.store.set(namespace, key, stored)
    assert get(saver, config_of("my thread")).checkpoint["channel_values"] == {"a": 1}


async def test_every_method_has_an_async_twin(saver: SwarmStateSaver) -> None:
    checkpoint = checkpoint_of("1", {"a": 1})
    config = await saver.aput(config_of(), checkpoint, {"source": "loop"}, checkpoint["channel_versions"])
    await saver.aput_writes(config, [("a", 2)], "task", "path")

    found = await saver.aget_tuple(config_of())
    assert found == saver.get_tuple(config_of())
    assert [item async for item in saver.alist(config_of(), filter={"source": "loop"}, limit=1)] == [found]
    assert await saver.aget_delta_channel_history(config=config, channels=["a"]) == {"a": {"writes": []}}
    await saver.acopy_thread("thread", "copy")
    await saver.adelete_thread("thread")
    assert [item.config["configurable"]["thread_id"] async for item in saver.alist(None)] == ["copy"]


def test_values_go_through_the_serializer_that_was_given(store: ss.Store) -> None:
    saver = SwarmStateSaver(store, serde=JsonSerializer())
    config = put(saver, config_of(), "1", {"tuple": (1, 2)})
    saver.put_writes(config, [("a", (3,))], "task")

    found = get(saver, config)

    assert found.checkpoint["channel_values"] == {"tuple": [1, 2]}
    assert found.pending_writes == [("task", "a", [3])]


@pytest.mark.parametrize("waits", [False, True])
async def test_only_where_the_engine_waits_async_calls_leave_the_event_loop(store: ss.Store, waits: bool) -> None:
    serde = JsonSerializer()
    saver = SwarmStateSaver(store, serde=serde)
    saver._waits = waits
    checkpoint = checkpoint_of("1", {"a": 1})

    config = await saver.aput(config_of(), checkpoint, {}, checkpoint["channel_versions"])
    await saver.aput_writes(config, [("a", 2)], "task")
    found = await saver.aget_tuple(config)
    assert [item async for item in saver.alist(None)] == [found]

    assert (threading.get_ident() in serde.threads) is not waits
    assert bool(serde.threads - {threading.get_ident()}) is waits


class WhereCalled(SwarmStateSaver):
    """Notes the thread in which each method is called."""

    def __init__(self, store: ss.Store) -> None:
        super().__init__(store)
        self.called_in: dict[str, int] = {}

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in PLAIN_METHODS:
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            self.called_in[name] = threading.get_ident()
            return found(*args, **kwargs)

        return called


PLAIN_METHODS = {name[1:] for name in dir(SwarmStateSaver) if name[0] == "a" and hasattr(SwarmStateSaver, name[1:])}


async def test_every_async_twin_leaves_the_event_loop_where_the_engine_waits(store: ss.Store) -> None:
    saver, checkpoint = WhereCalled(store), checkpoint_of("1", {"a": 1})

    config = await saver.aput(config_of(), checkpoint, {}, checkpoint["channel_versions"])
    await saver.aput_writes(config, [("a", 2)], "task")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert await saver.aget(config) == found.checkpoint
    assert [item async for item in saver.alist(None)] == [found]
    await saver.aget_delta_channel_history(config=config, channels=["a"])
    await saver.acopy_thread("thread", "copy")
    assert [thread.thread_id for thread in await saver.athreads()] == ["copy", "thread"]
    await saver.ausage("thread")
    await saver.aremove_expired()
    await saver.aprune(["thread"])
    await saver.adelete_for_runs(["run"])
    await saver.adelete_thread("thread")

    called = set(saver.called_in)
    assert called == PLAIN_METHODS - {"get"}
    is_elsewhere = {name: thread != threading.get_ident() for name, thread in saver.called_in.items()}
    assert is_elsewhere == dict.fromkeys(called, store.capabilities.waits)


def test_it_is_a_checkpointer(saver: SwarmStateSaver) -> None:
    assert isinstance(saver, BaseCheckpointSaver)
    assert saver.get(config_of()) is None
