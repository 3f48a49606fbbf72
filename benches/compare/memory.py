"""The memory engine against a `dict` of `ormsgpack` bytes, `copy.deepcopy`, and a scan of two dicts; one process.

The dict is what a program does without a store: one dict by (namespace, key), each value packed on the way in and
unpacked on the way out. It has no lock, no revision, no time and no expiry.
"""

import copy
from collections.abc import Iterator

import ormsgpack
import subjects
from figures import Plan, Row, alone, bounded, compare, flat, in_turn
from subjects import NAMESPACE

import swarmstate

DICT = "dict + ormsgpack"
SNAPSHOT_AIM_NS = 500
DIFF_AIM_NS = 50_000
SET_AIMS = {"small": 0.65, "agent": 1.15}
GET_AIMS = {"small": 1.0, "agent": 1.05}


def rows(plan: Plan) -> Iterator[Row]:
    for name, value in subjects.VALUES.items():
        yield from _singles(plan, name, value)
    yield _set_of_two_lengths(plan)
    yield from _many(plan)
    yield from _snapshots(plan)
    yield from _diffs(plan)


def _singles(plan: Plan, name: str, value: object) -> Iterator[Row]:
    keys, store, rival = subjects.names(1_000), swarmstate.Store(), {}
    work = subjects.sets(store, value, keys), dict_sets(rival, (value,), keys)
    yield compare(f"set, {name} value", DICT, *work, len(keys), plan.rounds, SET_AIMS[name])
    work = subjects.gets(store, keys), dict_gets(rival, keys)
    yield compare(f"get, {name} value", DICT, *work, len(keys), plan.rounds, GET_AIMS[name])


def _set_of_two_lengths(plan: Plan) -> Row:
    keys, store, values = subjects.names(1_000), swarmstate.Store(), (subjects.SMALL, subjects.LONGER)
    work = subjects.sets(store, values, keys), dict_sets({}, values, keys)
    return compare("set, small, its length changes", DICT, *work, len(keys), plan.rounds, SET_AIMS["small"])


def _many(plan: Plan) -> Iterator[Row]:
    keys, store, rival, value = subjects.names(1_000), swarmstate.Store(), {}, subjects.SMALL
    items, pairs = [(NAMESPACE, key, value) for key in keys], [(NAMESPACE, key) for key in keys]

    def dict_set_many():
        pack = ormsgpack.packb
        for namespace, key, value in items:
            rival[namespace, key] = pack(value)

    def dict_get_many():
        unpack = ormsgpack.unpackb
        return [unpack(rival[pair]) for pair in pairs]

    work = subjects.many_sets(store, value, keys), dict_set_many
    yield compare("set_many, 1,000 small, each", DICT, *work, len(keys), plan.rounds, 0.65)
    work = subjects.many_gets(store, keys), dict_get_many
    yield compare("get_many, 1,000 small, each", DICT, *work, len(keys), plan.rounds, 1.0)


def _snapshots(plan: Plan) -> Iterator[Row]:
    stores = [subjects.filled(swarmstate.Store(max_history=1), size) for size in plan.sizes]
    works = [subjects.snapshots(store, 1_000) for store in stores]
    ours = in_turn(works, 1_000, plan.rounds)
    for size, nanoseconds, copies in zip(plan.sizes, ours, plan.copies, strict=True):
        state = {(NAMESPACE, key): dict(subjects.SMALL) for key in subjects.names(size)}
        theirs = alone(lambda state=state: copy.deepcopy(state), 1, copies)
        yield bounded(f"snapshot of {size:,}", "copy.deepcopy", nanoseconds, theirs, SNAPSHOT_AIM_NS, plan.rounds)
    yield flat("snapshot", plan.sizes, ours, plan.rounds)


def _diffs(plan: Plan) -> Iterator[Row]:
    stores = [subjects.filled(swarmstate.Store(), size) for size in plan.sizes]
    works = [subjects.diffs(store, 20, size) for store, size in zip(stores, plan.sizes, strict=True)]
    ours = in_turn(works, 20, plan.rounds)
    for size, nanoseconds, scans in zip(plan.sizes, ours, plan.copies, strict=True):
        base = dict.fromkeys(((NAMESPACE, key) for key in subjects.names(size)), ormsgpack.packb(subjects.SMALL))
        later = base | dict.fromkeys(list(base)[:: size // 10][:10], ormsgpack.packb({"step": 4}))
        theirs = alone(lambda base=base, later=later: scanned(later, base), 1, scans)
        what = f"diff, 10 changes of {size:,}"
        yield bounded(what, "scan of two dicts", nanoseconds, theirs, DIFF_AIM_NS, plan.rounds)
    yield flat("diff", plan.sizes, ours, plan.rounds)


def scanned(later: dict, base: dict) -> list:
    return [name for name, value in later.items() if base.get(name) != value]


def dict_sets(rival: dict, values: tuple, keys: list[str]):
    pack, turn = ormsgpack.packb, 0

    def work():
        nonlocal turn
        value = values[turn % len(values)]
        turn += 1
        for key in keys:
            rival[NAMESPACE, key] = pack(value)

    return work


def dict_gets(rival: dict, keys: list[str]):
    unpack = ormsgpack.unpackb

    def work():
        for key in keys:
            unpack(rival[NAMESPACE, key])

    return work
