"""Measures the KV service against one bare axum route with the same authentication.

It prints a table and stores `benches/results/service.json`.

`scripts/bench service` builds the released wheel and the bare route, has `wrk` installed and runs this. Both servers
and the load share the machine, so ratios say more than rates: in each round the work follows the bare route at once.
Eight connections are kept alive; the load has one thread.
"""

import argparse
import json
import os
import re
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import machine

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))
import servers  # noqa: E402  (the tests' own servers)

KEY = f"ssk_{secrets.token_hex(32)}"
CONNECTIONS = 8
WATCHES = 2_000
BODY = json.dumps({"value": {"n": 42, "state": "ready"}})
# Each work: method, path, body, and the aim as ours / theirs.
WORKS = {
    "GET one key": ("GET", "/api/kv/_/bench/small-0", "", 0.4),
    "PUT": ("PUT", "/api/kv/_/bench/written", BODY, 0.3),
    "INCR": ("POST", "/api/kv/_/bench/counter/incr", "", 0.3),
    "list 50": ("GET", "/api/kv/_/bench?prefix=small-&limit=50", "", 0.3),
}
SCRIPT = """
wrk.method = "{method}"
wrk.body = '{body}'
wrk.headers["Authorization"] = "Bearer {key}"
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
  local errors = summary.errors
  io.stdout:write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status + errors.read + errors.write + errors.timeout))
end
"""


@dataclass
class Load:
    """What a load has met with: requests a second, and how long half and 99 of 100 took at most, in microseconds."""

    rate: float
    p50_us: int
    p99_us: int


def load(url: str, method: str, body: str, seconds: int) -> Load:
    """Sends one request again and again.

    Raises:
        SystemExit: One of them was refused, so that the figures would mean nothing.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(method=method, body=body, key=KEY))
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script.name, url]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", shown)
    if found is None or found[5] != "0":
        raise SystemExit(f"{method} {url} was refused or cut:\n{shown}")
    count, took_us, p50_us, p99_us, _ = map(int, found.groups())
    return Load(count / took_us * 1e6, p50_us, p99_us)


class Served:
    """A `swarmstate serve` of its own."""

    def __init__(self, store: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "swarmstate", "serve", "--port", "0", "--store", store],
            cwd=self._folder.name,
            env={**os.environ, "SWARMSTATE_API_KEY": KEY},
            stdout=subprocess.PIPE,
            text=True,
        )
        found = re.search(r"http://[0-9.:]+", self.process.stdout.readline())
        if found is None:
            raise SystemExit("the service does not start")
        self.url = found[0]
        for number in range(100):
            self.ask("PUT", f"/api/kv/_/bench/small-{number}", BODY)

    def ask(self, method: str, path: str, body: str = "") -> bytes:
        """One request."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body.encode() or None, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def resident_kib(self) -> int:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def stop(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.wait()
        self._folder.cleanup()


def throughput(name: str, store: str, bare: str, rounds: int, seconds: int) -> Iterator[dict[str, object]]:
    """Rows of throughput and latency on one store, and of the memory after it."""
    served = Served(store)
    for work, (method, path, body, aim) in WORKS.items():
        pairs = []
        for _ in range(rounds):
            theirs = load(f"{bare}/api/kv/_/bench/small-0", "GET", "", seconds)
            pairs.append((load(served.url + path, method, body, seconds), theirs))
        ratio = median(ours.rate / theirs.rate for ours, theirs in pairs)
        # On a server every request is a round trip of its own, so the aims are those of a file.
        is_aimed = name == "SQLite"
        for unit, figure in (("1/s", "rate"), ("us, p50", "p50_us"), ("us, p99", "p99_us")):
            ours, theirs = ([getattr(pair[place], figure) for pair in pairs] for place in (0, 1))
            row = {"what": f"{work}, {name}", "against": "a bare axum route", "ours": round(median(ours))}
            row |= {"theirs": round(median(theirs)), "unit": unit, "rounds": rounds}
            if unit == "1/s":
                row |= {"ratio": round(ratio, 3)}
                row |= {"aim": f">= {aim}", "is_met": ratio >= aim} if is_aimed else {}
            yield row
    counted = json.loads(served.ask("GET", "/api/kv/_/bench/counter"))["value"]
    if counted < 1:
        raise SystemExit("nothing was counted")
    yield bounded(f"resident memory after it, {name}", served.resident_kib() / 1024, 60, "MiB")
    served.stop()


def watches(store: str, count: int) -> Iterator[dict[str, object]]:
    """The row of what an idle watch takes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    served = Served(store)
    host, port = served.url.removeprefix("http://").split(":")
    before, open_ones = served.resident_kib(), []
    for number in range(count):
        watch = socket.create_connection((host, int(port)))
        head = (
            f"GET /api/kv/_/bench-{number}?watch=true HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        )
        watch.sendall(head.encode())
        if b"200 OK" not in watch.recv(4096):
            raise SystemExit("a watch was refused")
        open_ones.append(watch)
    time.sleep(2)
    each = (served.resident_kib() - before) / count
    yield bounded(f"an idle watch, {count:,} of them", each, 30, "KiB")
    for watch in open_ones:
        watch.close()
    served.stop()


def bounded(what: str, ours: float, aim: float, unit: str) -> dict[str, object]:
    """A row whose aim is a bound."""
    return {"what": what, "ours": round(ours, 1), "unit": unit, "aim": f"<= {aim}", "is_met": ours <= aim}


def show(row: dict[str, object]) -> None:
    """Prints a row."""
    verdict = {True: "met", False: "NOT MET", None: ""}[row.get("is_met")]
    print(
        f"{row['what']:36} {row['ours']:>9} {row.get('theirs', ''):>9} {row['unit']:8} {row.get('ratio', ''):>7}"
        f"  {row.get('aim', '')} {verdict}",
        flush=True,
    )


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser(prog="scripts/bench service", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds; stores nothing")
    parser.add_argument("--bare", default="target/bare/release/bare-route", help="the program of the bare route")
    parser.add_argument("--build", default="release", help="the profile that the wheel was built with")
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date that the rows are stored with")
    arguments = parser.parse_args()
    rounds, seconds = (2, 1) if arguments.quick else (5, 1)
    with subprocess.Popen([arguments.bare, KEY], stdout=subprocess.PIPE, text=True) as bare_route:
        try:
            bare = f"http://127.0.0.1:{int(bare_route.stdout.readline())}"
            server = servers.Server()
            wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split()[1]
            facts = {
                **machine.facts(arguments.date),
                "wrk": wrk,
                "durability": "normal; Redis: none",
                "build": arguments.build,
            }
            print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n")
            rows = []
            for part in (
                throughput("SQLite", "sqlite:///state.db?durability=normal", bare, rounds, seconds),
                throughput("Redis", f"redis://127.0.0.1:{server.port}", bare, rounds, seconds),
                watches("sqlite:///state.db?durability=normal", WATCHES),
            ):
                for row in part:
                    show(row)
                    rows.append(row)
            facts["load average at the end"] = machine.load()
            server.stop()
        finally:
            bare_route.terminate()
    if not arguments.quick:
        machine.results("service.json").write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
