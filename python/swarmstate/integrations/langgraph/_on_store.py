"""What the integrations have in common: the store that they stand on, and where their async methods run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from swarmstate._core import Store
from swarmstate._core import open as open_store

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class OnStore:
    """One that keeps what it has in a store.

    Attributes:
        store: The store.
    """

    store: Store
    _waits: bool

    def _stand_on(self, store: Store | str | None) -> None:
        """Take a store, the one that a URL names, or for None a new one in memory."""
        if store is None:
            store = Store()
        self.store = open_store(store) if isinstance(store, str) else store
        self._waits = self.store.capabilities.waits

    async def _run(
        self, call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        # A hop to a thread costs ten times what the work in memory does.
        return await asyncio.to_thread(call, *args, **kwargs) if self._waits else call(*args, **kwargs)
