"""What threads and processes get done on one file at once: rates, latencies, and the slowest beside the fastest.

Every worker times each of its operations. All begin at one moment and each ends with the first operation that is over
after the time is up, so a worker that others starve has a rate too: what it did over the time that this took.
"""

import gc
import itertools
import multiprocessing
import random
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import subjects

BATCH = 100
COUNTER = "counter"
NOTE_BYTES = {100: 63, 1_000: 961}
"""What fills a state up to so many bytes of msgpack."""
START_AHEAD_SECONDS = 0.03
FILLS, FILL_SECONDS = 130, 0.1
"""So often all states are written over before anything is measured: over 2,048 pages, when every log has begun anew."""

Step = Callable[[], object]


@dataclass(frozen=True)
class Crew:
    """Who works at once."""

    name: str
    workers: int
    are_processes: bool = False
    stretch: int = 1
    """Its rounds take so many times longer: a process waits for others up to hundreds of milliseconds."""


@dataclass(frozen=True)
class Worked:
    """What one worker did in one round."""

    times: array
    """Nanoseconds of each operation."""
    seconds: float
    """From the common start to the end of its last one."""


@dataclass(frozen=True)
class Round:
    """What a crew did in one round."""

    per_second: float
    p50_us: float
    p99_us: float
    slowest_to_fastest: float

    @classmethod
    def of(cls, crew: Sequence["Worked"]) -> "Round":
        rates = [len(worked.times) / worked.seconds for worked in crew]
        every = sorted(itertools.chain.from_iterable(worked.times for worked in crew))
        p50, p99 = (every[len(every) * part // 100] / 1e3 for part in (50, 99))
        return cls(sum(rates), p50, p99, min(rates) / max(rates))

    @classmethod
    def median(cls, rounds: Sequence["Round"]) -> "Round":
        names = ("per_second", "p50_us", "p99_us", "slowest_to_fastest")
        return cls(*(median(getattr(one, name) for one in rounds) for name in names))


def state(number: int, size: int = 100) -> dict[str, object]:
    """A state of `size` bytes as msgpack, another one for each number: SQLite skips a write that changes nothing."""
    return {"status": "running", "step": number, "note": "n" * NOTE_BYTES[size]}


def fill(handle, keys: Sequence[str], size: int = 100) -> None:
    for at in range(0, len(keys), 10_000):
        number = time.perf_counter_ns()
        handle.set_many([(key, state(number, size)) for key in keys[at : at + 10_000]])


def step_of(work: str, handle, keys: Sequence[str], seed: int) -> Step:
    """One operation of `work`, on the next of `keys` in an order of its own."""
    order = random.Random(seed).sample(keys, len(keys))
    following, numbers = itertools.cycle(order), itertools.count(time.perf_counter_ns())
    match work:
        case "set":
            return lambda: handle.set(next(following), state(next(numbers)))
        case "get":
            return lambda: handle.get(next(following))
        case "increment":
            return lambda: handle.increment(COUNTER)
        case "set_many":
            return lambda: handle.set_many([(next(following), state(next(numbers))) for _ in range(BATCH)])
        case "fill":
            return lambda: fill(handle, keys)
    raise ValueError(f"{work!r} is no work")


def drive(step: Step, start_at: float, seconds: float) -> Worked:
    """Repeats an operation from a moment on. The first one, before it and untimed, opens what it needs."""
    step()
    times, clock = array("q"), time.perf_counter_ns
    started = int(start_at * 1e9)
    time.sleep(max(0, started - clock()) / 1e9)
    began, over = clock(), started + int(seconds * 1e9)
    # Once at least, for who is late to the start because it waited for others.
    while not times or began < over:
        step()
        ended = clock()
        times.append(ended - began)
        began = ended
    return Worked(times, (began - started) / 1e9)


class Threads:
    """Threads of this process that share one candidate."""

    def __init__(self, kind: type, folder: Path, durability: str, keys: Sequence[str], workers: int) -> None:
        self._candidate, self._keys = kind(folder, durability), keys
        self._handles = [self._candidate.connect() for _ in range(workers)]
        self._pool = ThreadPoolExecutor(workers)

    def round(self, work: str, seconds: float) -> list[Worked]:
        start_at = time.perf_counter() + START_AHEAD_SECONDS
        steps = [step_of(work, handle, self._keys, seed) for seed, handle in enumerate(self._handles)]
        # All sleep until the start, so that each has a thread of its own.
        return [done.result() for done in [self._pool.submit(drive, step, start_at, seconds) for step in steps]]

    def close(self) -> None:
        self._pool.shutdown()
        self._candidate.close()


class Processes:
    """Processes that have the same file open. All of them run, and wait for orders, until the crew is closed."""

    def __init__(self, kind: type, folder: Path, durability: str, keys: Sequence[str], workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for seed in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_obey, args=(theirs, kind, folder, durability, keys, seed), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
            theirs.close()
            ours.recv()

    def round(self, work: str, seconds: float) -> list[Worked]:
        start_at = time.perf_counter() + START_AHEAD_SECONDS
        for pipe in self._pipes:
            pipe.send((work, start_at, seconds))
        return [pipe.recv() for pipe in self._pipes]

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()


def _obey(pipe, kind: type, folder: Path, durability: str, keys: Sequence[str], seed: int) -> None:
    """What a process of a crew does: opens the file, then a round for each order."""
    gc.disable()
    candidate = kind(folder, durability)
    handle = candidate.connect()
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        work, start_at, seconds = order
        # The clock is one for all processes of the machine.
        pipe.send(drive(step_of(work, handle, keys, seed), start_at, seconds))
    candidate.close()


def crew_of(crew: Crew, kind: type, folder: Path, durability: str) -> Threads | Processes:
    """A crew on a new file with 1,000 states, whose log has reached the length that it keeps.

    A log that still grows makes each commit wait for the file system's own journal too.
    """
    folder.mkdir(parents=True)
    gather = Processes if crew.are_processes else Threads
    gathered, filled = gather(kind, folder, durability, subjects.names(1_000), crew.workers), 0
    while filled < FILLS:
        filled += sum(len(worked.times) for worked in gathered.round("fill", FILL_SECONDS))
    return gathered
