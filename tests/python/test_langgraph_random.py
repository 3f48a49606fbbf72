"""Random graphs under random operations have, item by item, the state that they have on LangGraph's own saver."""

from __future__ import annotations

import asyncio
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt
from langgraph_given import assert_same_history

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

THREAD: RunnableConfig = {"configurable": {"thread_id": "thread"}}
KINDS = ["says", "asks", "fans out", "is a graph", "is a graph that asks"]
# Before Python 3.11 a node that LangGraph runs in an event loop cannot ask: `interrupt` does not find its graph there.
RUNS = ["invoke", "stream", *(["ainvoke", "astream"] if sys.version_info >= (3, 11) else [])]


def extend(state: list[str], writes: Sequence[Any]) -> list[str]:
    return [*state, *(item for write in writes for item in write)]


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    delta: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=3)]
    task: str


class Inner(TypedDict, total=False):
    question: str
    log: Annotated[list[str], operator.add]


@dataclass(frozen=True)
class Step:
    """One thing that happens to a thread; `past` and `run` choose where and how, whatever is there to choose from."""

    what: str
    run: str
    durability: str
    past: int


def inner_graph(name: str, asks: bool) -> Callable[[State], State]:
    def reply(state: Inner) -> Inner:
        return {"log": [f"{name} inside: {interrupt(name) if asks else 'quiet'}"]}

    builder = StateGraph(Inner)
    builder.add_node("reply", reply)
    builder.add_node("after", lambda state: {"log": [f"{name} after {len(state['log'])}"]})
    builder.add_edge(START, "reply")
    builder.add_edge("reply", "after")
    graph = builder.compile()
    return lambda state: {"log": graph.invoke({"question": name})["log"]}


def node(name: str, kind: str) -> Callable[[State], State]:
    def work(state: State) -> State:
        answer = interrupt(name) if kind == "asks" else len(state["log"])
        return {"log": [f"{name}: {answer}"], "delta": [f"{name}: {answer}"]}

    return inner_graph(name, kind == "is a graph that asks") if kind.startswith("is a graph") else work


def build(layers: list[list[str]], saver: BaseCheckpointSaver[Any]) -> Any:
    builder = StateGraph(State)
    before: list[str] = []
    for depth, kinds in enumerate(layers):
        names = [f"n{depth}_{at}" for at in range(len(kinds))]
        for name, kind in zip(names, kinds, strict=True):
            builder.add_node(name, node(name, kind))
            builder.add_edge(before or START, name)
            if kind == "fans out":
                fan_out(builder, name)
        before = names
    return builder.compile(checkpointer=saver)


def fan_out(builder: StateGraph[State], name: str) -> None:
    worker = f"{name}_worker"
    builder.add_node(worker, lambda state: {"log": [state["task"]], "delta": [state["task"]]})
    builder.add_conditional_edges(
        name, lambda state: [Send(worker, {"task": f"{name} task {number}"}) for number in range(11)], [worker]
    )


def run(graph: Any, step: Step, given: Any, config: RunnableConfig) -> None:
    options = {"durability": step.durability}
    if step.run == "stream":
        list(graph.stream(given, config, **options))
    elif step.run == "ainvoke":
        asyncio.run(graph.ainvoke(given, config, **options))
    elif step.run == "astream":
        asyncio.run(collect(graph.astream(given, config, **options)))
    else:
        graph.invoke(given, config, **options)


async def collect(stream: Any) -> list[Any]:
    return [item async for item in stream]


def carry_out(graph: Any, number: int, step: Step) -> None:
    state = graph.get_state(THREAD)
    waiting = {item.id: f"answer {number}" for item in state.interrupts}
    if step.what == "resume" and waiting:
        return run(graph, step, Command(resume=waiting), THREAD)
    if step.what == "go on" and state.next:
        return run(graph, step, None, THREAD)
    history = [item for item in graph.get_state_history(THREAD) if item.next]
    if step.what in ("fork", "replay") and history:
        past = history[step.past % len(history)]
        if step.what == "replay" or past.next == (START,):
            return run(graph, step, None, past.config)
        update = {"log": [f"fork {number}"], "delta": [f"fork {number}"]}
        return run(graph, step, None, graph.update_state(past.config, update, as_node=past.next[0]))
    if step.what == "update" and state.next and state.next != (START,):
        graph.update_state(THREAD, {"log": [f"update {number}"], "delta": []}, as_node=state.next[0])
        return None
    return run(graph, step, {"log": [f"input {number}"], "delta": [f"input {number}"]}, THREAD)


layered = st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), min_size=1, max_size=3)
steps = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["input", "resume", "go on", "fork", "replay", "update"]),
        run=st.sampled_from(RUNS),
        durability=st.sampled_from(["sync", "async", "exit"]),
        past=st.integers(0, 20),
    ),
    min_size=1,
    max_size=6,
)


@given(layers=layered, steps=steps)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_graph_has_the_history_that_it_has_in_memory(
    store: ss.Store, layers: list[list[str]], steps: list[Step]
) -> None:
    store.clear()
    graph, reference = build(layers, SwarmStateSaver(store)), build(layers, InMemorySaver())

    for number, step in enumerate(steps):
        carry_out(graph, number, step)
        carry_out(reference, number, step)

        assert_same_history(graph, reference, THREAD)
