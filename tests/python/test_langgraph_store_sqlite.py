"""Random operations answer what LangGraph's own store in a SQLite file answers, where that one is the reference.

It is for fields within fields, for namespaces that go with their last item, and for pages of them. It is not where its
SQL differs from what LangGraph documents: there a label matches another one that begins like it, and a field that an
item lacks differs from nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, Op, PutOp, SearchOp
from langgraph.store.sqlite import SqliteStore
from langgraph_memory_given import plain

from swarmstate.integrations.langgraph import SwarmStateStore

# None begins, or ends, like another one.
LABELS = st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, max_size=3).map(tuple)
KEYS = st.sampled_from(["1", "2", "é", "%", "_"])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([-0.5, 1.5, 1e9]))
TEXTS = st.text("abAé%_'", max_size=3)
VALUES = st.fixed_dictionaries(
    {
        "n": NUMBERS,
        "t": TEXTS,
        "d": st.fixed_dictionaries({"x": NUMBERS, "y": st.fixed_dictionaries({"z": TEXTS})}),
    }
)


def judged(operands: st.SearchStrategy[Any], operators: list[str]) -> st.SearchStrategy[Any]:
    """A value that a field must equal, or operators."""
    return st.one_of(operands, st.dictionaries(st.sampled_from(operators), operands, min_size=1, max_size=2))


NUMBER_TESTS = judged(NUMBERS, ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
TEXT_TESTS = judged(TEXTS, ["$eq", "$ne"])
FILTERS = st.fixed_dictionaries(
    {}, optional={"n": NUMBER_TESTS, "t": TEXT_TESTS, "d.x": NUMBER_TESTS, "d.y.z": TEXT_TESTS}
)
CONDITIONS = st.lists(st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), LABELS), max_size=2).map(tuple)
PAGES = {"limit": st.integers(1, 4), "offset": st.integers(0, 3)}
OPS = st.lists(
    st.one_of(
        st.builds(PutOp, LABELS, KEYS, VALUES, st.none(), st.none()),
        st.builds(PutOp, LABELS, KEYS, VALUES, st.none(), st.none()),
        st.builds(PutOp, LABELS, KEYS, st.none(), st.none(), st.none()),
        st.builds(GetOp, LABELS, KEYS),
        st.builds(SearchOp, st.one_of(st.just(()), LABELS), FILTERS, st.just(1000), st.just(0), st.none()),
        st.builds(ListNamespacesOp, CONDITIONS, st.one_of(st.none(), st.integers(1, 3)), **PAGES),
    ),
    max_size=25,
)


def answer(found: Any, op: Op) -> Any:
    """What an operation answers, where an order that each store has for itself does not count."""
    if isinstance(op, SearchOp):
        return sorted(map(plain, found), key=repr)
    return plain(found) if isinstance(op, GetOp) else found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ops=OPS)
def test_random_operations_answer_what_langgraphs_store_in_a_file_does(make_store, ops: list[Op]) -> None:
    ours = SwarmStateStore(make_store())
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as connection:
        theirs = SqliteStore(connection)
        theirs.setup()

        for op in ops:
            assert answer(ours.batch([op])[0], op) == answer(theirs.batch([op])[0], op)
