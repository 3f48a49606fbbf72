"""A process that is killed at any moment leaves every checkpoint whole, and another goes on from there."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from langgraph_given import config_of, get, ids

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

WORDS = [f"word {number * 7919 % 10_007}" for number in range(6000)]
PROGRAM = textwrap.dedent(
    """
    import sys

    from langgraph_given import checkpoint_of, config_of
    from test_langgraph_crash import WORDS

    import swarmstate as ss
    from swarmstate.integrations.langgraph import SwarmStateSaver

    saver = SwarmStateSaver(ss.SqliteStore(sys.argv[1], durability="normal"), keep_last=5)
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


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_process_leaves_every_checkpoint_whole(tmp_path: Path, seed: int) -> None:
    chosen, path = random.Random(seed), tmp_path / "state.db"
    done = -1
    for _ in range(3):
        done = run_and_kill(path, chosen.randint(1, 40))

        saver = SwarmStateSaver(ss.SqliteStore(path))
        found = ids(saver.list(config_of()))
        assert int(found[0]) in (done, done + 1)
        assert found == [f"{number:06}" for number in range(int(found[0]), int(found[0]) - len(found), -1)]
        for checkpoint_id in found:
            values = get(saver, config_of(checkpoint_id=checkpoint_id)).checkpoint["channel_values"]
            assert values == {"a": WORDS[: 1000 + 10 * (int(checkpoint_id) % 500)]}
        saver.store.close()


TOGETHER = textwrap.dedent(
    """
    import sys

    from langgraph_given import checkpoint_of, config_of
    from test_langgraph_crash import WORDS

    import swarmstate as ss
    from swarmstate.integrations.langgraph import SwarmStateSaver

    path, checkpoint_ns, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
    saver = SwarmStateSaver(ss.SqliteStore(path, durability="normal"), **options)
    config = config_of(checkpoint_ns=checkpoint_ns)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(60):
        checkpoint = checkpoint_of(f"{number:06}", {"a": WORDS[: 1000 + 10 * number]}, f"{number:06}")
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
    """
)


@pytest.mark.parametrize("options", [{}, {"keep_last": 3}])
def test_processes_that_put_to_one_thread_lose_nothing_of_one_another(tmp_path: Path, options: dict[str, int]) -> None:
    path, namespaces = tmp_path / "state.db", ["a", "b", "c"]
    saver = SwarmStateSaver(ss.SqliteStore(path))
    commands = [[sys.executable, "-c", TOGETHER, str(path), namespace, repr(options)] for namespace in namespaces]
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


def run_and_kill(path: Path, lines: int) -> int:
    """Lets the program put so many checkpoints, kills it in the middle of what comes next, and answers the last one."""
    command = [sys.executable, "-c", PROGRAM, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    assert process.stdout is not None
    try:
        last = [int(process.stdout.readline()) for _ in range(lines)][-1]
    finally:
        process.kill()
        rest = process.communicate()[0]
    return int(rest.split()[-1]) if rest.split() else last
