"""A thread that sweeps at an interval, until it is stopped or its future is cancelled; it ends with the process."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmstate._core import Items

logger = logging.getLogger(__name__)


class Sweeper:
    """A thread that frees the room of items that have ended.

    A sweep that fails, say while a server does not answer, is logged, and the next one tries again.

    Args:
        items: What is swept.
        interval_seconds: From the end of one sweep to the next.

    Attributes:
        future: Ends with the thread; cancelling it stops the thread.
    """

    def __init__(self, items: Items, interval_seconds: float) -> None:
        self.future: Future[None] = Future()
        self._items = items
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self.future.add_done_callback(lambda _: self._stop.set())
        self._thread = threading.Thread(target=self._run, name="swarmstate-ttl-sweeper", daemon=True)
        self._thread.start()

    def runs(self) -> bool:
        """Whether it has neither ended nor been told to."""
        return self._thread.is_alive() and not self._stop.is_set()

    def stop(self, timeout: float | None) -> bool:
        """Tell the thread to end, wait so many seconds for it (None = until it ends), and say whether it has."""
        self._stop.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            try:
                self._items.sweep()
            except Exception:
                logger.exception("sweeping long-term memory failed; the next sweep tries again")
        # Whoever cancelled the future has the last word.
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(None)
