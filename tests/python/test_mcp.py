"""MCP: the official client over HTTP and stdio, in both protocols, under the rules of REST."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_given import DOORS, PROTOCOLS, call, http_client, rest, stdio

import swarmstate as ss

START = 1_700_000_000.0
KV_TOOLS = ["kv-set", "kv-get", "kv-delete", "kv-incr", "kv-claim", "kv-list"]

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def server() -> Iterator[ss.Server]:
    """A service in memory, on a clock that stands still at START."""
    clock = ss.Clock(start=START)
    with ss.serve(ss.Store(clock=clock), clock=clock) as server:
        yield server


@pytest.fixture(params=DOORS, ids=lambda door: "-".join(door))
def connect(request, tmp_path) -> Iterator[Connect]:
    """Connects agent a1, working on task t1 of a Slack thread, through each door in each protocol."""
    door, protocol = request.param
    with ss.SqliteStore(tmp_path / "state.db") as store, ss.serve(store) as server:
        with rest(server) as operator:
            operator.post("/api/tasks", json={"id": "t1", "contextKey": "task:slack:C123:1776"}).raise_for_status()

        @asynccontextmanager
        async def connected() -> AsyncIterator[Client]:
            if door == "http":
                async with http_client(server, protocol, X_Agent_ID="a1", X_Source_Task_Id="t1") as client:
                    yield client
            else:
                async with stdio(tmp_path / "state.db", protocol, "--agent", "a1", "--task", "t1") as client:
                    yield client

        yield connected


async def test_a_client_of_each_protocol_connects_through_each_door_and_sees_the_tools(connect):
    async with connect() as client:
        tools = (await client.list_tools()).tools

        assert client.protocol_version in PROTOCOLS
        assert [tool.name for tool in tools] == ["my-agent-info", *KV_TOOLS]
        assert {tool.name for tool in tools if tool.annotations.read_only_hint} == {
            "my-agent-info",
            "kv-get",
            "kv-list",
        }
        assert {tool.name for tool in tools if tool.annotations.idempotent_hint} == {"kv-set", "kv-delete"}


async def test_an_agent_counts_votes_as_the_recipe_says(connect):
    async with connect() as client:
        made = await call(client, "kv-set", key="vote-count", value=0, valueType="integer")
        first = await call(client, "kv-incr", key="vote-count")
        second = await call(client, "kv-incr", key="vote-count", by=5)
        read = await call(client, "kv-get", key="vote-count")
        listed = await call(client, "kv-list", prefix="vote-")
        deleted = await call(client, "kv-delete", key="vote-count")
        gone = await call(client, "kv-get", key="vote-count")
        again = await call(client, "kv-delete", key="vote-count")

    assert made["namespace"] == "task:slack:C123:1776"
    assert [answer["entry"]["value"] for answer in (first, second, read)] == [1, 6, 6]
    assert ([entry["key"] for entry in listed["entries"]], listed["total"]) == (["vote-count"], 1)
    assert listed["nextCursor"] is None
    assert [deleted["deleted"], gone["entry"], again["deleted"]] == [True, None, False]


async def test_a_namespace_that_is_named_goes_before_the_tasks_own(connect):
    async with connect() as client:
        await call(client, "kv-set", key="seed", value=7, namespace="swarm:experiments")

        named = await call(client, "kv-get", key="seed", namespace="swarm:experiments")
        own = await call(client, "kv-get", key="seed")
        refused = await call(client, "kv-set", key="note", value="hi", namespace="task:agent:OTHER-AGENT-ID")
        page = await call(client, "kv-set", key="note", value="hi", namespace="task:page:p1")

    assert [named["entry"]["value"], own["entry"]] == [7, None]
    assert [refused["code"], page["code"]] == ["forbidden", "forbidden"]
    assert refused["namespace"] == "task:agent:OTHER-AGENT-ID"


async def test_my_agent_info_tells_who_calls_and_where(connect):
    async with connect() as client:
        info = await call(client, "my-agent-info")

    assert info["agentId"] == "a1"
    assert info["lead"] is False
    assert info["scopes"] == ["read", "write", "admin"]
    assert info["capabilities"] == ["kv", "pages"]
    assert info["namespace"] == "task:slack:C123:1776"


async def test_values_go_in_and_out_exactly(connect):
    async with connect() as client:
        for value in [{"z": 1, "a": [2, None]}, 2**63 - 1, 2**64 - 1, 0.1, 1e308, "ü\x00"]:
            await call(client, "kv-set", key="k", value=value)
            read = (await call(client, "kv-get", key="k"))["entry"]["value"]
            assert json.dumps(read) == json.dumps(value)


def test_a_value_of_256_levels_goes_in_and_out_and_a_deeper_one_is_refused(server):
    def asked(client: httpx.Client, tool: str, arguments: str) -> dict:
        body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}'
        headers = {**ACCEPT, "Content-Type": "application/json"}
        return client.post("/mcp", content=body, headers=headers).json()["result"]["structuredContent"]

    deep = "[" * 256 + "]" * 256
    with rest(server, X_Agent_ID="a1") as client:
        asked(client, "kv-set", f'{{"key":"k","value":{deep}}}')
        read = asked(client, "kv-get", '{"key":"k"}')
        deeper = asked(client, "kv-set", f'{{"key":"k","value":[{deep}]}}')

    assert json.dumps(read["entry"]["value"]) == deep
    assert deeper["code"] == "invalid"


async def test_a_value_that_would_be_rounded_is_refused_and_nothing_is_written(connect):
    async with connect() as client:
        refused = await call(client, "kv-set", key="k", value=2**70)

        assert refused["code"] == "invalid"
        assert (await call(client, "kv-get", key="k"))["entry"] is None


async def test_one_agent_claims_work_and_releases_it(connect):
    async with connect() as client:
        first = await call(client, "kv-claim", key="next", seconds=60, value="me", namespace="jobs")
        second = await call(client, "kv-claim", key="next", seconds=60, value="you", namespace="jobs")
        held = first["entry"]["revision"]
        late = await call(client, "kv-delete", key="next", ifRevision=held + 1, namespace="jobs")
        released = await call(client, "kv-delete", key="next", ifRevision=held, namespace="jobs")

    assert [first["claimed"], second["claimed"], second["entry"]["value"]] == [True, False, "me"]
    assert [late["code"], late["revision"], released["deleted"]] == ["conflict", held, True]


async def test_a_hidden_tool_is_an_unknown_tool(tmp_path):
    store = tmp_path / "state.db"

    async with stdio(store, "2025-11-25", SWARMSTATE_CAPABILITIES="pages") as client:
        shown = [tool.name for tool in (await client.list_tools()).tools]
        with pytest.raises(MCPError) as hidden:
            await client.call_tool("kv-get", {"key": "k"})
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("kv-git", {"key": "k"})

    assert shown == ["my-agent-info"]
    assert (hidden.value.code, unknown.value.code) == (-32602, -32602)
    assert str(hidden.value).replace("kv-get", "kv-git") == str(unknown.value)


async def test_an_agents_own_list_narrows_what_the_server_offers_and_rest_is_as_before(server):
    with rest(server) as operator:
        operator.post("/api/agents", json={"id": "narrow", "capabilities": ["pages", "flying"]}).raise_for_status()

    async with http_client(server, X_Agent_ID="narrow") as client:
        shown = [tool.name for tool in (await client.list_tools()).tools]
        info = await call(client, "my-agent-info")
        with pytest.raises(MCPError):
            await client.call_tool("kv-get", {"key": "k"})

    assert (shown, info["capabilities"]) == (["my-agent-info"], ["pages"])
    with rest(server, X_Agent_ID="narrow") as agent:
        assert agent.put("/api/kv/k", json={"value": 1}).status_code == 200


async def test_an_entry_goes_at_its_time():
    clock = ss.Clock(start=START)
    with ss.serve(ss.Store(clock=clock), clock=clock) as server:
        async with http_client(server, X_Agent_ID="a1") as client:
            made = await call(client, "kv-set", key="lock-token", value="xyz", valueType="string", expiresInSec=60)
            before = await call(client, "kv-get", key="lock-token")
            clock.advance(60)
            after = await call(client, "kv-get", key="lock-token")
            listed = await call(client, "kv-list")

    assert made["entry"]["expiresAt"] == (START + 60) * 1000
    assert (before["entry"]["value"], before["entry"]["valueType"]) == ("xyz", "string")
    assert (after["entry"], listed["entries"], listed["total"]) == (None, [], 0)


# What is refused at both doors: the tool's arguments, then method, path and body of REST, then the code.
REFUSALS = [
    (("kv-incr", {"key": "text"}), ("POST", "/api/kv/text/incr", {}), "wrong_type"),
    (("kv-incr", {"key": "n", "by": 2**53}), ("POST", "/api/kv/n/incr", {"by": 2**53}), "invalid"),
    (("kv-incr", {"key": "n", "by": None}), ("POST", "/api/kv/n/incr", {"by": None}), "invalid"),
    (("kv-set", {"key": "k"}), ("PUT", "/api/kv/k", {}), "invalid"),
    (("kv-set", {"key": "k", "value": 1.5, "valueType": "integer"}), None, "invalid"),
    (
        ("kv-set", {"key": "k", "value": 1, "expiresInSec": 0}),
        ("PUT", "/api/kv/k", {"value": 1, "expiresInSec": 0}),
        "invalid",
    ),
    (("kv-set", {"key": "k", "value": "x" * (2 * 1024 * 1024 + 1), "valueType": "string"}), None, "too_large"),
    (("kv-set", {"key": "a b", "value": 1}), ("PUT", "/api/kv/a%20b", {"value": 1}), "invalid"),
    (("kv-get", {"key": ".."}), ("GET", "/api/kv/%2e%2e", None), "invalid"),
    (("kv-get", {"key": "k", "namespace": "a b"}), ("GET", "/api/kv/_/a%20b/k", None), "invalid"),
    (("kv-list", {"limit": 0}), ("GET", "/api/kv?limit=0", None), "invalid"),
    (("kv-list", {"limit": 1001}), ("GET", "/api/kv?limit=1001", None), "invalid"),
    (("kv-list", {"cursor": "!"}), ("GET", "/api/kv?cursor=!", None), "invalid"),
    (("kv-claim", {"key": "k"}), ("POST", "/api/kv/k/claim", {}), "invalid"),
]


@pytest.mark.parametrize(("tool", "request_", "code"), REFUSALS, ids=lambda part: str(part)[:40])
async def test_a_refusal_has_the_code_of_rest(server, tool, request_, code):
    with rest(server, X_Agent_ID="a1") as agent:
        agent.put("/api/kv/text", json={"value": "x"}).raise_for_status()
        at_rest = request_ and agent.request(request_[0], request_[1], json=request_[2]).json()

    async with http_client(server, X_Agent_ID="a1") as client:
        answer = await call(client, tool[0], **tool[1])

    assert answer["code"] == code
    if at_rest:
        assert (at_rest["code"], at_rest.get("namespace", None)) == (code, answer.get("namespace", None))


async def test_the_namespace_of_a_call_that_names_none_is_resolved_as_at_rest(server):
    with rest(server) as operator:
        for task in (
            {"id": "thread", "contextKey": "task:slack:C1:2"},
            {"id": "bare", "agentId": "worker"},
            {"id": "empty"},
        ):
            operator.post("/api/tasks", json=task).raise_for_status()
    table = [
        ("thread", "a", "task:slack:C1:2"),
        ("bare", "a", "task:agent:worker"),
        ("empty", "a", "task:agent:a"),
        ("unknown", "a", "task:agent:a"),
        (None, "a", "task:agent:a"),
        ("thread", None, "task:slack:C1:2"),
    ]

    for task, agent, namespace in table:
        headers = {"X_Source_Task_Id": task, "X_Agent_ID": agent, "X_Page_Id": "p1"}
        async with http_client(server, **{name: value for name, value in headers.items() if value}) as client:
            assert (await call(client, "kv-list"))["namespace"] == namespace
            assert (await call(client, "my-agent-info"))["namespace"] == namespace


async def test_without_task_agent_and_name_a_call_is_refused(server):
    async with http_client(server) as client:
        refused = await call(client, "kv-get", key="k")
        info = await call(client, "my-agent-info")

    assert refused["code"] == "invalid"
    assert (info["agentId"], info["namespace"]) == (None, None)


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"X-Agent-ID": "a:b"}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Accept": "application/json"}, 406),
    ],
)
def test_who_does_not_belong_is_refused_at_mcp(server, headers, status):
    with rest(server) as client:
        answer = client.post("/mcp", json=PING, headers={**ACCEPT, **headers})

    assert answer.status_code == status


def test_a_page_of_the_server_itself_may_ask(server):
    with rest(server) as client:
        assert client.post("/mcp", json=PING, headers={**ACCEPT, "Origin": server.url}).status_code == 200


def test_the_public_url_is_let_in_by_name_and_origin():
    with ss.serve(ss.Store(), public_url="https://kv.example.org") as server, rest(server) as client:
        public = {**ACCEPT, "Host": "kv.example.org", "Origin": "https://kv.example.org"}
        assert client.post("/mcp", json=PING, headers=public).status_code == 200
        assert client.post("/mcp", json=PING, headers={**public, "Origin": "http://kv.example.org"}).status_code == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"jsonrpc":"2.0"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_message_is_refused(server, body):
    with rest(server) as client:
        headers = {**ACCEPT, "Content-Type": "application/json"}
        assert client.post("/mcp", content=body, headers=headers).status_code == 400


def test_a_body_above_the_limit_is_refused(server):
    with rest(server) as client:
        headers = {**ACCEPT, "Content-Type": "application/json"}
        large = client.post("/mcp", content=b" " * (12 * 1024 * 1024 + 64 * 1024 + 1), headers=headers)
        envelope = client.post("/mcp", json={**PING, "params": {"_meta": {"x": "y" * 70_000}}}, headers=ACCEPT)

    assert (large.status_code, envelope.status_code) == (413, 413)


def test_no_session_is_kept(server):
    with rest(server) as client:
        assert client.get("/mcp", headers=ACCEPT).status_code == 405
        assert client.delete("/mcp", headers=ACCEPT).status_code == 405


async def test_sixteen_clients_over_rest_mcp_and_python_count_exactly(tmp_path):
    rounds = 20
    with ss.SqliteStore(tmp_path / "state.db", durability="normal") as store, ss.serve(store) as server:

        def at_rest() -> None:
            with rest(server) as client:
                for _ in range(rounds):
                    client.post("/api/kv/_/n/k/incr").raise_for_status()

        def in_python() -> None:
            for _ in range(rounds):
                store.increment("n", "k")

        async def at_mcp(client: Client) -> None:
            for _ in range(rounds):
                assert (await call(client, "kv-incr", key="k", namespace="n"))["success"]

        async def over_http() -> None:
            async with http_client(server) as client:
                await at_mcp(client)

        async def over_stdio() -> None:
            async with stdio(tmp_path / "state.db") as client:
                await at_mcp(client)

        threads = [threading.Thread(target=work) for work in (at_rest, in_python) for _ in range(5)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*[over_http() for _ in range(5)], over_stdio())
        for thread in threads:
            await asyncio.to_thread(thread.join, 120)

        assert store.get("n", "k") == 16 * rounds


def run(store: str, *lines: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "swarmstate", "mcp", "--store", store, *arguments]
    return subprocess.run(command, input="".join(lines), capture_output=True, text=True, timeout=60)


INITIALIZE = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    '"clientInfo":{"name":"x","version":"1"}}}\n'
)


def test_what_arrived_before_the_input_ended_is_answered_and_bad_lines_end_nothing():
    calls = [
        f'{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"kv-incr","arguments":{{"key":"k"}}}}}}\n'
        for n in range(2, 12)
    ]

    ended = run("memory:", INITIALIZE, "nonsense\n", "\n", "[]\n", *calls, arguments=("--agent", "a"))
    answers = [json.loads(line) for line in ended.stdout.splitlines()]

    assert (ended.returncode, ended.stderr) == (0, "")
    assert {answer["id"] for answer in answers if "result" in answer} == set(range(1, 12))
    assert [answer["error"]["code"] for answer in answers if "error" in answer] == [-32700, -32700]


def test_a_line_above_the_limit_is_refused_and_the_next_one_answered():
    ended = run("memory:", INITIALIZE, "x" * (13 * 1024 * 1024) + "\n", '{"jsonrpc":"2.0","id":2,"method":"ping"}\n')
    answers = [json.loads(line) for line in ended.stdout.splitlines()]

    assert [answer["error"]["code"] for answer in answers if "error" in answer] == [-32600]
    assert {answer.get("id") for answer in answers if "result" in answer} == {1, 2}


@pytest.mark.parametrize("arguments", [("--agent", "a:b"), ("--task", "t:1"), ("--agent", "")])
def test_an_agent_or_task_that_is_none_is_one_line_and_status_2(arguments):
    ended = run("memory:", arguments=arguments)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_descriptions_say_when_to_use_the_store_and_when_not():
    lines = [INITIALIZE, '{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n']
    tools = next(json.loads(line) for line in run("memory:", *lines).stdout.splitlines() if '"id":2' in line)
    texts = {tool["name"]: tool["description"] for tool in tools["result"]["tools"]}

    for name in ("kv-set", "kv-get", "kv-list"):
        assert all(word in texts[name] for word in ("counters", "cursors", "secrets", "files", "memory"))
    schemas = json.dumps([tool["inputSchema"] for tool in tools["result"]["tools"]])
    assert ": true" not in schemas
