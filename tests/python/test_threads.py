"""Many threads on one store: nothing lost, nothing torn, nobody stuck.

Every test joins its threads within a time limit, so that a deadlock fails by name.
"""

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import swarmstate as ss

DEADLOCK_SECONDS = 60


RunThreads = Callable[[Sequence[Callable[[], object]]], list[object]]
Fill = Callable[[ss.Store, Sequence[tuple[str, str, object]]], None]


@contextmanager
def busy(work: Callable[[], object]) -> Iterator[None]:
    """Repeat `work` in a thread while the block runs; its errors surface at the end."""
    is_over = threading.Event()
    errors: list[BaseException] = []

    def repeat() -> None:
        try:
            while not is_over.is_set():
                work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(DEADLOCK_SECONDS)
    assert not thread.is_alive(), "the thread is stuck"
    if errors:
        raise errors[0]


def test_no_increment_is_lost(store: ss.Store, run_threads: RunThreads) -> None:
    def count() -> None:
        for _ in range(2_000):
            store.increment("n", "total")
            store.increment("n", f"own {threading.get_ident()}")

    run_threads([count] * 8)

    assert store.get("n", "total") == 16_000
    assert [value for _, value in store.items("n", prefix="own ")] == [2_000] * 8


def test_of_writers_that_insist_on_a_revision_exactly_one_wins_each_round(
    store: ss.Store, run_threads: RunThreads
) -> None:
    store.set("n", "turn", [])

    def append(name: int) -> int:
        conflicts = 0
        for number in range(200):
            while True:
                entry = store.entry("n", "turn")
                assert entry is not None
                try:
                    store.set("n", "turn", [*entry.value, [name, number]][-900:], if_revision=entry.revision)
                    break
                except ss.ConflictError:
                    conflicts += 1
        return conflicts

    run_threads([lambda name=name: append(name) for name in range(4)])

    seen = store.get("n", "turn")
    assert len(seen) == 800
    for name in range(4):
        assert [number for who, number in seen if who == name] == list(range(200))


def test_readers_see_whole_values_during_writes(store: ss.Store, run_threads: RunThreads) -> None:
    large = ["x" * 50_000, "y" * 50_000]
    store.set("n", "k", {"text": large[0], "length": 50_000})

    def write() -> None:
        for text in large:
            store.set("n", "k", {"text": text, "length": len(text)})

    def read() -> None:
        for _ in range(500):
            value = store.get("n", "k")
            assert len(value["text"]) == value["length"]
            assert set(value["text"]) in ({"x"}, {"y"})

    with busy(write):
        run_threads([read] * 4)


def test_snapshots_see_batches_whole_or_not_at_all(wide_store: ss.Store) -> None:
    def write() -> None:
        for number in range(50):
            with wide_store.batch() as batch:
                batch.set("a", "k", number)
                batch.set("b", "k", number)
                batch.increment("a", "writes")

    write()
    with busy(write):
        for _ in range(500):
            snapshot = wide_store.snapshot()
            assert snapshot.get("a", "k") == snapshot.get("b", "k")
            values = wide_store.get_many([("a", "k"), ("b", "k")])
            assert values[0] == values[1]
            wide_store.drop_snapshot(snapshot.id)


def test_a_restore_among_writers_leaves_one_state_or_the_other(store: ss.Store, run_threads: RunThreads) -> None:
    store.set_many([("n", f"k{number}", 0) for number in range(100)])
    snapshot = store.snapshot()

    def write() -> None:
        store.set_many([("n", f"k{number}", 1) for number in range(100)])

    def restore() -> None:
        for _ in range(300):
            store.restore(snapshot)
            values = {value for _, value in store.snapshot().items("n")}
            assert values in ({0}, {1}), "a batch and a restore are one instant each"

    with busy(write):
        run_threads([restore, restore])
    store.restore(snapshot)
    assert {value for _, value in store.items("n")} == {0}


def test_revisions_rise_whoever_writes(store: ss.Store, run_threads: RunThreads) -> None:
    def write(key: str) -> list[int]:
        return [store.set("n", key, number) for number in range(1_000)]

    revisions = run_threads([lambda key=key: write(key) for key in "abcd"])

    assert all(own == sorted(own) for own in revisions)
    assert len({revision for own in revisions for revision in own}) == 4_000


def test_a_large_snapshot_is_dropped_while_others_read(store: ss.Store, fill: Fill) -> None:
    fill(store, [("n", f"k{number:06}", number) for number in range(200_000)])
    snapshot = store.snapshot()
    store.clear()
    store.set("n", "k", "still here")
    store.drop_snapshot(snapshot.id)
    longest = 0.0

    def read() -> float:
        slowest = 0.0
        for _ in range(20_000):
            before = time.perf_counter()
            assert store.get("n", "k") == "still here"
            slowest = max(slowest, time.perf_counter() - before)
        return slowest

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        del snapshot
        longest = reading.result(DEADLOCK_SECONDS)

    assert longest < DEADLOCK_SECONDS
    assert len(store) == 1


def test_whoever_drops_a_large_store_does_not_free_it_himself() -> None:
    store = ss.Store()
    store.set_many([("n", f"k{number:06}", [number]) for number in range(300_000)])
    store.snapshot()
    store.set("n", "k", 1)

    before = time.thread_time()
    del store

    assert time.thread_time() - before < 0.003, "freeing takes ten times as long"


def test_expiry_under_threads_never_takes_a_fresh_value(store: ss.Store, clock: ss.Clock) -> None:
    def sweep() -> None:
        clock.advance(0.001)
        store.compact()

    with busy(sweep):
        for number in range(2_000):
            key = f"k{number % 7}"
            store.set("n", key, number, ttl=0.001)
            store.set("n", key, number)
            assert store.get("n", key) == number


class Finaliser:
    """Uses the store when it is collected, wherever that happens to be."""

    def __init__(self, store: ss.Store) -> None:
        self.store = store
        self.itself = self

    def __del__(self) -> None:
        self.store.increment("finalised", "count")
        self.store.get("n", "k")
        self.store.snapshot()


@pytest.mark.parametrize("threads", [1, 4])
def test_finalisers_that_use_the_store_inside_its_calls_never_deadlock(
    store: ss.Store, threads: int, run_threads: RunThreads
) -> None:
    rounds = 300
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)

    def work() -> None:
        for number in range(rounds):
            Finaliser(store)
            store.set("n", "k", {"number": number, "list": [[], {}, ()]})
            store.get("n", "k")
            store.set_many([("n", f"k{place}", [number]) for place in range(3)])
            store.items("n")
            with store.batch() as batch:
                batch.set("n", "k", [number])
            store.snapshot().diff(store.snapshot())

    try:
        run_threads([work] * threads)
    finally:
        gc.set_threshold(*before)
    gc.collect()

    assert store.get("finalised", "count") == rounds * threads


def test_a_store_is_used_while_a_copy_of_it_runs(store: ss.Store, fill: Fill) -> None:
    fill(store, [("n", f"k{number}", number) for number in range(20_000)])
    target = ss.Store()
    reported: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        store.set("n", f"late {done}", done)
        reported.append((done, total))

    with busy(lambda: store.increment("n", "k0")):
        assert ss.copy(store, target, progress=progress) == 20_000

    assert reported[-1] == (20_000, 20_000)
    assert len(target) == 20_000
    assert not target.keys("n", prefix="late")


def test_a_store_may_be_closed_under_its_users(store: ss.Store, run_threads: RunThreads) -> None:
    def use() -> str:
        try:
            while True:
                store.set("n", "k", 1)
                store.get("n", "k")
        except ss.InvalidError as error:
            return str(error)

    def close() -> str:
        time.sleep(0.02)
        store.close()
        return "closed"

    assert run_threads([use, use, close]) == ["the store is closed; open it again"] * 2 + ["closed"]
