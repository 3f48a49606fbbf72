"""Long-term memory beside LangGraph's own in memory: items put, and searched by a vector of 384 numbers.

Embedding costs nothing here: each text is the number of a vector that was made before. LangGraph's store compares by
NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import Row, compare
from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, PutOp
from langgraph.store.memory import InMemoryStore

from swarmstate.integrations.langgraph import SwarmStateStore

DIMENSIONS = 384
AT_A_TIME = 1000
LABELS = ("facts",)
THEIRS = "InMemoryStore"


@dataclass(frozen=True)
class RecallPlan:
    """How many items there are, and in how many rounds they are searched."""

    sizes: tuple[tuple[int, int], ...]

    @classmethod
    def full(cls) -> RecallPlan:
        return cls(((1_000, 101), (100_000, 5)))

    @classmethod
    def quick(cls) -> RecallPlan:
        return cls(((1_000, 11),))


class Made(Embeddings):
    """Vectors in every direction, the same in every run."""

    def __init__(self, count: int) -> None:
        self.vectors = np.random.default_rng(384).normal(size=(count, DIMENSIONS)).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.vectors[int(text)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.vectors[int(text)] for text in texts]


def rows(plan: RecallPlan, folder: str) -> Iterator[Row]:
    for size, rounds in plan.sizes:
        index = {"dims": DIMENSIONS, "embed": Made(size + 1), "fields": ["text"]}
        theirs, ours = InMemoryStore(index=index), SwarmStateStore(index=index)
        file = SwarmStateStore(f"sqlite:///{Path(folder).resolve()}/{size}.db?durability=normal", index=index)
        yield from put_rows(size, [("in memory", ours), ("SQLite", file)], theirs)
        for name, memory in (("in memory", ours), ("SQLite", file)):
            yield search_row(f"search, {size:,} items, {name}", memory, theirs, size, rounds, {})
        rare = {"number": {"$lt": size // 100}}
        yield search_row(f"search, 1 in 100 of {size:,} kept", ours, theirs, size, rounds, rare)


def put_rows(size: int, candidates: list[tuple[str, BaseStore]], theirs: BaseStore) -> Iterator[Row]:
    """What a put of an item costs in batches of a thousand; the first row fills the rival that is searched later."""
    for at, (name, memory) in enumerate(candidates):
        rival = theirs if at == 0 else InMemoryStore(index=theirs.index_config)
        yield compare(
            f"put, {size:,} items, {name}", THEIRS, filling(memory, size), filling(rival, size), size, 1, None
        )


def filling(memory: BaseStore, size: int):
    def work() -> None:
        for first in range(0, size, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, size))
            memory.batch([PutOp(LABELS, f"{number:06}", {"text": str(number), "number": number}) for number in numbers])

    return work


def search_row(what: str, ours: BaseStore, theirs: BaseStore, size: int, rounds: int, filter: dict) -> Row:
    def searching(memory: BaseStore):
        return lambda: memory.search(LABELS, query=str(size), filter=filter, limit=10)

    found = [[(item.key, round(item.score, 4)) for item in searching(memory)()] for memory in (ours, theirs)]
    assert found[0] == found[1], f"{what}: the answers differ"
    return compare(what, THEIRS, searching(ours), searching(theirs), 1, rounds, None)
