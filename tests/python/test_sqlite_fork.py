"""Forked children, spawned ones, and the end of an interpreter, with SQLite stores open.

SQLite's locks do not survive a fork: a child gets a clear error from every use of what it inherited, and harms nothing.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import swarmstate as ss


def run(program: str, *arguments: object) -> str:
    """Run a program in an interpreter of its own, and return what it prints."""
    command = [sys.executable, "-X", "faulthandler", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr, done.stderr
    return done.stdout


def read(path: Path) -> list[tuple[str, object]]:
    """What another process finds in the file."""
    return eval(run("import sys, swarmstate as ss; print(ss.SqliteStore(sys.argv[1], create=False).items('n'))", path))


# What the programs begin with: a fork whose child runs a function, and how its parent sees that it went well.
FORK = """
import os, sys, threading
import swarmstate as ss
path = sys.argv[1]

def fork(work):
    child = os.fork()
    if child == 0:
        work()
        sys.exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the child ended with {status}"

def refused(use):
    try:
        use()
    except ss.InvalidError as error:
        assert "forked" in str(error) and "spawn" in str(error) and "state.db" in str(error), error
    else:
        raise AssertionError(f"use {uses.index(use)} went through")
"""

CHILD_USES = """
store = ss.SqliteStore(path)
store.set("n", "k", 1)
snapshot = store.snapshot()
store.set("n", "k", 2)
filled = ss.Store()
filled.set("m", "k", 1)
uses = [
    lambda: store.set("n", "k", 3),
    lambda: store.get("n", "k"),
    lambda: store.entry("n", "k"),
    lambda: store.delete("n", "k"),
    lambda: store.increment("n", "k"),
    lambda: store.touch("n", "k", 1),
    lambda: store.keys("n"),
    lambda: store.items("n"),
    lambda: store.namespaces(),
    lambda: store.set_many([("n", "k", 1)]),
    lambda: store.get_many([("n", "k")]),
    lambda: store.delete_namespace("n"),
    lambda: store.copy_namespace("n", "m"),
    lambda: store.clear(),
    lambda: store.snapshot(),
    lambda: store.restore(snapshot),
    lambda: store.history(),
    lambda: store.snapshot_by_id(snapshot.id),
    lambda: store.drop_snapshot(snapshot.id),
    lambda: store.compact(),
    lambda: store.size_bytes,
    lambda: len(store),
    lambda: ("n", "k") in store,
    lambda: store.close(),
    lambda: snapshot.get("n", "k"),
    lambda: snapshot.items("n"),
    lambda: snapshot.namespaces(),
    lambda: snapshot.diff(snapshot),
    lambda: snapshot.fork(),
    lambda: ss.copy(store, ss.Store()),
    lambda: ss.copy(snapshot, ss.Store()),
    lambda: ss.copy(filled, store),
    lambda: ss.SqliteStore(path),
    lambda: ss.open("sqlite:///" + path),
]

def child():
    for use in uses:
        refused(use)
    assert "forked" in repr(store)
    assert str(store.path) == path

fork(child)
assert store.increment("n", "k") == 3
assert len(store.history()) == 1
"""


def test_in_a_forked_child_every_use_of_what_it_inherited_is_an_error(tmp_path):
    path = tmp_path / "state.db"

    run(FORK + CHILD_USES, path)

    assert read(path) == [("k", 3)]


PARENT_GOES_ON = """
import subprocess
def elsewhere(code):
    program = "import sys, swarmstate as ss\\nwith ss.SqliteStore(sys.argv[1]) as store: " + code
    subprocess.run([sys.executable, "-c", program, path], check=True)

store = ss.SqliteStore(path)
store.set("n", "k", 0)
for turn in range(1, 4):
    fork(lambda: refused(lambda: store.get("n", "k")))
    assert store.increment("n", "k") == 2 * turn - 1
    elsewhere("store.increment('n', 'k')")
    assert store.get("n", "k") == 2 * turn
store.close()
elsewhere("assert store.increment('n', 'k') == 7")
"""


def test_the_parent_and_others_lose_nothing_by_the_end_of_a_child(tmp_path):
    path = tmp_path / "state.db"

    run(FORK + PARENT_GOES_ON, path)

    assert read(path) == [("k", 7)]


OPENED_AFTER = """
store = ss.SqliteStore(path)
store.set("n", "k", 1)
other = path + ".other"

def child():
    with ss.SqliteStore(other) as opened:
        opened.set("n", "k", 5)
    refused(lambda: ss.SqliteStore(path))

fork(child)
with ss.SqliteStore(other) as opened:
    assert opened.increment("n", "k") == 6
store.close()

def second():
    with ss.SqliteStore(path) as opened:
        assert opened.increment("n", "k") == 2

fork(second)
del store
fork(lambda: ss.SqliteStore(path).increment("n", "k"))
"""


def test_a_child_may_open_what_its_parent_does_not_have_open(tmp_path):
    path = tmp_path / "state.db"

    run(FORK + OPENED_AFTER, path)

    assert read(path) == [("k", 3)]


AMID_THREADS = """
import warnings
warnings.simplefilter("ignore")
store = ss.SqliteStore(path, durability="normal")
over = threading.Event()

def write():
    while not over.is_set():
        store.increment("n", "k")
        store.get("n", "k")
        ss.SqliteStore(path + ".again").close()

threads = [threading.Thread(target=write) for _ in range(3)]
for thread in threads: thread.start()

def child():
    refused(lambda: store.increment("n", "k"))
    refused(lambda: store.get("n", "k"))
    refused(lambda: ss.SqliteStore(path))

for _ in range(40):
    fork(child)
over.set()
for thread in threads: thread.join()
print(store.get("n", "k"))
"""


def test_a_child_that_was_forked_amid_writing_threads_neither_hangs_nor_harms(tmp_path):
    path = tmp_path / "state.db"

    count = int(run(FORK + AMID_THREADS, path))

    assert read(path) == [("k", count)]


AMID_A_COPY = """
class Enough(Exception):
    pass

store, target = ss.SqliteStore(path), ss.Store()
store.set_many([("n", f"k{i:04}", i) for i in range(3000)])
child = None

def progress(done, total):
    global child
    if child is None:
        child = os.fork()
        if child == 0:
            raise Enough
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.clear()

try:
    ss.copy(store, target, progress=progress)
except Enough:
    refused(lambda: store.set("n", "k", 2))
    sys.exit(0)
assert len(target) == 3000
assert store.set("n", "k", 1)
"""


def test_a_child_that_was_forked_amid_a_copy_leaves_the_copy_alone(tmp_path):
    path = tmp_path / "state.db"

    run(FORK + AMID_A_COPY, path)

    assert read(path) == [("k", 1)]


POOL = """
import multiprocessing, sys
import swarmstate as ss

def count(path):
    with ss.SqliteStore(path) as store:
        return store.increment("n", "k")

if __name__ == "__main__":
    method, path = sys.argv[1:]
    store = ss.SqliteStore(path)
    store.set("n", "k", 0)
    with multiprocessing.get_context(method).Pool(2) as pool:
        try:
            print(sorted(pool.map(count, [path] * 4)))
        except ss.InvalidError as error:
            print("InvalidError", "forked" in str(error))
    store.increment("n", "k")
"""


@pytest.mark.parametrize(
    ("method", "said", "left"),
    [("spawn", "[1, 2, 3, 4]\n", 5), ("forkserver", "[1, 2, 3, 4]\n", 5), ("fork", "InvalidError True\n", 1)],
)
def test_a_pool_of_processes_shares_a_file_unless_it_forks(tmp_path, method, said, left):
    path = tmp_path / "state.db"
    program = tmp_path / "pool.py"
    program.write_text(POOL)

    done = subprocess.run([sys.executable, program, method, path], capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert read(path) == [("k", left)]


ENDS = {
    "an open store": "store.set('n', 'k', 1)",
    "a store in a cycle": "cycle = [store]; cycle.append(cycle); store.set('n', 'k', 1)",
    "a snapshot alone": "store.set('n', 'k', 1); snapshot = store.snapshot(); del store",
    "a use at exit": "import atexit; atexit.register(lambda: store.set('n', 'k', 1))",
    "a use by a finalizer": """
class Last:
    def __del__(self, store=store):
        store.set("n", "k", 1)
last = Last()
""",
    "an exit in a hurry": "store.set('n', 'k', 1); import os; os._exit(0)",
}


@pytest.mark.parametrize("end", ENDS)
def test_an_interpreter_ends_well_with_a_store_open(tmp_path, end):
    path = tmp_path / "state.db"

    run(f"import sys, swarmstate as ss\nstore = ss.SqliteStore(sys.argv[1])\n{ENDS[end]}", path)

    assert read(path) == [("k", 1)]


DAEMONS = """
import sys, threading, time
import swarmstate as ss
store = ss.SqliteStore(sys.argv[1], durability=sys.argv[2])
counts = [0] * 4

def write(thread):
    while True:
        counts[thread] = store.increment("n", f"k{thread}")
        snapshot = store.snapshot()
        snapshot.get("n", "k")
        store.drop_snapshot(snapshot.id)

for thread in range(4):
    threading.Thread(target=write, args=(thread,), daemon=True).start()
time.sleep(float(sys.argv[3]))
print(list(counts))
"""


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_an_interpreter_ends_well_while_daemon_threads_write(tmp_path, durability):
    path = tmp_path / "state.db"

    for turn in range(8):
        counts = eval(run(DAEMONS, path, durability, 0.01 * turn))

        with ss.SqliteStore(path) as store:
            assert all(store.get("n", f"k{thread}", 0) >= count for thread, count in enumerate(counts))
