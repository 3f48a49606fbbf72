"""A LangGraph agent beside the KV service: its threads and what its tools write lie in one store.

    python examples/served_agent.py [--store URL]

The agent keeps its threads in the store by a checkpointer. Its tools know nothing of that: they count and remember
through the service, as a tool in another language or on another machine would. Two conversations of one Slack thread
share a namespace, and a snapshot over the service takes threads and entries back together. No model and no network: the
agent does what it is told in words. Without --store everything is in memory and ends with the process.
"""

from __future__ import annotations

import argparse
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

THREAD = ss.context.slack("C123", "1776.5")


def tools_of(service: ss.Client) -> list[BaseTool]:
    """The tools of an agent, which reach the service alone."""

    @tool
    def vote(choice: str) -> str:
        """Counts a vote in this Slack thread."""
        return f"{choice}: {service.increment(THREAD, f'vote:{choice}')}"

    @tool
    def result() -> str:
        """Tells the votes of this Slack thread."""
        votes = service.items(THREAD, prefix="vote:")
        return ", ".join(f"{key.removeprefix('vote:')}: {count}" for key, count in votes) or "no votes"

    return [vote, result]


def decide(state: MessagesState) -> dict[str, Any]:
    """Calls a tool for what a person said, and says what a tool answered; a model stands here otherwise."""
    last = state["messages"][-1]
    if not isinstance(last, HumanMessage):
        return {"messages": [AIMessage(str(last.content))]}
    words = str(last.content).split()
    arguments = {"choice": words[1]} if words[0] == "vote" else {}
    call = ToolCall(name=words[0], args=arguments, id=f"call-{len(state['messages'])}")
    return {"messages": [AIMessage("", tool_calls=[call])]}


def agent(store: ss.Store, service: ss.Client) -> CompiledStateGraph[Any, Any, Any, Any]:
    """An agent whose threads lie in `store` and whose tools go through `service`."""
    builder = StateGraph(MessagesState)
    builder.add_node("decide", decide)
    builder.add_node("tools", ToolNode(tools_of(service)))
    builder.add_edge(START, "decide")
    builder.add_conditional_edges("decide", tools_condition)
    builder.add_edge("tools", "decide")
    return builder.compile(checkpointer=SwarmStateSaver(store))


def main() -> None:
    """Votes in two conversations of one Slack thread, and takes the last vote back."""
    parser = argparse.ArgumentParser(description="A LangGraph agent whose tools use the KV service on its own store.")
    parser.add_argument("--store", default="memory:", metavar="URL", help="memory: is the default")
    url = parser.parse_args().store
    with ss.open(url) as store, ss.serve(store) as server, ss.Client(server.url, server.api_key) as service:
        graph = agent(store, service)

        def say(conversation: str, text: str) -> str:
            config: RunnableConfig = {"configurable": {"thread_id": conversation}}
            reply = str(graph.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1].content)
            print(f"{conversation:6} person: {text}\n{'':6} agent:  {reply}")
            return reply

        assert say("first", "vote tea") == "tea: 1"
        assert say("second", "vote tea") == "tea: 2"
        before = service.snapshot()
        assert say("second", "vote coffee") == "coffee: 1"
        assert say("first", "result") == "coffee: 1, tea: 2"
        service.restore(before)
        assert say("second", "result") == "tea: 2"
        said = graph.get_state({"configurable": {"thread_id": "second"}}).values["messages"]
        assert [message.content for message in said if isinstance(message, HumanMessage)] == ["vote tea", "result"]
        print("in the store:", store.items(THREAD))


if __name__ == "__main__":
    main()
