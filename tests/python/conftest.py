"""What all tests share: a store of every engine, a clock that tests move, and that they test the installed wheel."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import pytest
import servers
from holding import Holder

import swarmstate as ss

# A shared machine may be slow for a moment; time limits belong to pytest-timeout.
hypothesis.settings.register_profile("swarmstate", deadline=None, print_blob=True)
hypothesis.settings.load_profile("swarmstate")

DEADLOCK_SECONDS = 60

# How each engine makes an empty store from a directory of its own and the options of its constructor. An engine joins
# every test that asks for `store` by one line here.
ENGINES: dict[str, Callable[..., ss.Store]] = {
    "memory": lambda directory, **options: ss.Store(**options),
    "redis": lambda directory, **options: ss.RedisStore(
        servers.single(), prefix=servers.fresh_prefix(), timeout=DEADLOCK_SECONDS, **options
    ),
    "redis-cluster": lambda directory, **options: ss.RedisStore(
        servers.cluster(), prefix=servers.fresh_prefix(), timeout=DEADLOCK_SECONDS, **options
    ),
    "sqlite": lambda directory, **options: ss.SqliteStore(directory / "state.db", durability="normal", **options),
}


@pytest.fixture
def clock() -> ss.Clock:
    """The time that `store` goes by; it stands still until a test moves it."""
    return ss.Clock(start=1_700_000_000.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test keeps a store in a file of its own; nothing is there yet."""
    return tmp_path / "state.db"


@pytest.fixture
def holder(file: Path) -> Iterator[Holder]:
    """Another process that takes the write lock of `file` when it is told to."""
    holder = Holder(file)
    yield holder
    holder.end()


def opening(engine: str, folder: Path, clock: ss.Clock) -> Iterator[Callable[..., ss.Store]]:
    """Makes fresh stores of an engine, and closes them in the end."""
    made: list[ss.Store] = []

    def make(**options) -> ss.Store:
        directory = folder / f"store-{len(made)}"
        directory.mkdir()
        made.append(ENGINES[engine](directory, **{"clock": clock, **options}))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture(params=ENGINES)
def make_store(request, tmp_path, clock) -> Iterator[Callable[..., ss.Store]]:
    """Makes a fresh store of the engine under test; takes the options that every engine has."""
    yield from opening(request.param, tmp_path, clock)


@pytest.fixture(params=ENGINES)
def make_other_store(request, tmp_path, clock) -> Iterator[Callable[..., ss.Store]]:
    """Makes fresh stores of a second engine: with `make_store`, a test runs once for every pair of engines."""
    folder = tmp_path / "other"
    folder.mkdir()
    yield from opening(request.param, folder, clock)


@pytest.fixture
def store(make_store) -> ss.Store:
    """A fresh store, once for every engine, on `clock`."""
    return make_store()


@pytest.fixture(params=[engine for engine in ENGINES if engine != "redis-cluster"])
def wide_store(request, tmp_path, clock) -> Iterator[ss.Store]:
    """A fresh store, once for every engine that changes several namespaces in one batch.

    What the other one does instead stands in test_redis.py.
    """
    for make in opening(request.param, tmp_path, clock):
        yield make()


@pytest.fixture(scope="session")
def fill() -> Callable[[ss.Store, Sequence[tuple[str, str, object]]], None]:
    """Writes (namespace, key, value) tuples in as many batches as the engine needs for them."""

    def write(store: ss.Store, items: Sequence[tuple[str, str, object]]) -> None:
        most = store.capabilities.max_batch_operations
        for namespace in dict.fromkeys(item[0] for item in items):
            own = [item for item in items if item[0] == namespace]
            for first in range(0, len(own), most):
                store.set_many(own[first : first + most])

    return write


@pytest.fixture
def run_threads() -> Callable[[Sequence[Callable[[], object]]], list[object]]:
    """Runs each work in a thread of its own, all at once, and returns what they return, or raises what one raised.

    A work that is not done after a minute is a deadlock, and fails the test by name.
    """

    def run(works: Sequence[Callable[[], object]]) -> list[object]:
        barrier = threading.Barrier(len(works))

        def start(work: Callable[[], object]) -> object:
            barrier.wait(DEADLOCK_SECONDS)
            return work()

        with ThreadPoolExecutor(len(works)) as pool:
            futures = [pool.submit(start, work) for work in works]
            return [future.result(DEADLOCK_SECONDS) for future in futures]

    return run


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """How long a test may spend on random input, from SWARMSTATE_FUZZ_SECONDS."""
    return float(os.environ.get("SWARMSTATE_FUZZ_SECONDS", "2"))


def pytest_sessionstart() -> None:
    source = Path(__file__).parents[2] / "python"
    if source in Path(ss.__file__).parents:
        pytest.exit("swarmstate is imported from python/, not from the wheel: run scripts/test python", returncode=3)
