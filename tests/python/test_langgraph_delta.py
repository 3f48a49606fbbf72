"""Channels that are rebuilt from writes: their history, real graphs on them, and what pruning must leave for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph_given import checkpoint_of, config_of, delta_chat, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

THREAD: RunnableConfig = {"configurable": {"thread_id": "thread"}}


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return SwarmStateSaver(store)


def chain(saver: BaseCheckpointSaver[Any], seeds: dict[int, Any], count: int = 4) -> RunnableConfig:
    """Checkpoints 0, 1, … that store `seeds` for the channel `delta`, each with writes of two tasks."""
    config = config_of()
    for number in range(count):
        checkpoint = checkpoint_of(str(number), {"delta": seeds[number]} if number in seeds else {}, str(number))
        checkpoint["channel_versions"] = {"delta": str(number)}
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
        saver.put_writes(config, [("delta", f"{number} b"), ("other", number)], "b", "~1")
        saver.put_writes(config, [("delta", f"{number} a")], "a", "~2")
    return config


def test_a_history_is_the_nearest_stored_value_and_all_writes_since(saver: SwarmStateSaver) -> None:
    chain(saver, {0: "older", 1: "seed"})

    found = saver.get_delta_channel_history(config=config_of(), channels=["delta", "other", "nothing", "delta"])

    assert found == {
        "delta": {
            "writes": [("b", "delta", "1 b"), ("a", "delta", "1 a"), ("b", "delta", "2 b"), ("a", "delta", "2 a")],
            "seed": "seed",
        },
        "other": {"writes": [("b", "other", 0), ("b", "other", 1), ("b", "other", 2)]},
        "nothing": {"writes": []},
    }


def test_a_history_without_channels_or_without_a_checkpoint_is_empty(saver: SwarmStateSaver) -> None:
    chain(saver, {})

    assert saver.get_delta_channel_history(config=config_of(), channels=[]) == {}
    assert saver.get_delta_channel_history(config=config_of("nobody"), channels=["a"]) == {"a": {"writes": []}}
    first = config_of(checkpoint_id="0")
    assert saver.get_delta_channel_history(config=first, channels=["delta"]) == {"delta": {"writes": []}}


def test_a_value_of_none_is_a_seed(saver: SwarmStateSaver) -> None:
    chain(saver, {2: None})

    found = saver.get_delta_channel_history(config=config_of(), channels=["delta"])

    assert found["delta"]["seed"] is None
    assert len(found["delta"]["writes"]) == 2


def test_a_stored_value_of_a_delta_channel_is_a_seed_as_it_was_put(saver: SwarmStateSaver) -> None:
    chain(saver, {0: ["plain"], 1: _DeltaSnapshot(["one", "two"])})

    found = saver.get_delta_channel_history(config=config_of(), channels=["delta"])["delta"]
    older = saver.get_delta_channel_history(config=config_of(checkpoint_id="1"), channels=["delta"])["delta"]

    assert isinstance(found["seed"], _DeltaSnapshot)
    assert found["seed"].value == ["one", "two"]
    assert [value for _, _, value in found["writes"]] == ["1 b", "1 a", "2 b", "2 a"]
    assert older == {"seed": ["plain"], "writes": [("b", "delta", "0 b"), ("a", "delta", "0 a")]}


def test_a_history_follows_the_parents_and_no_other_branch(saver: SwarmStateSaver) -> None:
    chain(saver, {})
    fork = saver.put(config_of(checkpoint_id="1"), checkpoint_of("9"), {}, {})

    found = saver.get_delta_channel_history(config=fork, channels=["other"])

    assert found == {"other": {"writes": [("b", "other", 0), ("b", "other", 1)]}}


def test_a_circle_of_parents_ends(saver: SwarmStateSaver) -> None:
    put(saver, config_of(checkpoint_id="2"), "1")
    put(saver, config_of(checkpoint_id="1"), "2")
    saver.put_writes(config_of(checkpoint_id="1"), [("a", 1)], "task")

    found = saver.get_delta_channel_history(config=config_of(), channels=["a"])

    assert found == {"a": {"writes": [("task", "a", 1)]}}


@given(
    seeds=st.dictionaries(
        st.integers(0, 6),
        st.one_of(st.none(), st.text(max_size=3), st.lists(st.text(max_size=3)).map(_DeltaSnapshot)),
    ),
    target=st.one_of(st.none(), st.integers(0, 6)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
async def test_every_history_is_the_one_that_memory_gives(
    store: ss.Store, seeds: dict[int, Any], target: int | None
) -> None:
    store.clear()
    saver, reference = SwarmStateSaver(store), InMemorySaver()
    for each in (saver, reference):
        chain(each, seeds, 7)
    config = config_of(checkpoint_id=None if target is None else str(target))
    channels = ["other", "delta", "nothing"]

    found = saver.get_delta_channel_history(config=config, channels=channels)

    assert found == reference.get_delta_channel_history(config=config, channels=channels)
    assert found == BaseCheckpointSaver.get_delta_channel_history(saver, config=config, channels=channels)
    assert found == await saver.aget_delta_channel_history(config=config, channels=channels)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_delta_channel_has_the_state_that_it_has_in_memory(saver: SwarmStateSaver, durability: Any) -> None:
    graph, reference = delta_chat(saver), delta_chat(InMemorySaver())

    for turn in range(7):
        for each in (graph, reference):
            each.invoke({"log": [f"question {turn}"]}, THREAD, durability=durability)
        assert graph.get_state(THREAD).values == reference.get_state(THREAD).values
    ours = [state.values for state in graph.get_state_history(THREAD)]
    assert ours == [state.values for state in reference.get_state_history(THREAD)]


@pytest.mark.parametrize("turns", range(1, 9))
def test_pruning_leaves_what_a_delta_channel_is_rebuilt_from(saver: SwarmStateSaver, turns: int) -> None:
    graph, untouched = delta_chat(saver), delta_chat(InMemorySaver())
    for turn in range(turns):
        for each in (graph, untouched):
            each.invoke({"log": [f"question {turn}"]}, THREAD)

    saver.prune(["thread"])

    assert graph.get_state(THREAD).values == untouched.get_state(THREAD).values
    assert len(list(saver.list(THREAD))) <= 6
    for each in (graph, untouched):
        each.invoke({"log": ["one more"]}, THREAD)
    assert graph.get_state(THREAD).values == untouched.get_state(THREAD).values
