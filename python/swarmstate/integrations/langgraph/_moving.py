"""Moving in: the threads of LangGraph's own saver in a SQLite file, or of the other swarmstate, become threads of ours.

A checkpoint holds the values of its channels there and not here, so its bytes are taken apart and values packed again
as they were: no object of a thread is made on the way, and its classes need not be there. How the other swarmstate
keeps them is left to `_namesake`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from swarmstate.exceptions import InvalidError
from swarmstate.integrations.langgraph import _namesake
from swarmstate.integrations.langgraph._saver import SwarmStateSaver

Progress = Callable[[int, int], None]
Typed = tuple[str, bytes]

ROWS_BETWEEN_PROGRESS = 100
CHECKPOINTS = """
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints
    ORDER BY thread_id, checkpoint_ns, checkpoint_id
"""
WRITES = """
    SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, {task_path}, idx, channel, type, value FROM writes
    ORDER BY thread_id, checkpoint_ns, checkpoint_id, task_id, idx
"""


class ImportedThreads(NamedTuple):
    """What an import of threads came to.

    Attributes:
        threads: How many threads have a checkpoint that was stored.
        checkpoints: How many checkpoints were stored.
        writes: How many pending writes were stored.
        unreadable: How many checkpoints and writes could not be read, and were left out.
    """

    threads: int
    checkpoints: int
    writes: int
    unreadable: int


def import_langgraph(
    file: str | os.PathLike[str],
    saver: SwarmStateSaver,
    *,
    prefix: str = "swarmstate",
    progress: Progress | None = None,
) -> ImportedThreads:
    """Store all threads that another saver keeps, which are only read.

    They come from a file of LangGraph's `SqliteSaver`, or from what version 0.11 of another package called swarmstate
    keeps in a file (`DiskStore`) or on Redis (`RedisStore`). A file is read as of one moment; what a server holds is
    read as it goes, so stop who writes there. A repeat stores the same again and changes nothing, so an import that was
    ended halfway is completed by it. What a thread here holds besides stays.

    Args:
        file: The SQLite file, or the URL of the server: redis://, rediss:// or unix://, which needs the package redis.
        saver: Where they go; its serializer must read what the other one's wrote.
        prefix: What the keys on the server begin with.
        progress: Called as progress(done, total) with counts of checkpoints and writes, at times and at the end; an
            exception from it ends the import.

    Returns:
        How many threads, checkpoints and writes were stored, and how many could not be read.

    Raises:
        FileNotFoundError: There is no such file.
        InvalidError: It is no such file, or the URL is wrong, and nothing is stored; or the file is damaged, and what
            was stored by then stays.
        UnavailableError: The store, or the server, does not answer; what was stored by then stays.

    Example:
        >>> import_langgraph("absent.db", SwarmStateSaver())  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: ...absent.db: there is no such file
    """
    tell = progress or (lambda done, total: None)
    if isinstance(file, str) and file.startswith(_namesake.SCHEMES):
        with _namesake.connected(file, prefix) as rows:
            return _import(_Beside(rows, saver), tell)
    path = os.path.abspath(os.fspath(file))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such file")
    with closing(sqlite3.connect(f"{_url(path)}?mode=ro", uri=True, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "kv" in tables and "checkpoints" not in tables:
                return _import(_Beside(_namesake.FileRows(connection), saver), tell)
            return _import(_Whole(connection, saver), tell)
        except sqlite3.DatabaseError as error:
            raise InvalidError(f"{path} cannot be read as the file of a saver: {error}") from error


def _url(path: str) -> str:
    return "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


# What a row became: its kind, and the thread that it was stored in, or None where it could not be read.
Outcome = tuple[str, str | None]


class _Source(Protocol):
    def total(self) -> int:
        """How many checkpoints and writes there are."""

    def store_all(self) -> Iterator[Outcome]:
        """Store them one by one."""


def _import(source: _Source, progress: Progress) -> ImportedThreads:
    total = source.total()
    threads: set[str] = set()
    stored = {"checkpoints": 0, "writes": 0}
    done = 0
    for kind, thread_id in source.store_all():
        if thread_id is not None:
            stored[kind] += 1
            threads.add(thread_id)
        done += 1
        if done % ROWS_BETWEEN_PROGRESS == 0:
            progress(done, total)
    progress(done, total)
    return ImportedThreads(len(threads), **stored, unreadable=done - sum(stored.values()))


class _Whole:
    """The rows of a `SqliteSaver`, where a checkpoint holds the values of its channels."""

    def __init__(self, connection: sqlite3.Connection, saver: SwarmStateSaver) -> None:
        self._connection = connection
        self._reader = _Reader(saver)

    def total(self) -> int:
        tables = ("checkpoints", "writes")
        return sum(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

    def store_all(self) -> Iterator[Outcome]:
        for row in self._connection.execute(CHECKPOINTS):
            yield "checkpoints", row[0] if self._checkpoint(row) else None
        for row in self._connection.execute(WRITES.format(task_path=self._task_path())):
            yield "writes", row[0] if self._write(row) else None

    def _checkpoint(self, row: tuple[Any, ...]) -> bool:
        thread_id, checkpoint_ns, checkpoint_id, parent_id, form, stored, metadata = row
        try:
            known = json.loads(metadata) if metadata is not None else {}
        except (TypeError, ValueError):
            return False
        if not isinstance(known, dict):
            return False
        address = (thread_id, checkpoint_ns, checkpoint_id, parent_id or None)
        return self._reader.checkpoint(address, (form, stored), known, _nothing_beside)

    def _write(self, row: tuple[Any, ...]) -> bool:
        thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, index, channel, form, value = row
        written = (index, channel, (form, value))
        return self._reader.write(thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, written)

    def _task_path(self) -> str:
        """The column of a task's place in the graph, which early files lack."""
        columns = [column[1] for column in self._connection.execute("PRAGMA table_info(writes)")]
        return "task_path" if "task_path" in columns else "''"


class _Beside:
    """The rows of the other swarmstate, where the values of channels may lie beside the checkpoints."""

    def __init__(self, rows: _namesake.Rows, saver: SwarmStateSaver) -> None:
        self._rows = rows
        self._reader = _Reader(saver)

    def total(self) -> int:
        kinds = (_namesake.CHECKPOINTS, _namesake.WRITES)
        return sum(self._rows.count(namespace) for kind in kinds for namespace in self._rows.namespaces(kind))

    def store_all(self) -> Iterator[Outcome]:
        for namespace in self._rows.namespaces(_namesake.CHECKPOINTS):
            place = _namesake.split(namespace, 2)
            for checkpoint_id, value in self._rows.values(namespace):
                is_stored = place is not None and self._checkpoint(place[0], place[1], checkpoint_id, value)
                yield "checkpoints", place[0] if place and is_stored else None
        for namespace in self._rows.namespaces(_namesake.WRITES):
            place = _namesake.split(namespace, 3)
            for key, value in self._rows.values(namespace):
                is_stored = place is not None and self._write(place, key, value)
                yield "writes", place[0] if place and is_stored else None

    def _checkpoint(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, value: bytes) -> bool:
        try:
            saved = _namesake.read_checkpoint(value)
        except Exception:
            return False
        address = (thread_id, checkpoint_ns, checkpoint_id, saved.parent_id)
        place = f"{thread_id}{_namesake.SEPARATOR}{checkpoint_ns}"
        return self._reader.checkpoint(
            address,
            saved.checkpoint,
            saved.metadata,
            lambda versions: _namesake.channels_beside(self._rows, place, versions),
        )

    def _write(self, place: Sequence[str], key: str, value: bytes) -> bool:
        thread_id, checkpoint_ns, checkpoint_id = place
        try:
            found = _namesake.read_write(key, value)
        except Exception:
            return False
        written = (found.number, found.channel, found.value)
        return self._reader.write(thread_id, checkpoint_ns, checkpoint_id, found.task_id, found.task_path, written)


Address = tuple[str, str, str, str | None]
Versions = Iterable[tuple[str, Any]]
Seen = dict[str, dict[str, Any]]


class _Reader:
    """Reads checkpoints and writes and stores them; what cannot be read is left out."""

    def __init__(self, saver: SwarmStateSaver) -> None:
        self._store = saver.store
        self._threads = saver._threads
        self._serde = saver.serde
        self._is_plain = isinstance(saver.serde, JsonPlusSerializer)
        self._place: tuple[str, str] | None = None
        self._stored: set[tuple[str, Any]] = set()

    def checkpoint(
        self,
        address: Address,
        packed: Typed,
        metadata: dict[str, Any] | Typed,
        beside: Callable[[Versions], dict[str, Typed]],
    ) -> bool:
        """Store a checkpoint; the values of its channels are `beside` it where it does not hold them."""
        thread_id, checkpoint_ns, _, _ = address
        try:
            known = self._metadata(metadata)
            rest = self._unpacked(*packed)
            versions, held = rest.pop("channel_versions"), rest.pop("channel_values", None)
            wanted = self._wanted(thread_id, checkpoint_ns, versions)
            dumps = _packed if self._keeps_bytes(packed[0]) else self._serde.dumps_typed
            values = {channel: dumps(held[channel]) for channel, _ in wanted if channel in held} if held else {}
        except Exception:
            return False
        try:
            # Values that cannot be read are one of these errors; a place that cannot be reached ends the import.
            if held is None:
                values = beside(wanted)
            named = {channel: _named(version, values.get(channel)) for channel, version in versions.items()}
            if named != versions:
                rest["versions_seen"] = _seen(rest["versions_seen"], versions, named)
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        new = [item for item in named.items() if item not in self._stored]
        rest["channel_versions"] = named
        rest["channel_values"] = {channel: _Kept(values[channel]) for channel, _ in new if channel in values}
        if not self._is_taken(self._threads.put, *address, rest, known, dict(new), _Packer(dumps)):
            return False
        self._stored.update(new)
        return True

    def _wanted(self, thread_id: str, checkpoint_ns: str, versions: dict[str, Any]) -> list[tuple[str, Any]]:
        """The channels whose values are needed: those that are not stored yet, or all to name versions by them."""
        if (thread_id, checkpoint_ns) != self._place:
            self._place, self._stored = (thread_id, checkpoint_ns), set()
        if all(isinstance(version, str) for version in versions.values()):
            return [item for item in versions.items() if item not in self._stored]
        return [*versions.items()]

    def write(
        self,
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str,
        task_id: str,
        task_path: str,
        written: tuple[int, str, Typed],
    ) -> bool:
        """Store a write: its index, channel and value."""
        try:
            self._unpacked(*written[2])
        except Exception:
            return False
        index, channel, typed = written
        address, kept = (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path), [(index, channel, _Kept(typed))]
        return self._is_taken(self._threads.put_writes, *address, kept, _Packer(_packed))

    def _is_taken(self, put: Callable[..., None], *arguments: Any) -> bool:
        """Whether the store takes it; names and numbers that no store of ours takes are as good as unreadable."""
        try:
            put(*arguments)
        except (KeyError, TypeError, ValueError, AttributeError):
            # A store that is closed says so here.
            self._store.contains("", "")
            return False
        return True

    def _metadata(self, metadata: dict[str, Any] | Typed) -> _KeptDict:
        """Metadata, which knows as what it is stored."""
        if isinstance(metadata, dict):
            return _KeptDict(metadata, self._serde.dumps_typed(metadata))
        return _KeptDict(self._unpacked(*metadata), metadata)

    def _keeps_bytes(self, form: str) -> bool:
        """Whether objects in values of that form stay as they were packed."""
        return self._is_plain and form == "msgpack"

    def _unpacked(self, form: str, stored: bytes) -> Any:
        if self._keeps_bytes(form):
            return ormsgpack.unpackb(stored, ext_hook=ormsgpack.Ext, option=ormsgpack.OPT_NON_STR_KEYS)
        return self._serde.loads_typed((form, stored))


class _Kept:
    """A value that is packed already."""

    def __init__(self, typed: Typed) -> None:
        self.typed = typed


class _KeptDict(dict[str, Any]):
    """A dict that is packed already."""

    def __init__(self, items: dict[str, Any], typed: Typed) -> None:
        super().__init__(items)
        self.typed = typed


class _Packer:
    """A serializer that leaves what is packed already as it is."""

    def __init__(self, dumps: Callable[[Any], Typed]) -> None:
        self._dumps = dumps

    def dumps_typed(self, obj: Any) -> Typed:
        return obj.typed if isinstance(obj, _Kept | _KeptDict) else self._dumps(obj)


def _nothing_beside(versions: Versions) -> dict[str, Typed]:
    raise ValueError("the checkpoint holds no values")


def _named(version: Any, value: Typed | None) -> str:
    """A version as ours are: a number and what tells branches apart that reach the same one.

    Some savers give plain numbers, which would not compare with the versions that follow here, and which two branches
    share though their values differ. The value itself tells them apart, the same at every import.
    """
    if isinstance(version, str):
        return version
    if version < 0 or version != int(version):
        raise ValueError("it is no version")
    form, stored = value or ("", b"")
    digest = blake2b(form.encode() + b"\0" + stored, digest_size=8).hexdigest()
    return f"{int(version):032}.{digest}"


def _seen(seen: Seen, versions: dict[str, Any], named: dict[str, str]) -> Seen:
    """The versions that nodes have seen, as they are named now."""

    def renamed(channel: str, version: Any) -> str:
        return named[channel] if versions.get(channel) == version else _named(version, None)

    return {
        node: {channel: renamed(channel, version) for channel, version in its.items()} for node, its in seen.items()
    }


def _packed(value: Any) -> Typed:
    """A part of a checkpoint as LangGraph's serializer packs it, where objects are still as they were packed."""
    if value is None:
        return "null", b""
    if isinstance(value, bytes):
        return "bytes", value
    return "msgpack", ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)
