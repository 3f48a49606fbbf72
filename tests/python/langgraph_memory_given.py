"""What the tests of long-term memory start from: a made embedding, and what of an item is the same in every store."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import IndexConfig, Item, SearchItem

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Letters(Embeddings):
    """Embeds a text as how often it holds each letter, and knows which threads asked."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.texts: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        self.threads.add(threading.get_ident())
        return [float(text.count(letter)) for letter in LETTERS]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [self.embed_query(text) for text in texts]


def index_of(*fields: str) -> IndexConfig:
    return {"dims": len(LETTERS), "embed": Letters(), "fields": list(fields)}


def keys(found: Iterable[Item]) -> list[str]:
    return [item.key for item in found]


def plain(item: Item | None) -> Any:
    """Address and value, and the score to six digits."""
    if item is None:
        return None
    score = item.score if isinstance(item, SearchItem) else None
    return item.namespace, item.key, item.value, None if score is None else round(score, 6)
