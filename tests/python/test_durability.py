"""What a killed process leaves: a worker with threads is killed over and over, and the file holds what it was told.

`SWARMSTATE_PYTHON_KILLS` sets how often (50).
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

import swarmstate as ss

KILLS = int(os.environ.get("SWARMSTATE_PYTHON_KILLS", "50"))
THREADS = 4
SLOTS = 20

# Each thread writes numbered batches into a namespace of its own and counts them in one that all share; each line comes
# after the call that it tells of returned, and is short enough for a pipe to take it whole.
WORKER = """
import os, sys, threading
import swarmstate as ss

path, durability, *firsts = sys.argv[1:]
store = ss.SqliteStore(path, durability=durability)

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def write(thread, first):
    number = first
    while True:
        with store.batch() as batch:
            batch.set(f"thread {thread}", "last", number)
            batch.set(f"thread {thread}", f"slot {number % 20}", {"number": number, "text": "x" * (number * 37 % 3000)})
            batch.increment("shared", "total")
        tell("wrote", thread, number)
        number += 1

def keep():
    while True:
        snapshot = store.snapshot()
        tell("took", snapshot.id, *(snapshot.get(f"thread {thread}", "last", -1) for thread in range(len(firsts))))
        for old in store.history()[:-3]:
            tell("dropping", old.id)
            store.drop_snapshot(old.id)
        store.compact()

def run(work, *arguments):
    try:
        work(*arguments)
    except BaseException as error:
        tell("failed", type(error).__name__, error)

works = [(write, thread, int(first)) for thread, first in enumerate(firsts)] + [(keep,)]
threads = [threading.Thread(target=run, args=work) for work in works]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def run_and_kill(path: Path, durability: str, firsts: Iterable[int], seconds: float) -> list[list[str]]:
    """Let a worker live for so long, and return the lines that it told."""
    arguments = [sys.executable, "-c", WORKER, str(path), durability, *map(str, firsts)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as worker:
        try:
            worker.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            worker.kill()
        told, _ = worker.communicate()
    assert worker.returncode == -signal.SIGKILL, told
    return [line.split() for line in told.decode().splitlines()]


def shown(reader: ss.Store | ss.Snapshot, last: int, thread: int) -> bool:
    """Whether a thread's namespace holds exactly what its batches up to `last` left."""
    numbers = range(max(0, last - SLOTS + 1), last + 1)
    expected = {f"slot {n % SLOTS}": {"number": n, "text": "x" * (n * 37 % 3000)} for n in numbers}
    if last >= 0:
        expected["last"] = last
    return dict(reader.items(f"thread {thread}")) == expected


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_every_write_that_returned_outlives_the_kill_of_its_process(tmp_path, durability):
    path = tmp_path / "state.db"
    seed = time.time_ns()
    print("seed", seed)
    chance = random.Random(seed)
    lasts = [-1] * THREADS
    snapshots: dict[int, list[int]] = {}

    for _ in range(KILLS // 2):
        dropping: set[int] = set()
        for word, *numbers in run_and_kill(path, durability, [n + 1 for n in lasts], 0.05 + chance.random() * 0.3):
            if word == "wrote":
                assert int(numbers[1]) == lasts[int(numbers[0])] + 1
                lasts[int(numbers[0])] += 1
            elif word == "took":
                snapshots[int(numbers[0])] = [int(n) for n in numbers[1:]]
            else:
                assert word == "dropping", numbers
                dropping.add(int(numbers[0]))

        with ss.SqliteStore(path) as store:
            found = [store.get(f"thread {thread}", "last", -1) for thread in range(THREADS)]
            assert all(last <= found[thread] <= last + 1 for thread, last in enumerate(lasts))
            assert all(shown(store, found[thread], thread) for thread in range(THREADS))
            assert store.get("shared", "total", 0) == sum(found) + THREADS
            kept = {snapshot.id: snapshot for snapshot in store.history()}
            assert snapshots.keys() - dropping <= kept.keys()
            for id, snapshot in kept.items():
                counts = snapshots.setdefault(id, [snapshot.get(f"thread {t}", "last", -1) for t in range(THREADS)])
                assert all(shown(snapshot, count, thread) for thread, count in enumerate(counts))
                assert snapshot.get("shared", "total", 0) == sum(counts) + THREADS
            snapshots = {id: snapshots[id] for id in kept}
            lasts = found
    assert sum(lasts) > 0


LIMITED = """
import resource, sys
import swarmstate as ss

store = ss.SqliteStore(sys.argv[1])
store.set("n", "first", 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
written = 0
try:
    while True:
        store.set("n", f"k{written}", b"x" * 20_000)
        written += 1
except ss.UnavailableError as error:
    assert "state.db" in str(error), error
try:
    store.set("n", "large", b"x" * 2_000_000)
    raise AssertionError("it went through")
except ss.UnavailableError:
    pass
assert len(store) == written + 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.set("n", "large", b"x" * 2_000_000)
print(written)
"""


def test_a_store_goes_on_after_a_limit_on_the_size_of_files_was_raised(tmp_path):
    path = tmp_path / "state.db"

    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    with ss.SqliteStore(path) as store:
        assert len(store) == int(done.stdout) + 2
        assert store.get("n", "large") == b"x" * 2_000_000
