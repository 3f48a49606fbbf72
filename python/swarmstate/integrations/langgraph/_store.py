"""Long-term memory: LangGraph's operations on items to and fro.

Where an item lies, what a filter keeps and how near two vectors are is the side of `swarmstate._core.Items`. Here texts
are taken out of values and embedded.
"""

from __future__ import annotations

import asyncio
import weakref
from array import array
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
)

from swarmstate._core import Items, Store
from swarmstate.exceptions import InvalidError
from swarmstate.integrations.langgraph._on_store import OnStore
from swarmstate.integrations.langgraph._sweeper import Sweeper

if TYPE_CHECKING:
    from swarmstate._core import _Change, _Item, _Question

SECONDS_PER_MINUTE = 60.0
DEFAULT_SWEEP_INTERVAL_MINUTES = 5.0
WHOLE_VALUE = "$"

# What each text was embedded as: the bytes of an array of 32-bit floats.
Vectors = dict[str, bytes]


class SwarmStateStore(OnStore, BaseStore):
    """LangGraph's long-term memory on any store.

    The reads of a batch see one consistent cut, from before its writes, which are carried out together or not at all.
    Any number of these may share a store, with savers and caches too. In memory the async methods run inline; where the
    engine waits for a disk or a network, they run in a thread.

    Args:
        store: The store that holds the items, or its URL; None = a new one in memory.
        index: What items are searched by: `dims`, `embed` and `fields`, as for LangGraph's own stores; None = a query
            is left out of account.
        ttl: `default_ttl` in minutes for items that name none, `refresh_on_read` (True) and `sweep_interval_minutes`
            (5); None = items stay.

    Attributes:
        store: The store; `memory.store.snapshot()` holds every item.
        index_config: As `index` says.
        embeddings: What embeds texts; None = nothing does.
        ttl_config: As `ttl` says.

    Raises:
        InvalidError: The URL names no engine, or an option that the engine does not have.

    Example:
        >>> memory = SwarmStateStore()
        >>> memory.put(("users", "ann"), "likes", {"food": "figs"})
        >>> memory.search(("users",), filter={"food": "figs"})[0].key
        'likes'
    """

    supports_ttl = True

    def __init__(
        self,
        store: Store | str | None = None,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self._stand_on(store)
        self.index_config = index
        self.ttl_config = ttl
        self.embeddings = ensure_embeddings(index["embed"]) if index else None
        self._fields = _tokenized(index.get("fields") or [WHOLE_VALUE]) if index else []
        self._items = Items(self.store)
        self._sweeper: Sweeper | None = None

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations: first the reads, from one consistent cut, then the writes, all or none.

        Args:
            ops: What to do; of several puts to one item the last counts.

        Returns:
            One result for each operation; None for a put.

        Raises:
            TypeError: A part of a value is not storable; the message gives the path to it. Nothing is written.
            InvalidError: A name is too long, a ttl not above 0, an operator of a filter unknown, or an embedding not of
                the index's dimensions. Nothing is written.
            TooLargeError: A value, or all writes together, are above the limit of the store; nothing is written.
        """
        plan = self._plan(ops)
        asked: Vectors = {}
        if self.embeddings is not None:
            asked = self._checked((query, self.embeddings.embed_query(query)) for query in plan.queries)
        answers = self._read(plan, asked)
        embedded: Vectors = {}
        if self.embeddings is not None and plan.texts:
            embedded = self._checked(zip(plan.texts, self.embeddings.embed_documents(plan.texts), strict=True))
        self._write(plan, embedded)
        return answers

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations, as `batch` does."""
        plan = self._plan(ops)
        asked: Vectors = {}
        if self.embeddings is not None and plan.queries:
            found = await asyncio.gather(*map(self.embeddings.aembed_query, plan.queries))
            asked = self._checked(zip(plan.queries, found, strict=True))
        answers = await self._run(self._read, plan, asked)
        embedded: Vectors = {}
        if self.embeddings is not None and plan.texts:
            embedded = self._checked(zip(plan.texts, await self.embeddings.aembed_documents(plan.texts), strict=True))
        await self._run(self._write, plan, embedded)
        return answers

    def sweep_ttl(self) -> None:
        """Free the room of items whose time is over, and compact the store.

        For every read they are gone at that moment, swept or not, so there is nothing to count.
        """
        self._items.sweep()

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweep in a thread of its own, again and again, until `stop_ttl_sweeper`.

        A sweep that fails is logged, and the next one tries again.

        Args:
            sweep_interval_minutes: Minutes between two sweeps; None = as configured, else 5.

        Returns:
            What ends with the sweeper; its `cancel` stops it too. Where one runs already, that one's.

        Raises:
            InvalidError: The interval is not above 0.
        """
        if self._sweeper is not None and self._sweeper.runs():
            return self._sweeper.future
        minutes = sweep_interval_minutes
        if minutes is None:
            minutes = (self.ttl_config or {}).get("sweep_interval_minutes") or DEFAULT_SWEEP_INTERVAL_MINUTES
        if not minutes > 0:
            raise InvalidError(f"sweep_interval_minutes must be above 0, but is {minutes}")
        self._sweeper = Sweeper(self._items, minutes * SECONDS_PER_MINUTE)
        weakref.finalize(self, self._sweeper.future.cancel)
        return self._sweeper.future

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop the sweeper, if one runs.

        Args:
            timeout: Seconds to wait for its end; None = until it ends.

        Returns:
            Whether none runs any more.
        """
        return self._sweeper is None or self._sweeper.stop(timeout)

    def _plan(self, ops: Iterable[Op]) -> _Plan:
        plan = _Plan()
        for op in ops:
            if isinstance(op, PutOp):
                plan.put(op, self._texts(op))
            elif isinstance(op, GetOp | SearchOp | ListNamespacesOp):
                plan.read(op)
            else:
                raise InvalidError(
                    f"a batch takes GetOp, SearchOp, PutOp and ListNamespacesOp, not {type(op).__name__}"
                )
        return plan

    def _texts(self, op: PutOp) -> list[str]:
        if self.embeddings is None or op.value is None or op.index is False:
            return []
        fields = self._fields if op.index is None else _tokenized(op.index)
        return [text for field in fields for text in get_text_at_path(op.value, field)]

    def _checked(self, embedded: Iterable[tuple[str, Sequence[float]]]) -> Vectors:
        wanted = self.index_config["dims"] if self.index_config else 0
        vectors: Vectors = {}
        for text, vector in embedded:
            if len(vector) != wanted:
                raise InvalidError(
                    f"the embedding of a text of {len(text)} characters has {len(vector)} dimensions, and the index is"
                    f" configured for {wanted}: let dims be what embed gives"
                )
            vectors[text] = array("f", vector).tobytes()
        return vectors

    def _read(self, plan: _Plan, asked: Vectors) -> list[Result]:
        answers: list[Result] = [None] * plan.length
        if plan.reads:
            found = self._items.read([_question(op, asked) for _, op in plan.reads])
            for (position, op), answer in zip(plan.reads, found, strict=True):
                answers[position] = _result(op, answer)
        return answers

    def _write(self, plan: _Plan, embedded: Vectors) -> None:
        if plan.puts:
            self._items.write([_change(op, [embedded[text] for text in texts]) for op, texts in plan.puts.values()])


class _Plan:
    """The operations of a batch, sorted into reads, and the puts that count with the texts they are found by."""

    def __init__(self) -> None:
        self.length = 0
        self.reads: list[tuple[int, GetOp | SearchOp | ListNamespacesOp]] = []
        self.puts: dict[tuple[tuple[str, ...], str], tuple[PutOp, list[str]]] = {}

    def read(self, op: GetOp | SearchOp | ListNamespacesOp) -> None:
        self.reads.append((self.length, op))
        self.length += 1

    def put(self, op: PutOp, texts: list[str]) -> None:
        self.puts[op.namespace, op.key] = (op, texts)
        self.length += 1

    @property
    def queries(self) -> list[str]:
        """What is searched for, each once."""
        return list(dict.fromkeys(op.query for _, op in self.reads if isinstance(op, SearchOp) and op.query))

    @property
    def texts(self) -> list[str]:
        """What is to be embedded, each once."""
        return list(dict.fromkeys(text for _, texts in self.puts.values() for text in texts))


def _tokenized(paths: Iterable[str]) -> list[Any]:
    return [path if path == WHOLE_VALUE else tokenize_path(path) for path in paths]


def _question(op: GetOp | SearchOp | ListNamespacesOp, asked: Vectors) -> _Question:
    if isinstance(op, GetOp):
        return ("get", op.namespace, op.key, op.refresh_ttl)
    if isinstance(op, SearchOp):
        vector = asked.get(op.query) if op.query else None
        return ("search", op.namespace_prefix, op.filter or None, op.limit, op.offset, vector, op.refresh_ttl)
    patterns = [(condition.match_type, tuple(condition.path)) for condition in op.match_conditions or ()]
    return ("list", patterns, op.max_depth, op.limit, op.offset)


def _change(op: PutOp, vectors: list[bytes]) -> _Change:
    value = None if op.value is None else dict(op.value)
    ttl = None if op.ttl is None else op.ttl * SECONDS_PER_MINUTE
    return (op.namespace, op.key, value, ttl, vectors)


def _result(op: GetOp | SearchOp | ListNamespacesOp, answer: Any) -> Result:
    if isinstance(op, GetOp):
        return None if answer is None else _item(answer)
    if isinstance(op, SearchOp):
        return [_search_item(found) for found in answer]
    return cast("list[tuple[str, ...]]", answer)


def _item(found: _Item) -> Item:
    namespace, key, value, created_at, updated_at, _ = found
    return Item(
        namespace=namespace, key=key, value=value, created_at=_moment(created_at), updated_at=_moment(updated_at)
    )


def _search_item(found: _Item) -> SearchItem:
    namespace, key, value, created_at, updated_at, score = found
    return SearchItem(namespace, key, value, _moment(created_at), _moment(updated_at), score)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
