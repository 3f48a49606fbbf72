"""The candidates that keep state in files, each set up to last as long and to write as little as it can.

All but ours get values that `ormsgpack` has packed, and integers as integers, so none pickles. `connect` returns what
one thread works by; where a candidate lets threads share one object, it is that object. Folders are made by the caller.
"""

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

import diskcache
import ormsgpack
import sqlitedict
from subjects import NAMESPACE

import swarmstate

WAIT_SECONDS = 30
"""How long any of them waits for another process or thread."""
PAGE_BYTES = 4096
CACHE_KIB = 8 * 1024
"""What our engine gives each connection, and the `sqlite3` module gets too."""

Item = tuple[str, object]


class Ours:
    name = "swarmstate"
    has_increments = shares_between_processes = True

    def __init__(self, folder: Path, durability: str) -> None:
        self.store = swarmstate.SqliteStore(folder / "state.db", durability=durability, timeout=WAIT_SECONDS)

    def connect(self) -> "Ours":
        return self

    def set(self, key: str, value: object) -> None:
        self.store.set(NAMESPACE, key, value)

    def get(self, key: str) -> object:
        return self.store.get(NAMESPACE, key)

    def increment(self, key: str) -> int:
        return self.store.increment(NAMESPACE, key)

    def set_many(self, items: Iterable[Item]) -> None:
        self.store.set_many([(NAMESPACE, key, value) for key, value in items])

    def count(self, key: str) -> int:
        return self.get(key)

    def close(self) -> None:
        self.store.close()


class Connection:
    """One connection of Python's `sqlite3` to a table of (namespace, key), one commit for each call."""

    _SET = "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value"
    _GET = "SELECT value FROM state WHERE namespace = ? AND key = ?"
    _INCREMENT = (
        "INSERT INTO state VALUES (?, ?, 1) ON CONFLICT (namespace, key) DO UPDATE SET value = value + 1 "
        "RETURNING value"
    )

    def __init__(self, folder: Path, durability: str) -> None:
        # Several processes share a file, and a thread may close what another one opened.
        self.sql = sqlite3.connect(
            folder / "state.db", timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        for setting in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            f"synchronous = {durability.upper()}",
            f"cache_size = -{CACHE_KIB}",
        ):
            self.sql.execute(f"PRAGMA {setting}").fetchall()
        self.sql.execute(
            "CREATE TABLE IF NOT EXISTS state (namespace TEXT, key TEXT, value, PRIMARY KEY (namespace, key)) "
            "WITHOUT ROWID"
        )

    def set(self, key: str, value: object) -> None:
        self.sql.execute(self._SET, (NAMESPACE, key, ormsgpack.packb(value)))

    def get(self, key: str) -> object:
        return ormsgpack.unpackb(self.sql.execute(self._GET, (NAMESPACE, key)).fetchone()[0])

    def increment(self, key: str) -> int:
        return self.sql.execute(self._INCREMENT, (NAMESPACE, key)).fetchall()[0][0]

    def set_many(self, items: Iterable[Item]) -> None:
        rows = [(NAMESPACE, key, ormsgpack.packb(value)) for key, value in items]
        self.sql.execute("BEGIN IMMEDIATE")
        self.sql.executemany(self._SET, rows)
        self.sql.execute("COMMIT")

    def count(self, key: str) -> int:
        return self.sql.execute(self._GET, (NAMESPACE, key)).fetchone()[0]

    def close(self) -> None:
        self.sql.close()


class OneConnection:
    """One connection and a lock around each call: what a careful program with threads does."""

    name = "sqlite3, one connection"
    has_increments = shares_between_processes = True

    def __init__(self, folder: Path, durability: str) -> None:
        self.connection, self._lock = Connection(folder, durability), threading.Lock()

    def connect(self) -> "OneConnection":
        return self

    def set(self, key: str, value: object) -> None:
        with self._lock:
            self.connection.set(key, value)

    def get(self, key: str) -> object:
        with self._lock:
            return self.connection.get(key)

    def increment(self, key: str) -> int:
        with self._lock:
            return self.connection.increment(key)

    def set_many(self, items: Iterable[Item]) -> None:
        with self._lock:
            self.connection.set_many(items)

    def count(self, key: str) -> int:
        return self.connection.count(key)

    def close(self) -> None:
        self.connection.close()


class ConnectionEach:
    """A connection for each thread, that wait for each other inside SQLite."""

    name = "sqlite3, connection each"
    has_increments = shares_between_processes = True

    def __init__(self, folder: Path, durability: str) -> None:
        self._folder, self._durability, self._connections = folder, durability, []

    def connect(self) -> Connection:
        self._connections.append(Connection(self._folder, self._durability))
        return self._connections[-1]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class DiskCache:
    """`diskcache.Cache` without eviction, which would cost it a statement for each set."""

    name = "diskcache"
    has_increments = shares_between_processes = True

    def __init__(self, folder: Path, durability: str) -> None:
        self.cache = diskcache.Cache(
            str(folder),
            timeout=WAIT_SECONDS,
            eviction_policy="none",
            cull_limit=0,
            size_limit=2**40,
            sqlite_synchronous={"full": 2, "normal": 1}[durability],
        )

    def connect(self) -> "DiskCache":
        return self

    def set(self, key: str, value: object) -> None:
        self.cache.set(key, ormsgpack.packb(value))

    def get(self, key: str) -> object:
        return ormsgpack.unpackb(self.cache.get(key))

    def increment(self, key: str) -> int:
        return self.cache.incr(key)

    def set_many(self, items: Iterable[Item]) -> None:
        with self.cache.transact():
            for key, value in items:
                self.set(key, value)

    def count(self, key: str) -> int:
        return self.cache.get(key)

    def close(self) -> None:
        self.cache.close()


class SqliteDict:
    """`sqlitedict.SqliteDict` with a commit that is waited for after each call.

    It says of itself that threads may share it, not processes, and has no increment; it would switch `synchronous` off.
    """

    name = "sqlitedict"
    has_increments = shares_between_processes = False

    def __init__(self, folder: Path, durability: str) -> None:
        self.dict = sqlitedict.SqliteDict(
            str(folder / "state.db"),
            journal_mode="WAL",
            encode=lambda value: sqlite3.Binary(ormsgpack.packb(value)),
            decode=ormsgpack.unpackb,
            outer_stack=False,
        )
        self.dict.conn.execute(f"PRAGMA synchronous = {durability.upper()}")

    def connect(self) -> "SqliteDict":
        return self

    def set(self, key: str, value: object) -> None:
        self.dict[key] = value
        self.dict.commit()

    def get(self, key: str) -> object:
        return self.dict[key]

    def set_many(self, items: Iterable[Item]) -> None:
        self.dict.update(items)
        self.dict.commit()

    def close(self) -> None:
        self.dict.close()


RIVALS = (OneConnection, ConnectionEach, DiskCache, SqliteDict)
_SETTINGS = ("page_size", "journal_mode", "synchronous", "cache_size", "mmap_size", "wal_autocheckpoint")


def settings(folder: Path, durability: str) -> dict[str, dict[str, object]]:
    """The pragmas of each: what the rivals' own connections answer, and what our file says of itself."""
    found = {}
    for kind in (Ours, *RIVALS):
        place = folder / kind.name
        place.mkdir(parents=True)
        with opened(kind, place, durability) as candidate:
            if kind is not Ours:
                found[kind.name] = {name: _pragma(candidate, name) for name in _SETTINGS}
    ours = _header(folder / Ours.name / "state.db")
    return {Ours.name: {"durability": durability, "page_size": ours["page_size"], "journal_mode": ours["mode"]}} | found


def versions(folder: Path) -> dict[str, str]:
    """Which SQLite each uses: ours brings its own, the rivals share Python's."""
    folder.mkdir()
    with opened(Ours, folder, "normal"):
        pass
    return {"SQLite of swarmstate": _header(folder / "state.db")["version"], "SQLite of Python": sqlite3.sqlite_version}


def _pragma(candidate: object, name: str) -> object:
    ask = f"PRAGMA {name}"
    match candidate:
        case DiskCache():
            return candidate.cache._sql(ask).fetchone()[0]
        case SqliteDict():
            return candidate.dict.conn.select_one(ask)[0]
        case OneConnection():
            return candidate.connection.sql.execute(ask).fetchone()[0]
        case _:
            return candidate.connect().sql.execute(ask).fetchone()[0]


@contextmanager
def opened(kind: type, folder: Path, durability: str):
    """A candidate with its file in `folder`, which must be there."""
    candidate = kind(folder, durability)
    try:
        yield candidate
    finally:
        candidate.close()


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _header(file: Path) -> dict[str, object]:
    """What a file says of itself, once nothing has it open: reading it earlier would drop SQLite's locks on it."""
    first = file.read_bytes()[:100]
    number = int.from_bytes(first[96:100], "big")
    return {
        "page_size": int.from_bytes(first[16:18], "big"),
        "mode": "wal" if first[18:20] == b"\2\2" else "other",
        "version": f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}",
    }
