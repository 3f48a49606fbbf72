"""A thread through a file, as the checkpointer offers it.

What a file holds and when a thread is there is the side of `swarmstate._core.Threads`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite

    from swarmstate._core import Threads

Progress = Callable[[int, int], object]


class ThreadFiles:
    """What of a checkpointer writes threads to files, and makes them of files. The async methods run in a thread."""

    _threads: Threads

    def export_thread(
        self,
        thread_id: str,
        file: str | os.PathLike[str] | SupportsWrite[bytes],
        *,
        format: Literal["msgpack", "jsonl"] = "msgpack",
        progress: Progress | None = None,
    ) -> int:
        """Write a thread with all that it holds to a file, as it stands at one moment.

        The file is an export like those of `swarmstate.export`. A path is written whole or not at all.

        Args:
            thread_id: The thread.
            file: A path, or a file that is open for writing bytes.
            format: "msgpack", or "jsonl" for lines of JSON.
            progress: Called as progress(done, total) with counts of records, at times and at the end; an exception from
                it ends the export.

        Returns:
            How many records were written.

        Raises:
            NotFoundError: There is no such thread; nothing is written.
            InvalidError: `format` is unknown.
            OSError: The file cannot be written.
        """
        return self._threads.export(str(thread_id), file, format, progress)

    def import_thread(
        self,
        file: str | os.PathLike[str] | SupportsRead[bytes],
        thread_id: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> str:
        """Make the thread that a file of `export_thread` holds, under the same checkpoint ids.

        Nobody sees anything of it before it is whole. A time to live goes on as it was.

        Args:
            file: A path, or a file that is open for reading bytes; what comes from the latter is kept in a temporary
                file meanwhile.
            thread_id: The id that it gets; None = the one that it had.
            progress: Called as progress(done, total) with counts of records, after each batch; an exception from it
                ends the import.

        Returns:
            The id that it has.

        Raises:
            InvalidError: It is no whole export of one thread, or the thread's time is over; nothing is stored.
            TooLargeError: A record is above the limit of the store; nothing is stored.
            ConflictError: There is a thread of that id, or somebody makes it meanwhile; nothing is stored.
            OSError: The file cannot be read; nothing is stored.
            Exception: With any other error too nothing of the thread can be read, and a repeat is safe.
        """
        return self._threads.import_(file, None if thread_id is None else str(thread_id), progress)

    async def aexport_thread(
        self,
        thread_id: str,
        file: str | os.PathLike[str] | SupportsWrite[bytes],
        *,
        format: Literal["msgpack", "jsonl"] = "msgpack",
        progress: Progress | None = None,
    ) -> int:
        """Write a thread to a file, as `export_thread` does."""
        return await asyncio.to_thread(self.export_thread, thread_id, file, format=format, progress=progress)

    async def aimport_thread(
        self,
        file: str | os.PathLike[str] | SupportsRead[bytes],
        thread_id: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> str:
        """Make the thread that a file holds, as `import_thread` does."""
        return await asyncio.to_thread(self.import_thread, file, thread_id, progress=progress)
