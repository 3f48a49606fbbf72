"""One thread that sets and gets, beside three that compute in Python: what the interpreter's lock makes of it.

A thread that lets go of the lock for a moment waits for it up to the interpreter's switch interval, behind every
thread that computes; one that keeps it is switched away from only when its turn ends.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import subjects
from figures import Plan, Row, row_of_rounds
from memory import DICT, dict_gets, dict_sets

import swarmstate

COMPUTING_THREADS = 3


def rows(plan: Plan) -> Iterator[Row]:
    keys, store, rival = subjects.names(100), swarmstate.Store(), {}
    ours = (subjects.sets(store, subjects.SMALL, keys), subjects.gets(store, keys))
    theirs = (dict_sets(rival, (subjects.SMALL,), keys), dict_gets(rival, keys))
    with computing():
        pairs = [(_pair_ns(plan, ours, len(keys)), _pair_ns(plan, theirs, len(keys))) for _ in range(plan.rounds)]
    yield row_of_rounds(f"set + get beside {COMPUTING_THREADS} threads", DICT, pairs, 1.0)


@contextmanager
def computing() -> Iterator[None]:
    """Keeps threads computing until the end of the block."""
    is_over = threading.Event()

    def compute() -> None:
        number = 0
        while not is_over.is_set():
            for _ in range(1_000):
                number = (number * 31 + 7) % 1_000_003

    threads = [threading.Thread(target=compute) for _ in range(COMPUTING_THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _pair_ns(plan: Plan, work: tuple, count: int) -> float:
    """What a set and a get take together, over one stretch of the plan's length."""
    started, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < plan.seconds_beside:
        for part in work:
            part()
        done += count
    return elapsed / done * 1e9
