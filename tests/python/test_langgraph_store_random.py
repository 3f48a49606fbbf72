"""Random batches answer, item by item, what LangGraph's own store in memory answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, MatchCondition, Op, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore
from langgraph_memory_given import index_of, plain

from swarmstate.integrations.langgraph import SwarmStateStore

LABELS = st.lists(st.sampled_from(["a", "b", "ab", "é", "a\x01"]), min_size=1, max_size=3).map(tuple)
PATTERNS = st.lists(st.sampled_from(["a", "b", "ab", "*"]), min_size=1, max_size=3).map(tuple)
KEYS = st.sampled_from(["", "1", "2", "=", "\U0010ffff"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.sampled_from(["", "a"])
)
NUMBERS = st.one_of(st.integers(-2, 2), st.sampled_from([0.5, 1.0]))
# `n` is a number in every item: where one is none, LangGraph's comparison raises.
VALUES = st.fixed_dictionaries(
    {"n": NUMBERS, "text": st.text("abc", min_size=1, max_size=4)},
    optional={
        "s": SCALARS,
        "d": st.dictionaries(st.sampled_from(["x", "y"]), SCALARS),
        "l": st.lists(SCALARS, max_size=2),
    },
).filter(lambda value: value["text"] != value.get("s"))  # LangGraph's store refuses a put of one text twice.
OPERATORS = st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"]), NUMBERS, min_size=1)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.one_of(NUMBERS, OPERATORS),
        "s": st.one_of(SCALARS, st.dictionaries(st.sampled_from(["$eq", "$ne"]), SCALARS, min_size=1)),
        "d": st.dictionaries(st.sampled_from(["x", "y"]), SCALARS),
        "l": st.lists(SCALARS, max_size=2),
    },
)
CONDITIONS = st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), PATTERNS)
PUTS = st.builds(PutOp, LABELS, KEYS, st.one_of(st.none(), VALUES), st.sampled_from([None, None, False]), ttl=st.none())
READS = st.one_of(
    st.builds(GetOp, LABELS, KEYS),
    st.builds(
        SearchOp,
        st.one_of(st.just(()), LABELS),
        FILTERS,
        st.just(1000),
        st.just(0),
        st.one_of(st.none(), st.sampled_from(["a", "ab", "cab"])),
    ),
    st.builds(
        ListNamespacesOp,
        st.one_of(st.none(), st.lists(CONDITIONS, max_size=2).map(tuple)),
        st.one_of(st.none(), st.integers(1, 3)),
        st.just(1000),
        st.just(0),
    ),
)
BATCHES = st.lists(st.lists(st.one_of(PUTS, PUTS, READS), max_size=8), max_size=5)


def listed(memory: InMemoryStore, op: ListNamespacesOp) -> Any:
    """Namespaces that hold an item; there one stays when its last item goes, and comes to be when it is asked for."""
    fresh = InMemoryStore()
    fresh.batch([PutOp(item.namespace, item.key, item.value) for item in memory.search((), limit=1000)])
    return fresh.batch([op])[0]


def put(memory: InMemoryStore, ops: list[PutOp]) -> None:
    """Puts one by one what counts: there two texts that are alike end a batch, and an old embedding outlives a put."""
    for op in {(op.namespace, op.key): op for op in ops}.values():
        memory.batch([PutOp(op.namespace, op.key, None)])
        memory.batch([op])


def answers(memory: BaseStore, reads: list[Op]) -> list[Any]:
    """What reads answer, where an order that each store has for itself does not count."""
    found: list[Any] = []
    for op, answer in zip(reads, memory.batch(reads), strict=True):
        if isinstance(op, SearchOp):
            found.append(sorted(map(plain, answer), key=repr))
        elif isinstance(op, ListNamespacesOp):
            found.append(listed(memory, op) if isinstance(memory, InMemoryStore) else answer)
        else:
            found.append(plain(answer))
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_random_batches_answer_what_langgraphs_own_store_does(make_store, batches: list[list[Op]]) -> None:
    ours = SwarmStateStore(make_store(), index=index_of("text", "s"))
    theirs = InMemoryStore(index=index_of("text", "s"))

    for batch in batches:
        puts = [op for op in batch if isinstance(op, PutOp)]
        reads = [op for op in batch if not isinstance(op, PutOp)]
        before = answers(theirs, reads)
        put(theirs, puts)

        # A batch reads first, wherever its writes stand.
        assert answers(ours, [*puts, *reads])[len(puts) :] == before
        assert answers(ours, reads) == answers(theirs, reads)


@settings(max_examples=60)
@given(
    vectors=st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=19, max_size=19), min_size=1, max_size=30),
    query=st.lists(st.floats(-1e3, 1e3, width=32), min_size=19, max_size=19),
)
def test_scores_are_the_cosines_that_numpy_finds(vectors: list[list[float]], query: list[float]) -> None:
    known = {str(number): vector for number, vector in enumerate(vectors)} | {"query": query}
    memory = SwarmStateStore(
        index={"dims": 19, "embed": lambda texts: [known[text] for text in texts], "fields": ["text"]}
    )
    memory.batch([PutOp(("n",), name, {"text": name}) for name in known if name != "query"])

    found = {item.key: item.score for item in memory.search((), query="query", limit=100)}

    matrix, wanted = np.array(vectors), np.array(query)
    norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(wanted)
    expected = np.divide(matrix @ wanted, norms, out=np.zeros(len(vectors)), where=norms > 0)
    np.testing.assert_allclose([found[str(number)] for number in range(len(vectors))], expected, atol=1e-5)
    scores = list(found.values())
    assert scores == sorted(scores, reverse=True)
