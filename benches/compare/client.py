"""Measures one client of a Redis server: reads "work threads count" lines, answers operations per second.

The first argument says which client: `ours`, `plain` (redis-py with hiredis; a hash of ormsgpack) or `namesake`. The
second is the server's port. Each is a process of its own, so that several can be one candidate.
"""

from __future__ import annotations

import random
import sys
import threading
import time

ENTRIES = 10_000
MANY = 100
LISTED = 50
VALUE = {"step": 3, "text": "x" * 80}
KEYS = [f"key-{number:015d}" for number in range(ENTRIES)]


def ours(port: int) -> dict[str, object]:
    """This project."""
    import swarmstate as ss

    store = ss.RedisStore(f"redis://127.0.0.1:{port}", prefix="ours")
    store.set_many([("n", key, VALUE) for key in KEYS])
    return {
        "get": lambda key: store.get("n", key),
        "set": lambda key: store.set("n", key, VALUE),
        "increment": lambda key: store.increment("c", key[-2:]),
        "get_many": lambda key: store.get_many([("n", one) for one in beside(key)]),
        "set_many": lambda key: store.set_many([("n", one, VALUE) for one in beside(key)]),
        "get_many/HMGET": lambda key: store.get_many([("n", one) for one in beside(key)]),
        "list": lambda key: store.items("n", after=key, limit=LISTED),
    }


def plain(port: int) -> dict[str, object]:
    """redis-py: what one writes without a store. It has no order of keys, so it lists by the names that it knows."""
    import ormsgpack
    import redis

    server = redis.Redis(port=port)
    server.hset("plain", mapping={key: ormsgpack.packb(VALUE) for key in KEYS})

    def get_many(key: str) -> list[object]:
        pipeline = server.pipeline(transaction=False)
        for one in beside(key):
            pipeline.hget("plain", one)
        return [ormsgpack.unpackb(value) for value in pipeline.execute()]

    def set_many(key: str) -> None:
        pipeline = server.pipeline(transaction=False)
        for one in beside(key):
            pipeline.hset("plain", one, ormsgpack.packb(VALUE))
        pipeline.execute()

    def by_hmget(key: str, count: int) -> list[object]:
        return [ormsgpack.unpackb(value) for value in server.hmget("plain", beside(key)[:count])]

    return {
        "get": lambda key: ormsgpack.unpackb(server.hget("plain", key)),
        "set": lambda key: server.hset("plain", key, ormsgpack.packb(VALUE)),
        "increment": lambda key: server.hincrby("counters", key[-2:]),
        "get_many": get_many,
        "set_many": set_many,
        "get_many/HMGET": lambda key: by_hmget(key, MANY),
        "list": lambda key: by_hmget(key, LISTED),
    }


def namesake(port: int) -> dict[str, object]:
    """The package of the same name on PyPI; it has no lists in pages."""
    from swarmstate.backends.redis import RedisStore

    store = RedisStore(f"redis://127.0.0.1:{port}/1")
    for key in KEYS:
        store.set("n", key, VALUE)
    return {
        "get": lambda key: store.get("n", key),
        "set": lambda key: store.set("n", key, VALUE),
        "get_many": lambda key: store.get_many([("n", one) for one in beside(key)]),
        "set_many": lambda key: store.set_many([("n", one, VALUE) for one in beside(key)]),
    }


def beside(key: str) -> list[str]:
    """A hundred keys from one on."""
    first = int(key[4:])
    return [KEYS[(first + number) % ENTRIES] for number in range(MANY)]


def rate(work, threads: int, count: int) -> float:
    """Operations per second of so many threads together."""
    chosen = [random.choices(KEYS, k=count // threads) for _ in range(threads)]
    running = [threading.Thread(target=lambda keys=keys: [work(key) for key in keys]) for keys in chosen]
    started = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return count // threads * threads / (time.perf_counter() - started)


def main() -> None:
    """Answers lines until there are no more."""
    works = {"ours": ours, "plain": plain, "namesake": namesake}[sys.argv[1]](int(sys.argv[2]))
    print(*works, flush=True)
    for line in sys.stdin:
        work, threads, count = line.split()
        print(rate(works[work], int(threads), int(count)), flush=True)


if __name__ == "__main__":
    main()
