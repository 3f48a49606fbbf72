"""Redis servers of the tests' own: real processes on free ports, each in a temporary folder, gone with the tests.

Tests share a single server and a cluster of three masters, and take a fresh prefix each. A server never outlives the
tests: a shell waits beside it for the end of its own input, which comes when this process ends, however it ends.
"""

import contextlib
import functools
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60
# Kills the server and starts it again for each line that it reads, after a pause of so many seconds.
KEEPER = """
start() { "$@" >>server.log 2>&1 & server=$!; }
start "$@"
while read -r pause; do kill -9 $server; wait $server; sleep "$pause"; start "$@"; done
kill -9 $server 2>/dev/null
rm -rf "$PWD"
"""


def fresh_prefix() -> str:
    """A prefix that no other test has."""
    return f"t:{uuid.uuid4()}"


@functools.cache
def single() -> str:
    """The URL of the single server that tests share."""
    return f"redis://127.0.0.1:{Server().port}"


@functools.cache
def cluster() -> str:
    """The URL of the cluster that tests share."""
    servers = [Server("--cluster-enabled", "yes", "--cluster-port", str(bus := free_port()), bus=bus) for _ in range(3)]
    ranges = [("0", "5460"), ("5461", "10922"), ("10923", "16383")]
    for epoch, (server, (first, last)) in enumerate(zip(servers, ranges, strict=True), 1):
        server.must("CLUSTER", "ADDSLOTSRANGE", first, last)
        server.must("CLUSTER", "SET-CONFIG-EPOCH", str(epoch))
    for other in servers[1:]:
        servers[0].must("CLUSTER", "MEET", "127.0.0.1", str(other.port), str(other.bus))
    for server in servers:
        wait_for(server.is_in_cluster, "the cluster")
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


class Server:
    """One server process; it ends with `stop`, or with this process."""

    def __init__(self, *arguments: str, bus: int = 0, port: int | None = None) -> None:
        if shutil.which("redis-server") is None:
            raise RuntimeError("redis-server is missing; install it first: apt-get install redis-server")
        self.port, self.bus = port or free_port(), bus
        self.folder = Path(tempfile.mkdtemp(prefix="swarmstate-redis-"))
        command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--port", str(self.port), *arguments]
        self._keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "sh", *command],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        wait_for(self.is_up, "a redis-server")

    def kill_and_restart(self, pause_seconds: float) -> None:
        """Ends the server as a power cut would, and starts it again in the same place."""
        before = self.process()
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{pause_seconds}\n")
        self._keeper.stdin.flush()
        wait_for(lambda: self.is_another_than(before), "a killed redis-server")

    def is_another_than(self, process: str) -> bool:
        """Whether it answers as another process than the one of this number."""
        try:
            return self.is_up() and self.process() != process
        except (OSError, IndexError):
            return False  # killed before it answered one of the two questions

    def process(self) -> str:
        """The number of its process, as it tells it itself."""
        return re.findall(r"process_id:(\d+)", self.command("INFO", "server"))[0]

    def stop(self) -> None:
        """Ends the server for good."""
        self._keeper.communicate()

    def command(self, *words: str) -> str:
        """What the server answers to one command, as it comes."""
        request = "".join([f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)])
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            # QUIT makes the server end what it answers.
            connection.sendall((request + "*1\r\n$4\r\nQUIT\r\n").encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return answer.decode(errors="replace").removesuffix("+OK\r\n")

    def must(self, *words: str) -> None:
        """Sends a command that answers OK."""
        answer = self.command(*words)
        assert answer.startswith("+OK"), answer

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self.command("PING").startswith(("+PONG", "-NOAUTH"))
        except OSError:
            return False

    def is_in_cluster(self) -> bool:
        """Whether it is one of three masters that hold all slots."""
        info = self.command("CLUSTER", "INFO")
        return "cluster_state:ok" in info and "cluster_known_nodes:3" in info


def free_port() -> int:
    """A port that was free a moment ago, below those that the system gives to connections."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Waits until a server has come as far as it must."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} did not come up"
        time.sleep(0.02)
