"""What the tests of MCP start from: a service, and the official client over HTTP and over stdio, in both protocols."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

import swarmstate as ss

PROTOCOLS = {"2025-11-25": "legacy", "2026-07-28": "2026-07-28"}

# An entry of each door: its protocol, and whether over HTTP or stdio.
DOORS = [(door, protocol) for door in ("http", "stdio") for protocol in PROTOCOLS]


@asynccontextmanager
async def http_client(server: ss.Server, protocol: str = "2025-11-25", **headers: str) -> AsyncIterator[Client]:
    """The official client of a server, with the operator's key unless `Authorization` is given."""
    sent = {"Authorization": f"Bearer {server.api_key}", **{name.replace("_", "-"): headers[name] for name in headers}}
    async with (
        httpx2.AsyncClient(headers=sent, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=PROTOCOLS[protocol]) as client,
    ):
        yield client


@asynccontextmanager
async def stdio(
    store: Path, protocol: str = "2025-11-25", *arguments: str, **environment: str
) -> AsyncIterator[Client]:
    """The official client of a process of its own on a file."""
    command = ["-m", "swarmstate", "mcp", "--store", str(store), *arguments]
    process = StdioServerParameters(command=sys.executable, args=command, env=environment or None)
    async with Client(stdio_client(process), mode=PROTOCOLS[protocol]) as client:
        yield client


def rest(server: ss.Server, **headers: str) -> httpx.Client:
    """A client of REST with the operator's key unless `Authorization` is given."""
    sent = {"Authorization": f"Bearer {server.api_key}", **{name.replace("_", "-"): headers[name] for name in headers}}
    return httpx.Client(base_url=server.url, headers=sent, timeout=60, trust_env=False)


async def call(client: Client, tool: str, **arguments: object) -> dict:
    """What a tool answers as data; its text holds the message, and it is an error unless it is a success."""
    result = await client.call_tool(tool, arguments)
    answer = result.structured_content
    assert result.is_error is not answer["success"]
    assert answer["message"] in result.content[0].text
    return answer
