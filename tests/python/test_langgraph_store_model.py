"""Search by meaning with a real embedding model, WordLlama, whose weights its package ships."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import wordllama
from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore
from langgraph_memory_given import keys

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateStore

FACTS = {
    "home": "Ann has a flat in Rome, near the river",
    "food": "Ann is fond of figs and pasta",
    "music": "Ann practises the violin every evening",
    "work": "Ann repairs old clocks in a workshop",
    "travel": "Ann takes the night train to Vienna in spring",
}
QUERIES = {"where does she live?": "home", "does she like pasta?": "food", "which instrument does she play?": "music"}


@pytest.fixture(scope="module")
def model() -> wordllama.WordLlamaInference:
    # The package looks for its own tokenizer where a cache would have it.
    os.environ["HF_HUB_OFFLINE"] = "1"
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def test_a_real_model_finds_what_is_meant(store: ss.Store, model: wordllama.WordLlamaInference) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return model.embed(texts).tolist()

    ours, theirs = (
        SwarmStateStore(store, index={"dims": 256, "embed": embed, "fields": ["fact"]}),
        InMemoryStore(index={"dims": 256, "embed": embed, "fields": ["fact"]}),
    )
    for memory in (ours, theirs):
        memory.batch([PutOp(("ann",), key, {"fact": fact}) for key, fact in FACTS.items()])

    for query, wanted in QUERIES.items():
        found, expected = ours.search(("ann",), query=query), theirs.search(("ann",), query=query)

        assert keys(found) == keys(expected)
        np.testing.assert_allclose([item.score for item in found], [item.score for item in expected], atol=1e-6)
        assert found[0].key == wanted
