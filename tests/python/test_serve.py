"""`swarmstate serve` and `swarmstate.serve`: as a process and inside one, with the command that administers it."""

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
import servers

import swarmstate as ss

COMMAND = [sys.executable, "-m", "swarmstate"]
PATIENCE_SECONDS = 60


class Process:
    """A `swarmstate serve` of its own, on a free port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "SWARMSTATE_API_KEY"}
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.greeting = [self.process.stdout.readline() for _ in range(1)]
        while self.greeting[-1] and "curl" not in self.greeting[-1]:
            self.greeting.append(self.process.stdout.readline())
        assert self.greeting[-1], self.process.communicate()[1]
        self.url = re.findall(r"http://[0-9.:]+", self.greeting[0])[0]

    def client(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., Process]]:
    """Starts `swarmstate serve` in a folder of the test's own; what still runs in the end is killed."""
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(tmp_path, *arguments))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.communicate()


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def test_the_first_start_says_where_it_listens_where_the_store_is_and_how_to_try_it(serve, tmp_path):
    server = serve()
    key = (tmp_path / "swarmstate.key").read_text().strip()

    tried = subprocess.run(["sh", "-c", server.greeting[-1]], capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert str(tmp_path / "swarmstate.db") in server.greeting[1]
    assert key in server.greeting[-1]
    assert json.loads(tried.stdout)["value"] == 1
    assert stat.S_IMODE((tmp_path / "swarmstate.key").stat().st_mode) == 0o600


def test_a_later_start_has_the_same_key_and_does_not_print_it(serve, tmp_path):
    serve().end(signal.SIGTERM)
    key = (tmp_path / "swarmstate.key").read_text().strip()

    again = serve()

    assert key not in "".join(again.greeting)
    assert again.client(key).get("/api/namespaces").status_code == 200


def test_the_service_and_python_share_one_state_in_a_file(serve, tmp_path):
    server = serve("--store", "state.db", "--api-key", "a-key-for-the-tests")
    with server.client("a-key-for-the-tests") as client, ss.SqliteStore(tmp_path / "state.db") as store:
        store.increment("n", "k", 5)
        counted = client.post("/api/kv/_/n/k/incr").json()

        assert counted["value"] == 6
        assert store.get("n", "k") == 6


def test_the_service_runs_on_a_redis_server(serve):
    url = f"{servers.single()}?prefix={servers.fresh_prefix()}"
    server = serve("--store", url, "--api-key", "a-key-for-the-tests")
    with server.client("a-key-for-the-tests") as client, ss.open(url) as store:
        assert client.post("/api/kv/_/n/k/incr").json()["value"] == 1
        assert store.get("n", "k") == 1
        assert client.post("/api/tokens", json={"agentId": "a", "scopes": ["read"]}).status_code == 201
        assert store.namespaces() == ["n"]


WRONG_URLS = [
    "nothing://x",
    "sqlite:state.db",
    "redis://127.0.0.1:1:2",
    "memory:?colour=red",
    "no/such/folder/state.db",
]


@pytest.mark.parametrize("store", WRONG_URLS)
def test_a_url_that_is_wrong_is_one_line_and_status_2(store, tmp_path):
    ended = run(tmp_path, "serve", "--store", store)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr


@pytest.mark.parametrize("command", [["serve"], ["mcp"], ["agents", "list"]])
def test_a_store_that_cannot_be_made_is_one_line_and_status_2(command, tmp_path):
    ended = run(tmp_path, *command, "--store", "no/such/folder/state.db")

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr


def test_a_port_in_use_is_one_line_and_status_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = run(tmp_path, "serve", "--port", str(listener.getsockname()[1]))

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "--port" in ended.stderr


def test_a_key_that_is_too_short_is_refused_without_being_shown(tmp_path):
    ended = run(tmp_path, "serve", SWARMSTATE_API_KEY="short-secret")

    assert ended.returncode == 2
    assert "short-secret" not in ended.stderr


def test_every_write_that_was_answered_survives_a_kill(serve, tmp_path):
    server = serve("--api-key", "a-key-for-the-tests")
    answered: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with server.client("a-key-for-the-tests") as client:
            while True:
                try:
                    answered.append(client.post("/api/kv/_/n/k/incr").json()["value"])
                except httpx.HTTPError:
                    return
                if len(answered) >= 200:
                    enough.set()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(PATIENCE_SECONDS)
    server.end(signal.SIGKILL)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    with ss.SqliteStore(tmp_path / "swarmstate.db") as store:
        # Four may have been written whose answers were on their way.
        assert max(answered) <= store.get("n", "k") <= max(answered) + 4
    assert sorted(answered) == sorted(set(answered))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_request_under_way_finish(serve, number):
    server = serve("--api-key", "a-key-for-the-tests")
    body = b'{"value": 1}'
    head = (
        "PUT /api/kv/_/n/k HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a-key-for-the-tests\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + body[:4])
        # An answer on another connection: this one was accepted before.
        assert server.client("a-key-for-the-tests").get("/healthz").status_code == 200
        server.process.send_signal(number)
        assert server.process.stdout.readline().startswith("stopping")
        connection.sendall(body[4:])
        answer = connection.makefile("rb").readline()

    assert answer.startswith(b"HTTP/1.1 200")
    assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_second_signal_ends_it_at_once(serve):
    server = serve("--api-key", "a-key-for-the-tests")
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        head = "PUT /api/kv/_/n/k HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a-key-for-the-tests\r\n"
        connection.sendall(f"{head}Content-Length: 99\r\n\r\n".encode())
        assert server.client("a-key-for-the-tests").get("/healthz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stdout.readline().startswith("stopping")

        assert server.end(signal.SIGTERM) == -signal.SIGTERM


def test_the_access_log_has_a_line_for_each_request_and_no_secret_value_or_name(serve):
    server = serve("--api-key", "a-key-for-the-tests", "--access-log")
    with server.client("a-key-for-the-tests") as client:
        made = client.post("/api/tokens", json={"agentId": "bob", "scopes": ["read", "write"]}).json()
        client.put("/api/kv/_/hidden-space/hidden-key", json={"value": "hidden-value"})
        client.get("/api/kv/_/hidden-space?prefix=hidden-prefix")
        client.get("/hidden-path%0aat=1")
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"hidden-params": 1}}
        client.post("/mcp", json=message, headers={"Accept": "application/json, text/event-stream", "X-Agent-ID": "a1"})
    with server.client(made["token"]) as bob:
        bob.post("/api/kv/hidden-key/incr")
    with server.client("a-hidden-key-that-is-wrong") as stranger:
        stranger.get("/api/kv", headers={"X-Agent-ID": "hidden-agent"})

    server.process.send_signal(signal.SIGTERM)
    log = server.process.communicate(timeout=PATIENCE_SECONDS)[1]

    lines = [re.sub(r"^at=\d+ |micros=\d+ ", "", line) for line in log.splitlines()]
    assert lines == [
        "operation=registry status=201 credentials=operator agent=-",
        "operation=put status=200 credentials=operator agent=-",
        "operation=list status=200 credentials=operator agent=-",
        "operation=other status=404 credentials=- agent=-",
        "operation=mcp status=200 credentials=operator agent=a1",
        f"operation=incr status=200 credentials={made['id']} agent=bob",
        "operation=list status=401 credentials=- agent=-",
    ]
    assert not re.search("hidden|a-key-for-the-tests", log)


def test_what_expired_leaves_the_file_of_a_server_that_nobody_uses(serve, tmp_path):
    def rows() -> int:
        with closing(sqlite3.connect(tmp_path / "swarmstate.db")) as file:
            return int(file.execute("SELECT count(*) FROM entry").fetchone()[0])

    # Written in another year, so it has expired for whoever goes by today's clock.
    with ss.SqliteStore(tmp_path / "swarmstate.db", clock=ss.Clock(start=1_700_000_000.0)) as store:
        store.set_many([("n", str(number), number) for number in range(300)], ttl=60)
        store.set("n", "stays", 1)
    assert rows() == 301

    serve("--api-key", "a-key-for-the-tests")

    servers.wait_for(lambda: rows() == 1, "the sweeper")


def test_sixteen_clients_count_exactly(serve):
    server = serve("--api-key", "a-key-for-the-tests")

    def count() -> None:
        with server.client("a-key-for-the-tests") as client:
            for _ in range(10):
                client.post("/api/kv/_/n/k/incr").raise_for_status()

    threads = [threading.Thread(target=count) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    with server.client("a-key-for-the-tests") as client:
        assert client.get("/api/kv/_/n/k").json()["value"] == 160


def test_the_registry_is_administered_on_a_store_and_on_a_running_server(serve, tmp_path):
    server = serve("--api-key", "a-key-for-the-tests")
    online = ("--url", server.url, "--api-key", "a-key-for-the-tests", "--json")

    made = json.loads(run(tmp_path, "tokens", "add", "bob", "--scope", "read", "--json").stdout)
    run(tmp_path, "agents", "add", "bob", "--lead", *online)
    run(tmp_path, "tasks", "add", "t1", "--context-key", "task:linear:X", "--agent", "bob")
    listed = [json.loads(run(tmp_path, table, "list", *online).stdout) for table in ("agents", "tasks", "tokens")]
    with server.client(made["token"]) as bob:
        before = bob.get("/api/kv").json()["namespace"]
    removed = run(tmp_path, "tokens", "remove", made["id"], *online)
    again = run(tmp_path, "tokens", "remove", made["id"], *online)
    with server.client(made["token"]) as bob:
        after = bob.get("/api/kv").status_code

    assert listed[0] == {"id": "bob", "lead": True, "capabilities": None}
    assert listed[1] == {"id": "t1", "contextKey": "task:linear:X", "agentId": "bob"}
    assert listed[2] == {"id": made["id"], "agentId": "bob", "scopes": ["read"], "expiresAt": None}
    assert (before, after) == ("task:agent:bob", 401)
    assert (removed.returncode, again.returncode) == (0, 1)


def test_pages_are_administered_and_launched_on_a_running_server(serve, tmp_path):
    server = serve("--api-key", "a-key-for-the-tests")
    online = ("--url", server.url, "--api-key", "a-key-for-the-tests", "--json")
    (tmp_path / "tea.html").write_text("<p>tea ☕")

    made = json.loads(run(tmp_path, "pages", "add", "tea.html", "--title", "Tea", *online).stdout)
    secret = {"SWARMSTATE_PAGE_PASSWORD": "open sesame"}
    locked = run(tmp_path, "pages", "add", "tea.html", "--access", "password", *online, **secret)
    launched = json.loads(run(tmp_path, "pages", "launch", made["id"], *online).stdout)
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        shown = browser.get(launched["url"])
    listed = run(tmp_path, "pages", "list", *online)
    removed = run(tmp_path, "pages", "remove", made["id"], *online)
    offline = run(tmp_path, "pages", "launch", made["id"])
    unreadable = run(tmp_path, "pages", "add", "none.html", *online)

    assert any(made["url"].startswith(line.split()[-1]) for line in server.greeting if "pages" in line)
    assert shown.text.endswith("<p>tea ☕")
    assert json.loads(locked.stdout)["authMode"] == "password"
    assert "open sesame" not in listed.stdout
    assert len(listed.stdout.splitlines()) == 2
    assert removed.returncode == 0
    assert [ended.returncode for ended in (offline, unreadable)] == [2, 2]
    assert [ended.stderr.count("\n") for ended in (offline, unreadable)] == [1, 1]


def test_a_port_for_pages_in_use_is_one_line_and_status_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        ended = run(tmp_path, "serve", "--port", "0", "--pages-port", taken)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "--pages-port" in ended.stderr


def test_a_server_that_does_not_answer_or_refuses_is_one_line(tmp_path):
    with ss.serve(ss.Store()) as server:
        refused = run(tmp_path, "agents", "list", "--url", server.url, "--api-key", "another-key-1234")
        keyless = run(tmp_path, "agents", "list", "--url", server.url, SWARMSTATE_API_KEY="")
    silent = run(tmp_path, "agents", "list", "--url", f"http://127.0.0.1:{servers.free_port()}", "--api-key", "k")

    assert [ended.returncode for ended in (refused, keyless, silent)] == [2, 2, 3]
    assert [ended.stderr.count("\n") for ended in (refused, keyless, silent)] == [1, 1, 1]


@contextmanager
def client_of(server: ss.Server, agent: str | None = None) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.api_key}", **({"X-Agent-ID": agent} if agent else {})}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        yield client


def test_a_store_of_any_engine_is_served_inside_the_process(store, clock):
    store.set("n", "k", {"a": [1, None]})
    with ss.serve(store, clock=clock) as server, client_of(server, "me") as client:
        read = client.get("/api/kv/_/n/k").json()
        client.put("/api/kv/own", json={"value": 2**63, "valueType": "json"})

        assert read["value"] == {"a": [1, None]}
        assert store.get("task:agent:me", "own") == 2**63
    assert store.get("n", "k") == {"a": [1, None]}


def test_a_server_that_stopped_is_gone_and_stops_again_for_nothing():
    store = ss.Store()
    server = ss.serve(store)
    url = server.url
    server.stop()
    server.stop()

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)
    assert server.api_key not in repr(server)
    assert store.set("n", "k", 1) > 0


def test_a_server_that_nobody_holds_stops():
    url = ss.serve(ss.Store()).url

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "nowhere"}, "host must be an address"),
        ({"host": "192.0.2.1"}, "--host"),
        ({"port": 65536}, "65535"),
        ({"api_key": "short"}, "16 characters"),
        ({"public_url": "kv.example.org"}, "public URL"),
        ({"pages_url": "pages.example.org"}, "URL of pages"),
    ],
)
def test_an_option_that_is_wrong_is_refused(options, message):
    with pytest.raises(ss.InvalidError, match=message):
        ss.serve(ss.Store(), **options)


def test_contexts_have_the_keys_that_agents_know():
    context = ss.context
    keys = [
        (context.slack("C123", "1776.5"), "task:slack:C123:1776.5"),
        (context.agentmail("t1"), "task:agentmail:t1"),
        (context.github_issue("o", "r", 4), "task:trackers:github:o:r:issue:4"),
        (context.github_pull("o", "r", "4"), "task:trackers:github:o:r:pr:4"),
        (context.gitlab_merge("p", 2), "task:trackers:gitlab:p:mr:2"),
        (context.gitlab_issue("p", 2), "task:trackers:gitlab:p:issue:2"),
        (context.linear("DES-42"), "task:trackers:linear:DES-42"),
        (context.jira("OPS-1"), "task:trackers:jira:OPS-1"),
        (context.schedule("s"), "task:schedule:s"),
        (context.workflow("r"), "task:workflow:r"),
        (context.agent("a"), "task:agent:a"),
        (context.page("p"), "task:page:p"),
    ]

    assert [key for key, _ in keys] == [expected for _, expected in keys]
    with pytest.raises(ss.InvalidError, match="holds no"):
        context.agent("a:b")
