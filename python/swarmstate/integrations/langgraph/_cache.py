"""The cache of nodes and tasks: LangGraph's shapes to and fro.

Where a value lies and when it goes is the side of `swarmstate._core.Cache`. Here values are serialized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langgraph.cache.base import BaseCache, FullKey, Namespace, ValueT
from langgraph.checkpoint.serde.base import SerializerProtocol

from swarmstate._core import Cache, Store
from swarmstate.integrations.langgraph._on_store import OnStore


class SwarmStateCache(OnStore, BaseCache[ValueT]):
    """A LangGraph cache on any store.

    What one process caches, every process that shares the store finds. In memory the async methods run inline; where
    the engine waits for a disk or a network, they run in a thread.

    Args:
        store: The store that holds the cache, or its URL; None = a new one in memory.
        serde: What serializes values; None = LangGraph's own.

    Attributes:
        store: The store.

    Raises:
        InvalidError: The URL names no engine, or an option that the engine does not have.

    Example:
        >>> cache = SwarmStateCache()
        >>> cache.set({(("node",), "key"): (3, 60)})
        >>> cache.get([(("node",), "key"), (("node",), "other")])
        {(('node',), 'key'): 3}
    """

    def __init__(self, store: Store | str | None = None, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self._stand_on(store)
        self._cache = Cache(self.store)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Read what is cached.

        Args:
            keys: Namespaces and keys.

        Returns:
            Those that are cached, None among the values included.

        Raises:
            CorruptError: A stored record is not what was written.
        """
        places = [(tuple(namespace), key) for namespace, key in keys]
        found = zip(places, self._cache.get(places), strict=True)
        return {place: self.serde.loads_typed(value) for place, value in found if value is not None}

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Cache values, in the place of what is there.

        Args:
            pairs: By namespace and key: the value, and seconds until it goes; None = until it is cleared.

        Raises:
            InvalidError: A namespace or key is too long, or a ttl not finite; nothing is cached.
            TooLargeError: A value is above the limit of the store.
        """
        dumps = self.serde.dumps_typed
        self._cache.set(
            [(tuple(namespace), key, dumps(value), ttl) for (namespace, key), (value, ttl) in pairs.items()]
        )

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Remove what is cached.

        Args:
            namespaces: Each for just that namespace, not those that begin like it; None = everything.
        """
        self._cache.clear(None if namespaces is None else [tuple(namespace) for namespace in namespaces])

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Read what is cached, as `get` does."""
        return await self._run(self.get, keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Cache values, as `set` does."""
        await self._run(self.set, pairs)

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Remove what is cached, as `clear` does."""
        await self._run(self.clear, namespaces)
