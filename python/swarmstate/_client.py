"""A client of the service with the calls of `Store`, so that code moves from its own store to a served one.

Values are what JSON holds. Only a read is sent again where nothing was answered, since a write may have
been carried out. httpx is imported when a client is made.
"""

import base64
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias
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

if TYPE_CHECKING:
    from typing_extensions import Self

_Query: TypeAlias = dict[str, str | int]

_PAGE = 1000
_MAX_BATCH = 64
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


class Client:
    """A store that is served elsewhere.

    It can be shared by threads, and is a context manager that closes it.

    Example:
        >>> with Client(server.url, server.api_key) as store:
        ...     store.increment("visits", "home")
        1
    """

    def __init__(
        self, url: str, token: str, *, agent: str | None = None, task: str | None = None, timeout: float = 30.0
    ) -> None:
        """Makes a client; the first call connects.

        Args:
            url: Where the service is, such as http://127.0.0.1:8484.
            token: The operator's key, or a token.
            agent: The agent to speak for; None = the token's own.
            task: The task that the calls belong to.
            timeout: Seconds that a call may take to connect, and again to send, and to answer.

        Raises:
            ImportError: httpx is not installed.
            InvalidError: The URL is none, or an argument holds what no header holds.
        """
        try:
            import httpx
        except ImportError as error:
            raise ImportError("Client needs httpx: pip install 'swarmstate[client]'") from error
        if not url.startswith(("http://", "https://")):
            raise InvalidError(f"the URL of a service is like http://127.0.0.1:8484, not {url!r}")
        headers = {"Authorization": f"Bearer {token}", "X-Agent-ID": agent, "X-Source-Task-Id": task}
        sent = {name: value for name, value in headers.items() if value is not None}
        if not all(value.isascii() and value.isprintable() for value in sent.values()):
            # The token is not shown.
            raise InvalidError("the token, the agent and the task are printable ASCII")
        self._url = url.rstrip("/")
        # Nothing is followed elsewhere, so the token goes nowhere else.
        self._http = httpx.Client(base_url=self._url, headers=sent, timeout=timeout, follow_redirects=False)

    def set(
        self, namespace: str, key: str, value: object, *, ttl: int | None = None, if_revision: int | None = None
    ) -> int:
        """Write a value, whatever stood there.

        Args:
            namespace: Where.
            key: Under which key.
            value: What JSON holds: None, bool, int, float, str, or a list or dict of these, as for Store.set.
            ttl: Whole seconds until it goes; None = it stays, and an expiry is cleared.
            if_revision: Only if the key is at this revision; 0 = only if it is absent.

        Returns:
            The revision of the write.

        Raises:
            TypeError: A part of the value is not storable, or not in JSON.
            ConflictError: The key is at another revision than `if_revision`.
            InvalidError: A name, the value or `ttl` is none that the service takes.
            TooLargeError: The value is above 2 MiB.
            UnavailableError: The service did not answer; the write may have happened.
        """
        body = _body(value, ttl)
        answer = self._send("PUT", _path(namespace, key), body, headers=_condition(if_revision), at=(namespace, key))
        return int(answer["revision"])

    def get(self, namespace: str, key: str, default: object = None) -> Any:
        """Read a value.

        Args:
            namespace: Where.
            key: Which key.
            default: What to return when the key is not live.

        Returns:
            The value, or `default`.
        """
        entry = self.entry(namespace, key)
        return default if entry is None else entry.value

    def entry(self, namespace: str, key: str) -> RemoteEntry | None:
        """Read a value with everything the service knows about it.

        Args:
            namespace: Where.
            key: Which key.

        Returns:
            The entry, or None when the key is not live.
        """
        try:
            return _entry(self._send("GET", _path(namespace, key)))
        except NotFoundError:
            return None

    def contains(self, namespace: str, key: str) -> bool:
        """Tell whether a key is live.

        Args:
            namespace: Where.
            key: Which key.

        Returns:
            True if it is.
        """
        return self.entry(namespace, key) is not None

    def delete(self, namespace: str, key: str, *, if_revision: int | None = None) -> bool:
        """Remove a key.

        Args:
            namespace: Where.
            key: Which key.
            if_revision: Only if the key is at this revision.

        Returns:
            True if it was live, False if nothing was there.

        Raises:
            ConflictError: The key is at another revision than `if_revision`.
            UnavailableError: The service did not answer; it may have been removed.
        """
        try:
            self._send("DELETE", _path(namespace, key), headers=_condition(if_revision), at=(namespace, key))
        except NotFoundError:
            return False
        return True

    def increment(self, namespace: str, key: str, by: int = 1) -> int:
        """Add to an integer, in one step: no increment is ever lost.

        Args:
            namespace: Where.
            key: Which key; an absent one counts as 0.
            by: What to add; may be negative.

        Returns:
            The sum.

        Raises:
            WrongTypeError: The key holds another kind of value.
            InvalidError: The sum leaves ±(2**53-1).
            UnavailableError: The service did not answer; it may have been added.
        """
        answer = self._send("POST", f"{_path(namespace, key)}/incr", {"by": by}, at=(namespace, key))
        return int(answer["value"])

    def claim(self, namespace: str, key: str, seconds: int, value: object = None) -> RemoteEntry | None:
        """Write a key for so long unless it is there, so that one of many gets it.

        Renew it by `set` and release it by `delete`, both with `if_revision`.

        Args:
            namespace: Where.
            key: Which key.
            seconds: How long the claim holds.
            value: What to write.

        Returns:
            The claim, or None if somebody else holds the key.
        """
        body = {"seconds": seconds, **_body(value, None)}
        answer = self._send("POST", f"{_path(namespace, key)}/claim", body, at=(namespace, key))
        return _entry(answer["entry"]) if answer["claimed"] else None

    def keys(self, namespace: str, *, prefix: str = "", limit: int | None = None) -> list[str]:
        """List a namespace's keys.

        Args:
            namespace: Where.
            prefix: Only keys that begin with this.
            limit: The most keys; None = all.

        Returns:
            The keys, ordered by their bytes.
        """
        rows = self._pages(_path(namespace), "entries", {"prefix": prefix, "keysOnly": "true"}, limit)
        return [row["key"] for row in rows]

    def items(self, namespace: str, *, prefix: str = "", limit: int | None = None) -> list[tuple[str, Any]]:
        """List a namespace's values.

        Args:
            namespace: Where.
            prefix: Only keys that begin with this.
            limit: The most values; None = all.

        Returns:
            (key, value) tuples, ordered by the bytes of the keys.
        """
        return [(entry.key, entry.value) for entry in self.entries(namespace, prefix=prefix, limit=limit)]

    def entries(self, namespace: str, *, prefix: str = "", limit: int | None = None) -> list[RemoteEntry]:
        """List a namespace's entries.

        Args:
            namespace: Where.
            prefix: Only keys that begin with this.
            limit: The most entries; None = all.

        Returns:
            The entries, ordered by the bytes of their keys.
        """
        return [_entry(row) for row in self._pages(_path(namespace), "entries", {"prefix": prefix}, limit)]

    def namespaces(self, *, prefix: str = "", limit: int | None = None) -> list[str]:
        """List the namespaces that hold a live key.

        Args:
            prefix: Only namespaces that begin with this.
            limit: The most namespaces; None = all.

        Returns:
            Their names, ordered by their bytes.
        """
        return list(self._pages("/api/namespaces", "namespaces", {"prefix": prefix}, limit))

    def set_many(self, items: Iterable[tuple[str, str, object]], *, ttl: int | None = None) -> None:
        """Write several values of one namespace: all of them or, on an error, none.

        Args:
            items: (namespace, key, value) tuples, at most 64 keys. Of equal addresses the last wins.
            ttl: Whole seconds until they go; None = they stay.

        Raises:
            UnsupportedError: They are of several namespaces.
            TooLargeError: There are more than 64 keys.
            Exception: As `set`; nothing is written.
        """
        latest = {(namespace, key): value for namespace, key, value in items}
        namespaces = {namespace for namespace, _ in latest}
        if len(namespaces) > 1:
            raise UnsupportedError("a service writes one namespace at once; call set_many once for each")
        if len(latest) > _MAX_BATCH:
            error = TooLargeError(f"{len(latest)} keys at once are more than the {_MAX_BATCH} that a service takes")
            error.size, error.limit = len(latest), _MAX_BATCH
            raise error
        for namespace in namespaces:
            operations = [{"op": "set", "key": key, **_body(value, ttl)} for (_, key), value in latest.items()]
            self._send("POST", _path(namespace), {"operations": operations}, at=(namespace, None))

    def get_many(self, pairs: Iterable[tuple[str, str]], *, default: object = None) -> list[Any]:
        """Read several values, one after the other.

        Args:
            pairs: (namespace, key) tuples.
            default: What stands for a key that is not live.

        Returns:
            The values, in the order of the pairs.
        """
        return [self.get(namespace, key, default) for namespace, key in pairs]

    def close(self) -> None:
        """Close the connections. Closing again is nothing."""
        self._http.close()

    def __enter__(self) -> "Self":
        """Return the client."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def __repr__(self) -> str:
        """Return the class and the URL, without the token."""
        return f"<Client of {self._url}>"

    def _pages(self, path: str, name: str, query: _Query, limit: int | None) -> Iterator[Any]:
        if limit is not None and limit < 1:
            if limit < 0:
                raise InvalidError(f"limit must not be negative, but is {limit}")
            return
        left, cursor = limit, None
        while left is None or left > 0:
            page = {"limit": _PAGE if left is None else min(left, _PAGE), **({"cursor": cursor} if cursor else {})}
            answer = self._send("GET", path, query={**query, **page})
            yield from answer[name]
            cursor = answer["nextCursor"]
            if cursor is None:
                return
            left = left if left is None else left - len(answer[name])

    def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: _Query | None = None,
        headers: dict[str, str] | None = None,
        at: tuple[str, str | None] = ("", None),
    ) -> Any:
        """What the service answers; a read is repeated where nothing was answered."""
        import httpx

        left = _ATTEMPTS if method == "GET" else 1
        while True:
            left -= 1
            try:
                response = self._http.request(method, path, json=body, params=query, headers=headers)
            except httpx.TransportError as error:
                if left:
                    continue
                raise UnavailableError(f"{self._url} does not answer: {type(error).__name__}: {error}") from error
            except httpx.HTTPError as error:
                raise UnavailableError(f"{self._url} does not speak as a service does: {error}") from error
            if response.status_code < 300:
                return response.json() if response.content else None
            _refuse(self._url, response.status_code, response.content, at)


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


def _path(namespace: str, key: str | None = None) -> str:
    """The path of a namespace, or of a key in it.

    Raises:
        InvalidError: A name is empty, and so no part of a path.
    """
    names: Sequence[str] = [namespace] if key is None else [namespace, key]
    if "" in names:
        raise InvalidError("a namespace and a key have 1 to 512 characters, but one has none")
    # A dot alone would be taken out of a path on its way.
    return "/api/kv/_/" + "/".join(quote(name, safe="").replace(".", "%2E") for name in names)


def _condition(if_revision: int | None) -> dict[str, str] | None:
    if if_revision is None:
        return None
    return {"If-None-Match": "*"} if if_revision == 0 else {"If-Match": f'"{if_revision}"'}


def _body(value: Any, ttl: int | None) -> dict[str, object]:
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


def _entry(row: dict[str, Any]) -> RemoteEntry:
    value = row["value"]
    if row.get("encoding") == "base64":
        value = base64.b64decode(value)
    elif row.get("encoding") == "msgpack+base64":
        value = loads(base64.b64decode(value))
    times = (row["createdAt"], row["updatedAt"], row["expiresAt"])
    return RemoteEntry(row["namespace"], row["key"], value, row["valueType"], row["revision"], *times)
