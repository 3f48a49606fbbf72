"""What the SQLite engine costs as a file grows: operations, snapshots, bytes on disk, and what `compact` gives back.

One thread at the durability `normal`: at `full` the wait for the disk would hide what grows. Files are filled in the
order of the keys, and worked on in random order.
"""

import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import subjects
from figures import Row, columns, row_of_rounds
from files import DiskCache, OneConnection, Ours, SqliteDict, bytes_in, opened
from load import fill, state, step_of
from sqlite import FilePlan

DURABILITY = "normal"
COUNTS = {"set": 200, "get": 500, "increment": 200, "set_many": 5}
"""Operations in one round."""
CHANGES = 10
MOST_KEYS = 20_000
"""Of the keys stored, so many are worked on: enough to touch every page of a file."""
SNAPSHOT_AIMS = {"snapshot": 1.5, "diff": 1.5, "restore": 2.5}
UNDER_SNAPSHOT_AIM = 1.5
SETS = 100


def rows(plan: FilePlan, folder: Path) -> Iterator[Row]:
    yield from _operations(plan, folder / "operations")
    yield from _snapshots(plan, folder / "snapshots")
    yield from _bytes(plan, folder / "bytes")
    yield _compacted(plan, folder / "compact")


def _filled(kind: type, folder: Path, keys: Sequence[str], size: int = 100):
    folder.mkdir(parents=True)
    candidate = kind(folder, DURABILITY)
    fill(candidate.connect(), keys, size)
    return candidate


def _some(keys: Sequence[str]) -> list[str]:
    return random.Random(7).sample(keys, min(len(keys), MOST_KEYS))


def _repeated(step, count: int):
    def work() -> None:
        for _ in range(count):
            step()

    return work


def _operations(plan: FilePlan, folder: Path) -> Iterator[Row]:
    """Each operation at each size, beside the same of `sqlite3`; then the largest size beside the smallest, of both."""
    stores = {}
    for size in plan.sizes:
        keys = subjects.names(size)
        for kind in (Ours, OneConnection):
            stores[kind, size] = _filled(kind, folder / f"{kind.name} {size}", keys), _some(keys)
    for work, count in COUNTS.items():
        steps = [step_of(work, candidate.connect(), keys, 1) for candidate, keys in stores.values()]
        times = dict(zip(stores, columns([_repeated(step, count) for step in steps], count, plan.turns), strict=True))
        for size in plan.sizes:
            pairs = list(zip(times[Ours, size], times[OneConnection, size], strict=True))
            yield row_of_rounds(f"{work}, {size:,} stored", OneConnection.name, pairs, None)
        small, large = plan.sizes[0], plan.sizes[-1]
        for kind in (Ours, OneConnection):
            pairs = list(zip(times[kind, large], times[kind, small], strict=True))
            yield row_of_rounds(f"{work}, {large:,}: {kind.name}", f"at {small:,}", pairs, None)
    for candidate, _ in stores.values():
        candidate.close()
    shutil.rmtree(folder)


def _snapshots(plan: FilePlan, folder: Path) -> Iterator[Row]:
    small, large = plan.sizes[0], plan.sizes[-1]
    stores = {}
    for size in (small, large):
        keys = subjects.names(size)
        stores[size] = _filled(Ours, folder / str(size), keys), _some(keys)
    found = {size: {work: [] for work in SNAPSHOT_AIMS} for size in stores}
    for turn in range(plan.turns):
        for size, (ours, keys) in stores.items():
            for work, nanoseconds in _changed_and_back(ours, keys, turn).items():
                found[size][work].append(nanoseconds)
    for work, aim in SNAPSHOT_AIMS.items():
        what = work if work == "snapshot" else f"{work} of {CHANGES} changes"
        pairs = list(zip(found[large][work], found[small][work], strict=True))
        yield row_of_rounds(f"{what}, {large:,} stored", f"at {small:,}", pairs, aim)
    for size, (ours, keys) in stores.items():
        pairs = [_sets_under_and_without(ours, keys, turn) for turn in range(plan.turns)]
        yield row_of_rounds(f"set under a snapshot, {size:,} stored", "without one", pairs, UNDER_SNAPSHOT_AIM)
    for ours, _ in stores.values():
        ours.close()
    shutil.rmtree(folder)


def _changed_and_back(ours: Ours, keys: list[str], turn: int) -> dict[str, float]:
    """Takes a snapshot, changes some keys, compares and restores; the nanoseconds of each."""
    store = ours.store
    base, taking = _timed(store.snapshot)
    for number in range(CHANGES):
        ours.set(keys[(turn * CHANGES + number) % len(keys)], state(time.perf_counter_ns()))
    later = store.snapshot()
    diff, comparing = _timed(lambda: later.diff(base))
    if len(diff["changed"]) != CHANGES:
        raise RuntimeError(f"the diff found {diff}")
    _, restoring = _timed(lambda: store.restore(base))
    for snapshot in (base, later):
        store.drop_snapshot(snapshot.id)
    return {"snapshot": taking, "diff": comparing, "restore": restoring}


def _sets_under_and_without(ours: Ours, keys: list[str], turn: int) -> tuple[float, float]:
    """Nanoseconds of a set that leaves an old version to a snapshot, and of one that does not; other keys each turn."""

    def sets(start: int) -> None:
        for number in range(start, start + SETS):
            ours.set(keys[number % len(keys)], state(time.perf_counter_ns()))

    _, without = _timed(lambda: sets(2 * turn * SETS))
    snapshot = ours.store.snapshot()
    _, under = _timed(lambda: sets((2 * turn + 1) * SETS))
    ours.store.drop_snapshot(snapshot.id)
    return under / SETS, without / SETS


def _timed(work) -> tuple[object, float]:
    started = time.perf_counter_ns()
    answer = work()
    return answer, float(time.perf_counter_ns() - started)


def _bytes(plan: FilePlan, folder: Path) -> Iterator[Row]:
    """What an entry takes in a closed file whose keys came in random order."""
    kinds = (Ours, OneConnection, DiskCache, SqliteDict)
    for size, count in plan.entries.items():
        keys = random.Random(7).sample(subjects.names(count), count)
        taken = {}
        for kind in kinds:
            _filled(kind, folder / kind.name, keys, size).close()
            taken[kind] = bytes_in(folder / kind.name) / count
        for kind in kinds[1:]:
            yield Row(
                f"bytes per entry of {size:,} B",
                kind.name,
                taken[Ours],
                taken[kind],
                taken[Ours] / taken[kind],
                "",
                None,
                1,
                "bytes",
            )
        shutil.rmtree(folder)


def _compacted(plan: FilePlan, folder: Path) -> Row:
    """The bytes of a file after nine tenths of its keys went and `compact`, beside those just before it."""
    keys = subjects.names(plan.sizes[1])
    _filled(Ours, folder, keys).close()
    with opened(Ours, folder, DURABILITY) as ours:
        with ours.store.batch() as batch:
            for number, key in enumerate(keys):
                if number % 10:
                    batch.delete(subjects.NAMESPACE, key)
        before = bytes_in(folder)
        ours.store.compact()
        after = bytes_in(folder)
    return Row(
        "MiB after compact, a tenth left",
        "before it",
        after / 2**20,
        before / 2**20,
        after / before,
        "",
        None,
        1,
        "MiB",
    )
