"""A swarm that goes back as a whole after a bad step: threads, memory and shared totals, together.

    python examples/rollback.py [--store URL]

Three agents work on one store. Before each step a snapshot is taken; when a step turns out bad, it is restored, and
what the step had changed is told. The agents then go on from where they were, as if the step had not been.
"""

from __future__ import annotations

import argparse
import operator
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver, SwarmStateStore

AGENTS = ["planner", "writer", "critic"]


class State(TypedDict, total=False):
    """What an agent carries from step to step."""

    log: Annotated[list[str], operator.add]


def main() -> None:
    """Takes a good step, a bad one, goes back, and takes a better one."""
    parser = argparse.ArgumentParser(description="Rollback of a whole swarm after a bad step.")
    parser.add_argument("--store", default="memory:", metavar="URL", help="memory: is the default")
    store = ss.open(parser.parse_args().store)
    saver, memory = SwarmStateSaver(store), SwarmStateStore(store)
    builder = StateGraph(State)
    builder.add_node("work", lambda state: {"log": [f"worked on {state['log'][-1]}"]})
    builder.add_edge(START, "work")
    graph = builder.compile(checkpointer=saver)

    def step(task: str, tokens: int) -> None:
        for agent in AGENTS:
            graph.invoke({"log": [task]}, thread(agent))
            memory.put(("tasks", agent), task, {"tokens": tokens})
            store.increment("totals", "tokens", tokens)

    def logs() -> list[list[str]]:
        return [graph.get_state(thread(agent)).values["log"] for agent in AGENTS]

    step("the outline", 100)
    before, known = store.snapshot(), logs()

    step("the wrong chapter", 5000)
    difference = store.snapshot().diff(before)
    print("the bad step added", len(difference["added"]), "entries and changed", len(difference["changed"]))
    assert ("totals", "tokens") in difference["changed"]

    store.restore(before)
    assert logs() == known
    assert store.get("totals", "tokens") == 300
    assert [item.key for item in memory.search(("tasks",))] == ["the outline"] * 3

    step("the right chapter", 200)
    assert logs() == [[*log, "the right chapter", "worked on the right chapter"] for log in known]
    print("after it", store.get("totals", "tokens"), "tokens, and each agent knows", logs()[0])


def thread(agent: str) -> RunnableConfig:
    """The thread of an agent."""
    return {"configurable": {"thread_id": agent}}


if __name__ == "__main__":
    main()
