"""Spans and metrics of the checkpointer and of long-term memory, by OpenTelemetry.

What is traced is a subclass, so whatever was not handed to `instrument` runs the code that it always runs. Nothing of a
value, and of a thread's id no more than was asked for, goes into a span; errors are named by their type alone, since
their messages name threads too.

Example:
    >>> from swarmstate.integrations.langgraph import SwarmStateSaver
    >>> saver = instrument(SwarmStateSaver(), thread_id="omit")
    >>> saver.get_tuple({"configurable": {"thread_id": "1"}}) is None
    True
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Literal, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, Result, SearchOp
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider, get_tracer, use_span

from swarmstate import __version__
from swarmstate.exceptions import InvalidError
from swarmstate.integrations.langgraph import SwarmStateSaver, SwarmStateStore

__all__ = ["instrument"]

Traced = TypeVar("Traced", SwarmStateSaver, SwarmStateStore)
ThreadId = Literal["hash", "plain", "omit"]

SCOPE = "swarmstate"
DIGEST_BYTES = 8
LONGEST_KEY_BYTES = 64
COUNTED = {GetOp: "gets", SearchOp: "searches", PutOp: "puts", ListNamespacesOp: "lists"}


def instrument(
    target: Traced,
    *,
    thread_id: ThreadId = "hash",
    key: bytes = b"",
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Traced:
    """Make a checkpointer or a long-term memory whose operations are told to OpenTelemetry.

    Each `put`, `put_writes`, `get_tuple` and `list` of a checkpointer and each `batch` of a memory, by which all of its
    methods go, is a span, and a duration in the histogram `swarmstate.operation.duration` (seconds), by operation and
    engine; the async methods too. Both work on the same store as `target`, which itself stays as it is.

    Args:
        target: A SwarmStateSaver or a SwarmStateStore.
        thread_id: What a span says of the thread: "hash" = 16 hex digits that are the same for the same thread, "plain"
            = its id, "omit" = nothing. Metrics never say anything of it.
        key: What the hash is keyed with, up to 64 bytes: without one, an id that can be guessed can be recognized.
        tracer_provider: Where spans go; None = the global one.
        meter_provider: Where durations go; None = the global one.

    Returns:
        The traced one, of a subclass of `target`'s class.

    Raises:
        TypeError: `target` is neither.
        InvalidError: `thread_id` is none of these, `key` is too long, or `target` is traced already.

    Example:
        >>> instrument(instrument(SwarmStateSaver()))
        Traceback (most recent call last):
        swarmstate.exceptions.InvalidError: the SwarmStateSaver is instrumented already
    """
    if isinstance(target, _TracedSaver | _TracedStore):
        raise InvalidError(f"the {type(target).__base__.__name__} is instrumented already")  # type: ignore[union-attr]
    telemetry = _Telemetry(_teller(thread_id, key), tracer_provider, meter_provider)
    if isinstance(target, SwarmStateSaver):
        saver: Any = copy.copy(target)
        saver.__class__ = _traced_class(type(target))
        saver._telemetry = telemetry
        return cast("Traced", saver)
    if isinstance(target, SwarmStateStore):
        return cast("Traced", _TracedStore(target, telemetry))
    raise TypeError(f"argument 'target' must be a SwarmStateSaver or a SwarmStateStore, not {type(target).__name__}")


def _teller(thread_id: ThreadId, key: bytes) -> Callable[[Any], str | None]:
    """What makes of a thread's id what spans say of it."""
    if len(key) > LONGEST_KEY_BYTES:
        raise InvalidError(f"key has {len(key)} bytes; the most are {LONGEST_KEY_BYTES}")
    if thread_id == "hash":
        return lambda thread: blake2b(str(thread).encode(), digest_size=DIGEST_BYTES, key=key).hexdigest()
    if thread_id == "plain":
        return str
    if thread_id == "omit":
        return lambda thread: None
    raise InvalidError(f'thread_id must be "hash", "plain" or "omit", not {thread_id!r}')


class _Operation:
    """An operation that goes on: its span, and the seconds that it took so far."""

    def __init__(self, telemetry: _Telemetry, name: str, engine: str, known: dict[str, Any]) -> None:
        self.measured: dict[str, str] = {"swarmstate.operation": name, "swarmstate.engine": engine}
        self._histogram = telemetry.histogram
        self._span: Span = telemetry.tracer.start_span(f"swarmstate.{name}", attributes={**self.measured, **known})
        self._seconds = 0.0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Runs a part of it; an error is noted by its type, and goes on."""
        started = time.perf_counter()
        try:
            with use_span(self._span, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            self.measured["error.type"] = type(error).__qualname__
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            self._seconds += time.perf_counter() - started

    def know(self, name: str, value: bool | int) -> None:
        """Adds to the span what came out."""
        self._span.set_attribute(f"swarmstate.{name}", value)

    def end(self) -> None:
        """Tells span and duration."""
        self._span.end()
        self._histogram.record(self._seconds, self.measured)


class _Telemetry:
    """Where operations are told, and what of a thread's id."""

    def __init__(
        self,
        tell: Callable[[Any], str | None],
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        self.tracer = get_tracer(SCOPE, __version__, tracer_provider)
        self.histogram = get_meter(SCOPE, __version__, meter_provider).create_histogram(
            "swarmstate.operation.duration", unit="s", description="How long operations took, of which spans tell more."
        )
        self._tell = tell

    def begin(self, name: str, engine: str, config: RunnableConfig | None, known: dict[str, int]) -> _Operation:
        attributes: dict[str, Any] = {f"swarmstate.{name}": value for name, value in known.items()}
        thread = self._tell(config["configurable"]["thread_id"]) if config else None
        if thread is not None:
            attributes["swarmstate.thread_id"] = thread
        return _Operation(self, name, engine, attributes)

    @contextmanager
    def whole(self, operation: _Operation) -> Iterator[_Operation]:
        """Runs an operation that has one part."""
        try:
            with operation.part():
                yield operation
        finally:
            operation.end()


class _TracedSaver(SwarmStateSaver):
    """A checkpointer that tells; its async methods call these."""

    _telemetry: _Telemetry

    def _begin(self, name: str, config: RunnableConfig | None, **known: int) -> _Operation:
        return self._telemetry.begin(name, self.store.capabilities.engine, config, known)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and tell."""
        with self._telemetry.whole(self._begin("put", config, channels=len(new_versions))):
            return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote, and tell."""
        with self._telemetry.whole(self._begin("put_writes", config, writes=len(writes))):
            super().put_writes(config, writes, task_id, task_path)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint, and tell."""
        with self._telemetry.whole(self._begin("get_tuple", config)) as operation:
            found = super().get_tuple(config)
            operation.know("found", found is not None)
            return found

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """List checkpoints, and tell at the end; the time of who reads between two of them does not count."""
        operation = self._begin("list", config)
        try:
            with operation.part():
                found = super().list(config, filter=filter, before=before, limit=limit)
        except BaseException:
            operation.end()
            raise
        return _told(operation, found)


def _told(operation: _Operation, found: Iterator[CheckpointTuple]) -> Iterator[CheckpointTuple]:
    count = 0
    try:
        while True:
            with operation.part():
                item = next(found, None)
            if item is None:
                return
            count += 1
            yield item
    finally:
        operation.know("checkpoints", count)
        operation.end()


def _traced_class(kind: type[SwarmStateSaver]) -> type[SwarmStateSaver]:
    """The traced class of a checkpointer's, which may be a subclass of ours."""
    return _TracedSaver if kind is SwarmStateSaver else type(f"Traced{kind.__name__}", (_TracedSaver, kind), {})


class _TracedStore(SwarmStateStore):
    """A long-term memory that tells, and leaves all work to the one that was handed over."""

    def __init__(self, inner: SwarmStateStore, telemetry: _Telemetry) -> None:
        vars(self).update(vars(inner))
        self._inner = inner
        self._telemetry = telemetry

    def _begin(self, ops: Sequence[Op]) -> _Operation:
        counts = {counted: sum(isinstance(op, kind) for op in ops) for kind, counted in COUNTED.items()}
        return self._telemetry.begin("batch", self.store.capabilities.engine, None, counts)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations, and tell."""
        listed = [*ops]
        with self._telemetry.whole(self._begin(listed)):
            return self._inner.batch(listed)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations, and tell."""
        listed = [*ops]
        with self._telemetry.whole(self._begin(listed)):
            return await self._inner.abatch(listed)

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweep, as `SwarmStateStore.start_ttl_sweeper` does."""
        return self._inner.start_ttl_sweeper(sweep_interval_minutes)

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop the sweeper, as `SwarmStateStore.stop_ttl_sweeper` does."""
        return self._inner.stop_ttl_sweeper(timeout)
