"""Fills a store with what a small team of agents would leave in it: for screenshots of the inspector, and for a look at it.

Usage: python scripts/demo_store.py STORE_URL
"""

import sys
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver


class State(TypedDict):
    """What the graph below keeps."""

    messages: Annotated[list, add_messages]
    plan: list[str]
    budget: dict[str, Any]


def fill(store: ss.Store) -> None:
    """Writes entries, snapshots and threads.

    Args:
        store: An empty store.
    """
    _entries(store)
    store.snapshot()
    store.set("task:trackers:github:acme:api:issue:42", "plan", _plan("in review", 3))
    store.increment("swarm:experiments", "votes/branch-b", 2)
    store.delete("swarm:experiments", "lock/deploy")
    store.set("swarm:experiments", "result/best", {"branch": "b", "score": 0.9137, "runs": 12})
    store.snapshot()
    store.set("task:trackers:github:acme:api:issue:42", "plan", _plan("merged", 4))
    _threads(SwarmStateSaver(store))


def _plan(state: str, done: int) -> dict[str, Any]:
    steps = ["read the issue", "reproduce it", "write a failing test", "fix the parser", "open a pull request"]
    return {
        "title": "Dates before 1970 come back a day late",
        "state": state,
        "owner": "researcher",
        "steps": [{"text": text, "done": at < done} for at, text in enumerate(steps)],
        "links": {"issue": "https://example.org/acme/api/issues/42", "branch": "fix/old-dates"},
        "estimate_hours": 2.5,
        "reviewers": ["critic", "maintainer"],
    }


def _entries(store: ss.Store) -> None:
    issue = "task:trackers:github:acme:api:issue:42"
    store.set(issue, "plan", _plan("in progress", 2))
    store.set(issue, "findings/parser", "The parser takes floor(seconds / 86400) for the day.\nBelow zero that is the day before.")
    store.set(issue, "attempts", 3)
    store.set(issue, "patch", b"\x1f\x8b\x08\x00" + bytes(range(200)))
    for name, seen in [("researcher", 118), ("writer", 42), ("critic", 67)]:
        store.set(f"task:agent:{name}", "status", {"state": "working", "since": 1_763_000_000 + seen, "tools": ["search", "shell"]})
        store.set(f"task:agent:{name}", "tokens/in", seen * 1317)
        store.set(f"task:agent:{name}", "heartbeat", seen, ttl=3600 + seen)
    for at in range(240):
        store.set("crawl:frontier", f"page/{at:04}", {"url": f"https://example.org/docs/{at}", "depth": at % 4, "status": 200})
    store.increment("swarm:experiments", "votes/branch-a", 4)
    store.increment("swarm:experiments", "votes/branch-b", 5)
    store.set("swarm:experiments", "lock/deploy", {"holder": "writer"}, ttl=900)
    store.set("swarm:experiments", "limits", {"tokens": 2**60, "nothing": None, "flags": [True, False], "ratio": 1e-9})
    store.set("task:slack:C042:1763.55", "draft", "Hello team, the fix for old dates is in review.")


def _threads(saver: BaseCheckpointSaver) -> None:
    def plan(state: State) -> dict[str, Any]:
        return {"plan": ["search", "compare", "write"], "budget": {"tokens": 20_000, "spent": 850}}

    def research(state: State) -> dict[str, Any]:
        text = "Three sources agree: persistent tries share unchanged branches, so a snapshot is one pointer."
        return {"messages": [AIMessage(text)], "budget": {**state["budget"], "spent": 6_400}}

    def write(state: State) -> dict[str, Any]:
        return {"messages": [AIMessage("Here is the summary that you asked for.")], "plan": [*state["plan"], "review"]}

    graph = StateGraph(State)
    graph.add_node("plan", plan)
    graph.add_node("research", research)
    graph.add_node("write", write)
    for before, after in [(START, "plan"), ("plan", "research"), ("research", "write"), ("write", END)]:
        graph.add_edge(before, after)
    compiled = graph.compile(checkpointer=saver)
    for thread, asked in [("survey-7", "How do persistent maps make snapshots free?"), ("support/ada", "Where is my order?")]:
        compiled.invoke({"messages": [HumanMessage(asked)]}, {"configurable": {"thread_id": thread}})


if __name__ == "__main__":
    with ss.open(sys.argv[1]) as opened:
        fill(opened)
