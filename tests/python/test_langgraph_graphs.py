"""Real graphs run on the saver as they run on LangGraph's own."""

from __future__ import annotations

import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from langgraph_given import assert_same_history

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

THREAD: RunnableConfig = {"configurable": {"thread_id": "thread"}}


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    answer: str


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return SwarmStateSaver(store)


def say(text: str) -> Any:
    return lambda state: {"log": [text]}


def branching(saver: BaseCheckpointSaver[Any]) -> Any:
    builder = StateGraph(State)
    for name in ("plan", "left", "right", "join"):
        builder.add_node(name, say(name))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "left")
    builder.add_edge("plan", "right")
    builder.add_edge(["left", "right"], "join")
    builder.add_edge("join", END)
    return builder.compile(checkpointer=saver)


def asking(saver: BaseCheckpointSaver[Any], ran: list[str]) -> Any:
    def work(state: State) -> State:
        ran.append("work")
        return {"log": ["worked"]}

    def ask(state: State) -> State:
        ran.append("ask")
        return {"answer": interrupt("go on?")}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_node("ask", ask)
    builder.add_edge(START, "work")
    builder.add_edge(START, "ask")
    return builder.compile(checkpointer=saver)


def test_parallel_branches_join(saver: SwarmStateSaver) -> None:
    graph, reference = branching(saver), branching(InMemorySaver())

    for each in (graph, reference):
        assert each.invoke({"log": ["start"]}, THREAD)["log"] == ["start", "plan", "left", "right", "join"]

    assert_same_history(graph, reference, THREAD)


def test_an_interrupted_graph_resumes_without_running_finished_tasks_again(store: ss.Store) -> None:
    ran: list[str] = []
    first = asking(SwarmStateSaver(store), ran)
    paused = first.invoke({"log": []}, THREAD)
    assert paused["__interrupt__"][0].value == "go on?"

    second = asking(SwarmStateSaver(store), ran)
    done = second.invoke(Command(resume="yes"), THREAD)

    assert done == {"log": ["worked"], "answer": "yes"}
    assert ran.count("work") == 1
    assert ran.count("ask") == 2


def test_the_history_of_an_interrupt_is_the_same(saver: SwarmStateSaver) -> None:
    graph, reference = asking(saver, []), asking(InMemorySaver(), [])
    for each in (graph, reference):
        each.invoke({"log": []}, THREAD)
    assert_same_history(graph, reference, THREAD)

    for each in (graph, reference):
        each.invoke(Command(resume="yes"), THREAD)
    assert_same_history(graph, reference, THREAD)


class TellingSaver(SwarmStateSaver):
    """Tells when what the node `work` wrote is stored."""

    def __init__(self, store: ss.Store) -> None:
        super().__init__(store)
        self.has_stored = threading.Event()

    def put_writes(self, config, writes, task_id, task_path=""):
        super().put_writes(config, writes, task_id, task_path)
        if ("log", ["worked"]) in [tuple(write) for write in writes]:
            self.has_stored.set()


def test_a_failed_task_is_run_again_and_its_siblings_are_not(store: ss.Store) -> None:
    saver = TellingSaver(store)
    ran: list[str] = []

    def fail_once(state: State) -> State:
        ran.append("fail")
        if ran.count("fail") == 1:
            # A failure ends the step at once: what a sibling has not stored by then runs again too.
            assert saver.has_stored.wait(60)
            raise RuntimeError("once")
        return {"log": ["recovered"]}

    def work(state: State) -> State:
        ran.append("work")
        return {"log": ["worked"]}

    builder = StateGraph(State)
    builder.add_node("fail", fail_once)
    builder.add_node("work", work)
    builder.add_edge(START, "fail")
    builder.add_edge(START, "work")
    graph = builder.compile(checkpointer=saver)
    with pytest.raises(RuntimeError, match="once"):
        graph.invoke({"log": []}, THREAD)

    assert sorted(graph.invoke(None, THREAD)["log"]) == ["recovered", "worked"]
    assert ran.count("work") == 1


def test_time_travel_forks_and_leaves_the_old_branch(saver: SwarmStateSaver) -> None:
    graph, reference = branching(saver), branching(InMemorySaver())
    for each in (graph, reference):
        each.invoke({"log": ["start"]}, THREAD)
        end = each.get_state(THREAD)
        (past,) = [item for item in each.get_state_history(THREAD) if item.next == ("left", "right")]

        fork = each.update_state(past.config, {"log": ["another way"]})
        each.invoke(None, fork)

        assert each.get_state(THREAD).values["log"] == ["start", "plan", "another way", "left", "right", "join"]
        assert each.get_state(end.config).values["log"] == ["start", "plan", "left", "right", "join"]
    assert_same_history(graph, reference, THREAD)


def test_replaying_from_a_checkpoint_gives_the_same_state(saver: SwarmStateSaver) -> None:
    graph = branching(saver)
    done = graph.invoke({"log": ["start"]}, THREAD)
    for item in list(graph.get_state_history(THREAD)):
        if item.next and item.next != (START,):
            assert graph.invoke(None, item.config) == done


def test_a_subgraph_keeps_its_own_checkpoints(saver: SwarmStateSaver) -> None:
    def build(saver: BaseCheckpointSaver[Any]) -> Any:
        inner = StateGraph(State)
        inner.add_node("ask", lambda state: {"log": [interrupt("inside?")]})
        inner.add_edge(START, "ask")
        outer = StateGraph(State)
        outer.add_node("before", say("before"))
        outer.add_node("inner", inner.compile())
        outer.add_edge(START, "before")
        outer.add_edge("before", "inner")
        return outer.compile(checkpointer=saver)

    graph, reference = build(saver), build(InMemorySaver())
    for each in (graph, reference):
        each.invoke({"log": []}, THREAD)
        (task,) = each.get_state(THREAD, subgraphs=True).tasks
        assert task.state.values == {"log": ["before"]}
        assert task.state.next == ("ask",)
        # The subgraph hands its whole log back, which the outer one appends.
        assert each.invoke(Command(resume="yes"), THREAD)["log"] == ["before", "before", "yes"]
    assert_same_history(graph, reference, THREAD)
    assert {item.config["configurable"]["checkpoint_ns"].split(":")[0] for item in saver.list(THREAD)} == {"", "inner"}


def test_sent_tasks_keep_their_order(saver: SwarmStateSaver) -> None:
    def build(saver: BaseCheckpointSaver[Any]) -> Any:
        builder = StateGraph(State)
        builder.add_node("worker", lambda state: {"log": [state["answer"]]})
        fan = [Send("worker", {"answer": str(number)}) for number in range(15)]
        builder.add_conditional_edges(START, lambda state: fan, ["worker"])
        return builder.compile(checkpointer=saver)

    graph, reference = build(saver), build(InMemorySaver())
    for each in (graph, reference):
        assert each.invoke({"log": []}, THREAD)["log"] == [str(number) for number in range(15)]
    assert_same_history(graph, reference, THREAD)


async def test_an_async_run_is_the_same(saver: SwarmStateSaver) -> None:
    graph, reference = branching(saver), branching(InMemorySaver())
    for each in (graph, reference):
        assert (await each.ainvoke({"log": ["start"]}, THREAD))["log"] == ["start", "plan", "left", "right", "join"]
        assert (await each.aget_state(THREAD)).next == ()
        assert len([item async for item in each.aget_state_history(THREAD)]) == 5
    assert_same_history(graph, reference, THREAD)


def test_threads_do_not_meet(saver: SwarmStateSaver) -> None:
    graph = branching(saver)
    names = ["a", "a:b", "a\0", "\x1f", ""]
    for name in names:
        graph.invoke({"log": [name]}, {"configurable": {"thread_id": name}})
    for name in names:
        assert graph.get_state({"configurable": {"thread_id": name}}).values["log"][0] == name


def test_a_snapshot_brings_every_thread_back_in_the_middle_of_its_run(saver: SwarmStateSaver) -> None:
    ran: list[str] = []
    graph = asking(saver, ran)
    graph.invoke({"log": []}, THREAD)
    paused = saver.store.snapshot()
    assert graph.invoke(Command(resume="yes"), THREAD)["answer"] == "yes"

    saver.store.restore(paused)

    assert graph.get_state(THREAD).next == ("ask",)
    assert graph.invoke(Command(resume="no"), THREAD) == {"log": ["worked"], "answer": "no"}
