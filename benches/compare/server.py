"""Compares the engine on Redis with its rivals on one server: prints a table, stores `benches/results/redis.json`.

`scripts/bench redis` builds the released wheel, makes the environments and runs this. A quick run stores nothing.
Server and clients share the machine, so ratios say more than rates.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

import machine
import redis
from client import ENTRIES

import swarmstate as ss

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "python"))
import servers  # noqa: E402  (the tests' own servers)

# Each work: how many operations a round has, and the aim at one thread and at eight, as ours / theirs.
WORKS = {
    "get": (4_000, None, 3.5),
    "set": (4_000, None, 2.0),
    "increment": (4_000, None, None),
    "get_many": (400, None, 4.0),
    "get_many/HMGET": (400, None, None),
    "set_many": (200, None, None),
    "list": (400, None, None),
}
PROCESSES = 4


class Client:
    """A process that measures one candidate."""

    def __init__(self, kind: str, port: int, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, str(HERE / "client.py"), kind, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tempfile.gettempdir(),
        )
        self.works = self.answer().split()

    def ask(self, work: str, threads: int, count: int) -> None:
        """Begins a round."""
        self._process.stdin.write(f"{work} {threads} {count}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """What a round gave."""
        return self._process.stdout.readline()

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def rate(clients: list[Client], work: str, threads: int, count: int) -> float:
    """Operations per second of all clients together, all at once."""
    for client in clients:
        client.ask(work, threads, count // len(clients))
    return sum(float(client.answer()) for client in clients)


def weights(server: redis.Redis, pythons: dict[str, str]) -> Iterator[dict[str, object]]:
    """Rows of the memory that the server needs for the same entries of each candidate, all included."""
    weight = {}
    for kind, python in pythons.items():
        before = server.info("memory")["used_memory"]
        Client(kind, server.get_connection_kwargs()["port"], python).close()
        weight[kind] = round((server.info("memory")["used_memory"] - before) / ENTRIES)
    for rival in list(weight)[1:]:
        yield {
            "what": "memory of an entry, 19 B key, 94 B value",
            "against": rival,
            "ours": weight["ours"],
            "theirs": weight[rival],
            "unit": "B",
            "ratio": round(weight["ours"] / weight[rival], 3),
        }


def rates(port: int, rounds: int, pythons: dict[str, str]) -> Iterator[dict[str, object]]:
    """Rows of throughput, all candidates in turn in every round."""
    candidates = {kind: [Client(kind, port, python) for _ in range(PROCESSES)] for kind, python in pythons.items()}
    for work, (count, *aims) in WORKS.items():
        able = [kind for kind, clients in candidates.items() if work in clients[0].works]
        for shape, processes, threads, aim in (
            ("1 thread", 1, 1, aims[0]),
            ("8 threads", 1, 8, aims[1]),
            (f"{PROCESSES} processes", PROCESSES, 1, None),
        ):
            taken = [[rate(candidates[kind][:processes], work, threads, count) for kind in able] for _ in range(rounds)]
            for place, rival in list(enumerate(able))[1:]:
                ratio = median(line[0] / line[place] for line in taken)
                yield {
                    "what": f"{work}, {shape}",
                    "against": rival,
                    "ours": round(median(line[0] for line in taken)),
                    "theirs": round(median(line[place] for line in taken)),
                    "unit": "1/s",
                    "ratio": round(ratio, 3),
                    "aim": f">= {aim}" if aim and rival == "plain" else "",
                    "is_met": ratio >= aim if aim and rival == "plain" else None,
                    "rounds": rounds,
                }
    for clients in candidates.values():
        for client in clients:
            client.close()


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """The median time of a work."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return median(times)


def bounded(what: str, ours: float, aim: float, rounds: int) -> dict[str, object]:
    """A row whose aim is a time."""
    return {
        "what": what,
        "ours": round(ours, 3),
        "unit": "ms",
        "aim": f"< {aim}",
        "is_met": ours < aim,
        "rounds": rounds,
    }


def snapshots(url: str, rounds: int) -> Iterator[dict[str, object]]:
    """Rows of snapshots, diffs and restores."""
    wide = ss.RedisStore(url, prefix="wide")
    for number in range(1_000):
        wide.set(f"n{number}", "k", 1)
    yield bounded("snapshot, 1,000 namespaces", milliseconds(wide.snapshot, rounds), 5, rounds)
    for entries in (1_000, 100_000):
        yield from changes(url, entries, rounds)


def changes(url: str, entries: int, rounds: int) -> Iterator[dict[str, object]]:
    """Rows of ten changes among so many entries of one namespace."""
    deep = ss.RedisStore(url, prefix=f"deep{entries}")
    for first in range(0, entries, 1_000):
        deep.set_many([("n", f"k{number}", "x" * 100) for number in range(first, first + 1_000)])
    base = deep.snapshot()
    for number in range(10):
        deep.set("n", f"k{number * (entries // 10)}", "changed")
    later = deep.snapshot()
    yield bounded(f"diff, 10 of {entries:,}", milliseconds(lambda: later.diff(base), rounds), 1, rounds)
    both = milliseconds(lambda: (deep.restore(base), deep.restore(later)), rounds)
    yield bounded(f"restore, 10 of {entries:,}", both / 2, 1, rounds)


def on_the_server(server: redis.Redis, url: str) -> Iterator[dict[str, object]]:
    """Rows of the server's own time and memory: an overwrite, and an entry."""
    store, value = ss.RedisStore(url, prefix="cost"), "x" * 100
    both = server.register_script(
        "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]); redis.call('ZADD', KEYS[2], 0, ARGV[1])"
    )
    keys = [f"key-{number:015d}" for number in range(10_000)]
    before = server.info("memory")["used_memory"]
    for first in range(0, len(keys), 1_000):
        store.set_many([("n", key, value) for key in keys[first : first + 1_000]])
    middle = server.info("memory")["used_memory"]
    for key in keys:
        both(keys=["hash", "order"], args=[key, value])
    after = server.info("memory")["used_memory"]
    yield {
        "what": "memory of an entry, 19 B key, 100 B value",
        "against": "HSET + ZADD",
        "ours": round((middle - before) / len(keys)),
        "theirs": round((after - middle) / len(keys)),
        "unit": "B",
        "ratio": round((middle - before) / (after - middle), 3),
    }
    pairs = []
    for _ in range(9):
        ours = server_time(server, lambda: [store.set("n", key, value) for key in keys[:2_000]])
        theirs = server_time(server, lambda: [both(keys=["hash", "order"], args=[key, value]) for key in keys[:2_000]])
        pairs.append((ours, theirs))
    ratio = median(ours / theirs for ours, theirs in pairs)
    yield {
        "what": "set script, server time, overwrite",
        "against": "HSET + ZADD in a script",
        "ours": round(median(ours for ours, _ in pairs), 2),
        "theirs": round(median(theirs for _, theirs in pairs), 2),
        "unit": "us",
        "ratio": round(ratio, 3),
        "aim": "<= 1.7",
        "is_met": ratio <= 1.7,
        "rounds": len(pairs),
    }


def server_time(server: redis.Redis, work: Callable[[], object]) -> float:
    """Microseconds of a call of a script."""
    server.config_resetstat()
    work()
    return float(server.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])


def show(row: dict[str, object]) -> None:
    """Prints a row."""
    verdict = {True: "met", False: "NOT MET", None: ""}[row.get("is_met")]
    print(
        f"{row['what']:42} {row.get('against', ''):24} {row['ours']:>10} {row.get('theirs', ''):>8} {row['unit']:4}"
        f" {row.get('ratio', ''):>7}  {row.get('aim', '')} {verdict}",
        flush=True,
    )


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser(prog="scripts/bench redis", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds; stores nothing")
    parser.add_argument("--namesake", default=".venv-namesake/bin/python", help="a Python that has the namesake")
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date that the rows are stored with")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 9
    server = servers.Server()
    url, plain = f"redis://127.0.0.1:{server.port}", redis.Redis(port=server.port)
    facts = {
        **machine.facts(arguments.date),
        "redis-server": plain.info("server")["redis_version"],
        "redis-py": version("redis"),
        "hiredis": version("hiredis"),
        "durability": "none: appendonly no",
    }
    print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n")
    pythons = {"ours": sys.executable, "plain": sys.executable}
    if Path(arguments.namesake).exists():
        pythons["namesake"] = str(Path(arguments.namesake).absolute())
    rows = []
    for part in (
        weights(plain, pythons),
        on_the_server(plain, url),
        snapshots(url, rounds),
        rates(server.port, rounds, pythons),
    ):
        for row in part:
            show(row)
            rows.append(row)
    facts["load average at the end"] = machine.load()
    server.stop()
    if not arguments.quick:
        machine.results("redis.json").write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")
        print("\nwritten to benches/results/redis.json")


if __name__ == "__main__":
    main()
