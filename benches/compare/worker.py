"""Measures whatever `swarmstate` its environment has: reads "work size" lines, answers nanoseconds per operation.

What a work needs is made at its first round, which is not timed.
"""

import gc
import sys
import time
from importlib.metadata import version

import subjects
from figures import prepare_round

import swarmstate


def prepare(work: str, size: int):
    """The work of one round, and how many operations it is."""
    if work == "snapshot":
        return subjects.snapshots(subjects.filled(swarmstate.Store(max_history=1), size), 200), 200
    if work == "diff":
        count = 20 if size <= 1_000 else 1
        return subjects.diffs(subjects.filled(swarmstate.Store(), size), count, size), count
    if work.startswith("saver_"):
        return saver_work(work), size
    keys, store = subjects.names(size), swarmstate.Store()
    value = subjects.AGENT if work.endswith("agent") else subjects.SMALL
    for key in keys:
        store.set(subjects.NAMESPACE, key, value)
    if work == "set_many":
        return subjects.many_sets(store, value, keys), size
    if work == "get_many":
        return subjects.many_gets(store, keys), size
    made = subjects.sets(store, value, keys) if work.startswith("set") else subjects.gets(store, keys)
    return made, size


def saver_work(work: str):
    """What a checkpointer in memory does, `saver_subjects.py` says how."""
    import saver_subjects

    from swarmstate.integrations.langgraph import SwarmStateSaver

    saver, count = SwarmStateSaver(), 50
    made = {
        "saver_put": lambda: saver_subjects.small_puts(saver, count),
        "saver_writes": lambda: saver_subjects.Writes(saver, count),
        "saver_get": lambda: saver_subjects.gets(saver, count, saver_subjects.SMALL),
        "saver_put_large": lambda: saver_subjects.large_puts(saver, count),
        "saver_get_large": lambda: saver_subjects.gets(saver, count, saver_subjects.channels(0)),
    }
    return made[work]()


def main() -> None:
    gc.disable()
    prepared = None
    for line in sys.stdin:
        if line.strip() == "version":
            print(version("swarmstate"), flush=True)
            continue
        if prepared is None or prepared[0] != line:
            prepared = None
            prepared = line, *prepare(line.split()[0], int(line.split()[1]))
            prepare_round(prepared[1])
        prepared[1]()
        _, work, count = prepared
        prepare_round(work)
        started = time.perf_counter_ns()
        work()
        print((time.perf_counter_ns() - started) / count, flush=True)


main()
