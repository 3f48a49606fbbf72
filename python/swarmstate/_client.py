"""A client of the service with the calls of `Store`, so that code moves from its own store to a served one.

Values are what JSON holds. How a call becomes a request stands in `_wire`, batches and snapshots in `_remote`.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from swarmstate._remote import RemoteBatch, RemoteSnapshot
from swarmstate._wire import Connection, Query, RemoteEntry, body_of, condition, cursor_behind, entry_of, path_of
from swarmstate.exceptions import ConflictError, InvalidError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Self


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
        headers = {"Authorization": f"Bearer {token}", "X-Agent-ID": agent, "X-Source-Task-Id": task}
        self._connection = Connection(url, headers, timeout)

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
        body = body_of(value, ttl)
        path, headers = path_of(namespace, key), condition(if_revision)
        answer = self._connection.send("PUT", path, body, headers=headers, at=(namespace, key))
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
            return entry_of(self._connection.send("GET", path_of(namespace, key)))
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
        path, headers = path_of(namespace, key), condition(if_revision)
        try:
            self._connection.send("DELETE", path, headers=headers, at=(namespace, key))
        except NotFoundError:
            return False
        return True

    def increment(self, namespace: str, key: str, by: int = 1, *, ttl: int | None = None) -> int:
        """Add to an integer, in one step: no increment is ever lost.

        Args:
            namespace: Where.
            key: Which key; an absent one counts as 0.
            by: What to add; may be negative.
            ttl: Whole seconds until it goes, if this creates the key; a live key keeps its own.

        Returns:
            The sum.

        Raises:
            WrongTypeError: The key holds another kind of value.
            InvalidError: The sum leaves ±(2**53-1).
            UnavailableError: The service did not answer; it may have been added.
        """
        while ttl is not None:
            if self.claim(namespace, key, ttl, by) is not None:
                return by
            try:
                return self._add(namespace, key, by, {"If-Match": "*"})
            except ConflictError:
                # It went between both requests, and can be created.
                continue
        return self._add(namespace, key, by, None)

    def _add(self, namespace: str, key: str, by: int, headers: dict[str, str] | None) -> int:
        path = f"{path_of(namespace, key)}/incr"
        return int(self._connection.send("POST", path, {"by": by}, headers=headers, at=(namespace, key))["value"])

    def touch(self, namespace: str, key: str, ttl: int | None) -> bool:
        """Set or clear the expiry of a live key, by writing what stands there anew.

        Args:
            namespace: Where.
            key: Which key.
            ttl: Whole seconds from now until it goes; None = it stays.

        Returns:
            True if the key is live.

        Raises:
            UnsupportedError: The value is one that a service reads, but does not write.
            InvalidError: `ttl` is none that the service takes.
            UnavailableError: The service did not answer; it may have been touched.
        """
        while (entry := self.entry(namespace, key)) is not None:
            headers = condition(entry.revision)
            try:
                body = {**body_of(entry.value, ttl), "valueType": entry.kind}
            except (TypeError, ValueError) as error:
                raise UnsupportedError(f"{key!r} in {namespace!r} cannot be touched: {error}") from error
            try:
                self._connection.send("PUT", path_of(namespace, key), body, headers=headers, at=(namespace, key))
                return True
            except ConflictError:
                # Somebody wrote it in between: touch what stands there now.
                continue
        return False

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
        body = {"seconds": seconds, **body_of(value, None)}
        answer = self._connection.send("POST", f"{path_of(namespace, key)}/claim", body, at=(namespace, key))
        return entry_of(answer["entry"]) if answer["claimed"] else None

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
            namespace: Where.
            prefix: Only keys that begin with this.
            after: Only keys behind this one in the order of the list; it need not exist.
            reverse: Greatest key first. The service lists upwards, so all that match are read.
            limit: The most keys; None = all.

        Returns:
            The keys, ordered by their bytes.
        """
        query: Query = {"prefix": prefix, "keysOnly": "true"}
        rows = self._list(path_of(namespace), "entries", query, after, reverse, limit)
        return [row["key"] for row in rows]

    def items(
        self,
        namespace: str,
        *,
        prefix: str = "",
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[str, Any]]:
        """List a namespace's values.

        Args:
            namespace: Where.
            prefix: Only keys that begin with this.
            after: Only keys behind this one in the order of the list; it need not exist.
            reverse: Greatest key first. The service lists upwards, so all that match are read.
            limit: The most values; None = all.

        Returns:
            (key, value) tuples, ordered by the bytes of the keys.
        """
        entries = self.entries(namespace, prefix=prefix, after=after, reverse=reverse, limit=limit)
        return [(entry.key, entry.value) for entry in entries]

    def entries(
        self,
        namespace: str,
        *,
        prefix: str = "",
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[RemoteEntry]:
        """List a namespace's entries.

        Args:
            namespace: Where.
            prefix: Only keys that begin with this.
            after: Only keys behind this one in the order of the list; it need not exist.
            reverse: Greatest key first. The service lists upwards, so all that match are read.
            limit: The most entries; None = all.

        Returns:
            The entries, ordered by the bytes of their keys.
        """
        rows = self._list(path_of(namespace), "entries", {"prefix": prefix}, after, reverse, limit)
        return [entry_of(row) for row in rows]

    def namespaces(
        self, *, prefix: str = "", after: str | None = None, reverse: bool = False, limit: int | None = None
    ) -> list[str]:
        """List the namespaces that hold a live key.

        Args:
            prefix: Only namespaces that begin with this.
            after: Only namespaces behind this one in the order of the list.
            reverse: Greatest first. The service lists upwards, so all that match are read.
            limit: The most namespaces; None = all.

        Returns:
            Their names, ordered by their bytes.
        """
        return self._list("/api/namespaces", "namespaces", {"prefix": prefix}, after, reverse, limit)

    def _list(
        self, path: str, name: str, query: Query, after: str | None, reverse: bool, limit: int | None
    ) -> list[Any]:
        if limit is not None and limit < 0:
            raise InvalidError(f"limit must not be negative, but is {limit}")
        if not reverse:
            behind: Query = {} if after is None else {"cursor": cursor_behind(after)}
            return list(self._connection.pages(path, name, {**query, **behind}, limit))
        rows = list(self._connection.pages(path, name, query, None))
        return [row for row in reversed(rows) if after is None or _name(row) < after][:limit]

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
        with self.batch() as batch:
            for (namespace, key), value in latest.items():
                batch.set(namespace, key, value, ttl=ttl)

    def get_many(self, pairs: Iterable[tuple[str, str]], *, default: object = None) -> list[Any]:
        """Read several values, one after the other.

        Args:
            pairs: (namespace, key) tuples.
            default: What stands for a key that is not live.

        Returns:
            The values, in the order of the pairs.
        """
        return [self.get(namespace, key, default) for namespace, key in pairs]

    def batch(self) -> RemoteBatch:
        """Collect changes of one namespace that happen together, or not at all.

        Returns:
            A batch, to be used in a with block that sends it at its end: at most 64 operations and conditions.
        """
        return RemoteBatch(self._connection)

    def snapshot(self) -> RemoteSnapshot:
        """Take a snapshot of the whole store, which needs the scope `admin`.

        Returns:
            The snapshot. A service started by `swarmstate serve` retains the newest hundred.
        """
        return RemoteSnapshot(self._connection, self._connection.send("POST", "/api/snapshots"))

    def restore(self, snapshot: RemoteSnapshot) -> None:
        """Make the whole store what a snapshot holds, which needs the scope `admin`.

        Args:
            snapshot: One of this service.

        Raises:
            NotFoundError: The service does not retain it any more.
        """
        self._connection.send("POST", f"/api/snapshots/{snapshot.id}/restore")

    def history(self) -> list[RemoteSnapshot]:
        """List the snapshots that the service retains, which needs the scope `admin`.

        Returns:
            The snapshots, oldest first.
        """
        rows = self._connection.send("GET", "/api/snapshots")["snapshots"]
        return [RemoteSnapshot(self._connection, row) for row in rows]

    def snapshot_by_id(self, id: int) -> RemoteSnapshot:
        """Find a snapshot that the service retains, which needs the scope `admin`.

        Args:
            id: Its number.

        Returns:
            The snapshot.

        Raises:
            NotFoundError: The service retains none of that id.
        """
        for snapshot in self.history():
            if snapshot.id == id:
                return snapshot
        raise NotFoundError(f"snapshot {id} does not exist")

    def close(self) -> None:
        """Close the connections. Closing again is nothing."""
        self._connection.close()

    def __contains__(self, address: tuple[str, str]) -> bool:
        """Tell whether the key of a (namespace, key) tuple is live."""
        return self.contains(*address)

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
        return f"<Client of {self._connection.url}>"


def _name(row: Any) -> str:
    """The name of a row: that of a key, or of a namespace."""
    return row if isinstance(row, str) else str(row["key"])
