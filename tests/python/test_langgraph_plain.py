"""Plain values that go past LangGraph's serializer are what it makes of them, and all others are left to it."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections import ChainMap, OrderedDict, defaultdict
from collections.abc import Callable
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send
from langgraph_given import checkpoint_of, config_of, get, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

SERDE = JsonPlusSerializer()


class Colour(str, enum.Enum):
    RED = "red"


class Text(str):
    pass


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Box:
    inside: Any


class Spy(JsonPlusSerializer):
    """LangGraph's serializer, which keeps what it is given to load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[tuple[str, bytes]] = []

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.loaded.append(data)
        return super().loads_typed(data)


@pytest.fixture
def memory_store() -> ss.Store:
    return ss.Store()


numbers = st.one_of(st.integers(-(2**64), 2**64), st.floats())
texts = st.one_of(st.text(), st.text(st.characters(exclude_categories=()), max_size=5))
plain_leaves = st.one_of(st.none(), st.booleans(), numbers, texts, st.binary(max_size=40))
other_leaves = st.sampled_from(
    [
        Colour.RED,
        Text("text"),
        Point(1, 2),
        Box({"a": 1}),
        OrderedDict(a=1),
        defaultdict(int, b=2),
        bytearray(b"array"),
        {1, 2},
        frozenset("a"),
        datetime(2026, 1, 2, tzinfo=timezone.utc),
        uuid.UUID(int=5),
        HumanMessage("hello", id="1"),
        Send("node", {"a": (1,)}),
        object(),
    ]
)
keys = st.one_of(st.text(max_size=40), st.integers(), st.booleans(), st.none(), st.floats(), st.binary(max_size=5))
more_keys = st.one_of(keys, st.sampled_from([Colour.RED, Text("key"), Point(1, 2), (1, "a")]))


small = st.integers(-(2**63), 2**64 - 1)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=6),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(keys, inner, max_size=5),
        ),
        max_leaves=20,
    )


values = st.one_of(nested(plain_leaves, keys), nested(st.one_of(plain_leaves, other_leaves), more_keys))


def deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def shown(value: Any) -> str:
    """A value with the types of all its parts; NaN is like NaN."""
    return f"{type(value).__name__} {value!r}"


def made_of(value: Any) -> tuple[str | None, type[Exception] | None]:
    """What LangGraph's serializer makes of a value, or how it refuses it."""
    try:
        return shown(SERDE.loads_typed(SERDE.dumps_typed(value))), None
    except Exception as error:
        return None, type(error)


@given(value=values)
@settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_every_value_comes_back_as_the_serializer_makes_it(store: ss.Store, value: Any) -> None:
    store.clear()
    saver = SwarmStateSaver(store)
    expected, refused = made_of(value)
    if refused is not None:
        with pytest.raises(refused):
            put(saver, config_of(), "1", {"a": value})
        assert not store.namespaces()
        return

    config = put(saver, config_of(), "1", {"a": value})
    saver.put_writes(config, [("a", value)], "task")
    found = get(saver, config)

    assert shown(found.checkpoint["channel_values"]["a"]) == expected
    assert found.pending_writes is not None
    assert [shown(written) for _, _, written in found.pending_writes] == [expected]
    [listed] = saver.list(config_of())
    assert shown(listed.checkpoint) == shown(found.checkpoint)


@pytest.mark.parametrize("levels", [1, 254, 255, 256, 257, 300])
def test_values_are_as_deep_as_the_serializer_takes_them(memory_store: ss.Store, levels: int) -> None:
    value = deep(levels)
    _, refused = made_of(value)
    saver = SwarmStateSaver(memory_store)
    if refused is not None:
        with pytest.raises(refused):
            put(saver, config_of(), "1", {"a": value})
        return

    config = put(saver, config_of(), "1", {"a": value})

    for reader in (saver, SwarmStateSaver(memory_store, serde=Spy())):
        assert get(reader, config).checkpoint["channel_values"] == {"a": value}


@given(value=nested(st.one_of(st.none(), st.booleans(), small, st.floats(), st.text()), st.one_of(st.text(), small)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_plain_values_are_stored_as_the_serializer_writes_them(memory_store: ss.Store, value: Any) -> None:
    memory_store.clear()
    config = put(SwarmStateSaver(memory_store), config_of(), "1", {"a": value}, known=[value])
    spy = Spy()

    found = get(SwarmStateSaver(memory_store, serde=spy), config)

    assert shown(found.checkpoint["channel_values"]["a"]) == shown(SERDE.loads_typed(SERDE.dumps_typed(value)))
    known = {"source": "loop", "known": [value]}
    assert {SERDE.dumps_typed(value), SERDE.dumps_typed(known)} <= set(spy.loaded)
    assert len(spy.loaded) == 3


def test_a_serializer_made_of_the_usual_one_is_asked_for_every_value(memory_store: ss.Store) -> None:
    class Doubling(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return super().dumps_typed(obj * 2 if isinstance(obj, int) else obj)

    config = put(SwarmStateSaver(memory_store, serde=Doubling()), config_of(), "1", {"a": 4})

    assert get(SwarmStateSaver(memory_store), config).checkpoint["channel_values"] == {"a": 8}


def test_a_serializer_that_changes_what_is_put_meanwhile_does_no_harm(memory_store: ss.Store) -> None:
    checkpoint = checkpoint_of("1", {"a": 1, "b": 2})
    new_versions: dict[str, Any] = {"a": "1", "b": "1"}

    class Changing(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            new_versions.clear()
            checkpoint["channel_values"].pop("b", None)
            checkpoint["channel_versions"]["c"] = "2"
            return super().dumps_typed(obj)

    config = SwarmStateSaver(memory_store, serde=Changing()).put(config_of(), checkpoint, {}, new_versions)

    assert get(SwarmStateSaver(memory_store), config).checkpoint["channel_values"] == {"a": 1}


def test_a_serializer_that_gives_no_form_and_bytes_is_refused(memory_store: ss.Store) -> None:
    class Odd(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> Any:
            return "msgpack", "text"

    with pytest.raises(TypeError):
        put(SwarmStateSaver(memory_store, serde=Odd()), config_of(), "1", {"a": 1})
    assert not memory_store.namespaces()


def test_a_serializer_of_a_release_that_writes_otherwise_is_asked_for_every_value(
    memory_store: ss.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dumps_typed(self: JsonPlusSerializer, obj: Any) -> tuple[str, bytes]:
        return "new form", repr(obj).encode()

    monkeypatch.setattr(JsonPlusSerializer, "dumps_typed", dumps_typed)
    config = put(SwarmStateSaver(memory_store), config_of(), "1", {"a": 1})
    monkeypatch.undo()

    with pytest.raises(NotImplementedError, match="new form"):
        get(SwarmStateSaver(memory_store), config)


def test_an_instance_with_methods_of_its_own_is_asked_for_every_value(memory_store: ss.Store) -> None:
    serde, asked = JsonPlusSerializer(), []
    original = serde.dumps_typed
    serde.dumps_typed = lambda obj: asked.append(obj) or original(obj)  # type: ignore[method-assign, func-returns-value]

    put(SwarmStateSaver(memory_store, serde=serde), config_of(), "1", {"a": 1})

    assert asked[0] == 1
    assert len(asked) == 3


class Doubled(dict[str, Any]):
    """A dict that is not what it holds."""

    def items(self) -> Any:
        return [*super().items(), ("b", super().__getitem__("a"))]


@pytest.mark.parametrize("kind", [MappingProxyType, ChainMap, OrderedDict, Doubled])
def test_any_mapping_stands_for_a_dict(memory_store: ss.Store, kind: Callable[[Any], Any]) -> None:
    values, versions = kind({"a": 1}), kind({"a": "1"})
    checkpoint = {**checkpoint_of("1"), "channel_values": values, "channel_versions": versions}
    saver = SwarmStateSaver(memory_store)

    config = saver.put(config_of(), kind(checkpoint | {"a": 0}), {}, versions)

    assert get(saver, config).checkpoint["channel_values"] == dict(values.items())


@pytest.mark.parametrize("other", [None, [], "text", 1])
def test_metadata_of_ones_own_under_names_of_langgraph_is_kept(memory_store: ss.Store, other: Any) -> None:
    saver = SwarmStateSaver(memory_store)
    mine = {"run_id": other, "parents": other, "counters_since_delta_snapshot": other}

    config = put(saver, config_of(), "1", {"a": 1}, **mine)

    assert get(saver, config).metadata == {"source": "loop", **mine}


@pytest.mark.parametrize("name", ["channel_values", "channel_versions", "new_versions", "checkpoint"])
@pytest.mark.parametrize("other", [None, [1]])
def test_what_is_no_mapping_is_refused_by_name(memory_store: ss.Store, name: str, other: Any) -> None:
    checkpoint: Any = other if name == "checkpoint" else {**checkpoint_of("1"), name: other}
    given = (checkpoint_of("1") if name == "new_versions" else checkpoint, other if name == "new_versions" else {})
    threads, kind = SwarmStateSaver(memory_store)._threads, type(other).__name__

    with pytest.raises(TypeError, match=f"{name} must be a mapping, not {kind}"):
        threads.put("t", "", "1", None, given[0], {}, given[1], SERDE)
    assert not memory_store.namespaces()
