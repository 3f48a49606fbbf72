"""Several processes on one SQLite file: nobody loses, nobody starves, and who waits too long is told."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import swarmstate as ss

RunThreads = Callable[[Sequence[Callable[[], object]]], list[object]]

# Other processes hold the lock by the interpreter's own SQLite: a second library in one process would share its locks.
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE namespace SET revision = revision + 1000 WHERE id = 0")
print("holds", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    """Let a process go on, and return what it says until it ends well."""
    said, _ = process.communicate("\n", timeout=120)
    assert process.returncode == 0, said
    return said


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the write lock."""
    holder = start(HOLDER, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds\n"
    try:
        yield holder
    finally:
        if holder.poll() is None:
            finish(holder)


WRITER = """
import sys, threading, time
import swarmstate as ss
store = ss.SqliteStore(sys.argv[1], durability=sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
end, counts = time.monotonic() + 2, []

def write():
    count = 0
    while time.monotonic() < end:
        store.increment("n", "total")
        count += 1
    counts.append(count)

threads = [threading.Thread(target=write) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(counts) == 2
print(sum(counts), min(counts))
"""


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_two_processes_that_write_at_once_meet_no_error_and_neither_starves(tmp_path, durability):
    path = tmp_path / "state.db"
    writers = [start(WRITER, path, durability) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()

    counts = [[int(word) for word in finish(writer).split()] for writer in writers]

    totals = [total for total, _ in counts]
    with ss.SqliteStore(path) as store:
        assert store.get("n", "total") == sum(totals)
    assert min(totals) > max(totals) / 20, totals
    assert all(least > 0 for _, least in counts), counts


CREATOR = """
import sys
import swarmstate as ss
print("ready", flush=True)
sys.stdin.readline()
with ss.SqliteStore(sys.argv[1]) as store:
    store.increment("n", "total")
    store.snapshot()
"""


def test_of_eight_processes_that_make_one_file_at_once_each_gets_the_same_store(tmp_path):
    for turn in range(3):
        path = tmp_path / f"{turn}.db"
        creators = [start(CREATOR, path) for _ in range(8)]
        for creator in creators:
            assert creator.stdout is not None
            assert creator.stdout.readline() == "ready\n"
        for creator in creators:
            assert creator.stdin is not None
            creator.stdin.write("\n")
            creator.stdin.flush()

        for creator in creators:
            finish(creator)

        with ss.SqliteStore(path) as store:
            assert store.get("n", "total") == 8
            assert [snapshot.id for snapshot in store.history()] == list(range(1, 9))


def test_eight_threads_that_make_one_file_at_once_get_the_same_store(tmp_path, run_threads: RunThreads):
    for turn in range(10):
        path = tmp_path / f"{turn}.db"

        def create(path: Path = path) -> None:
            with ss.SqliteStore(path) as store:
                store.increment("n", "total")

        run_threads([create] * 8)

        with ss.SqliteStore(path) as store:
            assert store.get("n", "total") == 8


WRITES: dict[str, Callable[[ss.SqliteStore, ss.Snapshot], object]] = {
    "set": lambda store, snapshot: store.set("n", "k", 2),
    "delete": lambda store, snapshot: store.delete("n", "k"),
    "clear": lambda store, snapshot: store.clear(),
    "snapshot": lambda store, snapshot: store.snapshot(),
    "restore": lambda store, snapshot: store.restore(snapshot),
    "drop_snapshot": lambda store, snapshot: store.drop_snapshot(snapshot.id),
    "compact": lambda store, snapshot: store.compact(),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_waits_longer_than_the_timeout_says_who_holds_what(tmp_path, write):
    path = tmp_path / "state.db"
    store = ss.SqliteStore(path, timeout=0.3)
    store.set("n", "k", 1)
    snapshot = store.snapshot()

    with held(path):
        began = time.monotonic()
        with pytest.raises(ss.UnavailableError, match=r"state\.db.*within 300ms.*holds its write lock"):
            WRITES[write](store, snapshot)
        waited = time.monotonic() - began

    # Never before its time, and not at the pace of something else.
    assert 0.3 <= waited < 20
    assert [store.get("n", "k"), len(store.history())] == [1, 1]
    assert store.set("n", "k", 3) < 1000


def test_threads_in_line_behind_a_write_that_waits_get_their_own_timeout(tmp_path, run_threads: RunThreads):
    path = tmp_path / "state.db"
    store = ss.SqliteStore(path, timeout=0.4)
    store.set("n", "k", 1)

    def write() -> str:
        began = time.monotonic()
        with pytest.raises(ss.UnavailableError) as caught:
            store.set("n", "k", 2)
        assert 0.4 <= time.monotonic() - began < 20
        return str(caught.value)

    with held(path):
        messages = run_threads([write] * 6)

    assert all("could not be written within 400ms" in str(message) for message in messages)
    assert store.increment("n", "k") == 2


def test_who_reads_opens_or_lists_never_waits_for_a_writer(tmp_path):
    path = tmp_path / "state.db"
    store = ss.SqliteStore(path, timeout=3600)
    store.set("n", "k", 1)
    snapshot = store.snapshot()

    # With an hour to wait, each of these would outlast the test.
    with held(path), ss.SqliteStore(path, timeout=3600) as other:
        assert [store.get("n", "k"), other.get("n", "k"), snapshot.get("n", "k")] == [1, 1, 1]
        assert [store.items("n"), len(other), len(other.history())] == [[("k", 1)], 1, 1]
        assert ss.copy(store, ss.Store()) == 1


def test_the_end_of_a_holder_by_a_kill_lets_the_others_write(tmp_path):
    path = tmp_path / "state.db"
    store = ss.SqliteStore(path, timeout=60)
    revision = store.set("n", "k", 1)

    with held(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(60)

        assert store.increment("n", "k") == 2
    with ss.SqliteStore(path) as other:
        assert other.set("n", "k", 3) == revision + 2


def test_a_file_whose_only_user_was_killed_opens_at_once(tmp_path):
    path = tmp_path / "state.db"
    ss.SqliteStore(path).close()
    with held(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(60)

    with ss.SqliteStore(path, timeout=0.001) as store:
        assert store.set("n", "k", 1) == 1


SWEEPER = """
import sys
import swarmstate as ss
store = ss.SqliteStore(sys.argv[1], durability="normal")
print("ready", flush=True)
import threading
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
turns = 0
while not over.is_set():
    store.set("other", "k", turns)
    store.compact()
    turns += 1
print(turns)
"""


def test_another_process_that_sweeps_never_takes_a_fresh_value(tmp_path):
    path = tmp_path / "state.db"
    store = ss.SqliteStore(path, durability="normal")
    sweeper = start(SWEEPER, path)
    assert sweeper.stdout is not None
    assert sweeper.stdout.readline() == "ready\n"

    for number in range(300):
        store.set("n", "k", -number, ttl=0.001)
        if number % 2:
            store.set("n", "k", number)
        else:
            store.touch("n", "k", 3600) or store.set("n", "k", -number)
        assert abs(store.get("n", "k", 0.5)) == number

    assert int(finish(sweeper)) > 0


def test_a_process_whose_clock_is_ahead_takes_what_is_due_by_it_and_nothing_else(tmp_path):
    path = tmp_path / "state.db"
    ahead = """
import sys
import swarmstate as ss
with ss.SqliteStore(sys.argv[1], clock=ss.Clock(start=1000.0)) as store:
    store.compact()
    print(store.keys("n"))
"""
    with ss.SqliteStore(path, clock=ss.Clock(start=900.0)) as store:
        for key, ttl in [("due", 100), ("later", 100.001), ("never", None)]:
            store.set("n", key, 1, ttl=ttl)

        assert finish(start(ahead, path)) == "['later', 'never']\n"

        assert store.keys("n") == ["later", "never"]
        assert len(store) == 2
