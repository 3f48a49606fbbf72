"""The checkpointer beside LangGraph's own in memory and in SQLite, the bare serializer, and the namesake.

Both in SQLite write to files in one folder, at the same durability: `FULL` waits for the disk at every commit, `NORMAL`
does not. Garbage collection is off, but for the rows that say otherwise.
"""

import asyncio
import gc
import operator
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, TypedDict

import aiosqlite
import saver_subjects as subjects
from figures import Plan, Row, compare, row_of_rounds
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from namesake import Worker

import swarmstate
from swarmstate.integrations.langgraph import SwarmStateSaver

IN_MEMORY = "InMemorySaver"
COUNT = 50
# So many puts fill SqliteSaver's log more than once, so that every round has its share of copying it into the file.
LONG_RUN = 1000
THREADS = 8


def rows(plan: Plan, folder: str, namesake: str) -> Iterator[Row]:
    yield from memory_rows(plan, "")
    gc.enable()
    yield from memory_rows(plan, ", gc on")
    gc.disable()
    yield from serializer_rows(plan, folder)
    yield from sqlite_rows(plan, folder)
    yield from size_rows(folder)
    yield from flat_rows(plan)
    yield from graph_rows(plan, folder)
    yield from namesake_rows(plan, namesake)


def memory_rows(plan: Plan, note: str) -> Iterator[Row]:
    """Small states and large ones in memory."""
    large = subjects.channels(0)
    works = {
        "put, small": (lambda saver: subjects.small_puts(saver, COUNT), 1.2),
        "put_writes, small": (lambda saver: subjects.Writes(saver, COUNT), 1.2),
        "get_tuple, small": (lambda saver: subjects.gets(saver, COUNT, subjects.SMALL), 0.8),
        "put, one of ten 20 KB channels": (lambda saver: subjects.large_puts(saver, COUNT), 1.3),
        "put_writes, one of 20 KB": (lambda saver: subjects.Writes(saver, COUNT, large["channel 0"]), 1.2),
        "get_tuple, ten 20 KB channels": (lambda saver: subjects.gets(saver, COUNT, large), 0.8),
    }
    for what, (work, aim) in works.items():
        ours, theirs = work(SwarmStateSaver()), work(InMemorySaver())
        yield compare(f"{what}{note}", IN_MEMORY, ours, theirs, COUNT, plan.rounds, aim)


def serializer_rows(plan: Plan, parent: str) -> Iterator[Row]:
    """A chat of 50 messages of 200 bytes: what the saver takes beside what its serializer takes of it."""
    chat = subjects.messages(51)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        for engine, aim in (("memory", 1.05), ("SQLite, NORMAL", 1.10)):
            store = swarmstate.Store() if engine == "memory" else file_store(folder, "normal")
            serializer = TimedSerializer()
            saver = SwarmStateSaver(store, serde=serializer)
            pairs, reads = [], []
            for number in range(plan.rounds):
                thread = subjects.chat_puts(saver, chat[:50], f"chat {number}")
                put = partial(saver.put, *thread.following({"messages": chat}, ["messages"]))
                pairs.append(serializer.beside(put))
                reader = saver if engine == "memory" else SwarmStateSaver(store, serde=serializer)
                reads.append(serializer.beside(partial(reader.get_tuple, thread.config)))
            put_aim = 1.15 if engine == "memory" else None
            yield row_of_rounds(f"put, 50 messages, {engine}", "its serializer", pairs, put_aim)
            yield row_of_rounds(f"get_tuple, 50 messages, {engine}", "its serializer", reads, aim)
            store.close()


class TimedSerializer:
    """LangGraph's serializer, which adds up what it takes."""

    def __init__(self) -> None:
        self.inner, self.elapsed = SwarmStateSaver().serde, 0

    def dumps_typed(self, obj):
        started = time.perf_counter_ns()
        result = self.inner.dumps_typed(obj)
        self.elapsed += time.perf_counter_ns() - started
        return result

    def loads_typed(self, data):
        started = time.perf_counter_ns()
        result = self.inner.loads_typed(data)
        self.elapsed += time.perf_counter_ns() - started
        return result

    def beside(self, work: Callable[[], object]) -> tuple[float, float]:
        """What a work takes, and what of it the serializer takes; to free what it gives is the caller's."""
        self.elapsed, started = 0, time.perf_counter_ns()
        result = work()
        took = time.perf_counter_ns() - started
        del result
        return took, self.elapsed


def file_store(folder: str, durability: str) -> swarmstate.Store:
    return swarmstate.SqliteStore(str(Path(folder) / f"{time.monotonic_ns()}.db"), durability=durability)


def sqlite_saver(folder: str, synchronous: str) -> SqliteSaver:
    connection = sqlite3.connect(str(Path(folder) / f"{time.monotonic_ns()}.sqlite"), check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute(f"PRAGMA synchronous={synchronous}")
    return saver


def sqlite_rows(plan: Plan, parent: str) -> Iterator[Row]:
    """Puts of a small state into files."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        for durability, threads, count, aim in (
            ("FULL", 1, COUNT, 0.6),
            ("FULL", THREADS, COUNT, 0.2),
            ("NORMAL", 1, COUNT, 0.5),
            ("NORMAL", 1, LONG_RUN, 0.5),
        ):
            ours = SwarmStateSaver(file_store(folder, durability.lower()))
            theirs = sqlite_saver(folder, durability)
            yield compare(
                f"{count:,} puts, small, SQLite {durability}, {threads} thread(s)",
                f"SqliteSaver {durability}",
                InThreads(ours, threads, count),
                InThreads(theirs, threads, count),
                count * threads,
                max(plan.rounds // 4, 3),
                aim,
            )
            ours.store.close()
            theirs.conn.close()


class InThreads:
    """Each of some threads puts to a thread of its own."""

    def __init__(self, saver, threads: int, count: int) -> None:
        self.puts = [subjects.small_puts(saver, count, f"{at}") for at in range(threads)]

    def prepare(self) -> None:
        for puts in self.puts:
            puts.prepare()

    def __call__(self) -> None:
        if len(self.puts) == 1:
            return self.puts[0]()
        workers = [threading.Thread(target=puts) for puts in self.puts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return None


def size_rows(parent: str) -> Iterator[Row]:
    """What a chat of 1,000 messages takes that is put after each of them."""
    chat = subjects.messages(1000)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        ours, theirs = SwarmStateSaver(file_store(folder, "normal")), InMemorySaver()
        for saver in (ours, theirs):
            subjects.chat_puts(saver, chat)
        namespace = "\x1fthread:chat\0"
        channels = [key for key in ours.store.keys(namespace) if key.startswith(("value:", "chunk:"))]
        ours_bytes = sum(len(key) + len(swarmstate.dumps(ours.store.get(namespace, key))) for key in channels)
        whole = sum(len(value) for _, value in theirs.blobs.values())
        against = f"{IN_MEMORY}, channels"
        yield size("channel data, 1,000-message chat", against, ours_bytes, whole, 2_000_000)
        yield size("everything but file overhead", against, ours.usage("chat").stored_bytes, whole, None)
        ours.store.compact()
        ours.store.close()
        yield size("SQLite file, 1,000-message chat", against, bytes_in(folder), whole, 3_500_000)
    with tempfile.TemporaryDirectory(dir=parent) as our_folder, tempfile.TemporaryDirectory(dir=parent) as their_folder:
        ours, theirs = SwarmStateSaver(file_store(our_folder, "normal")), sqlite_saver(their_folder, "NORMAL")
        for saver in (ours, theirs):
            puts = subjects.small_puts(saver, LONG_RUN)
            puts.prepare()
            puts()
        ours.store.close()
        theirs.conn.close()
        what = f"SQLite file, {LONG_RUN:,} small checkpoints"
        yield size(what, "SqliteSaver", bytes_in(our_folder), bytes_in(their_folder), None)


def bytes_in(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).iterdir())


def size(what: str, against: str, ours: float, theirs: float, aim: int | None) -> Row:
    text, is_met = ("", None) if aim is None else (f"< {aim / 1e6:g} MB", ours < aim)
    return Row(what, against, ours, theirs, ours / theirs, text, is_met, 1, "bytes")


def flat_rows(plan: Plan) -> Iterator[Row]:
    """What takes the same time at any length of a thread."""
    saver = SwarmStateSaver()
    short, long = subjects.small_puts(saver, 10, "short"), subjects.small_puts(saver, 1000, "long")
    for puts in (short, long):
        puts.prepare()
        puts()
        puts.count = 10
    yield compare("put, small, at step 1,000", "at step 10", long, short, 10, 5, 1.2)
    gets = [lambda thread=thread: saver.get_tuple(thread.config) for thread in (long.thread, short.thread)]
    yield compare("get_tuple, small, at step 1,000", "at step 10", gets[0], gets[1], 1, plan.rounds * 5, 1.2)
    copies = []
    for number in range(plan.rounds):
        started = time.perf_counter_ns()
        saver.copy_thread("long", f"copy {number}")
        copies.append(time.perf_counter_ns() - started)
    took = median(copies)
    yield Row("copy_thread, 1,000 checkpoints", "", took, None, None, "< 100 us", took < 100_000, plan.rounds)


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def graph_rows(plan: Plan, parent: str) -> Iterator[Row]:
    """Supersteps of a graph of five nodes, one after the other, over and over."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        in_memory = graph_runs(lambda: nullcontext(InMemorySaver()))
        in_file = graph_runs(lambda: async_sqlite_saver(folder))
        store = file_store(folder, "normal")
        for engine, saver, theirs, against, aim in (
            ("memory", SwarmStateSaver(), in_memory, IN_MEMORY, 1.0),
            ("SQLite NORMAL", SwarmStateSaver(store), in_memory, IN_MEMORY, 1.3),
            ("SQLite NORMAL", SwarmStateSaver(store), in_file, "AsyncSqliteSaver NORMAL", None),
        ):
            ours = graph_runs(partial(nullcontext, saver))
            yield compare(f"100 supersteps, {engine}", against, ours, theirs, 100, max(plan.rounds // 4, 3), aim)
        store.close()


@asynccontextmanager
async def async_sqlite_saver(folder: str) -> AsyncIterator[AsyncSqliteSaver]:
    async with aiosqlite.connect(Path(folder, "theirs async.db")) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute("PRAGMA synchronous=NORMAL")
        yield saver


def graph_runs(opened: Callable[[], AbstractAsyncContextManager[Any]]) -> Callable[[], None]:
    """Runs of a graph, all on one loop and the saver that is opened for it."""
    builder = StateGraph(State)
    for at in range(5):
        builder.add_node(f"node {at}", lambda state, at=at: {"log": [f"node {at}"]})
        builder.add_edge(START if at == 0 else f"node {at - 1}", f"node {at}")
    turn = 0

    async def run() -> None:
        nonlocal turn
        turn += 1
        async with opened() as saver:
            graph = builder.compile(checkpointer=saver)
            for number in range(20):
                config = {"configurable": {"thread_id": f"{turn} {number}"}}
                await graph.ainvoke({"log": ["start"]}, config, durability="async")

    return lambda: asyncio.run(run())


def namesake_rows(plan: Plan, python: str) -> Iterator[Row]:
    if not Path(python).exists():
        print(f"{python} is missing: not compared with the namesake")
        return
    ours, theirs = Worker(sys.executable), Worker(python)
    try:
        for work in ("saver_put", "saver_writes", "saver_get", "saver_put_large", "saver_get_large"):
            pairs = [(ours.round(work, COUNT), theirs.round(work, COUNT)) for _ in range(plan.rounds)]
            yield row_of_rounds(work, f"namesake {theirs.version}", pairs, None)
    finally:
        ours.close()
        theirs.close()
