"""A chat agent that remembers what a user told it, in threads that know nothing of one another.

    python examples/chat_memory.py [--store URL]

Threads, memory and cache share one store; without --store it is in memory and ends with the process. No network and no
model: the agent remembers sentences that begin with "I", and is asked by words. Put your own model and embedding in
their place.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import BaseStore, IndexConfig

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver, SwarmStateStore

WORDS = ["live", "rome", "home", "like", "figs", "eat", "food", "play", "violin", "music"]
# What means about the same counts as the same here; a model knows that by itself.
ALIKE = {"home": "live", "rome": "live", "food": "eat", "figs": "eat", "like": "eat", "music": "play", "violin": "play"}


def embed(texts: Sequence[str]) -> list[list[float]]:
    """One number for each word, in the place of a model."""
    return [[float(_means(text, word)) for word in WORDS] for text in texts]


INDEX: IndexConfig = {"dims": len(WORDS), "embed": embed, "fields": ["text"]}


def _means(text: str, wanted: str) -> bool:
    words = text.lower().strip("?.!").split()
    return any(ALIKE.get(word, word) == ALIKE.get(wanted, wanted) for word in words)


def answer(state: MessagesState, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Remembers a statement, and answers a question by what was remembered, whichever thread it was said in."""
    said, labels = str(state["messages"][-1].content), ("users", config["configurable"]["user"])
    if said.startswith("I "):
        store.put(labels, said, {"text": said})
        return {"messages": [AIMessage("I'll remember that.")]}
    found = store.search(labels, query=said, limit=1)
    known = found[0].value["text"] if found and found[0].score else "nothing yet"
    return {"messages": [AIMessage(f"You told me: {known}")]}


def main() -> None:
    """Talks in three threads, with two users."""
    parser = argparse.ArgumentParser(description="A chat agent with memory across threads.")
    parser.add_argument("--store", default="memory:", metavar="URL", help="memory: is the default")
    store = ss.open(parser.parse_args().store)
    memory = SwarmStateStore(store, index=INDEX)
    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    graph = builder.compile(checkpointer=SwarmStateSaver(store), store=memory)

    def say(user: str, thread: str, text: str) -> str:
        config: RunnableConfig = {"configurable": {"thread_id": thread, "user": user}}
        reply = str(graph.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1].content)
        print(f"{thread:10} {user}: {text}\n{'':10} agent: {reply}")
        return reply

    say("ann", "monday", "I live in Rome")
    say("ann", "monday", "I like figs")
    say("ben", "tuesday", "I play the violin")
    assert say("ann", "wednesday", "what do you know of my home?") == "You told me: I live in Rome"
    assert say("ann", "wednesday", "which food is for me?") == "You told me: I like figs"
    assert say("ben", "thursday", "which food is for me?") == "You told me: nothing yet"
    print("namespaces:", memory.list_namespaces())


if __name__ == "__main__":
    main()
