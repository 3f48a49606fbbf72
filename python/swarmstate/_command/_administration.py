"""`swarmstate agents|tasks|tokens`: the registry of a running server, or of a store served for this one request.

Either way it is the service that reads and writes it, so the rules are those of the service.
"""

import argparse
import http.client
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any
from urllib.parse import quote, urlsplit

import swarmstate
from swarmstate import Store
from swarmstate._command import _names
from swarmstate.exceptions import InvalidError, NotFoundError, UnavailableError

TABLES = {"agents", "tasks", "tokens"}

_TIMEOUT_SECONDS = 30


def administer(opener: Callable[[str], Store], arguments: argparse.Namespace) -> None:
    """Lists, adds or removes rows of the registry.

    Args:
        opener: Opens the store that a URL names.
        arguments: The command's arguments.

    Raises:
        NotFoundError: There is no such row.
        InvalidError: The service refuses it.
        UnavailableError: The service does not answer.
    """
    if arguments.url is not None:
        _run(arguments.url, _given_key(arguments), arguments)
        return
    with opener(_names.url(arguments.store, create=True)) as store, swarmstate.serve(store) as server:
        _run(server.url, server.api_key, arguments)


def _given_key(arguments: argparse.Namespace) -> str:
    key = arguments.api_key or os.environ.get("SWARMSTATE_API_KEY")
    if not key:
        raise InvalidError("--url needs a key: put it in SWARMSTATE_API_KEY, or give --api-key")
    return str(key)


def _run(url: str, key: str, arguments: argparse.Namespace) -> None:
    path = f"/api/{arguments.command}"
    if arguments.verb == "remove":
        _ask(url, key, "DELETE", f"{path}/{quote(arguments.id, safe='')}")
        _show(arguments, [{"removed": arguments.id}])
    elif arguments.verb == "list":
        cursor = ""
        while cursor is not None:
            page = _ask(url, key, "GET", f"{path}?limit=1000{cursor and f'&cursor={quote(cursor)}'}")
            _show(arguments, page[arguments.command])
            cursor = page["nextCursor"]
    else:
        _show(arguments, [_ask(url, key, "POST", path, _row(arguments))])


def _row(arguments: argparse.Namespace) -> dict[str, object]:
    rows: dict[str, dict[str, object]] = {
        "agents": {"id": "id", "lead": "lead", "capabilities": "capability"},
        "tasks": {"id": "id", "contextKey": "context_key", "agentId": "agent"},
        "tokens": {"agentId": "agent", "scopes": "scope", "expiresInSec": "expires"},
    }
    row = {member: getattr(arguments, str(name)) for member, name in rows[arguments.command].items()}
    if arguments.command == "tokens" and row["scopes"] is None:
        row["scopes"] = ["read", "write"]
    return {member: value for member, value in row.items() if value is not None}


def _ask(url: str, key: str, method: str, path: str, row: dict[str, object] | None = None) -> Any:
    """What the service answers to one request. Nothing is followed elsewhere, so the key goes nowhere else."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = None if row is None else json.dumps(row)
    try:
        with _connection(url) as connection:
            connection.request(method, urlsplit(url).path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"{url} does not answer: {error}") from error
    except ValueError as error:
        # The key is not shown: it may hold what no header holds.
        raise InvalidError("the key holds characters that no key has") from error
    if response.status < 300:
        return json.loads(answer) if answer else None
    raise _error(url, response.status, answer)


def _connection(url: str) -> AbstractContextManager[http.client.HTTPConnection]:
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or parts.hostname is None:
        raise InvalidError(f"--url must be like http://127.0.0.1:8484, not {url!r}")
    try:
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
    except ValueError as error:
        raise InvalidError(f"--url has no such port: {error}") from error
    return closing(connection)


def _error(url: str, status: int, answer: bytes) -> swarmstate.Error:
    try:
        detail = str(json.loads(answer)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"{url} answers {status}"
    if status >= 500:
        return UnavailableError(detail)
    return NotFoundError(detail) if status == 404 else InvalidError(detail)


def _show(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if arguments.json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            print("  ".join(f"{name}={_shown(value)}" for name, value in row.items() if value is not None))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return json.dumps(value) if isinstance(value, bool) else str(value)
