"""The cache of nodes: what was set comes back until its time or until it is cleared, on every engine."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.cache.base import BaseCache
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateCache, SwarmStateStore

NODE = ("node", "a")


@pytest.fixture
def cache(store: ss.Store) -> SwarmStateCache[Any]:
    return SwarmStateCache(store)


def test_a_cache_opens_a_store_by_its_url_and_makes_one_of_its_own(store: ss.Store) -> None:
    assert SwarmStateCache(store).store is store
    assert SwarmStateCache("memory:?max_history=3").store.capabilities.engine == "memory"
    assert SwarmStateCache().store is not SwarmStateCache().store
    assert isinstance(SwarmStateCache(), BaseCache)


def test_only_what_is_cached_comes_back_and_none_is_a_value(cache: SwarmStateCache[Any]) -> None:
    cache.set({(NODE, "1"): ({"a": [1, 2]}, None), (NODE, "2"): (None, None), (("other",), "1"): ("x", 60)})

    found = cache.get([(NODE, "1"), (NODE, "2"), (NODE, "3"), (("other",), "1"), (("node",), "1")])

    assert found == {(NODE, "1"): {"a": [1, 2]}, (NODE, "2"): None, (("other",), "1"): "x"}
    assert cache.get([]) == {}
    assert cache.get([(["node", "a"], "1")]) == {(NODE, "1"): {"a": [1, 2]}}  # type: ignore[list-item]
    cache.set({(NODE, "1"): ("again", None)})
    assert cache.get([(NODE, "1")]) == {(NODE, "1"): "again"}
    cache.set({})


def test_what_is_cached_goes_at_its_time(cache: SwarmStateCache[Any], clock: ss.Clock) -> None:
    cache.set({(NODE, "short"): (1, 10), (NODE, "long"): (2, 20), (NODE, "ever"): (3, None), (NODE, "not"): (4, 0)})
    places = [(NODE, key) for key in ("short", "long", "ever", "not")]
    assert cache.get(places) == {(NODE, "short"): 1, (NODE, "long"): 2, (NODE, "ever"): 3}

    clock.advance(10)

    assert cache.get(places) == {(NODE, "long"): 2, (NODE, "ever"): 3}
    clock.advance(10)
    assert cache.get(places) == {(NODE, "ever"): 3}


def test_clearing_a_namespace_takes_just_that_one(cache: SwarmStateCache[Any]) -> None:
    namespaces = [(), ("a",), ("a", "b"), ("ab",), ("a\0",), ("a,b",), ("",), ("*",), ("\U0010ffff",)]
    cache.set({(labels, "k"): (list(labels), None) for labels in namespaces})

    cache.clear([("a",), ("*",), ("absent",)])

    kept = [labels for labels in namespaces if labels not in (("a",), ("*",))]
    assert cache.get([(labels, "k") for labels in namespaces]) == {(labels, "k"): list(labels) for labels in kept}
    cache.clear([])
    assert len(cache.get([(labels, "k") for labels in namespaces])) == len(kept)


def test_clearing_all_leaves_what_is_not_the_caches(store: ss.Store, cache: SwarmStateCache[Any]) -> None:
    memory = SwarmStateStore(store)
    memory.put(("n",), "k", {})
    store.set("mine", "k", 1)
    cache.set({((str(number),), "k"): (number, None) for number in range(1500)})
    assert len(cache.get([((str(number),), "k") for number in range(1500)])) == 1500

    cache.clear()

    assert cache.get([((str(number),), "k") for number in range(1500)]) == {}
    assert store.get("mine", "k") == 1
    assert len(store) == 2


def test_what_cannot_be_cached_is_refused(cache: SwarmStateCache[Any]) -> None:
    with pytest.raises(ss.InvalidError, match="4096"):
        cache.set({(NODE, "k" * 5000): (1, None)})
    with pytest.raises(ss.InvalidError, match="finite"):
        cache.set({(NODE, "k"): (1, float("inf"))})  # type: ignore[dict-item]

    assert cache.get([(NODE, "k")]) == {}


async def test_async_twins_do_the_same(cache: SwarmStateCache[Any]) -> None:
    await asyncio.gather(*(cache.aset({(NODE, str(number)): (number, 60)}) for number in range(10)))

    assert await cache.aget([(NODE, "3"), (NODE, "11")]) == {(NODE, "3"): 3}
    await cache.aclear([NODE])
    assert await cache.aget([(NODE, "3")]) == {}


class State(TypedDict, total=False):
    question: str
    answer: str


def asked(cache: BaseCache[Any], question: str) -> list[str]:
    """The questions that a graph with a cached node computed an answer for."""
    computed: list[str] = []

    def answer(state: State) -> State:
        computed.append(state["question"])
        return {"answer": state["question"].upper()}

    builder = StateGraph(State)
    builder.add_node("answer", answer, cache_policy=CachePolicy(ttl=60))
    builder.add_edge(START, "answer")
    graph = builder.compile(cache=cache)
    assert graph.invoke({"question": question})["answer"] == question.upper()
    return computed


def test_a_cached_node_runs_once_for_each_question(store: ss.Store, clock: ss.Clock) -> None:
    assert asked(SwarmStateCache(store), "why") == ["why"]
    assert asked(SwarmStateCache(store), "why") == []
    assert asked(SwarmStateCache(store), "how") == ["how"]
    clock.advance(60)
    assert asked(SwarmStateCache(store), "why") == ["why"]


def ask_in_a_process(url: str) -> list[str]:
    return asked(SwarmStateCache(url), "why")


def test_what_one_process_computes_another_one_finds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/cache.db?durability=normal"
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        first = pool.apply(ask_in_a_process, [url])
        second = pool.apply(ask_in_a_process, [url])

    assert (first, second) == (["why"], [])
