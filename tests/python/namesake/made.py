"""How `threads.db` and `incremental.db` were made: by swarmstate 0.11.0 of PyPI, another package of this name.

Run in an environment that has that package, langgraph and msgpack, never in one that has ours: both are imported as
`swarmstate`. The bytes in the files are that package's own, so what reads them is tested against the real thing.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    raw: bytes
    nothing: None


def graph_on(saver: Any) -> Any:
    inner = StateGraph(MessagesState)
    inner.add_node("say", lambda state: {"messages": [AIMessage("inside", id=f"inside {len(state['messages'])}")]})
    inner.add_edge(START, "say")
    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"raw": b"\0\1", "nothing": None})
    builder.add_node("inner", inner.compile(checkpointer=True))
    builder.add_node("ask", lambda state: {"messages": [AIMessage(interrupt("go on?"), id="asked")]})
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "inner")
    builder.add_edge("plan", "ask")
    return builder.compile(checkpointer=saver)


def fill(saver: Any) -> None:
    graph = graph_on(saver)
    for thread_id in ("done", "waiting"):
        graph.invoke({"messages": [("user", "hello " * 20)]}, {"configurable": {"thread_id": thread_id}})
    graph.invoke(Command(resume="yes"), {"configurable": {"thread_id": "done"}})


if __name__ == "__main__":
    from swarmstate.backends.disk import DiskStore

    from swarmstate.integrations.langgraph import SwarmStateSaver

    folder = Path(sys.argv[1])
    for name, incremental in (("threads.db", False), ("incremental.db", True)):
        store = DiskStore(str(folder / name))
        fill(SwarmStateSaver(store, incremental=incremental))
        store.close()
        with closing(sqlite3.connect(folder / name)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("VACUUM")
