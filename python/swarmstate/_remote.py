"""Batches and snapshots of a served store, with the calls that those of `Store` have.

A batch is sent when its block ends, in one request; a snapshot lies with the service, and is read there each time.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from swarmstate._wire import Connection, RemoteEntry, body_of, entry_of, path_of
from swarmstate.exceptions import ConflictError, InvalidError, NotFoundError, TooLargeError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Self

# The most operations and conditions that a service takes at once.
MAX_BATCH = 64


class RemoteBatch:
    """Changes of one namespace that are carried out together, or not at all, when the with block ends.

    Made by Client.batch. Nothing is sent before the block ends, and nothing at all when it ends with an exception. A
    key is named once; only a later `set` of a key that was `set` takes the place of the earlier one.

    Attributes:
        entries: What stands at the key of each operation after the batch, in their order, and None where that is
            nothing; None before the block has ended well.
    """

    def __init__(self, connection: Connection) -> None:
        """Makes a batch that will be sent over a connection."""
        self._connection = connection
        self._namespace: str | None = None
        self._checks: list[dict[str, object]] = []
        self._operations: list[dict[str, object]] = []
        self._is_over = False
        self.entries: list[RemoteEntry | None] | None = None

    def set(self, namespace: str, key: str, value: object, *, ttl: int | None = None) -> None:
        """Write a value, whatever stands there.

        Args:
            namespace: Where.
            key: Under which key.
            value: What, as for Client.set.
            ttl: Whole seconds until it goes; None = it stays, and an expiry is cleared.

        Raises:
            TypeError: A part of the value is not storable, or not in JSON.
            UnsupportedError: The batch is of another namespace.
        """
        operation = {"op": "set", "key": key, **body_of(value, ttl)}
        self._enter(namespace)
        for place, earlier in enumerate(self._operations):
            if earlier["op"] == "set" and earlier["key"] == key:
                self._operations[place] = operation
                return
        self._operations.append(operation)

    def delete(self, namespace: str, key: str) -> None:
        """Remove a key, if it is live.

        Args:
            namespace: Where.
            key: Which key.

        Raises:
            UnsupportedError: The batch is of another namespace.
        """
        self._enter(namespace)
        self._operations.append({"op": "delete", "key": key})

    def increment(self, namespace: str, key: str, by: int = 1) -> None:
        """Add to an integer.

        Args:
            namespace: Where.
            key: Which key; an absent one counts as 0.
            by: What to add; may be negative.

        Raises:
            UnsupportedError: The batch is of another namespace.
        """
        self._enter(namespace)
        self._operations.append({"op": "incr", "key": key, "by": by})

    def require(self, namespace: str, key: str, revision: int) -> None:
        """Insist that a key is at a revision before the batch.

        Args:
            namespace: Where.
            key: Which key.
            revision: Its revision; 0 = it must be absent.

        Raises:
            UnsupportedError: The batch is of another namespace.
        """
        self._enter(namespace)
        self._checks.append({"op": "check", "key": key, "revision": revision})

    def _enter(self, namespace: str) -> None:
        if self._is_over:
            raise InvalidError("the batch is over; begin another one with client.batch()")
        if self._namespace not in (None, namespace):
            raise UnsupportedError(
                f"a service writes one namespace at once: {self._namespace!r} in this batch, so not {namespace!r}"
            )
        self._namespace = namespace

    def _carry_out(self) -> list[RemoteEntry | None]:
        steps = [*self._checks, *self._operations]
        if self._namespace is None or not steps:
            return []
        check_size(len(steps))
        try:
            answer = self._connection.send(
                "POST", path_of(self._namespace), {"operations": steps}, at=(self._namespace, None)
            )
        except ConflictError as error:
            error.key = str(steps[error.position]["key"])
            raise
        rows = answer["entries"][len(self._checks) :]
        return [None if row is None else entry_of(row) for row in rows]

    def __len__(self) -> int:
        """Return how many operations it has."""
        return len(self._operations)

    def __enter__(self) -> "Self":
        """Return the batch."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send the batch, unless the block ended with an exception."""
        if self._is_over:
            raise InvalidError("the batch is over; begin another one with client.batch()")
        self._is_over = True
        if exc_type is None:
            self.entries = self._carry_out()


def check_size(operations: int) -> None:
    """Refuses more operations at once than a service takes.

    Args:
        operations: How many there are.

    Raises:
        TooLargeError: There are more than 64.
    """
    if operations > MAX_BATCH:
        error = TooLargeError(f"{operations} operations at once are more than the {MAX_BATCH} that a service takes")
        error.size, error.limit = operations, MAX_BATCH
        raise error


class RemoteSnapshot:
    """A frozen, read-only copy of a whole served store. It lies with the service, as long as that retains it.

    Attributes:
        id: Its number in its store: rising for ever, over restores too.
        timestamp: When it was taken, in seconds since the Unix epoch.
        parent: The id of the snapshot taken before it in the same store; None for the first.
        size_bytes: The lengths of all values at that moment, in bytes of msgpack.
    """

    def __init__(self, connection: Connection, row: dict[str, Any]) -> None:
        """Makes the snapshot that the service shows."""
        self._connection = connection
        self.id: int = row["id"]
        self.timestamp: float = row["takenAt"] / 1000
        self.parent: int | None = row["parent"]
        self.size_bytes: int = row["sizeBytes"]
        self._entries: int = row["entries"]

    def get(self, namespace: str, key: str, default: object = None) -> Any:
        """Read a value as it was.

        Args:
            namespace: Where.
            key: Which key.
            default: What to return when the key was not live.

        Returns:
            The value, or `default`.

        Raises:
            NotFoundError: The service does not retain the snapshot any more.
        """
        entry = self.entry(namespace, key)
        return default if entry is None else entry.value

    def entry(self, namespace: str, key: str) -> RemoteEntry | None:
        """Read a value as it was, with everything the service knew about it.

        Args:
            namespace: Where.
            key: Which key.

        Returns:
            The entry, or None when the key was not live.

        Raises:
            NotFoundError: The service does not retain the snapshot any more.
        """
        place = path_of(namespace, key).removeprefix("/api")
        try:
            return entry_of(self._connection.send("GET", f"/api/snapshots/{self.id}{place}"))
        except NotFoundError:
            # Either the key or the snapshot is missing.
            if self.id in (row["id"] for row in self._connection.send("GET", "/api/snapshots")["snapshots"]):
                return None
            raise

    def diff(self, base: "RemoteSnapshot") -> dict[str, list[tuple[str, str]]]:
        """Tell what happened to get from `base` to this snapshot. Either may be the older.

        Args:
            base: The snapshot to compare with.

        Returns:
            {"added": [...], "removed": [...], "changed": [...]}, each a sorted list of (namespace, key), without the
            namespaces of integrations.

        Raises:
            NotFoundError: The service does not retain one of them any more.
        """
        rows: Sequence[dict[str, str]] = list(
            self._connection.pages(f"/api/snapshots/{self.id}/diff", "changes", {"base": base.id}, None)
        )
        kinds = ("added", "removed", "changed")
        return {kind: [(row["namespace"], row["key"]) for row in rows if row["change"] == kind] for kind in kinds}

    def __len__(self) -> int:
        """Return how many keys it holds, those of integrations included."""
        return self._entries

    def __repr__(self) -> str:
        """Return its id and where it lies."""
        return f"<RemoteSnapshot {self.id} of {self._connection.url}>"
