"""Graphs whose threads lie in one file: async code that waits for the disk, many threads, several processes at once."""

from __future__ import annotations

import asyncio
import json
import operator
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from holding import Holder
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

DEADLOCK_SECONDS = 60

# Asks in each of its threads, waits until every process has asked, then answers.
RESUMER = """
import json, operator, sys
from typing import Annotated, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from swarmstate.integrations.langgraph import SwarmStateSaver


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def count(state):
    saver.store.increment("runs", "count")
    return {"log": ["counted"]}


saver = SwarmStateSaver(sys.argv[1])
builder = StateGraph(State)
builder.add_node("count", count)
builder.add_node("ask", lambda state: {"log": [interrupt("go on?")]})
builder.add_edge(START, "count")
builder.add_edge(START, "ask")
graph = builder.compile(checkpointer=saver)
configs = [{"configurable": {"thread_id": f"{sys.argv[2]} {number}"}} for number in range(int(sys.argv[3]))]
for config in configs:
    graph.invoke({"log": []}, config, durability="sync")
print("asked", flush=True)
sys.stdin.readline()
logs = [graph.invoke(Command(resume=config["configurable"]["thread_id"]), config)["log"] for config in configs]
print(json.dumps(logs))
"""


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class TellingSaver(SwarmStateSaver):
    """Tells when a write begins."""

    def __init__(self, store: ss.Store) -> None:
        super().__init__(store)
        self.is_writing = threading.Event()

    def put(self, *arguments: Any) -> RunnableConfig:
        self.is_writing.set()
        return super().put(*arguments)


class LateSaver(SwarmStateSaver):
    """Stores the checkpoint behind the first node once the second node has run."""

    def __init__(self, store: ss.Store) -> None:
        super().__init__(store)
        self.second_has_run = threading.Event()

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> RunnableConfig:
        if metadata["step"] == 1:
            assert self.second_has_run.wait(DEADLOCK_SECONDS)
        return super().put(config, checkpoint, metadata, new_versions)


@pytest.fixture
def store(file: Path) -> Iterator[ss.SqliteStore]:
    with ss.SqliteStore(file, durability="normal") as store:
        yield store


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts programs, and ends those that a failed test leaves."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", text, *arguments]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def talking(saver: SwarmStateSaver) -> Any:
    builder = StateGraph(State)
    builder.add_node("first", lambda state: {"log": ["first"]})
    builder.add_node("second", lambda state: {"log": ["second"]})
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder.compile(checkpointer=saver)


def config_of(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


async def invoked(graph: Any, config: RunnableConfig, **options: Any) -> list[str]:
    return (await graph.ainvoke({"log": []}, config, **options))["log"]


async def streamed(graph: Any, config: RunnableConfig, **options: Any) -> list[str]:
    steps = graph.astream({"log": []}, config, stream_mode="updates", **options)
    return [node async for step in steps for node in step]


@pytest.mark.parametrize("run", [invoked, streamed])
@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_a_write_that_waits_for_the_disk_does_not_stop_the_event_loop(
    store: ss.SqliteStore, holder: Holder, run: Any, durability: str
) -> None:
    saver = TellingSaver(store)
    holder.turn()

    # Were the loop to stop here, the file would not be let go of, and the run would end in an UnavailableError.
    running = asyncio.create_task(run(talking(saver), config_of("thread"), durability=durability))
    while not saver.is_writing.is_set():
        await asyncio.sleep(0)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not running.done()

    holder.turn()
    assert await running == ["first", "second"]


async def test_many_async_runs_share_a_file(store: ss.SqliteStore) -> None:
    graph = talking(SwarmStateSaver(store))
    names = [f"thread {number}" for number in range(40)]

    logs = await asyncio.gather(*(invoked(graph, config_of(name)) for name in names))

    assert logs == [["first", "second"]] * 40
    for name in names:
        states = [state.values async for state in graph.aget_state_history(config_of(name))]
        assert [values.get("log") for values in states] == [["first", "second"], ["first"], [], []]


def test_many_threads_resume_their_own_runs_on_savers_of_their_own(
    store: ss.SqliteStore, file: Path, run_threads: Callable[[Sequence[Callable[[], object]]], list[object]]
) -> None:
    def asking(saver: SwarmStateSaver) -> Any:
        builder = StateGraph(State)
        builder.add_node("ask", lambda state: {"log": [interrupt("go on?")]})
        builder.add_edge(START, "ask")
        return builder.compile(checkpointer=saver)

    def run(number: int) -> list[list[str]]:
        # Half of the threads share a store, the others open the file themselves.
        saver = SwarmStateSaver(store if number % 2 else f"sqlite:///{file}?durability=normal")
        configs = [config_of(f"{number} {turn}") for turn in range(5)]
        for config in configs:
            asking(saver).invoke({"log": []}, config)
        return [asking(saver).invoke(Command(resume=f"{number}"), config)["log"] for config in configs]

    logs = run_threads([lambda number=number: run(number) for number in range(8)])

    assert logs == [[[f"{number}"]] * 5 for number in range(8)]
    listed = {item.config["configurable"]["thread_id"] for item in SwarmStateSaver(store).list(None)}
    assert listed == {f"{number} {turn}" for number in range(8) for turn in range(5)}


def looking(saver: SwarmStateSaver, seen: list[Any], done: Callable[[], None]) -> Any:
    """A graph whose second node looks up which step another process would go on from."""

    def second(state: State) -> State:
        stored = SwarmStateSaver(saver.store).get_tuple(config_of("thread"))
        seen.append(stored.metadata["step"] if stored else None)
        done()
        return {"log": ["second"]}

    builder = StateGraph(State)
    builder.add_node("first", lambda state: {"log": ["first"]})
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder.compile(checkpointer=saver)


def test_with_sync_durability_a_step_begins_when_the_checkpoint_before_it_is_stored(store: ss.SqliteStore) -> None:
    seen: list[Any] = []
    graph = looking(SwarmStateSaver(store), seen, lambda: None)

    graph.invoke({"log": []}, config_of("thread"), durability="sync")

    assert seen == [1]


def test_without_it_a_step_can_run_before_the_checkpoint_before_it_is_stored(store: ss.SqliteStore) -> None:
    seen: list[Any] = []
    saver = LateSaver(store)
    graph = looking(saver, seen, saver.second_has_run.set)

    graph.invoke({"log": []}, config_of("thread"))

    assert seen[0] in (None, -1, 0)


def test_processes_resume_different_threads_of_one_file_at_once(
    store: ss.SqliteStore, file: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    url = f"sqlite:///{file}?durability=normal"
    processes = {name: program(RESUMER, url, name, "12") for name in ("left", "right")}
    assert [hear(process) for process in processes.values()] == ["asked\n"] * 2

    for process in processes.values():
        tell(process)
    logs = {name: json.loads(hear(process)) for name, process in processes.items()}

    assert [process.wait(DEADLOCK_SECONDS) for process in processes.values()] == [0, 0]
    assert logs == {name: [[f"{name} {number}", "counted"] for number in range(12)] for name in processes}
    assert store.get("runs", "count") == 24
