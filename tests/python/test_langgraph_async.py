"""The async methods where the engine waits: what runs on the event loop, what beside it, and what the loop is told."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import servers
from holding import Holder
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph_given import checkpoint_of, config_of, get, put

import swarmstate as ss
from swarmstate._core import finish_handed_over
from swarmstate.integrations.langgraph import SwarmStateSaver
from swarmstate.integrations.langgraph._on_store import awaited

# Runs the async methods, then once more in a child, and tells how that one ended.
FORKER = """
import asyncio, os, sys

from langgraph.checkpoint.base import empty_checkpoint

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

saver = SwarmStateSaver(sys.argv[1])


async def run(thread_id):
    config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    config = await saver.aput(config, empty_checkpoint(), {"source": "loop"}, {})
    await saver.aput_writes(config, [("a", 1)], "task")
    assert (await saver.aget_tuple(config)).pending_writes == [("task", "a", 1)]


asyncio.run(run("parent"))
child = os.fork()
if child == 0:
    try:
        asyncio.run(run("child"))
    except ss.Error as error:
        print(type(error).__name__, error, flush=True)
    else:
        print("done", flush=True)
    os._exit(0)
os.waitpid(child, 0)
asyncio.run(run("parent again"))
"""


@pytest.fixture
def file_store(file: Path) -> Iterator[ss.SqliteStore]:
    with ss.SqliteStore(file, durability="normal") as store:
        yield store


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return waiting(SwarmStateSaver(store))


def waiting(saver: SwarmStateSaver) -> SwarmStateSaver:
    """A saver that takes its engine for one that waits, so that all engines go the same way."""
    saver._waits = True
    return saver


async def aput(saver: SwarmStateSaver, config: RunnableConfig, checkpoint_id: str, **values: Any) -> RunnableConfig:
    checkpoint = checkpoint_of(checkpoint_id, values)
    return await saver.aput(config, checkpoint, {"source": "loop"}, checkpoint["channel_versions"])


# Leaves puts that wait at the end of its loop, and ends.
LEAVER = """
import asyncio, sys

from langgraph.checkpoint.base import empty_checkpoint

from swarmstate.integrations.langgraph import SwarmStateSaver

saver = SwarmStateSaver(sys.argv[1])
config = {"configurable": {"thread_id": "thread", "checkpoint_ns": ""}}


async def leave():
    tasks = [asyncio.create_task(saver.aput(config, empty_checkpoint(), {"source": "loop"}, {})) for _ in range(5)]
    await asyncio.sleep(0)
    assert len(tasks) == 5


asyncio.run(leave())
print("left", flush=True)
"""


class Told:
    """An object that notes in which threads it is serialized."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def model_dump(self) -> dict[str, Any]:
        self.threads.add(threading.get_ident())
        return {}


async def test_a_small_state_is_serialized_on_the_loop_and_a_large_one_beside_it(saver: SwarmStateSaver) -> None:
    small, large, write, writes = Told(), Told(), Told(), Told()

    config = await aput(saver, config_of(), "1", small=[small])
    config = await aput(saver, config, "2", large=[large, *range(1000)])
    await saver.aput_writes(config, [("a", write)], "task")
    await saver.aput_writes(config, [("a", {"deeper": [writes, *range(1000)]})], "other task")

    here = {threading.get_ident()}
    assert (small.threads, write.threads) == (here, here)
    assert large.threads.isdisjoint(here)
    assert writes.threads.isdisjoint(here)
    assert large.threads
    assert writes.threads


async def test_all_that_a_put_stores_counts_together_and_so_does_its_metadata(saver: SwarmStateSaver) -> None:
    first, second, known = Told(), Told(), Told()

    config = await aput(saver, config_of(), "1", first=[first, *range(200)], second=[second, *range(200)])
    await saver.aput(config, checkpoint_of("2"), {"source": "loop", "known": [known, *range(1000)]}, {})  # type: ignore[typeddict-unknown-key]

    here = {threading.get_ident()}
    for told in (first, second, known):
        assert told.threads
        assert told.threads.isdisjoint(here)


@pytest.mark.parametrize("count", [1, 5000])
async def test_what_is_put_comes_back_whatever_its_size(saver: SwarmStateSaver, count: int) -> None:
    messages = [HumanMessage(f"message {number}", id=f"{number}") for number in range(count)]

    config = await aput(saver, config_of(), "1", messages=messages, text="x" * count)
    await saver.aput_writes(config, [("messages", messages), ("one", 1)], "task", "path")
    found = await saver.aget_tuple(config)

    assert found is not None
    assert found == saver.get_tuple(config)
    assert found.checkpoint["channel_values"] == {"messages": messages, "text": "x" * count}
    assert found.pending_writes == [("task", "messages", messages), ("task", "one", 1)]
    assert await saver.aget_tuple(config_of("absent")) is None


async def test_what_is_handed_over_may_be_changed_at_once(saver: SwarmStateSaver) -> None:
    checkpoint, written = checkpoint_of("1", {"log": ["first"]}), ["first"]

    putting = asyncio.ensure_future(saver.aput(config_of(), checkpoint, {"source": "loop"}, {"log": "1"}))
    await asyncio.sleep(0)
    checkpoint["channel_values"]["log"].append("second")
    checkpoint["channel_versions"].clear()
    config = await putting
    writing = asyncio.ensure_future(saver.aput_writes(config, [("log", written)], "task"))
    await asyncio.sleep(0)
    written.append("second")
    await writing

    found = get(saver, config)
    assert found.checkpoint["channel_values"] == {"log": ["first"]}
    assert found.pending_writes == [("task", "log", ["first"])]


async def test_errors_reach_who_awaits_and_nothing_is_stored(saver: SwarmStateSaver) -> None:
    long = "x" * 5000
    with pytest.raises(ss.InvalidError):
        await aput(saver, config_of(long), "1")
    with pytest.raises(ss.InvalidError):
        await aput(saver, config_of(), long)
    with pytest.raises(ss.InvalidError):
        await saver.aput_writes(config_of(checkpoint_id="1"), [("a", 1)], long)
    with pytest.raises(ss.InvalidError):
        await saver.aget_tuple(config_of(long))
    with pytest.raises(TypeError, match="a channel's name is a str, not int"):
        await saver.aput(config_of(), {**checkpoint_of("1"), "channel_versions": {1: "1"}}, {}, {})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="version"):
        await saver.aput(config_of(), checkpoint_of("1"), {}, {"a": None})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        await saver.aput_writes(config_of(checkpoint_id="1"), [("a", object())], "task")

    assert saver.get_tuple(config_of()) is None
    assert saver.threads() == []


async def test_a_record_that_cannot_be_read_is_an_error_for_who_awaits_it_alone(saver: SwarmStateSaver) -> None:
    for name in ("broken", "whole"):
        await aput(saver, config_of(name), "1", a=1)
    (key,) = [key for key in saver.store.keys("\x1fthread:broken\0") if key.startswith("checkpoint:")]
    saver.store.set("\x1fthread:broken\0", key, b"torn")

    broken, whole = await asyncio.gather(
        saver.aget_tuple(config_of("broken")), saver.aget_tuple(config_of("whole")), return_exceptions=True
    )

    assert isinstance(broken, ss.CorruptError)
    assert whole == saver.get_tuple(config_of("whole"))


async def test_the_loop_goes_on_while_a_file_is_held(file_store: ss.SqliteStore, holder: Holder) -> None:
    saver = SwarmStateSaver(file_store)
    config = await aput(saver, config_of(), "1", a=1)
    holder.turn()

    # Were the loop to stop at any of these, the file would not be let go of, and they would end in an UnavailableError.
    pending = [asyncio.ensure_future(aput(saver, config, f"2 {number}", a=number)) for number in range(50)]
    pending += [asyncio.ensure_future(saver.aput_writes(config, [("a", at)], f"task {at}")) for at in range(50)]  # type: ignore[arg-type]
    for _ in range(1000):
        await asyncio.sleep(0)
    # Reading does not wait for who writes.
    found = await saver.aget_tuple(config_of())
    assert found is not None
    assert found.config == config
    assert not any(task.done() for task in pending)

    holder.turn()
    await asyncio.gather(*pending)
    assert len(list(saver.list(config_of()))) == 51
    assert len(get(saver, config).pending_writes or []) == 50


async def test_a_put_that_nobody_awaits_any_more_is_done_all_the_same(
    file_store: ss.SqliteStore, holder: Holder
) -> None:
    saver, told = SwarmStateSaver(file_store), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    config = await aput(saver, config_of(), "1", a=1)
    holder.turn()
    putting = asyncio.ensure_future(aput(saver, config, "2", a=2))
    await asyncio.sleep(0)

    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    holder.turn()
    await aput(saver, config, "3", a=3)

    assert [found.checkpoint["id"] for found in saver.list(config_of())] == ["3", "2", "1"]
    assert told == []


def test_a_loop_that_ended_takes_nothing_with_it(file_store: ss.SqliteStore, holder: Holder) -> None:
    saver = SwarmStateSaver(file_store)

    async def leave() -> None:
        asyncio.get_running_loop().create_task(aput(saver, config_of(), "left", a=1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(aput(saver, config_of(), "1", a=1))
    holder.turn()
    asyncio.run(leave())
    holder.turn()
    asyncio.run(aput(saver, config_of(), "2", a=2))

    # The file has one line of writers: what was left stood before this one.
    assert {found.checkpoint["id"] for found in saver.list(config_of())} == {"1", "2", "left"}


def test_loops_in_many_threads_share_a_saver(
    saver: SwarmStateSaver, run_threads: Callable[[Sequence[Callable[[], object]]], list[object]]
) -> None:
    async def run(name: str) -> int:
        config: RunnableConfig = config_of(name)
        for number in range(10):
            config = await aput(saver, config, f"{number}", a=number)
            await asyncio.gather(*(saver.aput_writes(config, [("a", at)], f"task {at}") for at in range(3)))
        found = await saver.aget_tuple(config_of(name))
        assert found is not None
        return found.checkpoint["channel_values"]["a"] + len(found.pending_writes or [])

    names = [f"thread {number}" for number in range(8)]

    assert run_threads([lambda name=name: asyncio.run(run(name)) for name in names]) == [9 + 3] * 8
    assert [len(list(saver.list(config_of(name)))) for name in names] == [10] * 8


def test_a_loop_that_watches_no_pipe_gets_the_same(saver: SwarmStateSaver) -> None:
    class Blind(asyncio.SelectorEventLoop):
        def add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
            raise NotImplementedError

    async def run() -> None:
        config = await aput(saver, config_of(), "1", a=1)
        await saver.aput_writes(config, [("a", 2)], "task")
        assert await saver.aget_tuple(config) == saver.get_tuple(config)

    loop = Blind()
    loop.run_until_complete(run())
    loop.close()

    assert get(saver, config_of()).pending_writes == [("task", "a", 2)]


async def test_a_method_of_ones_own_is_what_its_async_twin_calls(store: ss.Store) -> None:
    called = []

    class Mine(SwarmStateSaver):
        def put_writes(self, *arguments: Any, **named: Any) -> None:
            called.append("put_writes")
            super().put_writes(*arguments, **named)

    saver = waiting(Mine(store))
    saver.get_tuple = lambda config: called.append("get_tuple")  # type: ignore[method-assign]

    config = await aput(saver, config_of(), "1", a=1)
    await saver.aput_writes(config, [("a", 2)], "task")

    assert await saver.aget_tuple(config) is None
    assert called == ["put_writes", "get_tuple"]


@pytest.mark.parametrize("engine", ["redis", "sqlite"])
def test_a_child_of_a_process_does_not_hang(engine: str, file: Path) -> None:
    url = f"sqlite:///{file}" if engine == "sqlite" else f"{servers.single()}?prefix={servers.fresh_prefix()}"

    done = subprocess.run([sys.executable, "-c", FORKER, url], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    if engine == "redis":
        assert done.stdout == "done\n"
    else:
        assert done.stdout.startswith("InvalidError")
        assert "open stores after the fork only" in done.stdout


async def test_a_loop_that_is_run_within_itself_does_not_hang(file_store: ss.SqliteStore) -> None:
    saver = SwarmStateSaver(file_store)
    completions, future = awaited()  # type: ignore[misc]
    saver._threads.aget(completions, future, "absent", "", None, saver.serde)

    # The first of these does the work that the second one was called for too.
    while not future.done():
        completions.deliver()
    completions.deliver()

    assert future.result() is None


def test_what_was_left_is_done_before_the_process_ends(file: Path, holder: Holder) -> None:
    ss.SqliteStore(file).close()
    holder.turn()
    leaver = subprocess.Popen([sys.executable, "-c", LEAVER, f"sqlite:///{file}"], stdout=subprocess.PIPE, text=True)
    assert leaver.stdout is not None
    assert leaver.stdout.readline() == "left\n"

    with pytest.raises(subprocess.TimeoutExpired):
        leaver.wait(1)
    holder.turn()

    assert leaver.wait(60) == 0
    assert len(list(SwarmStateSaver(f"sqlite:///{file}").list(config_of()))) == 5


def test_a_loop_that_was_left_is_given_up(file_store: ss.SqliteStore, holder: Holder) -> None:
    saver = SwarmStateSaver(file_store)

    async def leave() -> ref[asyncio.AbstractEventLoop]:
        asyncio.get_running_loop().create_task(aput(saver, config_of(), "left", a=1))
        await asyncio.sleep(0)
        return ref(asyncio.get_running_loop())

    holder.turn()
    left = [asyncio.run(leave()) for _ in range(5)]
    holder.turn()
    finish_handed_over()

    gc.collect()
    assert [loop() for loop in left] == [None] * 5


# A list of many is put by a thread, and all else by the core's.
VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=5), st.integers(0, 400).map(lambda n: [*range(n)])
)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "writes", "get"]), st.integers(0, 3), VALUES), max_size=20)


@settings(max_examples=30)
@given(STEPS)
def test_any_order_of_async_calls_ends_as_in_langgraphs_own_saver(steps: list[tuple[str, int, Any]]) -> None:
    ours, theirs = waiting(SwarmStateSaver()), InMemorySaver(serde=JsonPlusSerializer())

    made = [checkpoint_of(f"{number:03}", {"a": value}) for number, (_, _, value) in enumerate(steps)]

    async def run(saver: Any) -> list[Any]:
        found, latest = [], dict.fromkeys(range(4), "000")
        for number, (what, thread, value) in enumerate(steps):
            config = config_of(f"{thread}")
            if what == "put":
                latest[thread] = f"{number:03}"
                await saver.aput(config, made[number], {"source": "loop"}, {"a": "1"})
            elif what == "writes":
                config = config_of(f"{thread}", checkpoint_id=latest[thread])
                await saver.aput_writes(config, [("a", value)], f"task {number}")
            else:
                found.append(await saver.aget_tuple(config))
        return found

    assert asyncio.run(run(ours)) == asyncio.run(run(theirs))


async def test_calls_that_wait_together_are_answered_each_with_its_own(saver: SwarmStateSaver) -> None:
    for number in range(40):
        put(saver, config_of(f"{number}"), "1", {"a": number})

    found = await asyncio.gather(*(saver.aget_tuple(config_of(f"{number % 40}")) for number in range(200)))

    values = [item.checkpoint["channel_values"]["a"] for item in found if item is not None]
    assert values == [number % 40 for number in range(200)]
