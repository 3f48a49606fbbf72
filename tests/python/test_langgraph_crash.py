"""A process that is killed at any moment leaves every checkpoint whole, and another goes on from there."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
import servers
from langgraph_given import config_of, get, ids

from swarmstate.integrations.langgraph import SwarmStateSaver

WORDS = [f"word {number * 7919 % 10_007}" for number in range(6000)]
PROGRAM = textwrap.dedent(
    """
    import sys

    from langgraph_given import checkpoint_of, config_of
    from test_langgraph_crash import WORDS

    from swarmstate.integrations.langgraph import SwarmStateSaver

    saver = SwarmStateSaver(sys.argv[1], keep_last=5)
    latest = saver.get_tuple(config_of())
    number = int(latest.checkpoint["id"]) + 1 if latest else 0
    config = latest.config if latest else config_of()
    while True:
        checkpoint = checkpoint_of(f"{number:06}", {"a": WORDS[: 1000 + 10 * (number % 500)]}, f"{number:06}")
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
        saver.put_writes(config, [("b", number)], "task")
        print(number, flush=True)
        number += 1
    """
)


@pytest.fixture(params=["sqlite", "redis", "redis-cluster"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where several processes find one empty store, once for every engine that outlives a process."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}?durability=normal"
    server = servers.single() if request.param == "redis" else servers.cluster()
    return f"{server}?prefix={servers.fresh_prefix()}&timeout=60"


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_leaves_every_checkpoint_whole(url: str, seed: int) -> None:
    chosen = random.Random(seed)
    done = -1
    for _ in range(3):
        done = run_and_kill(url, chosen.randint(1, 40))

        saver = SwarmStateSaver(url)
        found = ids(saver.list(config_of()))
        assert int(found[0]) in (done, done + 1)
        assert found == [f"{number:06}" for number in range(int(found[0]), int(found[0]) - len(found), -1)]
        for checkpoint_id in found:
            values = get(saver, config_of(checkpoint_id=checkpoint_id)).checkpoint["channel_values"]
            assert values == {"a": WORDS[: 1000 + 10 * (int(checkpoint_id) % 500)]}
        saver.store.close()

    # What a sweep left that was cut off, the next one takes.
    saver = SwarmStateSaver(url)
    saver.prune(["thread"])
    left = Counter(key.split(":")[0] for key in saver.store.keys("\x1fthread:thread\0"))
    assert (left["checkpoint"], left["value"]) == (1, 1)
    assert left["write"] <= 1
    saver.store.close()


TOGETHER = textwrap.dedent(
    """
    import sys

    from langgraph_given import checkpoint_of, config_of
    from test_langgraph_crash import WORDS

    from swarmstate.integrations.langgraph import SwarmStateSaver

    url, checkpoint_ns, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
    saver = SwarmStateSaver(url, **options)
    config = config_of(checkpoint_ns=checkpoint_ns)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(60):
        checkpoint = checkpoint_of(f"{number:06}", {"a": WORDS[: 1000 + 10 * number]}, f"{number:06}")
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
    """
)


@pytest.mark.parametrize("options", [{}, {"keep_last": 3}])
def test_processes_that_put_to_one_thread_lose_nothing_of_one_another(url: str, options: dict[str, int]) -> None:
    namespaces = ["a", "b", "c"]
    saver = SwarmStateSaver(url)
    commands = [[sys.executable, "-c", TOGETHER, url, namespace, repr(options)] for namespace in namespaces]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parent}
    processes = [subprocess.Popen(command, **pipes) for command in commands]

    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 3
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()
    assert [process.wait() for process in processes] == [0, 0, 0]

    for namespace in namespaces:
        found = ids(saver.list(config_of(checkpoint_ns=namespace)))
        assert found[:3] == ["000059", "000058", "000057"]
        assert options or len(found) == 60
        for checkpoint_id in found:
            found_one = get(saver, config_of(checkpoint_ns=namespace, checkpoint_id=checkpoint_id))
            assert found_one.checkpoint["channel_values"] == {"a": WORDS[: 1000 + 10 * int(checkpoint_id)]}
    (thread,) = saver.threads()
    assert thread.checkpoints == len(ids(saver.list(None)))


GRAPH = textwrap.dedent(
    """
    import operator, sys
    from typing import Annotated, TypedDict

    from langgraph.graph import START, StateGraph
    from langgraph.types import Command, interrupt

    from swarmstate.integrations.langgraph import SwarmStateSaver


    class State(TypedDict, total=False):
        log: Annotated[list[str], operator.add]


    saver = SwarmStateSaver(sys.argv[1])
    builder = StateGraph(State)
    builder.add_node("count", lambda state: {"log": [f"counted {saver.store.increment('runs', 'count')}"]})
    builder.add_node("ask", lambda state: {"log": [interrupt("go on?")]})
    builder.add_edge(START, "count")
    builder.add_edge("count", "ask")
    graph = builder.compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "a"}}
    given = {"log": ["started"]} if sys.argv[2] == "start" else Command(resume="yes")
    print(graph.invoke(given, config)["log"])
    """
)


def test_a_graph_that_was_started_in_one_process_is_resumed_in_another(url: str) -> None:
    command = [sys.executable, "-c", GRAPH, url]

    said = [subprocess.run([*command, part], capture_output=True, text=True).stdout for part in ("start", "resume")]

    assert said == ["['started', 'counted 1']\n", "['started', 'counted 1', 'yes']\n"]


PATIENT = textwrap.dedent(
    """
    import sys

    from langgraph_given import checkpoint_of, config_of
    from test_langgraph_crash import WORDS

    import swarmstate as ss
    from swarmstate.integrations.langgraph import SwarmStateSaver

    saver, config = SwarmStateSaver(sys.argv[1], keep_last=20), config_of()
    for number in range(300):
        checkpoint = checkpoint_of(f"{number:06}", {"a": WORDS[: 1000 + 10 * number]}, f"{number:06}")
        while True:
            try:
                following = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
                saver.put_writes(following, [("b", number)], "task")
                break
            except ss.UnavailableError:
                pass  # It may have happened, and a repeat does no harm.
        config = following
        print(number, flush=True)
    """
)


def test_a_killed_server_leaves_every_checkpoint_whole() -> None:
    server = servers.Server("--appendonly", "yes", "--appendfsync", "always")
    url = f"redis://127.0.0.1:{server.port}?timeout=10"
    command = [sys.executable, "-c", PATIENT, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    assert process.stdout is not None
    for _ in range(3):
        for _ in range(40):
            assert process.stdout.readline()
        server.kill_and_restart(0.1)

    said = process.communicate()[0].split()

    assert (process.returncode, said[-1]) == (0, "299")
    saver = SwarmStateSaver(url)
    found = list(saver.list(config_of()))
    assert ids(found) == [f"{number:06}" for number in range(299, 299 - len(found), -1)]
    assert len(found) >= 20
    for item in found:
        number = int(item.checkpoint["id"])
        assert item.checkpoint["channel_values"] == {"a": WORDS[: 1000 + 10 * number]}
        assert item.pending_writes == [("task", "b", number)]
    saver.store.close()
    server.stop()


def run_and_kill(url: str, lines: int) -> int:
    """Lets the program put so many checkpoints, kills it in the middle of what comes next, and answers the last one."""
    command = [sys.executable, "-c", PROGRAM, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    assert process.stdout is not None
    try:
        last = [int(process.stdout.readline()) for _ in range(lines)][-1]
    finally:
        process.kill()
        rest = process.communicate()[0]
    return int(rest.split()[-1]) if rest.split() else last
