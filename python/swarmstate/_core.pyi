import os
from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, final

from _typeshed import SupportsRead, SupportsWrite
from typing_extensions import Self, disjoint_base

__all__ = [
    "Batch",
    "Cache",
    "Capabilities",
    "Checkpoints",
    "Clock",
    "Completions",
    "Entry",
    "Fetched",
    "Items",
    "Outcome",
    "RedisStore",
    "Server",
    "Snapshot",
    "SqliteStore",
    "Store",
    "Threads",
    "context_key",
    "copy",
    "dumps",
    "export",
    "finish_handed_over",
    "import_",
    "loads",
    "open",
    "serve",
    "serve_stdio",
]

# What `set` takes. What lies inside is judged when it is set: a recursive alias would refuse every TypedDict, and
# `dict[str, object]`, which is what a type checker infers for a dict of mixed values.
_Storable: TypeAlias = (
    bool | int | float | str | bytes | list[Any] | tuple[Any, ...] | dict[Any, Any] | Mapping[str, object] | None
)
_Kind: TypeAlias = Literal["integer", "string", "bytes", "json"]
_Pairs: TypeAlias = list[tuple[str, str]]

class _Diff(TypedDict):
    added: _Pairs
    removed: _Pairs
    changed: _Pairs

class _Imported(TypedDict):
    entries: int
    expired: int

_Path: TypeAlias = str | os.PathLike[str]

# LangGraph's values are whatever a serializer takes, and serialized (form, bytes).
_Serialized: TypeAlias = tuple[str, bytes]
_Version: TypeAlias = str | int | float
_Names: TypeAlias = list[str]
_PendingWrites: TypeAlias = list[tuple[str, str, Any]]
_Histories: TypeAlias = list[tuple[_PendingWrites] | tuple[_PendingWrites, Any]]
_Overview: TypeAlias = list[tuple[str, str | None, float, int]]
_Writes: TypeAlias = list[tuple[int, str, Any]]
_SavedCheckpoint: TypeAlias = tuple[str, str | None, Any, Any, _PendingWrites]

class _Serializer(Protocol):
    def dumps_typed(self, obj: Any, /) -> tuple[str, bytes]: ...
    def loads_typed(self, data: tuple[str, bytes], /) -> Any: ...

_Labels: TypeAlias = tuple[str, ...]
_Question: TypeAlias = (
    tuple[Literal["get"], _Labels, str, bool]
    | tuple[Literal["search"], _Labels, dict[str, Any] | None, int, int, bytes | None, bool]
    | tuple[Literal["list"], list[tuple[Literal["prefix", "suffix"], _Labels]], int | None, int, int]
)
_Item: TypeAlias = tuple[_Labels, str, dict[str, Any], float, float, float | None]
_Change: TypeAlias = tuple[_Labels, str, dict[str, Any] | None, float | None, list[bytes]]

_Place: TypeAlias = tuple[_Labels, str]
_Cached: TypeAlias = tuple[_Labels, str, _Serialized, float | None]

@disjoint_base
class Store:
    """A namespaced store of msgpack values, in this process' memory.

    Any number of threads may use one store at once. What is read is a copy: changing it changes nothing in the store.

    Args:
        backend: Where state lives: "memory".
        codec: How values are serialized: "msgpack".
        max_history: The most snapshots to retain; None = unlimited. Cap it in long-running processes to bound memory.
        clock: What tells the time; None = the system's clock. Tests pass a Clock and move it.

    Raises:
        InvalidError: `backend` or `codec` is unknown, or `max_history` is 0.

    Example:
        >>> store = Store()
        >>> revision = store.set("workflow", "onboarding", {"step": 3})
        >>> store.get("workflow", "onboarding")
        {'step': 3}
    """

    def __new__(
        cls,
        backend: str = "memory",
        codec: str = "msgpack",
        max_history: int | None = None,
        *,
        clock: Clock | None = None,
    ) -> Self: ...
    def set(
        self,
        namespace: str,
        key: str,
        value: _Storable,
        *,
        ttl: float | None = None,
        if_revision: int | None = None,
    ) -> int:
        """Write a value, whatever stood there.

        Args:
            namespace: Where.
            key: Under which key.
            value: None, bool, int from -2**63 to 2**64-1, float, str, bytes, or a list, tuple or dict of these.
            ttl: Seconds until it goes, an int or float above 0; None = it stays, and an expiry is cleared.
            if_revision: Only if the key is at this revision; 0 = only if it is absent.

        Returns:
            The revision of the write: a positive int, higher than any that the namespace gave before.

        Raises:
            TypeError: A part of the value is not storable; the message gives the path to it.
            ValueError: An int is out of range, or the value nests too deep or contains itself.
            ConflictError: The key is at another revision than `if_revision`; read again, decide again.
            TooLargeError: The value is above 256 MiB.
            InvalidError: A name is above 4,096 bytes, or `ttl` is not above 0.
        """
    def get(self, namespace: str, key: str, default: object = None) -> Any:
        """Read a value.

        Args:
            namespace: Where.
            key: Which key.
            default: What to return when the key is not live.

        Returns:
            A new copy of the value, or `default`.
        """
    def entry(self, namespace: str, key: str) -> Entry | None:
        """Read a value with everything the store knows about it.

        Args:
            namespace: Where.
            key: Which key.

        Returns:
            The entry, or None when the key is not live.
        """
    def contains(self, namespace: str, key: str) -> bool:
        """Tell whether a key is live.

        Args:
            namespace: Where.
            key: Which key.

        Returns:
            True if it is.
        """
    def delete(self, namespace: str, key: str, *, if_revision: int | None = None) -> bool:
        """Remove a key.

        Args:
            namespace: Where.
            key: Which key.
            if_revision: Only if the key is at this revision.

        Returns:
            True if it was live, False if nothing was there.

        Raises:
            ConflictError: The key is at another revision than `if_revision`, or absent.
        """
    def increment(self, namespace: str, key: str, by: int = 1, *, ttl: float | None = None) -> int:
        """Add to an integer, in one step: no increment is ever lost.

        Args:
            namespace: Where.
            key: Which key; an absent one counts as 0.
            by: What to add; may be negative.
            ttl: Seconds until it goes, if this creates the key; a live one keeps its own expiry.

        Returns:
            The sum.

        Raises:
            WrongTypeError: The key holds something else than an int within 64 bits.
            InvalidError: The sum is outside the 64-bit integers.
        """
    def touch(self, namespace: str, key: str, ttl: float | None) -> bool:
        """Set or clear the expiry of a live key. The value stays; the revision rises.

        Args:
            namespace: Where.
            key: Which key.
            ttl: Seconds from now until it goes, an int or float above 0; None = it stays.

        Returns:
            True if the key is live, False if nothing was there.
        """
    def keys(
        self,
        namespace: str,
        *,
        prefix: str = "",
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[str]:
        """List a namespace's keys.

        Args:
            namespace: Which one.
            prefix: Only keys that begin with this.
            after: Only keys behind this one in the order of the list; it need not exist.
            reverse: Greatest key first.
            limit: The most keys; None = all.

        Returns:
            The keys, ordered by their bytes.
        """
    def items(
        self,
        namespace: str,
        *,
        prefix: str = "",
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[str, Any]]:
        """List a namespace's entries.

        Args:
            namespace: Which one.
            prefix: Only keys that begin with this.
            after: Only keys behind this one in the order of the list; it need not exist.
            reverse: Greatest key first.
            limit: The most entries; None = all.

        Returns:
            (key, value) pairs, ordered by the bytes of the keys.
        """
    def namespaces(
        self, *, prefix: str = "", after: str | None = None, reverse: bool = False, limit: int | None = None
    ) -> list[str]:
        """List the namespaces that hold a live key.

        Args:
            prefix: Only namespaces that begin with this.
            after: Only namespaces behind this one in the order of the list.
            reverse: Greatest first.
            limit: The most namespaces; None = all.

        Returns:
            Their names, ordered by their bytes.
        """
    def set_many(self, items: Iterable[tuple[str, str, _Storable]], *, ttl: float | None = None) -> None:
        """Write several values: all of them or, on an error, none.

        Args:
            items: (namespace, key, value) tuples. Of equal addresses the last wins.
            ttl: Seconds until they go; None = they stay.

        Raises:
            TooLargeError: More than the engine takes in one batch (see `capabilities`).
            Exception: As `set`; nothing is written.
        """
    def get_many(self, pairs: Iterable[tuple[str, str]], *, default: object = None) -> list[Any]:
        """Read several values. Within one namespace they are of one instant.

        Args:
            pairs: (namespace, key) tuples.
            default: What stands for a key that is not live.

        Returns:
            The values, in the order of the pairs.
        """
    def delete_namespace(self, namespace: str) -> bool:
        """Remove a namespace with all its keys.

        Args:
            namespace: Which one.

        Returns:
            True if a key of it was live.
        """
    def copy_namespace(self, source: str, target: str) -> bool:
        """Copy a namespace into one that holds nothing. In memory it costs nothing: both share what neither changes.

        Args:
            source: What to copy, as one consistent cut; times and expiries included.
            target: Where to.

        Returns:
            True if there was something to copy.

        Raises:
            ConflictError: The target holds a live key; nothing is changed.
        """
    def batch(self) -> Batch:
        """Collect changes, and carry them out together or not at all when the with block ends without an error.

        Returns:
            A Batch, to be used in a with statement.

        Example:
            >>> store = Store()
            >>> with store.batch() as batch:
            ...     batch.set("jobs", "a", "done")
            ...     batch.increment("totals", "done")
            >>> store.get("totals", "done")
            1
        """
    def clear(self) -> None:
        """Remove every entry. Snapshots that were taken are kept."""
    def snapshot(self) -> Snapshot:
        """Take a snapshot of the whole store. What is due by then is removed first.

        In memory it costs the same for ten entries or a million: nothing is copied.

        Returns:
            The snapshot. The store retains it too, as far as `max_history` allows.
        """
    def restore(self, snapshot: Snapshot) -> None:
        """Make the whole store what a snapshot holds: every namespace and key, with the revisions they had.

        Args:
            snapshot: A snapshot of this store, or of another one of the same engine.

        Raises:
            UnsupportedError: It is of another engine; `copy` it into an empty store instead.
            NotFoundError: It was dropped, and its engine keeps no dropped ones.
        """
    def diff(self, base: Snapshot) -> _Diff:
        """Tell what happened from a snapshot to this moment, without taking another one.

        It reads both sides whole; the `diff` of two snapshots costs what changed.

        Args:
            base: The snapshot to compare with, of any store.

        Returns:
            {"added": [...], "removed": [...], "changed": [...]}, as `Snapshot.diff`.

        Example:
            >>> store = Store()
            >>> base = store.snapshot()
            >>> revision = store.set("n", "k", 1)
            >>> store.diff(base)["added"]
            [('n', 'k')]
        """
    def history(self) -> list[Snapshot]:
        """List the snapshots that the store retains.

        Returns:
            The snapshots, oldest first.
        """
    def snapshot_by_id(self, id: int) -> Snapshot:
        """Find a snapshot that the store retains.

        Args:
            id: Its id.

        Returns:
            The snapshot.

        Raises:
            NotFoundError: The store retains none of that id.
        """
    def drop_snapshot(self, id: int) -> bool:
        """Drop a snapshot from the history. In memory, one that somebody holds stays readable.

        Args:
            id: Its id.

        Returns:
            True if the store retained it.
        """
    def compact(self) -> None:
        """Remove all that is expired and give back what room the engine can."""
    def close(self) -> None:
        """End the use of the store, for every handle to it.

        Using it then raises InvalidError; closing it again is nothing.
        """
    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do, and its limits."""
    @property
    def size_bytes(self) -> int:
        """The lengths of all live values, in bytes of msgpack."""
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __contains__(self, address: tuple[str, str], /) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@disjoint_base
class RedisStore(Store):
    """A store on a Redis or Valkey server, or on a Redis Cluster, shared by any number of processes and machines.

    It has everything that Store has. What is written survives as the server's own persistence says; snapshots do too.
    All threads share one connection to each server, and calls let other threads run while they wait for it. A child
    that was forked connects anew.

    Args:
        url: "redis://[user:password@]host[:port][/db]", "rediss://..." for TLS, "unix:///path?db=n", or for a cluster
            "redis+cluster://host:port,host:port" and "rediss+cluster://...". What its query says goes before the
            keywords.
        prefix: What the names of all keys begin with. Stores with other prefixes on the same server are strangers.
        timeout: Seconds that each request of a call may take in all, connecting included; above 0, at most 600.
        max_history: The most snapshots that are left when this store takes one; None = unlimited.
        ca: A file with the certificates, in PEM, that TLS trusts, a str or a path; None = those of the system.
        clock: What tells the time; None = the system's clock, corrected by the server's. Tests pass a Clock and move
            it.

    Raises:
        InvalidError: The URL or an option is wrong, or the server is older than 7.0, refuses the user, or is a cluster
            where none was named.
        UnavailableError: No server answers.

    Example:
        store = RedisStore("redis://localhost:6379/0", prefix="tour", max_history=100)
    """

    def __new__(
        cls,
        url: str,
        *,
        prefix: str = "swarmstate",
        timeout: float = 5.0,
        max_history: int | None = None,
        ca: str | os.PathLike[str] | None = None,
        clock: Clock | None = None,
    ) -> Self: ...
    @property
    def address(self) -> str:
        """Where the store is, without user and password, and its prefix."""

@disjoint_base
class SqliteStore(Store):
    """A store in one SQLite file, shared by any number of threads and processes of one machine.

    It has everything that Store has. What is written survives the process; snapshots do too. Calls let other threads
    run while they wait for the disk or for other writers. Start processes by spawn or forkserver: in a child that was
    forked while the file was open every use of it raises InvalidError.

    Args:
        path: The file, a str or a path; it is made if it is not there, readable by its owner alone.
        durability: What a write that returned survives: "full" = loss of power, "normal" = the end of the process.
        timeout: Seconds that a call waits for other processes and threads.
        max_history: The most snapshots that are left when this store takes one; None = unlimited.
        create: False = a file that is not there is an error.
        clock: What tells the time; None = the system's clock. Tests pass a Clock and move it.

    Raises:
        NotFoundError: The folder is not there, or without `create` the file.
        InvalidError: An option has no such value, the file is no store or cannot be written, or it was open when this
            process was forked.
        UnsupportedError: The file was made by a newer release.
        CorruptError: The file is damaged.
        UnavailableError: Other processes held the file for the whole timeout.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with SqliteStore(f"{folder}/state.db") as store:
        ...         revision = store.set("workflow", "onboarding", {"step": 3})
        ...     with SqliteStore(f"{folder}/state.db") as store:
        ...         store.get("workflow", "onboarding")
        {'step': 3}
    """

    def __new__(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Literal["full", "normal"] = "full",
        timeout: float = 30.0,
        max_history: int | None = None,
        create: bool = True,
        clock: Clock | None = None,
    ) -> Self: ...
    @property
    def path(self) -> Path:
        """The file's absolute path."""

@final
class Entry:
    """One key with its value and everything the store knows about it.

    It is a copy: changing its value changes nothing in the store.
    """

    @property
    def namespace(self) -> str:
        """The namespace that it stands in."""
    @property
    def key(self) -> str:
        """Its key."""
    @property
    def value(self) -> Any:
        """The value, decoded when the entry was read."""
    @property
    def kind(self) -> _Kind:
        """What the value is: "integer", "string", "bytes" or "json"."""
    @property
    def revision(self) -> int:
        """The revision that wrote it: a positive int that rises with every change."""
    @property
    def created_at(self) -> int:
        """When the key came to live, in Unix milliseconds."""
    @property
    def updated_at(self) -> int:
        """When this revision was written, in Unix milliseconds."""
    @property
    def expires_at(self) -> int | None:
        """When it goes, in Unix milliseconds; None = never."""
    @property
    def size_bytes(self) -> int:
        """The length of the value, in bytes of msgpack."""
    def to_json(self) -> str:
        r"""Show the entry as one line of JSON, the way an export writes it.

        Returns:
            An object with namespace, key, kind, value, revision, created_at, updated_at and expires_at. A value that
            JSON cannot hold exactly stands there as "msgpack", the base64 of its bytes, instead of as "value".

        Example:
            >>> store = Store()
            >>> revision = store.set("n", "k", b"\xff")
            >>> store.entry("n", "k").to_json()[:58]
            '{"namespace":"n","key":"k","kind":"bytes","msgpack":"xAH/"'
        """

@final
class Batch:
    """Changes that are carried out together, or not at all, when the with block ends.

    Made by Store.batch. Nothing is written before the block ends, and nothing at all when it ends with an exception or
    when a condition does not hold. Values are encoded at once, so that errors in them surface where they are given. A
    key is named once; only a later `set` of a key that was `set` takes the place of the earlier one.
    """

    def set(self, namespace: str, key: str, value: _Storable, *, ttl: float | None = None) -> None:
        """Write a value, whatever stands there.

        Args:
            namespace: Where.
            key: Under which key.
            value: What, as for Store.set.
            ttl: Seconds until it goes; None = it stays, and an expiry is cleared.

        Raises:
            TypeError: A part of the value is not storable; the message gives the path to it.
            ValueError: An int is out of range, or the value nests too deep or contains itself.
        """
    def ensure(self, namespace: str, key: str, value: _Storable, *, ttl: float | None = None) -> None:
        """Write a value unless the key is live.

        Args:
            namespace: Where.
            key: Under which key.
            value: What, as for Store.set.
            ttl: Seconds until it goes, if it is written; None = it stays.

        Raises:
            TypeError: A part of the value is not storable; the message gives the path to it.
            ValueError: An int is out of range, or the value nests too deep or contains itself.
        """
    def delete(self, namespace: str, key: str) -> None:
        """Remove a key, if it is live.

        Args:
            namespace: Where.
            key: Which key.
        """
    def increment(self, namespace: str, key: str, by: int = 1, *, ttl: float | None = None) -> None:
        """Add to an integer.

        Args:
            namespace: Where.
            key: Which key; an absent one counts as 0.
            by: What to add; may be negative.
            ttl: Seconds until it goes, if this creates the key.
        """
    def touch(self, namespace: str, key: str, ttl: float | None) -> None:
        """Set or clear the expiry of a live key.

        Args:
            namespace: Where.
            key: Which key.
            ttl: Seconds from the write until it goes; None = it stays.
        """
    def delete_namespace(self, namespace: str) -> None:
        """Remove a namespace with all its keys.

        Args:
            namespace: Which one.
        """
    def copy_namespace(self, source: str, target: str) -> None:
        """Copy a namespace, as it stands before the batch, into one that holds nothing.

        Args:
            source: What to copy.
            target: Where to.
        """
    def require(self, namespace: str, key: str, revision: int) -> None:
        """Insist that a key is at a revision before the batch.

        Args:
            namespace: Where.
            key: Which key.
            revision: Its revision; 0 = it must be absent.
        """
    def require_present(self, namespace: str, key: str) -> None:
        """Insist that a key is live before the batch, at whatever revision.

        Args:
            namespace: Where.
            key: Which key.
        """
    def require_namespace(self, namespace: str, revision: int) -> None:
        """Insist that nothing in a namespace changed since a revision.

        Args:
            namespace: Which one.
            revision: The revision of its last change; 0 = no key of it may be live.
        """
    @property
    def outcomes(self) -> list[Outcome] | None:
        """What became of each operation, in their order; None before the block has ended well."""
    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Outcome:
    """What became of one operation of a batch."""

    @property
    def revision(self) -> int:
        """The revision that it took or, for an ensure that found the key live, met; 0 when there is none."""
    @property
    def written(self) -> bool:
        """Whether it changed something."""
    @property
    def integer(self) -> int | None:
        """The sum, for an increment; else None."""

@final
class Snapshot:
    """A frozen, read-only copy of a whole store at a moment in time, taken by Store.snapshot.

    It shares what later writes do not change, so it costs nothing to take. Time stands still in it: nothing expires.
    """

    @property
    def id(self) -> int:
        """Its number in its store: rising for ever, over restores too."""
    @property
    def timestamp(self) -> float:
        """When it was taken, in seconds since the Unix epoch."""
    @property
    def parent(self) -> int | None:
        """The id of the snapshot taken before it in the same store; None for the first.

        It stays when that one is dropped, and a restore does not change it.
        """
    @property
    def size_bytes(self) -> int:
        """The lengths of all values at that moment, in bytes of msgpack."""
    @property
    def keys(self) -> list[tuple[str, str]]:
        """The (namespace, key) pairs that it contains, sorted by their bytes. Costs O(n): a new list each time."""
    def get(self, namespace: str, key: str, default: object = None) -> Any:
        """Read a value as it was.

        Args:
            namespace: Where.
            key: Which key.
            default: What to return when the key was not live.

        Returns:
            A new copy of the value, or `default`.

        Raises:
            NotFoundError: The snapshot was dropped, and its engine keeps no dropped ones.
        """
    def entry(self, namespace: str, key: str) -> Entry | None:
        """Read a value as it was, with everything the store knew about it.

        Args:
            namespace: Where.
            key: Which key.

        Returns:
            The entry, or None when the key was not live.
        """
    def items(
        self,
        namespace: str,
        *,
        prefix: str = "",
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[str, Any]]:
        """List a namespace's entries as they were.

        Args:
            namespace: Which one.
            prefix: Only keys that begin with this.
            after: Only keys behind this one in the order of the list; it need not exist.
            reverse: Greatest key first.
            limit: The most entries; None = all.

        Returns:
            (key, value) pairs, ordered by the bytes of the keys.
        """
    def namespaces(
        self, *, prefix: str = "", after: str | None = None, reverse: bool = False, limit: int | None = None
    ) -> list[str]:
        """List the namespaces that held a live key.

        Args:
            prefix: Only namespaces that begin with this.
            after: Only namespaces behind this one in the order of the list.
            reverse: Greatest first.
            limit: The most namespaces; None = all.

        Returns:
            Their names, ordered by their bytes.
        """
    def diff(self, base: Snapshot) -> _Diff:
        """Tell what happened to get from `base` to this snapshot. Either may be the older.

        Between snapshots of one store, or of any memory stores, it costs what changed, however much there is.

        Args:
            base: The snapshot to compare with.

        Returns:
            {"added": [...], "removed": [...], "changed": [...]}, each a sorted list of (namespace, key). What was
            written with equal bytes, or differs only in its times, did not change.

        Example:
            >>> store = Store()
            >>> base = store.snapshot()
            >>> revision = store.set("n", "k", 1)
            >>> store.snapshot().diff(base)
            {'added': [('n', 'k')], 'removed': [], 'changed': []}
        """
    def fork(self, *, max_history: int | None = None) -> Store:
        """Make a memory store of its own that begins as this snapshot is. Neither sees the other's writes.

        From a memory store it costs nothing and keeps revisions; else it copies, and gives new ones.

        Args:
            max_history: The most snapshots that the new store retains; None = all.

        Returns:
            The new store.
        """
    def __len__(self) -> int: ...
    def __contains__(self, address: tuple[str, str], /) -> bool: ...

@final
class Capabilities:
    """What the engine behind a store can do, and its limits."""

    @property
    def engine(self) -> str:
        """The engine's name, such as "memory"."""
    @property
    def persistent(self) -> bool:
        """Whether the state outlives the process."""
    @property
    def waits(self) -> bool:
        """Whether calls wait for a disk or a network, so that async code runs them in a thread."""
    @property
    def atomic_across_namespaces(self) -> bool:
        """Whether a batch over several namespaces is one instant."""
    @property
    def one_instant(self) -> bool:
        """Whether snapshot, restore and clear are one instant, rather than one per namespace."""
    @property
    def held_snapshots_outlive_history(self) -> bool:
        """Whether a snapshot that somebody holds can be read after the history dropped it."""
    @property
    def copies_keep_revisions(self) -> bool:
        """Whether copy_namespace keeps revisions and times, rather than giving new ones."""
    @property
    def max_name_bytes(self) -> int:
        """The longest namespace or key, in bytes of UTF-8."""
    @property
    def max_value_bytes(self) -> int:
        """The largest value, in bytes of msgpack."""
    @property
    def max_batch_operations(self) -> int:
        """The most operations in a batch, and the most conditions."""
    @property
    def max_batch_bytes(self) -> int:
        """The most bytes of names and values in a batch."""

@final
class Clock:
    """A clock that stands still until it is moved, for tests of what expires.

    Args:
        start: Where it stands, in seconds since the Unix epoch.

    Raises:
        InvalidError: `start` is not finite.

    Example:
        >>> clock = Clock()
        >>> store = Store(clock=clock)
        >>> revision = store.set("sessions", "a", "token", ttl=60)
        >>> clock.advance(60)
        >>> store.get("sessions", "a") is None
        True
    """

    def __new__(cls, start: float = 0.0) -> Self: ...
    def advance(self, seconds: float) -> None:
        """Move the clock forward, for every store that goes by it.

        Args:
            seconds: How far, an int or float above 0; whole milliseconds count.

        Raises:
            InvalidError: `seconds` is not above 0.
        """
    def now(self) -> float:
        """Tell the time.

        Returns:
            Seconds since the Unix epoch.
        """

def open(url: str) -> Store:
    """Open the store that a URL names.

    `memory:` is a new store each time; `sqlite:///state.db` is a file in the current folder, and
    `sqlite:////var/lib/state.db` one by its absolute path; `redis://host:port/db` is a server, and
    `redis+cluster://host:port,host:port` a cluster. Names are percent-decoded. The query takes the options of the
    engine's class by name.

    Args:
        url: Such as "memory:?max_history=100" or "sqlite:///state.db?durability=normal&timeout=5".

    Returns:
        The store: a Store for memory, a SqliteStore for a file, a RedisStore for a server or a cluster.

    Raises:
        InvalidError: The URL names no engine, an option that the engine does not have, or a value that it does not
            take.
        Error: Whatever the engine's class raises.

    Example:
        >>> open("memory:").capabilities.engine
        'memory'
    """

def copy(source: Store | Snapshot, target: Store, *, progress: Callable[[int, int], object] | None = None) -> int:
    """Copy everything that one store or snapshot holds into another store, of any engine.

    A store is copied as it stands at one moment. Values and expiries stay as they are; revisions and times are the
    target's own. Other threads run meanwhile.

    Args:
        source: A Store or a Snapshot.
        target: The store to write to.
        progress: Called as progress(done, total) after each batch of entries; an exception from it ends the copy.

    Returns:
        How many entries were copied.

    Raises:
        ConflictError: A namespace of the source exists in the target; nothing is written.
        Exception: Any other error leaves in the target what was copied by then: clear it and repeat.

    Example:
        >>> source, target = Store(), Store()
        >>> revision = source.set("n", "k", 1)
        >>> copy(source, target)
        1
    """

def export(
    source: Store | Snapshot,
    file: _Path | SupportsWrite[bytes],
    *,
    format: Literal["msgpack", "jsonl"] = "msgpack",
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Write everything that a store or a snapshot holds to a file, as it stands at one moment.

    A path is written whole or not at all: the new file takes its place, with mode 0600, when it is complete. Other
    threads run meanwhile.

    Args:
        source: A Store or a Snapshot.
        file: A path, or a file that is open for writing bytes.
        format: "msgpack", or "jsonl" for lines of JSON.
        progress: Called as progress(done, total) after every thousand entries and at the end; an exception from it ends
            the export.

    Returns:
        How many entries were written.

    Raises:
        InvalidError: `format` is unknown.
        CorruptError: A value that another program stored is not msgpack.
        OSError: The file cannot be written.

    Example:
        >>> import io
        >>> store, file = Store(), io.BytesIO()
        >>> revision = store.set("n", "k", 1)
        >>> export(store, file, format="jsonl")
        1
        >>> file.getvalue().splitlines()[-1]
        b'{"entries":1}'
    """

def finish_handed_over() -> None:
    """Wait until nothing is left to do that event loops handed over, whether anybody awaits it or not."""

def import_(
    file: _Path | SupportsRead[bytes], target: Store, *, progress: Callable[[int, int], object] | None = None
) -> _Imported:
    """Write everything that an export holds into a store, into namespaces that do not exist there yet.

    The file is read to its end before anything is written, so a bad one changes nothing. Values, kinds and expiries
    stay as they are; revisions and times are the store's own. Other threads run meanwhile.

    Args:
        file: A path, or a file that is open for reading bytes; what comes from the latter is kept in a
            temporary file meanwhile.
        target: The store to write to.
        progress: Called as progress(done, total) after each batch of entries; an exception from it ends the import.

    Returns:
        {"entries": how many were written, "expired": how many were left out, since their time had come}.

    Raises:
        InvalidError: It is no whole export; the message names the record that is wrong. Nothing is written.
        TooLargeError: A record or a value is above the limit; nothing is written.
        ConflictError: A namespace of the export exists in the target; nothing is written.
        OSError: The file cannot be read; nothing is written.
        Exception: Any other error leaves in the target what was written by then: delete that and repeat. So does
            ConflictError where another writer makes one of the namespaces meanwhile, whose entries stay.

    Example:
        >>> import io
        >>> source, target, file = Store(), Store(), io.BytesIO()
        >>> revision = source.set("n", "k", 1)
        >>> written = export(source, file)
        >>> position = file.seek(0)
        >>> import_(file, target)
        {'entries': 1, 'expired': 0}
    """

def dumps(obj: _Storable, /) -> bytes:
    r"""Encode a value to msgpack, as a store does.

    `tuple` comes back as `list`; an instance of a subclass comes back as its base type.

    Args:
        obj: None, bool, int from -2**63 to 2**64-1, float, str, bytes, or a list, tuple or dict of these, nested up to
            256 levels. Dict keys are str, int, bytes, bool or None.

    Returns:
        The value in plain msgpack, integers and lengths in their shortest form.

    Raises:
        TypeError: A part of the value is of a type that is not storable; the message gives the path to it.
        ValueError: An int is out of range, or the value nests too deep or contains itself.
        UnicodeEncodeError: A str contains a lone surrogate.
        RuntimeError: A list or dict changed size meanwhile.

    Example:
        >>> dumps({"step": 3})
        b'\x81\xa4step\x03'
    """

def loads(data: bytes | bytearray | memoryview, /) -> Any:
    """Decode one msgpack value.

    Args:
        data: Exactly one value. A bytearray or memoryview is copied first.

    Returns:
        The value; of equal map keys the last wins.

    Raises:
        ValueError: The bytes are not exactly one well-formed value, nest deeper than 256 levels, hold an ext type, or a
            map key that `dumps` would not write. The message names the byte offset.
        TypeError: `data` is not bytes-like.

    Example:
        >>> loads(dumps({"step": 3}))
        {'step': 3}
    """

def serve(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    api_key: str | None = None,
    public_url: str | None = None,
    pages_port: int | None = 0,
    pages_url: str | None = None,
    capabilities: Sequence[str] = ("kv", "pages"),
    rate_limit: int | None = None,
    read_only: bool = False,
    access_log: bool = False,
    clock: Clock | None = None,
) -> Server:
    """Serve a store over HTTP, beside whatever else the process does.

    The server has threads of its own, which never run Python code. What it knows of agents, tasks and tokens lies
    beside the store: in `state.registry.db` beside `state.db`, under the prefix `swarmstate.registry` beside
    `swarmstate`, and in memory for a store in memory.

    Args:
        store: A store of any engine. It stays open when the server stops.
        host: The address to listen on.
        port: The port; 0 = a free one.
        api_key: The operator's key, at least 16 printable characters; None = a new one.
        public_url: The URL that clients use, where that is another than the address.
        pages_port: The port of the listener for pages, on the same address; 0 = a free one, None = no pages.
        pages_url: The URL under which browsers find pages, where that is another than the address.
        capabilities: What agents may use over MCP: `kv` stands for the tools on keys, `pages` for pages. An agent's own
            list narrows it.
        rate_limit: Requests a second that are taken from each key or token, at least 1; None = any number.
        read_only: Whether nothing can be written through the server, by any door. It then knows no agents, tasks and
            tokens, keeps nothing beside the store, and only its key opens it.
        access_log: Whether each request is told in a line on stderr, without keys, values and secrets.
        clock: What tells the time; the clock of the store, if that has one.

    Returns:
        The server, which listens already.

    Raises:
        InvalidError: The port is in use, the address is not this machine's, or another argument is wrong.
        Error: Whatever opening the registry raises.

    Example:
        >>> with serve(Store()) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

def serve_stdio(
    store: Store,
    *,
    agent: str | None = None,
    task: str | None = None,
    capabilities: Sequence[str] = ("kv", "pages"),
    clock: Clock | None = None,
) -> None:
    """Serve a store to one MCP client over stdin and stdout, until the input ends.

    Whoever starts the process is trusted with the whole store. What lies beside the store is as with serve().

    Args:
        store: A store of any engine. It stays open at the end.
        agent: The agent that calls; None = nobody.
        task: The task that it works on; None = no task.
        capabilities: What the agent may use: `kv` stands for the tools on keys. Its own list narrows it.
        clock: What tells the time; the clock of the store, if that has one.

    Raises:
        InvalidError: The agent or the task is none, or the client does not speak MCP.
        Error: Whatever opening the registry raises.
    """

@final
class Completions:
    """Where threads of the core leave what an event loop awaits.

    The loop watches `fileno()` for reading, which must not block, and calls `deliver`.

    Raises:
        OSError: There is no pipe to be had.
    """

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """The end of the pipe that becomes readable when there is something to deliver.

        Returns:
            Its file descriptor, open as long as this object.

        Raises:
            NotImplementedError: There are no file descriptors here.
        """
    def deliver(self) -> None:
        """Resolve the futures of what is done, on the loop's thread: when `fileno()` is readable, or at any time."""

@final
class Server:
    """A running server, made by serve(). It stops by `stop`, at the end of a `with`, or with the process."""

    @property
    def url(self) -> str:
        """Its URL on this machine."""
    @property
    def pages_url(self) -> str | None:
        """Where browsers find pages; None where no listener serves them."""
    @property
    def api_key(self) -> str:
        """The operator's key, which may do everything that the service does."""
    def stop(self) -> None:
        """Stop accepting, let requests under way finish for up to ten seconds, and end. Stopping again is nothing.

        The store stays open.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

def context_key(kind: str, *parts: str) -> str:
    """Build the namespace of a conversation, an agent or a page.

    Args:
        kind: What it is of, as the functions of `swarmstate.context` say.
        parts: Its parts, in order.

    Returns:
        The namespace.

    Raises:
        InvalidError: A part holds `:` or what no name may hold.
    """

@final
class Threads:
    """LangGraph's threads in a store.

    What `SwarmStateSaver` is made of. A serializer is whatever has LangGraph's `dumps_typed` and `loads_typed`.

    Args:
        store: The store that holds them.
        plain: The class whose own instances write plain values as plain msgpack, so that those need not reach them;
            None = there is none.
        keep_last: How many checkpoints of each namespace stay; None = all of them.
        ttl: Seconds after its last put at which a thread is gone; None = it stays.

    Raises:
        InvalidError: `keep_last` is below 1, or `ttl` not above 0.
    """

    def __new__(
        cls,
        store: Store,
        *,
        plain: type[_Serializer] | None = None,
        keep_last: int | None = None,
        ttl: float | None = None,
    ) -> Self: ...
    def put(
        self,
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str,
        parent_id: str | None,
        checkpoint: Mapping[str, object],
        metadata: Mapping[str, object],
        new_versions: Mapping[str, _Version],
        serde: _Serializer,
        /,
    ) -> None:
        """Store a checkpoint and the values of the channels that have a new version, in one step.

        Args:
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint.
            parent_id: The checkpoint that it follows.
            checkpoint: What is stored under that id.
            metadata: Its metadata.
            new_versions: The channels whose value is stored, by their versions; one without a value is stored as empty.
            serde: The serializer.

        Raises:
            InvalidError: A name is above the limit, or an int outside 64 bits; nothing is written.
            TooLargeError: A record is above the limit; nothing is written.
            ConflictError: Others change the thread without a pause; nothing is written.
        """
    def put_writes(
        self,
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str,
        task_id: str,
        task_path: str,
        writes: _Writes,
        serde: _Serializer,
        /,
    ) -> None:
        """Store what a task wrote after a checkpoint, which need not be there yet, in one step.

        Args:
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint.
            task_id: The task.
            task_path: Its place in the graph.
            writes: Index, channel and value; at one index the first write stays, below 0 the last.
            serde: The serializer.

        Raises:
            InvalidError: A name is above the limit; nothing is written.
            TooLargeError: A record is above the limit; nothing is written.
        """
    def get(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str | None, serde: _Serializer, /
    ) -> _SavedCheckpoint | None:
        """Read a checkpoint with the values of its channels and the writes that wait on it, as of one moment.

        Args:
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint; None = the latest.
            serde: The serializer.

        Returns:
            Id, parent's id, checkpoint, metadata, and in order the writes as (task id, channel, value); None when there
            is no such checkpoint.

        Raises:
            CorruptError: A record is not what was stored.
        """
    def aput(
        self,
        completions: Completions,
        future: Future[None],
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str,
        parent_id: str | None,
        checkpoint: Mapping[str, object],
        metadata: Mapping[str, object],
        new_versions: Mapping[str, _Version],
        serde: _Serializer,
        /,
    ) -> bool:
        """Do as `put`, on another thread; all arguments are taken before this returns.

        Args:
            completions: Where it is left when it is done.
            future: A future of the loop that `completions` delivers to; the result is None.
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint.
            parent_id: The checkpoint that it follows.
            checkpoint: What is stored under that id.
            metadata: Its metadata.
            new_versions: The channels whose value is stored, by their versions.
            serde: The serializer.

        Returns:
            Whether it was begun; False = the serializer may take long, so that a thread should run `put`.

        Raises:
            TypeError: A name is no str. The future has the errors of `put`.
        """
    def aput_writes(
        self,
        completions: Completions,
        future: Future[None],
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str,
        task_id: str,
        task_path: str,
        writes: _Writes,
        serde: _Serializer,
        /,
    ) -> bool:
        """Do as `put_writes`, on another thread; all arguments are taken before this returns.

        Args:
            completions: Where it is left when it is done.
            future: A future of the loop that `completions` delivers to; the result is None.
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint.
            task_id: The task.
            task_path: Its place in the graph.
            writes: Index, channel and value.
            serde: The serializer.

        Returns:
            Whether it was begun; False = the serializer may take long, so that a thread should run `put_writes`.

        Raises:
            TypeError: A name is no str. The future has the errors of `put_writes`.
        """
    def aget(
        self,
        completions: Completions,
        future: Future[Fetched | None],
        thread_id: str,
        checkpoint_ns: str,
        checkpoint_id: str | None,
        serde: _Serializer,
        /,
    ) -> None:
        """Do as `get`, on another thread, but for the objects, which are left to be made.

        Args:
            completions: Where it is left when it is done.
            future: A future of the loop that `completions` delivers to; the result is a `Fetched`, or None when there
                is no such checkpoint.
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint; None = the latest.
            serde: The serializer.

        Raises:
            TypeError: A name is no str. The future has the errors of `get`.
        """
    def list(
        self,
        thread_id: str | None,
        checkpoint_ns: str | None,
        checkpoint_id: str | None,
        before: str | None,
        serde: _Serializer,
        /,
    ) -> Checkpoints:
        """List checkpoints as they stand now, newest id first.

        Args:
            thread_id: Only of this thread; None = of all.
            checkpoint_ns: Only of this namespace; None = of all.
            checkpoint_id: Only this one.
            before: Only those with a smaller id.
            serde: The serializer.

        Returns:
            The open listing.
        """
    def delete(self, thread_id: str, /) -> None:
        """Remove a thread with all that it holds.

        Args:
            thread_id: The thread.
        """
    def export(
        self,
        thread_id: str,
        file: _Path | SupportsWrite[bytes],
        format: Literal["msgpack", "jsonl"],
        progress: Callable[[int, int], object] | None,
        /,
    ) -> int:
        """Write a thread with all that it holds to a file, as it stands at one moment.

        Args:
            thread_id: The thread.
            file: A path, or a file that is open for writing bytes.
            format: "msgpack" or "jsonl".
            progress: Called as progress(done, total), or None.

        Returns:
            How many records were written.

        Raises:
            NotFoundError: There is no such thread; nothing is written.
            InvalidError: `format` is unknown.
            OSError: The file cannot be written.
        """
    def import_(
        self,
        file: _Path | SupportsRead[bytes],
        thread_id: str | None,
        progress: Callable[[int, int], object] | None,
        /,
    ) -> str:
        """Make the thread that a file holds.

        Args:
            file: A path, or a file that is open for reading bytes.
            thread_id: The id that it gets; None = its own.
            progress: Called as progress(done, total), or None.

        Returns:
            Its id.

        Raises:
            InvalidError: It is no whole export of one thread, or of one whose time is over; nothing is written.
            TooLargeError: A record is above the limit; nothing is written.
            ConflictError: There is such a thread, or somebody makes it meanwhile; nothing is written.
            OSError: The file cannot be read; nothing is written.
        """
    def prune(self, thread_id: str, keep: int, /) -> None:
        """Remove all but the newest checkpoints of each namespace of a thread, and what only they named.

        Args:
            thread_id: The thread; an absent one is nothing to do.
            keep: How many stay of each namespace.

        Raises:
            ConflictError: Others change the thread without a pause.
            CorruptError: A record is not what was stored.
        """
    def delete_runs(self, run_ids: _Names, /) -> None:
        """Remove the checkpoints that some runs made, from all threads, and what only they named.

        Args:
            run_ids: The runs.

        Raises:
            ConflictError: Others change a thread without a pause; all other threads are done.
            CorruptError: A record is not what was stored; all other threads are done.
        """
    def overview(self, prefix: str, after: str | None, limit: int | None, /) -> _Overview:
        """List threads in the order of their ids, without reading a checkpoint.

        Args:
            prefix: What the ids begin with.
            after: Only threads whose id comes after this one, which need not exist.
            limit: The most threads; None = all.

        Returns:
            Thread id, latest checkpoint id of the root graph, when a checkpoint was put last (seconds since 1970), and
            the count of checkpoints.

        Raises:
            CorruptError: The head of a thread is not what was stored.
        """
    def usage(self, thread_id: str, /) -> tuple[int, int, int, int]:
        """Tell how much room a thread takes, as if there were no other.

        Args:
            thread_id: The thread; an absent one takes none.

        Returns:
            Bytes stored, bytes as the serializer made them, checkpoints, and chunks.

        Raises:
            CorruptError: A record is not what was stored.
        """
    def remove_expired(self) -> int:
        """Remove what is left of all threads whose time is over.

        Returns:
            How many threads those were.
        """
    def history(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str | None, channels: _Names, serde: _Serializer, /
    ) -> _Histories:
        """Read what the ancestors of a checkpoint say about channels whose values are rebuilt from writes.

        Args:
            thread_id: The thread.
            checkpoint_ns: The namespace of the graph in it.
            checkpoint_id: The checkpoint; None = the latest.
            channels: The channels, each named once.
            serde: The serializer.

        Returns:
            For each channel, in their order: the writes since the nearest ancestor that stores a value, as (task id,
            channel, value), oldest first, and behind them that value, if there is one.

        Raises:
            CorruptError: A record is not what was stored.
        """
    def copy(self, source_id: str, target_id: str, /) -> None:
        """Copy a thread with all that it holds. An absent source, or one that is the target, is nothing to do.

        Args:
            source_id: The thread to copy.
            target_id: The thread to make.

        Raises:
            ConflictError: The target holds anything; nothing is copied.
        """

@final
class Checkpoints:
    """An open listing of checkpoints; what is written after it was opened does not show."""

    def next(self) -> tuple[str, str, Any] | None:
        """Move on to the next checkpoint.

        Returns:
            Thread, namespace and metadata; None at the end.

        Raises:
            CorruptError: A record is not what was stored.
        """
    def load(self) -> _SavedCheckpoint | None:
        """Read the checkpoint that `next` moved to.

        Returns:
            As `Threads.get`; None before the first and after the last.

        Raises:
            CorruptError: A record is not what was stored.
        """

@final
class Fetched:
    """A checkpoint that was read and is not made an object yet."""

    @property
    def is_short(self) -> bool:
        """Whether an event loop may call `load`: LangGraph's own serializer is quick with a small state."""
    def load(self) -> _SavedCheckpoint:
        """Make the objects.

        Returns:
            As `Threads.get`.

        Raises:
            CorruptError: A record is not what was stored.
        """

@final
class Items:
    """LangGraph's long-term memory in a store.

    What `SwarmStateStore` is made of.

    Args:
        store: The store that holds the items.
    """

    def __new__(cls, store: Store) -> Self: ...
    def read(self, questions: list[_Question], /) -> list[Any]:
        """Answer questions from one consistent cut.

        Args:
            questions: ("get", labels, key, refresh), ("search", labels, filter, limit, offset, vector, refresh) or
                ("list", patterns, max depth, limit, offset), where a pattern is ("prefix" or "suffix", labels). A
                vector is the bytes of an array of 32-bit floats.

        Returns:
            For each question: an item or None, a list of items, or a list of labels; an item is (labels, key, value,
            created at, updated at, score), times in seconds since 1970.

        Raises:
            InvalidError: An operator of a filter does not exist, a number is negative, or a vector is of another length
                than those of the items.
            CorruptError: A record is not what was stored.
        """
    def write(self, changes: list[_Change], /) -> None:
        """Carry out all changes or none; of several to one item the last counts.

        Args:
            changes: (labels, key, value, ttl in seconds, vectors as in `read`); a value of None removes the item.

        Raises:
            TypeError: A part of a value is not storable; the message names it.
            ValueError: An int is out of range, or a value nests too deep or contains itself.
            InvalidError: An address is above the limit, a ttl not above 0, or vectors differ in length.
            TooLargeError: A value or the whole is above the limit of the store; nothing is written.
        """
    def sweep(self) -> None:
        """Free the room of what has ended; it is gone for every read already."""

@final
class Cache:
    """LangGraph's cache in a store.

    What `SwarmStateCache` is made of; values are serialized already, as (form, bytes).

    Args:
        store: The store that holds it.
    """

    def __new__(cls, store: Store) -> Self: ...
    def get(self, places: list[_Place], /) -> list[_Serialized | None]:
        """Read what is cached.

        Args:
            places: (labels, key).

        Returns:
            For each place what is cached there, or None.

        Raises:
            InvalidError: A place is above the limit of a name.
            CorruptError: A record is not what was stored.
        """
    def set(self, values: list[_Cached], /) -> None:
        """Cache values, in the place of what is there.

        Args:
            values: (labels, key, value, ttl in seconds); None = until it is cleared, 0 or less = it is gone at once.

        Raises:
            InvalidError: A place is above the limit of a name, or a ttl not finite; nothing is written.
            TooLargeError: A value is above the limit of the store.
        """
    def clear(self, namespaces: list[_Labels] | None, /) -> None:
        """Remove what is cached.

        Args:
            namespaces: Labels, each for just that namespace; None = everything.
        """
