"""The values and names that every candidate gets, and the work that it does with them.

Nothing here names a candidate: a store is whatever has `set`, `get`, `set_many`, `get_many` and `snapshot`. So both
environments of the namesake's comparison run this very file.
"""

from __future__ import annotations

NAMESPACE = "agents"
SMALL = {"step": 3}
LONGER = {"step": 300}
AGENT = {
    "agent_id": "planner-7",
    "step": 12,
    "status": "running",
    "messages": [
        {"role": "user", "content": "Find three flights from Zurich to Lisbon next Tuesday, below 250 euros each."},
        {"role": "assistant", "content": "I will search for flights, compare the prices, then report back with three."},
        {"role": "tool", "name": "clock", "content": "2026-03-02T08:15:00+01:00"},
        {"role": "tool", "name": "search", "content": '{"flights": 3, "cheapest": 189.0, "currency": "EUR"}'},
    ],
    "scores": [0.1, 0.25, 0.9, 1.5],
    "meta": {
        "model": "large-2",
        "temperature": 0.7,
        "max_tokens": 4096,
        "tags": ["travel", "search", "plan"],
        "ok": True,
        "parent": None,
    },
    "plan": ["search the flights", "compare the prices", "check the seat map", "book the cheapest seat"],
    "findings": {
        "TP943": {"price": 189.0, "stops": 0},
        "LX2084": {"price": 231.5, "stops": 0},
        "IB3465": {"price": 148.0},
    },
    "summary": "Two direct flights fit the budget; the cheaper one leaves at 06:10, the other at 12:20.",
    "notes": "The traveller prefers morning flights, an aisle seat and no change of planes; the bag is cabin size.",
    "budget": 1250.5,
    "owner": "team-a/user-42",
}
VALUES = {"small": SMALL, "agent": AGENT}
"""A status of 7 bytes and a state of about 1 KB."""


def names(count: int) -> list[str]:
    """Keys of 19 bytes."""
    return [f"agent/{number:07}/state" for number in range(count)]


def filled(store, count: int):
    """`store` with `count` small values in it."""
    keys = names(count)
    for start in range(0, count, 10_000):
        store.set_many([(NAMESPACE, key, SMALL) for key in keys[start : start + 10_000]])
    return store


def sets(store, value, keys):
    """Sets `value` under each key; two lengths of a value in turn where `value` is a tuple."""
    store_set = store.set
    values = value if isinstance(value, tuple) else (value,)
    turn = 0

    def work():
        nonlocal turn
        chosen = values[turn % len(values)]
        turn += 1
        for key in keys:
            store_set(NAMESPACE, key, chosen)

    return work


def gets(store, keys):
    store_get = store.get

    def work():
        for key in keys:
            store_get(NAMESPACE, key)

    return work


def many_sets(store, value, keys):
    items = [(NAMESPACE, key, value) for key in keys]
    return lambda: store.set_many(items)


def many_gets(store, keys):
    pairs = [(NAMESPACE, key) for key in keys]
    return lambda: store.get_many(pairs)


def snapshots(store, count: int):
    """Takes `count` snapshots, each dropped at once but for those that the store retains."""
    take = store.snapshot

    def work():
        for _ in range(count):
            take()

    return work


def diffs(store, count: int, stored: int):
    """Compares two snapshots, `count` times, that are ten sets apart."""
    base = store.snapshot()
    for key in names(stored)[:: stored // 10][:10]:
        store.set(NAMESPACE, key, {"step": 4})
    later = store.snapshot()
    later_diff = later.diff

    def work():
        for _ in range(count):
            later_diff(base)

    return work
