"""The threads that another package called swarmstate keeps, as its version 0.11 lays them out in a file or on Redis.

A file has a table of namespace, key and value, Redis a hash for each namespace with keys as fields; values are msgpack.
The names of namespaces and keys are joined by U+001F, which a thread's id may hold too: names that can be split in more
than one way belong to nobody, and are left out by who reads this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from swarmstate._core import loads
from swarmstate.exceptions import InvalidError, UnavailableError

SEPARATOR = "\x1f"
CHECKPOINTS, WRITES, BLOBS = "ck", "wr", "bl"
VALUES_AT_A_TIME = 100
SCHEMES = ("redis://", "rediss://", "unix://")

Typed = tuple[str, bytes]


class Saved(NamedTuple):
    """A checkpoint as it lies there.

    Attributes:
        parent_id: The checkpoint that it follows.
        checkpoint: The checkpoint, with the values of its channels unless they lie beside it.
        metadata: Its metadata.
    """

    parent_id: str | None
    checkpoint: Typed
    metadata: Typed


class Written(NamedTuple):
    """A write of a task as it lies there."""

    task_id: str
    task_path: str
    number: int
    channel: str
    value: Typed


class Rows(Protocol):
    """Namespaces with keys and values, wherever they lie."""

    def namespaces(self, kind: str) -> list[str]:
        """The namespaces of a kind, in order."""

    def count(self, namespace: str) -> int:
        """How many keys there are."""

    def values(self, namespace: str) -> Iterator[tuple[str, bytes]]:
        """Keys and values, in the order of the keys."""

    def get(self, namespace: str, keys: Sequence[str]) -> list[bytes | None]:
        """The values of some keys."""


class FileRows:
    """The rows of a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def namespaces(self, kind: str) -> list[str]:
        """The namespaces of a kind, in order."""
        found = self._connection.execute(
            "SELECT DISTINCT ns FROM kv WHERE ns >= ? AND ns < ? ORDER BY ns",
            (kind + SEPARATOR, kind + chr(ord(SEPARATOR) + 1)),
        )
        return [namespace for (namespace,) in found]

    def count(self, namespace: str) -> int:
        """How many keys there are."""
        (count,) = self._connection.execute("SELECT count(*) FROM kv WHERE ns = ?", (namespace,)).fetchone()
        return int(count)

    def values(self, namespace: str) -> Iterator[tuple[str, bytes]]:
        """Keys and values, in the order of the keys."""
        return self._connection.execute("SELECT k, v FROM kv WHERE ns = ? ORDER BY k", (namespace,))

    def get(self, namespace: str, keys: Sequence[str]) -> list[bytes | None]:
        """The values of some keys."""
        found = (
            self._connection.execute("SELECT v FROM kv WHERE ns = ? AND k = ?", (namespace, key)).fetchone()
            for key in keys
        )
        return [None if row is None else row[0] for row in found]


class RedisRows:
    """The rows on a server, which has one hash for each namespace.

    Args:
        client: A client of redis-py that gives bytes.
        prefix: What the names of the hashes begin with, before a colon.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}:".encode()

    def namespaces(self, kind: str) -> list[str]:
        """The namespaces of a kind, in order."""
        beginning = self._prefix + (kind + SEPARATOR).encode()
        names = set(self._client.scan_iter(match=_pattern(beginning), count=1000, _type="hash"))
        return sorted(_text(name[len(self._prefix) :]) for name in names if name.startswith(beginning))

    def count(self, namespace: str) -> int:
        """How many keys there are."""
        return int(self._client.hlen(self._name(namespace)))

    def values(self, namespace: str) -> Iterator[tuple[str, bytes]]:
        """Keys and values, in the order of the keys; those that go meanwhile are left out."""
        keys = sorted(map(_text, self._client.hkeys(self._name(namespace))))
        for first in range(0, len(keys), VALUES_AT_A_TIME):
            page = keys[first : first + VALUES_AT_A_TIME]
            for key, value in zip(page, self.get(namespace, page), strict=True):
                if value is not None:
                    yield key, value

    def get(self, namespace: str, keys: Sequence[str]) -> list[bytes | None]:
        """The values of some keys."""
        return list(self._client.hmget(self._name(namespace), [_bytes(key) for key in keys])) if keys else []

    def _name(self, namespace: str) -> bytes:
        return self._prefix + _bytes(namespace)


def _text(name: bytes) -> str:
    """A name as text; bytes that are none stand in it as they are, and no store of ours takes them."""
    return name.decode("utf-8", "surrogateescape")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _pattern(beginning: bytes) -> bytes:
    """A pattern of Redis that names with `beginning` match, and no others."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"\\*?[]^" else bytes([byte]) for byte in beginning) + b"*"


@contextmanager
def connected(url: str, prefix: str) -> Iterator[RedisRows]:
    """The rows on the server that a URL names.

    Raises:
        InvalidError: redis-py is not installed, or the URL is wrong.
        UnavailableError: The server does not answer, or not as asked.
    """
    try:
        import redis
    except ImportError:
        raise InvalidError("reading from Redis needs the package redis: pip install redis") from None
    try:
        client = redis.Redis.from_url(url, decode_responses=False)
    except ValueError:
        # What the client says of it may show a part of a password.
        raise InvalidError("the URL of the Redis server is wrong; percent-encode user and password") from None
    try:
        yield RedisRows(client, prefix)
    except redis.RedisError as error:
        raise UnavailableError(f"the Redis server does not give what it holds: {error}") from error
    finally:
        client.close()


def split(namespace: str, parts: int) -> list[str] | None:
    """What stands behind the kind in the name of a namespace; None where it can be split in more than one way."""
    found = namespace.split(SEPARATOR)[1:]
    return found if len(found) == parts else None


def read_checkpoint(value: bytes) -> Saved:
    """The checkpoint in a value.

    Raises:
        ValueError: The value is none.
    """
    saved = _record(value, dict)
    parent_id = saved.get("parent") or None
    if not isinstance(parent_id, str | None):
        raise ValueError("it is no id")
    return Saved(parent_id, _typed(saved.get("cp")), _typed(saved.get("md")))


def read_write(key: str, value: bytes) -> Written:
    """The write in a value.

    Raises:
        ValueError: The value, or the key, is that of none.
    """
    task, separator, index = key.rpartition(SEPARATOR)
    saved = _record(value, list)
    # The first versions did not keep the path.
    if not separator or not 3 <= len(saved) <= 4 or saved[0] != task:
        raise ValueError("it is no write")
    channel, path = saved[1], saved[3] if len(saved) == 4 else ""
    if not (isinstance(channel, str) and isinstance(path, str)):
        raise ValueError("it is no write")
    return Written(task, path, int(index), channel, _typed(saved[2]))


def channels_beside(rows: Rows, place: str, versions: Iterable[tuple[str, Any]]) -> dict[str, Typed]:
    """The values of channels at their versions, where they lie beside their checkpoints.

    Raises:
        ValueError: One of them is no value.
    """
    named = list(versions)
    keys = [f"{channel}{SEPARATOR}{version}" for channel, version in named]
    found: dict[str, Typed] = {}
    for (channel, _), value in zip(named, rows.get(f"{BLOBS}{SEPARATOR}{place}", keys), strict=True):
        record = ["empty"] if value is None else _record(value, list)
        if record[:1] == ["v"]:
            found[channel] = _typed(record[1:])
        elif record != ["empty"]:
            raise ValueError("it is no value of a channel")
    return found


def _record(value: bytes, kind: type) -> Any:
    record = loads(value)
    if not isinstance(record, kind):
        raise ValueError(f"it is no {kind.__name__}")
    return record


def _typed(value: Any) -> Typed:
    if not (isinstance(value, list) and [type(part) for part in value] == [str, bytes]):
        raise ValueError("it is no serialized value")
    form, stored = value
    return form, stored
