"""Two worker processes that share one store: each thread is worked on once, and what one remembers, the other knows.

    python examples/two_workers.py [--store URL]

Without --store the store is a SQLite file of its own, in a temporary folder; a Redis URL works alike. A worker claims a
thread by a write that insists on being the first, and caches what a node computed, so that the other need not compute
it again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from typing import TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateCache, SwarmStateSaver, SwarmStateStore

QUESTIONS = [f"question {number % 6}" for number in range(12)]
WORKERS = ["one", "two"]


class State(TypedDict, total=False):
    """A question and its answer."""

    question: str
    answer: str


def work(url: str, name: str) -> None:
    """Answers what nobody has claimed, until all is claimed."""
    with ss.open(url) as store:
        memory, cache = SwarmStateStore(store), SwarmStateCache[State](store)

        def answer(state: State) -> State:
            store.increment("computed", state["question"])
            return {"answer": state["question"].upper()}

        builder = StateGraph(State)
        builder.add_node("answer", answer, cache_policy=CachePolicy())
        builder.add_edge(START, "answer")
        graph = builder.compile(checkpointer=SwarmStateSaver(store), store=memory, cache=cache)
        for number, question in enumerate(QUESTIONS):
            try:
                store.set("claims", str(number), name, if_revision=0)
            except ss.ConflictError:
                continue
            result = graph.invoke({"question": question}, {"configurable": {"thread_id": str(number)}})
            memory.put(("answers", question), str(number), {"by": name, "answer": result["answer"]})


def main() -> None:
    """Starts both workers, and looks at what they did."""
    parser = argparse.ArgumentParser(description="Two worker processes on one store.")
    parser.add_argument("--store", metavar="URL", help="an empty store; a SQLite file is the default")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.store, arguments.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.store or f"sqlite:///{folder}/state.db?durability=normal"
        started = [subprocess.Popen([sys.executable, __file__, "--store", url, "--worker", name]) for name in WORKERS]
        assert [process.wait() for process in started] == [0, 0]
        with ss.open(url) as store:
            report(store)


def report(store: ss.Store) -> None:
    """Says who did what; every thread was worked on by just one of them."""
    found = SwarmStateStore(store).search(("answers",), limit=100)
    print({name: sum(item.value["by"] == name for item in found) for name in WORKERS}, "answers by each worker")
    assert [item.value["answer"] for item in found] == [item.namespace[1].upper() for item in found]
    assert len(found) == len(SwarmStateSaver(store).threads()) == len(QUESTIONS)
    # Two that begin the same question at the same moment both compute it.
    computed = store.items("computed")
    print("computed", sum(count for _, count in computed), "times for", len(QUESTIONS), "questions")
    assert all(1 <= count <= len(WORKERS) for _, count in computed)


if __name__ == "__main__":
    main()
