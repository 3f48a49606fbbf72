"""How calls of a client become requests of the service, and answers become values and errors.

Only a read is sent again where nothing was answered, since a write may have been carried out. A value is judged by the
store's own codec before it is sent. httpx is imported when a connection is made.
"""

import base64
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote

from swarmstate._core import dumps, loads
from swarmstate.exceptions import (
    ConflictError,
    CorruptError,
    Error,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
    WrongTypeError,
)

Query: TypeAlias = dict[str, str | int]

_PAGE = 1000
# A read that found no answer is sent so many times in all.
_ATTEMPTS = 3

_ERRORS: dict[str, type[Error]] = {
    "not_found": NotFoundError,
    "conflict": ConflictError,
    "wrong_type": WrongTypeError,
    "too_large": TooLargeError,
    "unsupported": UnsupportedError,
    "corrupt": CorruptError,
    "unavailable": UnavailableError,
    "busy": UnavailableError,
    "timeout": UnavailableError,
}


@dataclass(frozen=True)
class RemoteEntry:
    """One key with its value and everything the service knows about it.

    Attributes:
        namespace: The namespace that it stands in.
        key: Its key.
        value: The value.
        kind: What the value is: "integer", "string", "bytes" or "json".
        revision: The revision that wrote it.
        created_at: When the key came to live, in Unix milliseconds.
        updated_at: When this revision was written, in Unix milliseconds.
        expires_at: When it goes, in Unix milliseconds; None = never.
    """

    namespace: str
    key: str
    value: Any
    kind: str
    revision: int
    created_at: int
    updated_at: int
    expires_at: int | None


class Connection:
    """Requests to one service, with the headers that all of them have. It can be shared by threads."""

    def __init__(self, url: str, headers: dict[str, str | None], timeout: float) -> None:
        """Makes a connection; the first request connects.

        Args:
            url: Where the service is.
            headers: What every request says; those that are None are left out.
            timeout: Seconds that a request may take to connect, and again to send, and to answer.

        Raises:
            ImportError: httpx is not installed.
            InvalidError: The URL is none, or a header holds what none holds.
        """
        try:
            import httpx
        except ImportError as error:
            raise ImportError("Client needs httpx: pip install 'swarmstate[client]'") from error
        if not url.startswith(("http://", "https://")):
            raise InvalidError(f"the URL of a service is like http://127.0.0.1:8484, not {url!r}")
        sent = {name: value for name, value in headers.items() if value is not None}
        if not all(value.isascii() and value.isprintable() for value in sent.values()):
            # The token is not shown.
            raise InvalidError("the token, the agent and the task are printable ASCII")
        self.url = url.rstrip("/")
        # Nothing is followed elsewhere, so the token goes nowhere else.
        self._http = httpx.Client(base_url=self.url, headers=sent, timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Closes it. Closing again is nothing."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        headers: dict[str, str] | None = None,
        at: tuple[str, str | None] = ("", None),
    ) -> Any:
        """Sends a request; a read is sent again where nothing was answered.

        Args:
            method: Its method.
            path: Where to.
            body: What to send as JSON.
            query: The parameters of the query.
            headers: Further headers.
            at: What it concerns, for errors.

        Returns:
            What the service answers, decoded; None where that is nothing.

        Raises:
            Error: What the service refuses.
            UnavailableError: Nothing was answered.
        """
        import httpx

        left = _ATTEMPTS if method == "GET" else 1
        while True:
            left -= 1
            try:
                response = self._http.request(method, path, json=body, params=query, headers=headers)
            except httpx.TransportError as error:
                if left:
                    continue
                raise UnavailableError(f"{self.url} does not answer: {type(error).__name__}: {error}") from error
            except httpx.HTTPError as error:
                raise UnavailableError(f"{self.url} does not speak as a service does: {error}") from error
            if response.status_code < 300:
                return response.json() if response.content else None
            _refuse(self.url, response.status_code, response.content, at)

    def pages(self, path: str, name: str, query: Query, limit: int | None) -> Iterator[Any]:
        """The rows of a list, page by page.

        Args:
            path: Where the list is.
            name: What its rows are called.
            query: What the first request asks for; a cursor in it says where the list begins.
            limit: The most rows; None = all.

        Yields:
            The rows.

        Raises:
            InvalidError: The limit is negative.
        """
        if limit is not None and limit < 1:
            if limit < 0:
                raise InvalidError(f"limit must not be negative, but is {limit}")
            return
        left, cursor = limit, query.get("cursor")
        while left is None or left > 0:
            page = {"limit": _PAGE if left is None else min(left, _PAGE), **({"cursor": cursor} if cursor else {})}
            answer = self.send("GET", path, query={**query, **page})
            yield from answer[name]
            cursor = answer["nextCursor"]
            if cursor is None:
                return
            left = left if left is None else left - len(answer[name])


def _refuse(url: str, status: int, content: bytes, at: tuple[str, str | None]) -> NoReturn:
    try:
        problem = json.loads(content)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        kind = UnavailableError if status >= 500 else InvalidError
        raise kind(f"{url} answers {status}, and not as a service does") from None
    error = _ERRORS.get(code, InvalidError)(detail)
    if isinstance(error, ConflictError):
        error.namespace, error.key = at
        error.revision, error.position = problem.get("revision", 0), problem.get("operation", 0)
    if isinstance(error, WrongTypeError):
        error.namespace, error.key = at[0], str(at[1])
    raise error


def path_of(namespace: str, key: str | None = None) -> str:
    """The path of a namespace, or of a key in it.

    Raises:
        InvalidError: A name is empty, and so no part of a path.
    """
    names: Sequence[str] = [namespace] if key is None else [namespace, key]
    if "" in names:
        raise InvalidError("a namespace and a key have 1 to 512 characters, but one has none")
    # A dot alone would be taken out of a path on its way.
    return "/api/kv/_/" + "/".join(quote(name, safe="").replace(".", "%2E") for name in names)


def condition(if_revision: int | None) -> dict[str, str] | None:
    """The header that makes a write insist on a revision; 0 stands for absent."""
    if if_revision is None:
        return None
    return {"If-None-Match": "*"} if if_revision == 0 else {"If-Match": f'"{if_revision}"'}


def body_of(value: Any, ttl: int | None) -> dict[str, object]:
    """A value with its type, as `Store` would keep it, judged by the store's own codec."""
    dumps(value)
    _check_json(value, "value")
    body: dict[str, object] = {"value": value}
    if isinstance(value, str):
        body["valueType"] = "string"
    elif isinstance(value, int) and not isinstance(value, bool) and -(2**53) < value < 2**53:
        body["valueType"] = "integer"
    return body if ttl is None else {**body, "expiresInSec": ttl}


def _check_json(value: object, path: str) -> None:
    """Refuses what JSON would lose or turn into something else."""
    if isinstance(value, bytes):
        raise TypeError(f"{path}: bytes cannot be written through the service; encode them as text")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path}: {value} cannot be written through the service, since JSON has no such number")
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{path}: the key {key!r} cannot be written through the service, which takes str alone")
            _check_json(member, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check_json(item, f"{path}[{place}]")


def cursor_behind(name: str) -> str:
    """The cursor of a list that goes on behind a name: to the service it is the last name that was seen."""
    return base64.urlsafe_b64encode(f"k{name}".encode()).decode().rstrip("=")


def entry_of(row: dict[str, Any]) -> RemoteEntry:
    """The entry that the service shows."""
    value = row["value"]
    if row.get("encoding") == "base64":
        value = base64.b64decode(value)
    elif row.get("encoding") == "msgpack+base64":
        value = loads(base64.b64decode(value))
    times = (row["createdAt"], row["updatedAt"], row["expiresAt"])
    return RemoteEntry(row["namespace"], row["key"], value, row["valueType"], row["revision"], *times)
