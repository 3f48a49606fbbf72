"""Makes the screenshots of the inspector's page, of a store that a small team of agents could have left.

Usage: python docs/service/screenshots.py [STORE_URL]. With a URL it fills that store instead, for a look by hand.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict
from urllib.parse import quote

sys.path.append(str(Path(__file__).parents[2] / "tests" / "python"))

import browser
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from playwright.sync_api import Browser, Page

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

IMAGES = Path(__file__).parent / "images"
ISSUE = "task:trackers:github:acme:api:issue:42"


class State(TypedDict):
    """What the graph below keeps."""

    messages: Annotated[list[Any], add_messages]
    plan: list[str]
    budget: dict[str, Any]


def fill(store: ss.Store) -> None:
    """Writes entries, snapshots and threads.

    Args:
        store: An empty store.
    """
    _write_entries(store)
    store.snapshot()
    store.set(ISSUE, "plan", _plan("in review", 3))
    store.increment("swarm:experiments", "votes/branch-b", 2)
    store.delete("swarm:experiments", "lock/deploy")
    store.set("swarm:experiments", "result/best", {"branch": "b", "score": 0.9137, "runs": 12})
    store.snapshot()
    store.set(ISSUE, "plan", _plan("merged", 4))
    _run_graphs(store)


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


def _write_entries(store: ss.Store) -> None:
    store.set(ISSUE, "plan", _plan("in progress", 2))
    store.set(ISSUE, "findings/parser", "The parser takes floor(seconds / 86400).\nBelow zero that is the day before.")
    store.set(ISSUE, "attempts", 3)
    store.set(ISSUE, "patch", b"\x1f\x8b\x08\x00" + bytes(range(200)))
    for name, seen in [("researcher", 118), ("writer", 42), ("critic", 67)]:
        store.set(f"task:agent:{name}", "status", {"state": "working", "tools": ["search", "shell"]})
        store.set(f"task:agent:{name}", "tokens/in", seen * 1317)
        store.set(f"task:agent:{name}", "heartbeat", seen, ttl=3600 + seen)
    for at in range(240):
        url = f"https://example.org/docs/{at}"
        store.set("crawl:frontier", f"page/{at:04}", {"url": url, "depth": at % 4, "status": 200})
    store.increment("swarm:experiments", "votes/branch-a", 4)
    store.increment("swarm:experiments", "votes/branch-b", 5)
    store.set("swarm:experiments", "lock/deploy", {"holder": "writer"}, ttl=900)
    store.set("task:slack:C042:1763.55", "draft", "Hello team, the fix for old dates is in review.")


def _run_graphs(store: ss.Store) -> None:
    def think(state: State) -> dict[str, Any]:
        return {"plan": ["search", "compare", "write"], "budget": {"tokens": 20_000, "spent": 850}}

    def research(state: State) -> dict[str, Any]:
        text = "Three sources agree: persistent tries share unchanged branches, so a snapshot is one pointer."
        return {"messages": [AIMessage(text)], "budget": {**state["budget"], "spent": 6_400}}

    def write(state: State) -> dict[str, Any]:
        return {"messages": [AIMessage("Here is the summary that you asked for.")], "plan": [*state["plan"], "review"]}

    graph = StateGraph(State)
    for name, node in [("think", think), ("research", research), ("write", write)]:
        graph.add_node(name, node)
    for before, after in [(START, "think"), ("think", "research"), ("research", "write"), ("write", END)]:
        graph.add_edge(before, after)
    compiled = graph.compile(checkpointer=SwarmStateSaver(store))
    asked = {"survey-7": "How do persistent maps make snapshots free?", "support/ada": "Where is my order?"}
    for thread, question in asked.items():
        compiled.invoke({"messages": [HumanMessage(question)]}, {"configurable": {"thread_id": thread}})


def _opened(chromium: Browser, server: ss.Server, scheme: Any, width: int, height: int) -> Page:
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{server.url}/#key={server.api_key}")
    page.wait_for_selector(".bar")
    return page


def _go(page: Page, *parts: str) -> None:
    path = "/".join(quote(part, safe="") for part in parts)
    page.evaluate("hash => { location.hash = hash }", f"#/{path}")


def take() -> None:
    """Takes every screenshot of the page docs/service/inspector.md."""
    IMAGES.mkdir(exist_ok=True)
    with ss.Store() as store, ss.serve(store) as server, browser.chromium() as chromium:
        fill(store)
        page = _opened(chromium, server, "light", 1200, 680)
        _go(page, "keys", ISSUE, "plan")
        page.locator(".tree").wait_for()
        page.screenshot(path=IMAGES / "keys.png")
        _go(page, "snapshots", "1")
        for change in page.locator(".change.changed > summary").all():
            change.click()
            page.locator(".change[open] .difference").last.wait_for()
        page.screenshot(path=IMAGES / "snapshots.png")
        page = _opened(chromium, server, "dark", 1200, 680)
        _go(page, "threads", "survey-7")
        page.locator(".timeline .row").nth(1).click()
        page.locator(".difference").first.wait_for()
        page.screenshot(path=IMAGES / "threads.png")
        page = _opened(chromium, server, "light", 390, 680)
        _go(page, "keys", ISSUE, "plan")
        page.locator(".tree").wait_for()
        page.screenshot(path=IMAGES / "narrow.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with ss.open(sys.argv[1]) as chosen:
            fill(chosen)
    else:
        take()
