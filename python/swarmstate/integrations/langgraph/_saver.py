"""The checkpointer: LangGraph's shapes to and fro.

Where a record lies, what belongs together and in which order it comes back is the side of `swarmstate._core.Threads`,
which calls the serializer too. Here metadata is compared after it was read back, by Python's own `==`.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from swarmstate._core import Checkpoints, Store, Threads, dumps, loads
from swarmstate.exceptions import InvalidError
from swarmstate.integrations.langgraph._files import ThreadFiles
from swarmstate.integrations.langgraph._on_store import OnStore, awaited
from swarmstate.integrations.langgraph._threads import ThreadInfo, ThreadUsage

if TYPE_CHECKING:
    from swarmstate._core import _SavedCheckpoint


class SwarmStateSaver(ThreadFiles, OnStore, BaseCheckpointSaver[str]):
    """A LangGraph checkpointer on any store.

    Each write is one atomic step, and each read one consistent cut. Any number of savers may share a store, and see one
    another's writes at once. In memory the async methods run inline. Where the engine waits for a disk or a network,
    they leave the event loop: `aput`, `aput_writes` and `aget_tuple` of a small state serialize on it and wait on a
    thread of the core, which needs no GIL; a large state, and what another serializer than LangGraph's makes, is
    serialized off the loop too.

    Args:
        store: The store that holds the threads, or its URL; None = a new one in memory.
        serde: What serializes values; None = LangGraph's own, without pickle. One that encrypts works too: what it
            makes of two versions has nothing in common, so each is stored whole.
        keep_last: How many checkpoints of each namespace stay, besides what DeltaChannels are rebuilt from; None = all.
            Up to twice as many stand for a while; `prune` is exact.
        ttl: Seconds after its last put at which a thread is gone; None = it stays. The last put decides.
        strict: Make only objects of types that LangGraph lists as safe, or that `with_allowlist` adds, when values are
            read; all others come back as LangGraph's strict mode gives them. Only with LangGraph's own serializer.

    Attributes:
        store: The store; `saver.store.snapshot()` holds every thread.

    Raises:
        InvalidError: The URL names no engine, or an option that the engine does not have; `keep_last` is below 1, `ttl`
            not above 0, or `strict` meets a serializer of your own.

    Example:
        >>> saver = SwarmStateSaver()
        >>> config = {"configurable": {"thread_id": "1"}}
        >>> saver.get_tuple(config) is None
        True
    """

    def __init__(
        self,
        store: Store | str | None = None,
        *,
        serde: SerializerProtocol | None = None,
        keep_last: int | None = None,
        ttl: float | None = None,
        strict: bool = False,
    ) -> None:
        if strict:
            if serde is not None:
                raise InvalidError("strict is for LangGraph's own serializer; give yours an allowlist instead")
            serde = JsonPlusSerializer(allowed_msgpack_modules=None)
        super().__init__(serde=serde)
        self._stand_on(store)
        plain = _plain_class(JsonPlusSerializer.dumps_typed, JsonPlusSerializer.loads_typed)
        self._threads = Threads(self.store, plain=plain, keep_last=keep_last, ttl=ttl)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and the values of the channels that have a new version.

        Args:
            config: The thread; its `checkpoint_id` is the parent.
            checkpoint: The checkpoint.
            metadata: What is known about it; the config's own metadata is added.
            new_versions: The channels whose value is stored; one without a value is stored as empty.

        Returns:
            The config that names the checkpoint.

        Raises:
            InvalidError: An id, a namespace or a channel is too long; nothing is stored.
            TooLargeError: A value is above the limit of the store; nothing is stored.
        """
        configurable = config["configurable"]
        thread_id, checkpoint_ns = configurable["thread_id"], configurable.get("checkpoint_ns", "")
        self._threads.put(
            str(thread_id),
            checkpoint_ns,
            checkpoint["id"],
            configurable.get("checkpoint_id"),
            checkpoint,
            get_checkpoint_metadata(config, metadata),
            new_versions,
            self.serde,
        )
        return _config(thread_id, checkpoint_ns, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote after a checkpoint, which need not be there yet.

        A write that is there already stays; one to a special channel (error, scheduled, interrupt, resume) is replaced.

        Args:
            config: Thread and checkpoint.
            writes: Channels and values.
            task_id: The task.
            task_path: Its place in the graph, by which writes are ordered first.

        Raises:
            InvalidError: An id, a namespace or a channel is too long; nothing is stored.
            TooLargeError: A value is above the limit of the store; nothing is stored.
        """
        configurable = config["configurable"]
        self._threads.put_writes(
            str(configurable["thread_id"]),
            configurable.get("checkpoint_ns", ""),
            configurable["checkpoint_id"],
            task_id,
            task_path,
            _rows(writes),
            self.serde,
        )

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint with its channels and the writes that wait on it, as of one moment.

        Args:
            config: The thread, and which checkpoint of it; without an id, the latest.

        Returns:
            The checkpoint, or None.

        Raises:
            CorruptError: A stored record is not what was written.
        """
        configurable = config["configurable"]
        thread_id, checkpoint_ns = configurable["thread_id"], configurable.get("checkpoint_ns", "")
        checkpoint_id = configurable.get("checkpoint_id") or None
        saved = self._threads.get(str(thread_id), checkpoint_ns, checkpoint_id, self.serde)
        return None if saved is None else _tuple(thread_id, checkpoint_ns, saved)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """List checkpoints as they stand now, newest id first; what is written meanwhile does not show.

        Args:
            config: The thread, one namespace of it if named, one checkpoint if named; None = all threads.
            filter: What the metadata must equal, key by key; None matches a missing one too.
            before: Only checkpoints with a smaller id than this one's.
            limit: The most checkpoints; None = all of them.

        Returns:
            The checkpoints, read as the iterator moves on.

        Raises:
            CorruptError: A stored record is not what was written.
        """
        wanted = config["configurable"] if config else {}
        listing = self._threads.list(
            str(wanted["thread_id"]) if config else None,
            wanted.get("checkpoint_ns"),
            wanted.get("checkpoint_id") or None,
            (before["configurable"].get("checkpoint_id") or None) if before else None,
            self.serde,
        )
        return self._matching(listing, filter or {}, limit)

    def _matching(self, listing: Checkpoints, filter: dict[str, Any], limit: int | None) -> Iterator[CheckpointTuple]:
        remaining = limit
        while remaining is None or remaining > 0:
            found = listing.next()
            if found is None:
                return
            thread_id, checkpoint_ns, metadata = found
            if any(metadata.get(key) != value for key, value in filter.items()):
                continue
            saved = listing.load()
            if saved is not None:
                yield _tuple(thread_id, checkpoint_ns, saved)
            if remaining is not None:
                remaining -= 1

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread with all that it holds.

        Args:
            thread_id: The thread; an absent one is nothing to do.
        """
        self._threads.delete(str(thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with all that it holds, under the same checkpoint ids.

        Args:
            source_thread_id: The thread to copy; an absent one is nothing to do.
            target_thread_id: The thread to make; the source itself is nothing to do.

        Raises:
            ConflictError: The target holds anything; nothing is copied.
        """
        self._threads.copy(str(source_thread_id), str(target_thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that some runs made, with their writes, from all threads.

        Values that other checkpoints name stay. A DeltaChannel of a later run is rebuilt from the writes of earlier
        ones: what a removed run wrote to it is gone from it.

        Args:
            run_ids: The runs, as their `run_id` stands in the metadata; unknown ones are nothing to do.

        Raises:
            CorruptError: A checkpoint cannot be read; all other threads are done.
            ConflictError: Others change a thread without a pause; all other threads are done.
        """
        self._threads.delete_runs([str(run_id) for run_id in run_ids])

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints of threads, and every value that only they named.

        Args:
            thread_ids: The threads; absent ones are nothing to do.
            strategy: "keep_latest" = the newest of each namespace stays, with its writes and with the ancestors that
                its DeltaChannels are rebuilt from; "delete" = nothing stays.

        Raises:
            InvalidError: There is no such strategy; nothing is removed.
            CorruptError: A checkpoint cannot be read; the threads before are done.
            ConflictError: Others change a thread without a pause; the threads before are done.
        """
        if strategy not in ("keep_latest", "delete"):
            raise InvalidError(f"strategy must be 'keep_latest' or 'delete', not {strategy!r}")
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
            else:
                self._threads.prune(str(thread_id), 1)

    def threads(
        self, *, prefix: str = "", after: str | None = None, limit: int | None = None
    ) -> builtins.list[ThreadInfo]:
        """List threads in the order of their ids, without reading a checkpoint.

        Args:
            prefix: What the ids begin with.
            after: Only threads whose id comes after this one, which need not exist: the last of the page before.
            limit: The most threads; None = all of them.

        Returns:
            What is known of each.

        Raises:
            InvalidError: `limit` is negative.
            CorruptError: What a thread knows about itself cannot be read.
        """
        if limit is not None and limit < 0:
            raise InvalidError(f"limit must not be negative, but is {limit}")
        return [ThreadInfo(*row) for row in self._threads.overview(prefix, after, limit)]

    def usage(self, thread_id: str) -> ThreadUsage:
        """Tell how much room a thread takes, as if there were no other.

        Args:
            thread_id: The thread; an absent one takes none.

        Returns:
            Bytes and counts.

        Raises:
            CorruptError: A stored record is not what was written.
        """
        return ThreadUsage(*self._threads.usage(str(thread_id)))

    def remove_expired(self) -> int:
        """Remove what is left of all threads whose `ttl` is over; none of it can be read any more.

        Puts of a saver with a `ttl` look at some threads as they go, so this is needed only where nothing is put any
        more.

        Returns:
            How many threads were removed.
        """
        return self._threads.remove_expired()

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Read what the ancestors of a checkpoint say about channels that are rebuilt from writes, as of one moment.

        Args:
            config: The thread, and which checkpoint of it; without an id, the latest.
            channels: The channels.

        Returns:
            For each channel the writes to it, oldest first, since the nearest ancestor that stores a value, which is
            the `seed`; without a `seed` where none does.

        Raises:
            CorruptError: A stored record is not what was written.
        """
        names = list(dict.fromkeys(channels))
        if not names:
            return {}
        configurable = config["configurable"]
        found = self._threads.history(
            str(configurable["thread_id"]),
            configurable.get("checkpoint_ns", ""),
            configurable.get("checkpoint_id") or None,
            names,
            self.serde,
        )
        return {name: _history(*of_channel) for name, of_channel in zip(names, found, strict=True)}

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        """Make the version that follows: a rising number and a random part.

        Two branches of a thread reach the same number; by the random part they never share a value.

        Args:
            current: The version before, of this or another saver; None = there is none.
            channel: Not used.

        Returns:
            The version, greater as text than every one before it.
        """
        number = int(current.split(".")[0]) if isinstance(current, str) else int(current or 0)
        return f"{number + 1:032}.{os.urandom(8).hex()}"

    def _is_core(self, call: Callable[..., Any]) -> bool:
        """Whether a thread of the core may do what `call` does: it is this class's method, on an engine that waits."""
        return self._waits and getattr(call, "__func__", None) in _OF_THE_CORE

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, as `put` does."""
        if self._is_core(self.put) and (waiting := awaited()) is not None:
            completions, future = waiting
            configurable = config["configurable"]
            thread_id, checkpoint_ns = configurable["thread_id"], configurable.get("checkpoint_ns", "")
            is_begun = self._threads.aput(
                completions,
                future,
                str(thread_id),
                checkpoint_ns,
                checkpoint["id"],
                configurable.get("checkpoint_id"),
                checkpoint,
                get_checkpoint_metadata(config, metadata),
                new_versions,
                self.serde,
            )
            if is_begun:
                await future
                return _config(thread_id, checkpoint_ns, checkpoint["id"])
        return await self._run(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, as `put_writes` does."""
        if self._is_core(self.put_writes) and (waiting := awaited()) is not None:
            completions, future = waiting
            configurable = config["configurable"]
            is_begun = self._threads.aput_writes(
                completions,
                future,
                str(configurable["thread_id"]),
                configurable.get("checkpoint_ns", ""),
                configurable["checkpoint_id"],
                task_id,
                task_path,
                _rows(writes),
                self.serde,
            )
            if is_begun:
                await future
                return
        await self._run(self.put_writes, config, writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint, as `get_tuple` does."""
        if not self._is_core(self.get_tuple) or (waiting := awaited()) is None:
            return await self._run(self.get_tuple, config)
        completions, future = waiting
        configurable = config["configurable"]
        thread_id, checkpoint_ns = configurable["thread_id"], configurable.get("checkpoint_ns", "")
        checkpoint_id = configurable.get("checkpoint_id") or None
        self._threads.aget(completions, future, str(thread_id), checkpoint_ns, checkpoint_id, self.serde)
        fetched = await future
        if fetched is None:
            return None
        saved = fetched.load() if fetched.is_short else await self._run(fetched.load)
        return _tuple(thread_id, checkpoint_ns, saved)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """List checkpoints, as `list` does."""
        found = await self._run(self.list, config, filter=filter, before=before, limit=limit)
        while (item := await self._run(next, found, None)) is not None:
            yield item

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a thread, as `delete_thread` does."""
        await self._run(self.delete_thread, thread_id)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, as `copy_thread` does."""
        await self._run(self.copy_thread, source_thread_id, target_thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints of some runs, as `delete_for_runs` does."""
        await self._run(self.delete_for_runs, run_ids)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints, as `prune` does."""
        await self._run(self.prune, thread_ids, strategy=strategy)

    async def athreads(
        self, *, prefix: str = "", after: str | None = None, limit: int | None = None
    ) -> builtins.list[ThreadInfo]:
        """List threads, as `threads` does."""
        return await self._run(self.threads, prefix=prefix, after=after, limit=limit)

    async def ausage(self, thread_id: str) -> ThreadUsage:
        """Tell how much room a thread takes, as `usage` does."""
        return await self._run(self.usage, thread_id)

    async def aremove_expired(self) -> int:
        """Remove what is left of threads, as `remove_expired` does."""
        return await self._run(self.remove_expired)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Read the history of channels, as `get_delta_channel_history` does."""
        return await self._run(self.get_delta_channel_history, config=config, channels=channels)


_OF_THE_CORE = (SwarmStateSaver.put, SwarmStateSaver.put_writes, SwarmStateSaver.get_tuple)


def _rows(writes: Sequence[tuple[str, Any]]) -> builtins.list[tuple[int, str, Any]]:
    """Writes with their indexes."""
    return [(WRITES_IDX_MAP.get(channel, position), channel, value) for position, (channel, value) in enumerate(writes)]


@cache
def _plain_class(*methods: Callable[..., Any]) -> type[SerializerProtocol] | None:
    """LangGraph's serializer, if its `methods` write and read plain values as the core does, which then does that."""
    plain = {"text": "\u00e4", "": [None, True, 1, -1, 2**63, 0.5, b"bytes"], "deeper": {"a": (), 2: {}}}
    serde = JsonPlusSerializer()
    packed = dumps(plain)
    is_alike = serde.dumps_typed(plain) == ("msgpack", packed) and serde.dumps_typed(None) == ("null", b"")
    return JsonPlusSerializer if is_alike and serde.loads_typed(("msgpack", packed)) == loads(packed) else None


def _tuple(thread_id: Any, checkpoint_ns: str, saved: _SavedCheckpoint) -> CheckpointTuple:
    checkpoint_id, parent_id, checkpoint, metadata, writes = saved
    return CheckpointTuple(
        _config(thread_id, checkpoint_ns, checkpoint_id),
        checkpoint,
        metadata,
        _config(thread_id, checkpoint_ns, parent_id) if parent_id else None,
        writes,
    )


def _history(writes: builtins.list[PendingWrite], *seed: Any) -> DeltaChannelHistory:
    return {"writes": writes, "seed": seed[0]} if seed else {"writes": writes}


def _config(thread_id: Any, checkpoint_ns: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns, "checkpoint_id": checkpoint_id},
    }
