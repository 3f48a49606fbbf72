"""Moving in: the threads of LangGraph's own saver in a SQLite file become threads of ours.

A checkpoint holds the values of its channels there and not here, so its bytes are taken apart and values packed again
as they were: no object of a thread is made on the way, and its classes need not be there.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import ormsgpack
from langgraph.checkpoint.base import CheckpointMetadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from swarmstate.exceptions import InvalidError
from swarmstate.integrations.langgraph._saver import SwarmStateSaver, _origin

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
    file: str | os.PathLike[str], saver: SwarmStateSaver, *, progress: Progress | None = None
) -> ImportedThreads:
    """Store all threads of a `SqliteSaver`'s file, which is only read, as of one moment.

    A repeat stores the same again and changes nothing, so an import that was ended halfway is completed by it. What a
    thread here holds besides stays.

    Args:
        file: The SQLite file.
        saver: Where they go; its serializer must read what the other one's wrote.
        progress: Called as progress(done, total) with counts of checkpoints and writes, at times and at the end; an
            exception from it ends the import.

    Returns:
        How many threads, checkpoints and writes were stored, and how many could not be read.

    Raises:
        FileNotFoundError: There is no such file.
        InvalidError: It is no file of a `SqliteSaver`, and nothing is stored; or it is damaged, and what was stored by
            then stays.
        UnavailableError: The store does not answer; what was stored by then stays.

    Example:
        >>> import_langgraph("absent.db", SwarmStateSaver())  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: ...absent.db: there is no such file
    """
    path = os.path.abspath(os.fspath(file))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such file")
    with closing(sqlite3.connect(f"{_url(path)}?mode=ro", uri=True, isolation_level=None)) as connection:
        try:
            return _import(connection, saver, progress or (lambda done, total: None))
        except sqlite3.DatabaseError as error:
            raise InvalidError(f"{path} cannot be read as the file of a SqliteSaver: {error}") from error


def _url(path: str) -> str:
    return "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _import(connection: sqlite3.Connection, saver: SwarmStateSaver, progress: Progress) -> ImportedThreads:
    connection.execute("BEGIN")
    total = sum(
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("checkpoints", "writes")
    )
    reader = _Reader(saver)
    threads: set[str] = set()
    stored = {"checkpoints": 0, "writes": 0}
    done = 0
    for kind, rows, store in (
        ("checkpoints", connection.execute(CHECKPOINTS), reader.checkpoint),
        ("writes", connection.execute(WRITES.format(task_path=_task_path(connection))), reader.write),
    ):
        for row in rows:
            if store(row):
                stored[kind] += 1
                threads.add(row[0])
            done += 1
            if done % ROWS_BETWEEN_PROGRESS == 0:
                progress(done, total)
    progress(done, total)
    return ImportedThreads(len(threads), **stored, unreadable=done - sum(stored.values()))


def _task_path(connection: sqlite3.Connection) -> str:
    """The column of a task's place in the graph, which early files lack."""
    columns = [column[1] for column in connection.execute("PRAGMA table_info(writes)")]
    return "task_path" if "task_path" in columns else "''"


class _Reader:
    """Reads rows and stores them; a row that cannot be read is left out."""

    def __init__(self, saver: SwarmStateSaver) -> None:
        self._threads = saver._threads
        self._serde = saver.serde
        self._is_plain = isinstance(saver.serde, JsonPlusSerializer)
        self._place: tuple[str, str] | None = None
        self._stored: set[tuple[str, Any]] = set()

    def checkpoint(self, row: tuple[Any, ...]) -> bool:
        thread_id, checkpoint_ns, checkpoint_id, parent_id, form, stored, metadata = row
        try:
            known: CheckpointMetadata = json.loads(metadata) if metadata is not None else {}
            origin = _origin(known)
            rest = self._unpacked(form, stored)
            dumps = _packed if self._keeps_bytes(form) else self._serde.dumps_typed
            values, versions = rest.pop("channel_values"), rest.pop("channel_versions")
            if (thread_id, checkpoint_ns) != self._place:
                self._place, self._stored = (thread_id, checkpoint_ns), set()
            new = [
                (channel, version) for channel, version in versions.items() if (channel, version) not in self._stored
            ]
            rows = [(name, version, dumps(values[name]) if name in values else None) for name, version in new]
            packed = dumps(rest)
        except Exception:
            return False
        typed = self._serde.dumps_typed(known)
        self._threads.put(
            thread_id, checkpoint_ns, checkpoint_id, parent_id or None, packed, typed, origin, versions, rows
        )
        self._stored.update(new)
        return True

    def write(self, row: tuple[Any, ...]) -> bool:
        thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, index, channel, form, value = row
        try:
            self._unpacked(form, value)
        except Exception:
            return False
        self._threads.put_writes(
            thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, [(index, channel, (form, value))]
        )
        return True

    def _keeps_bytes(self, form: str) -> bool:
        """Whether objects in values of that form stay as they were packed."""
        return self._is_plain and form == "msgpack"

    def _unpacked(self, form: str, stored: bytes) -> Any:
        if self._keeps_bytes(form):
            return ormsgpack.unpackb(stored, ext_hook=ormsgpack.Ext, option=ormsgpack.OPT_NON_STR_KEYS)
        return self._serde.loads_typed((form, stored))


def _packed(value: Any) -> Typed:
    """A part of a checkpoint as LangGraph's serializer packs it, where objects are still as they were packed."""
    if value is None:
        return "null", b""
    if isinstance(value, bytes):
        return "bytes", value
    return "msgpack", ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)
