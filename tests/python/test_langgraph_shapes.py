"""A checkpoint comes back with the fields that it was put with, though the names of the usual ones are not stored."""

from __future__ import annotations

from collections import UserDict
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send
from langgraph_given import Saver, config_of, get
from pydantic import Field

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

ID = "1ef4f797-8335-6428-8001-8a1503f9b875"


class Own(JsonPlusSerializer):
    pass


class Text(str):
    pass


class Fields(dict[str, Any]):
    pass


class Handle:
    """What only pickle takes."""


def made(number: int, random: int) -> str:
    """A version as the saver makes them."""
    return f"{number:032}.{random:016x}"


names = st.sampled_from(["plan", "search", "branch:to:plan", "", "\0", "é"])
versions = st.one_of(
    st.builds(made, st.integers(0, 2), st.integers(0, 2)),
    st.sampled_from(["1", "2", Text("2"), 1, 2, 1.0, -0.0, 2**63 - 1, 2**64 - 1, True, None]),
)
seen = st.dictionaries(names, st.dictionaries(names, versions, max_size=3), max_size=4)
usual_fields: dict[str, Any] = {
    "v": st.sampled_from([1, 4, None, "4"]),
    "ts": st.sampled_from(["2026-01-01T00:00:00+00:00", Text("now"), None]),
    "versions_seen": st.one_of(seen, seen.map(Fields), st.sampled_from([None, [], {"node": None}, {1: {}}])),
}
other_fields: dict[str, Any] = {
    "updated_channels": st.sampled_from([None, [], ["plan"], HumanMessage("hello")]),
    "pending_sends": st.sampled_from([[], [Send("plan", 1)]]),
    "another": st.integers(-3, 3),
}
checkpoint_versions = st.dictionaries(
    names, st.one_of(st.builds(made, st.integers(0, 2), st.integers(0, 2)), st.sampled_from(["1", 1, 1.5])), max_size=5
)
shapes = st.fixed_dictionaries(usual_fields, optional=other_fields)


def checkpoint_of(shape: dict[str, Any], channel_versions: dict[str, Any]) -> Any:
    values = dict.fromkeys(channel_versions, "value")
    return {"id": ID, **shape, "channel_values": values, "channel_versions": channel_versions}


def put_and_get(saver: Saver, checkpoint: Any) -> Any:
    saver.put(config_of(), checkpoint, {"source": "loop", "step": 1, "parents": {}}, checkpoint["channel_versions"])
    return get(saver, config_of()).checkpoint


def typed(value: Any) -> Any:
    """A value with the types of all that it holds, in which 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {repr(key): typed(item) for key, item in value.items()}
    return type(value), [typed(item) for item in value] if isinstance(value, list) else repr(value)


@given(shape=shapes, channel_versions=checkpoint_versions)
def test_a_checkpoint_of_any_shape_comes_back_as_from_the_saver_in_memory(
    shape: dict[str, Any], channel_versions: dict[str, Any]
) -> None:
    checkpoint = checkpoint_of(shape, channel_versions)
    before = typed(checkpoint)

    ours = put_and_get(SwarmStateSaver(), checkpoint)

    assert typed(checkpoint) == before
    assert typed(ours) == typed(put_and_get(InMemorySaver(), checkpoint))


@given(shape=shapes, channel_versions=checkpoint_versions)
def test_a_serializer_of_another_class_reads_what_the_usual_one_wrote_and_writes_what_it_reads(
    shape: dict[str, Any], channel_versions: dict[str, Any]
) -> None:
    store = ss.Store()
    usual, other = SwarmStateSaver(store), SwarmStateSaver(store, serde=Own())
    checkpoint = checkpoint_of(shape, channel_versions)

    for writer, reader in ((usual, other), (other, usual)):
        put_and_get(writer, checkpoint)
        assert typed(get(reader, config_of()).checkpoint) == typed(get(writer, config_of()).checkpoint)


def test_an_id_that_is_not_the_key_stays_in_the_checkpoint() -> None:
    saver = SwarmStateSaver()
    checkpoint = checkpoint_of({"v": 4, "ts": "now", "versions_seen": {}}, {}) | {"id": Text("1")}

    put_and_get(saver, checkpoint)

    assert get(saver, config_of()).checkpoint["id"] == "1"


def test_fields_come_back_in_the_order_of_langgraph() -> None:
    shape = {"v": 4, "ts": "now", "id": ID, "versions_seen": {"plan": {}}, "updated_channels": [], "pending_sends": []}

    found = put_and_get(SwarmStateSaver(), checkpoint_of(shape, {}))

    assert list(found) == [*shape, "channel_versions", "channel_values"]


def test_another_serializer_is_given_the_whole_checkpoint_that_the_usual_one_wrote() -> None:
    class Spy(JsonPlusSerializer):
        loaded: ClassVar[list[Any]] = []

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            self.loaded.append(super().loads_typed(data))
            return self.loaded[-1]

    store = ss.Store()
    shape = {"v": 4, "ts": "now", "versions_seen": {"plan": {"a": made(1, 1)}}, "updated_channels": None}
    put_and_get(SwarmStateSaver(store), checkpoint_of(shape, {"a": made(1, 1)}))

    get(SwarmStateSaver(store, serde=Spy()), config_of())

    assert any(isinstance(part, dict) and shape.items() <= part.items() and part["id"] == ID for part in Spy.loaded)


class Meddler(HumanMessage):
    """A message that, when it is serialized, runs what it was given."""

    meddle: Any = Field(default=None, exclude=True)

    def model_dump(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.meddle()
        return super().model_dump(*args, **kwargs)


@pytest.mark.parametrize("place", ["updated_channels", "value"])
def test_a_checkpoint_that_changes_while_it_is_serialized_is_stored_as_it_was(place: str) -> None:
    seen: dict[str, Any] = {"plan": {"a": "1"}}
    checkpoint = checkpoint_of({"v": 4, "ts": "now", "versions_seen": seen, "updated_channels": None}, {"a": "1"})

    def meddle() -> None:
        checkpoint["channel_versions"][f"{len(checkpoint['channel_versions'])}"] = "3"
        seen["search"] = {}
        checkpoint["another"] = 1

    message = Meddler(content="hello", meddle=meddle)
    if place == "value":
        checkpoint["channel_values"]["a"] = message
    else:
        checkpoint["updated_channels"] = [message]

    found = put_and_get(SwarmStateSaver(), checkpoint)

    assert "another" in checkpoint and "another" not in found
    assert found["channel_versions"] == {"a": "1"}
    assert found["versions_seen"] == {"plan": {"a": "1"}}


def test_a_mapping_that_changes_the_checkpoint_when_it_is_read_takes_no_field_away() -> None:
    class Versions(UserDict[str, Any]):
        def items(self) -> Any:
            checkpoint.pop("another", None)
            return super().items()

    checkpoint = checkpoint_of({"v": 4, "ts": "now", "versions_seen": {}, "another": 1}, {})
    checkpoint["channel_versions"] = Versions()

    saver = SwarmStateSaver()
    saver.put(config_of(), checkpoint, {}, {})

    assert get(saver, config_of()).checkpoint["another"] == 1  # type: ignore[typeddict-item]


def test_a_checkpoint_that_only_pickle_takes_is_stored_whole() -> None:
    serde = JsonPlusSerializer(pickle_fallback=True)
    shape = {"v": 4, "ts": "now", "versions_seen": {"plan": {"a": "1"}}, "updated_channels": [Handle()]}
    saver = SwarmStateSaver(serde=serde)

    found = put_and_get(saver, checkpoint_of(shape, {"a": "1"}))

    assert found["versions_seen"] == shape["versions_seen"]
    assert type(found["updated_channels"][0]) is Handle
    assert saver.usage("thread").serialized_bytes > len(serde.dumps_typed({"id": ID, **shape})[1])


def test_usage_counts_a_checkpoint_as_the_serializer_would_have_made_it() -> None:
    shape = {
        "v": 4,
        "ts": "now",
        "versions_seen": {"plan": {"a": made(1, 1), "b": made(2, 2)}},
        "updated_channels": ["a"],
    }
    checkpoint = checkpoint_of(shape, {"a": made(1, 1), "b": made(3, 3)})
    usual, other = SwarmStateSaver(), SwarmStateSaver(serde=Own())
    for saver in (usual, other):
        put_and_get(saver, checkpoint)

    ours, theirs = usual.usage("thread"), other.usage("thread")

    assert ours.serialized_bytes == theirs.serialized_bytes
    assert ours.stored_bytes < theirs.stored_bytes - 150


def test_what_another_serializer_makes_of_a_checkpoint_keeps_its_nodes_to_itself() -> None:
    class Turned(JsonPlusSerializer):
        """Every bit the other way round."""

        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            form, data = super().dumps_typed(obj)
            return form, bytes(byte ^ 255 for byte in data)

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            return super().loads_typed((data[0], bytes(byte ^ 255 for byte in data[1])))

    store = ss.Store()
    shape = {"v": 4, "ts": "now", "versions_seen": {"secret node": {"a": "1"}}, "updated_channels": None}

    found = put_and_get(SwarmStateSaver(store, serde=Turned()), checkpoint_of(shape, {"a": "1"}))

    (namespace,) = store.namespaces()
    assert found["versions_seen"] == shape["versions_seen"]
    assert not any(b"secret node" in ss.dumps(value) for _, value in store.items(namespace))
