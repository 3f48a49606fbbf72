"""What prune and delete_for_runs remove, and what they leave."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from langgraph_given import checkpoint_of, config_of, get, ids, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return SwarmStateSaver(store)


def chain(saver: SwarmStateSaver, count: int, **metadata: object) -> RunnableConfig:
    """Checkpoints 0, 1, …, each with a value of its own, one that all share, and a write."""
    config = config_of()
    for number in range(count):
        checkpoint = checkpoint_of(str(number), {"own": number, "shared": "x" * 100})
        checkpoint["channel_versions"] = {"own": str(number), "shared": "1"}
        known = {"source": "loop", **metadata}
        config = saver.put(config, checkpoint, known, checkpoint["channel_versions"])
        saver.put_writes(config, [("own", number)], "task")
    return config


def keys(saver: SwarmStateSaver, thread_id: str = "thread") -> list[str]:
    return saver.store.keys(f"\x1fthread:{thread_id}\0")


def test_pruning_leaves_the_latest_of_each_namespace_with_its_writes(saver: SwarmStateSaver) -> None:
    chain(saver, 3)
    put(saver, config_of(checkpoint_ns="inner"), "7", {"a": 1})
    put(saver, config_of("other"), "1")
    before = get(saver, config_of())

    saver.prune(["thread", "nobody"])

    assert ids(saver.list({"configurable": {"thread_id": "thread"}})) == ["7", "2"]
    assert get(saver, config_of()) == before
    assert get(saver, config_of(checkpoint_ns="inner")).checkpoint["channel_values"] == {"a": 1}
    assert ids(saver.list(config_of("other"))) == ["1"]


def test_pruning_leaves_nothing_that_nothing_names(saver: SwarmStateSaver) -> None:
    chain(saver, 5)
    alone = SwarmStateSaver(ss.Store())
    checkpoint = checkpoint_of("4", {"own": 4, "shared": "x" * 100})
    checkpoint["channel_versions"] = {"own": "4", "shared": "1"}
    config = alone.put(config_of(checkpoint_id="3"), checkpoint, {"source": "loop"}, checkpoint["channel_versions"])
    alone.put_writes(config, [("own", 4)], "task")

    saver.prune(["thread"])

    assert keys(saver) == keys(alone)


def test_pruning_again_writes_nothing(saver: SwarmStateSaver) -> None:
    chain(saver, 3)
    saver.prune(["thread"])
    (namespace,) = saver.store.namespaces()
    before = saver.store.entry(namespace, "head")

    saver.prune(["thread"])

    after = saver.store.entry(namespace, "head")
    assert before is not None
    assert after is not None
    assert after.revision == before.revision


def test_pruning_leaves_writes_that_came_before_their_checkpoint(saver: SwarmStateSaver) -> None:
    chain(saver, 3)
    saver.put_writes(config_of(checkpoint_id="3"), [("a", 1)], "early")

    saver.prune(["thread"])
    put(saver, config_of(checkpoint_id="2"), "3")

    assert get(saver, config_of()).pending_writes == [("early", "a", 1)]


def test_pruning_by_delete_leaves_nothing(saver: SwarmStateSaver) -> None:
    chain(saver, 3)
    put(saver, config_of("other"), "1")

    saver.prune(["thread"], strategy="delete")

    assert ids(saver.list(None)) == ["1"]
    assert len(saver.store.namespaces()) == 1


def test_an_unknown_strategy_is_invalid_and_removes_nothing(saver: SwarmStateSaver) -> None:
    chain(saver, 3)

    with pytest.raises(ss.InvalidError, match="'keep_latest' or 'delete', not 'keep'"):
        saver.prune(["thread"], strategy="keep")

    assert ids(saver.list(None)) == ["2", "1", "0"]


def test_a_subgraph_goes_with_the_checkpoint_that_it_ran_under(saver: SwarmStateSaver) -> None:
    chain(saver, 3)
    nested = {"": "1", "node:a": "10"}
    put(saver, config_of(checkpoint_ns="node:a"), "10", parents={"": "1"})
    put(saver, config_of(checkpoint_ns="node:a|deeper:b"), "11", parents=nested)
    put(saver, config_of(checkpoint_ns="node:c"), "20", parents={"": "2"})
    put(saver, config_of(checkpoint_ns="node:c|deeper:d"), "21", parents={"": "2", "node:c": "20"})
    put(saver, config_of(checkpoint_ns="node:early"), "30", parents={"": "9"})
    put(saver, config_of(checkpoint_ns="stateful"), "5", parents={"": "1"})

    saver.prune(["thread"])

    left = {item.config["configurable"]["checkpoint_ns"] for item in saver.list(None)}
    assert left == {"", "node:c", "node:c|deeper:d", "node:early", "stateful"}


def test_the_checkpoints_of_a_run_go_and_values_that_others_name_stay(saver: SwarmStateSaver) -> None:
    for number in range(4):
        checkpoint = checkpoint_of(str(number), {"shared": "kept"})
        known = {"source": "loop", "run_id": f"run {number % 2}"}
        config = saver.put(config_of(f"thread {number // 2}"), checkpoint, known, {"shared": "1"} if number < 3 else {})
        saver.put_writes(config, [("a", number)], "task")

    saver.delete_for_runs(["run 0", "unknown"])

    assert ids(saver.list(None)) == ["3", "1"]
    assert [item.checkpoint["channel_values"] for item in saver.list(None)] == [{"shared": "kept"}] * 2
    assert [item.pending_writes for item in saver.list(None)] == [[("task", "a", 3)], [("task", "a", 1)]]
    assert sorted(key.split(":")[0] for key in keys(saver, "thread 0")) == ["checkpoint", "head", "value", "write"]


def test_a_thread_of_one_run_goes_whole_with_it(saver: SwarmStateSaver) -> None:
    chain(saver, 3, run_id="run")

    saver.delete_for_runs(["run"])

    assert saver.store.namespaces() == []


def test_a_checkpoint_that_cannot_be_read_keeps_no_other_thread_from_its_sweep(saver: SwarmStateSaver) -> None:
    for thread_id in ("a", "b", "c"):
        put(saver, config_of(thread_id), "1", run_id="run")
    (key,) = (key for key in keys(saver, "b") if key.startswith("checkpoint"))
    saver.store.set("\x1fthread:b\0", key, "something else")

    with pytest.raises(ss.CorruptError, match='checkpoint "1" of thread "b"'):
        saver.delete_for_runs(["run"])

    assert saver.store.namespaces() == ["\x1fthread:b\0"]


async def test_removals_have_async_twins(saver: SwarmStateSaver) -> None:
    chain(saver, 3, run_id="run")

    await saver.aprune(["thread"])
    assert ids(saver.list(None)) == ["2"]
    await saver.adelete_for_runs(["run"])
    assert ids(saver.list(None)) == []


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def nested(saver: SwarmStateSaver) -> Any:
    """A graph around a graph that asks before it answers."""
    inner = StateGraph(State)
    inner.add_node("ask", lambda state: {"log": [interrupt("inside?")]})
    inner.add_edge(START, "ask")
    outer = StateGraph(State)
    outer.add_node("before", lambda state: {"log": ["before"]})
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "before")
    outer.add_edge("before", "inner")
    return outer.compile(checkpointer=saver)


def namespaces(saver: SwarmStateSaver) -> set[str]:
    found = saver.list({"configurable": {"thread_id": "thread"}})
    return {item.config["configurable"]["checkpoint_ns"].split(":")[0] for item in found}


@pytest.mark.parametrize("keep_last", [None, 1])
def test_a_subgraph_that_waits_for_an_answer_survives_pruning(store: ss.Store, keep_last: int | None) -> None:
    saver = SwarmStateSaver(store, keep_last=keep_last)
    graph, config = nested(saver), config_of()
    graph.invoke({"log": ["start"]}, config)

    saver.prune(["thread"])

    assert namespaces(saver) == {"", "inner"}
    assert graph.get_state(config, subgraphs=True).tasks[0].state.next == ("ask",)
    done = graph.invoke(Command(resume="yes"), config)
    assert done["log"] == ["start", "before", "start", "before", "yes"]
    saver.prune(["thread"])
    assert namespaces(saver) == {""}
    assert graph.get_state(config).values == done
