"""Whatever a serializer makes of a value comes back byte for byte, in little room while it changes little."""

from __future__ import annotations

import pickle
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph_given import checkpoint_of, config_of, get

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver


class RawSerializer:
    """Stores bytes under a form of their own, and everything else as LangGraph does."""

    def __init__(self) -> None:
        self.rest = JsonPlusSerializer()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return ("raw", obj) if isinstance(obj, bytes) else self.rest.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return data[1] if data[0] == "raw" else self.rest.loads_typed(data)


class GivenSerializer(RawSerializer):
    """Stores each pair of a form and bytes as what it is, and everything else as LangGraph does."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return obj if isinstance(obj, tuple) else ("rest", self.rest.dumps_typed(obj)[1])

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.rest.loads_typed(("msgpack", data[1])) if data[0] == "rest" else data


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return SwarmStateSaver(store, serde=RawSerializer())


def put_all(saver: Any, values: list[Any]) -> None:
    config = config_of()
    for number, value in enumerate(values):
        checkpoint = checkpoint_of(f"{number:05}", {"a": value}, f"{number:05}")
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])


def read_all(saver: Any, count: int) -> list[Any]:
    found = (get(saver, config_of(checkpoint_id=f"{number:05}")) for number in range(count))
    return [item.checkpoint["channel_values"]["a"] for item in found]


def noise(least: int, most: int) -> st.SearchStrategy[bytes]:
    """Bytes without any order; only their length and where they begin are drawn."""
    return st.builds(
        lambda seed, length: random.Random(seed).randbytes(length), st.integers(0, 9), st.integers(least, most)
    )


leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text())
trees = st.recursive(
    st.one_of(leaves, noise(0, 9000), noise(3000, 6000).map(bytes.hex)),
    lambda inner: st.one_of(st.lists(inner, max_size=8), st.dictionaries(st.text(), inner, max_size=6)),
    max_leaves=30,
)
outputs = st.one_of(
    st.tuples(st.sampled_from(["msgpack", "null", "other form"]), st.binary(max_size=3)),
    st.tuples(st.sampled_from(["msgpack", "bytes"]), noise(4000, 20_000)),
    trees.map(lambda tree: ("pickle", pickle.dumps(tree))),
    trees.map(JsonPlusSerializer().dumps_typed),
)


def grown(output: tuple[str, bytes], turns: list[tuple[int, bytes]]) -> list[tuple[str, bytes]]:
    """A serializer's output, and what becomes of it when bytes are put in at some places, one after the other."""
    versions, (form, stored) = [output], output
    for place, added in turns:
        at = place % (len(stored) + 1)
        stored = stored[:at] + added + stored[at:]
        versions.append((form, stored))
    return versions


@given(
    output=outputs,
    turns=st.lists(st.tuples(st.integers(0, 50_000), noise(0, 3000)), max_size=8),
    others=st.lists(outputs, max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
def test_every_output_of_a_serializer_comes_back(
    store: ss.Store, output: tuple[str, bytes], turns: list[tuple[int, bytes]], others: list[tuple[str, bytes]]
) -> None:
    store.clear()
    versions = [*grown(output, turns), *others, *grown(output, turns[::-1])]
    saver = SwarmStateSaver(store, serde=GivenSerializer())

    put_all(saver, versions)

    assert read_all(saver, len(versions)) == versions


def test_a_large_value_that_was_replaced_is_never_read_again(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)
    for turn in range(30):
        put_all(saver, [f"{turn % 10}" * 10_000])
        assert read_all(saver, 1) == [f"{turn % 10}" * 10_000]
    snapshot = store.snapshot()
    put_all(saver, ["new" * 10_000])
    assert read_all(saver, 1) == ["new" * 10_000]
    store.restore(snapshot)
    assert read_all(saver, 1) == ["9" * 10_000]


def test_a_hundred_megabytes_come_back(saver: SwarmStateSaver) -> None:
    large = bytes(range(256)) * 400_000

    put_all(saver, [large, large + b"more", b"less" + large])

    assert read_all(saver, 3) == [large, large + b"more", b"less" + large]


def messages(count: int) -> list[Any]:
    kinds = (HumanMessage, AIMessage)
    return [kinds[at % 2](f"{at}: " + f"word{at * 7919 % 1009} " * 25, id=f"id-{at}") for at in range(count)]


def test_a_chat_takes_what_is_new_of_it(store: ss.Store) -> None:
    saver, chat = SwarmStateSaver(store), messages(200)
    put_all(saver, [chat[: turn + 1] for turn in range(200)])
    rival = InMemorySaver()
    put_all(rival, [chat[: turn + 1] for turn in range(200)])

    whole = sum(len(value) for _, value in rival.blobs.values())
    assert store.size_bytes < whole / 20
    assert read_all(saver, 200) == [chat[: turn + 1] for turn in range(200)]


def test_the_state_of_an_agent_that_changes_at_both_ends_is_stored_sparingly(store: ss.Store) -> None:
    saver, chat = SwarmStateSaver(store), messages(100)
    states = [{"step": turn, "chat": chat[: turn + 1], "at": f"12:{turn}"} for turn in range(100)]
    put_all(saver, states)

    assert store.size_bytes < sum(len(saver.serde.dumps_typed(state)[1]) for state in states) / 3
    assert read_all(saver, 100) == states
