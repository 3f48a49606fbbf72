"""What the integrations have in common: the store that they stand on, and where their async methods run."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, ref

from swarmstate._core import Completions, Store, finish_handed_over
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


# The loop owns what it watches, and a future that nobody delivers any more must not keep it.
_completions: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Completions]] = WeakKeyDictionary()
# What was handed over is done before the process ends, as what Python's own threads do is.
atexit.register(finish_handed_over)


def awaited() -> tuple[Completions, asyncio.Future[Any]] | None:
    """Make a future of the running loop, and say where the core's threads leave what resolves it.

    Returns:
        Both; None on a loop that cannot watch a pipe, or where there is none to be had.
    """
    loop = asyncio.get_running_loop()
    known = _completions.get(loop)
    completions = known() if known is not None else None
    if completions is None:
        completions = _watched_by(loop)
    return None if completions is None else (completions, loop.create_future())


def _watched_by(loop: asyncio.AbstractEventLoop) -> Completions | None:
    try:
        completions = Completions()
        os.set_blocking(completions.fileno(), False)
        loop.add_reader(completions.fileno(), completions.deliver)
    except (NotImplementedError, OSError):
        return None
    _completions[loop] = ref(completions)
    return completions
