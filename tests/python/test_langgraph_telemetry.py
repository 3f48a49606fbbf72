"""Spans and metrics of what was instrumented, on every engine, and nothing at all of what was not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.store.base import GetOp, PutOp, SearchOp
from langgraph_given import config_of, delta_chat, get, ids, put
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver, SwarmStateStore
from swarmstate.integrations.opentelemetry import instrument

SECRET = "ann@example-org"


class Told:
    """What OpenTelemetry was told, and how to tell it."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        traces = TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.providers: Any = {"tracer_provider": traces, "meter_provider": MeterProvider([self._reader])}

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if name is None or span.name == name]

    def attributes(self, name: str) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.spans(name)]

    def durations(self) -> dict[tuple[str, str | None], int]:
        """How many durations there are of each operation and error."""
        data = self._reader.get_metrics_data()
        assert data is not None
        (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == ("swarmstate.operation.duration", "s")
        points = [point for point in metric.data.data_points if isinstance(point, HistogramDataPoint)]
        assert all(point.sum >= 0 for point in points)
        assert not any("thread" in name for point in points for name in point.attributes or {})
        known = [(dict(point.attributes or {}), point.count) for point in points]
        return {(known["swarmstate.operation"], known.get("error.type")): count for known, count in known}


@pytest.fixture
def told() -> Told:
    return Told()


def test_each_operation_of_a_saver_is_a_span_and_a_duration(store: ss.Store, told: Told) -> None:
    saver = instrument(SwarmStateSaver(store), **told.providers)

    config = put(saver, config_of(), "1", {"a": 1, "b": 2})
    saver.put_writes(config, [("a", 2)], "task")
    get(saver, config)
    saver.get_tuple(config_of("absent"))
    listed = saver.list(config_of(), limit=5)
    assert told.spans("swarmstate.list") == []
    assert ids(listed) == ["1"]

    engine = store.capabilities.engine
    assert {known["swarmstate.engine"] for span in told.spans() for known in [span.attributes or {}]} == {engine}
    assert [known["swarmstate.channels"] for known in told.attributes("swarmstate.put")] == [2]
    assert [known["swarmstate.writes"] for known in told.attributes("swarmstate.put_writes")] == [1]
    assert [known["swarmstate.found"] for known in told.attributes("swarmstate.get_tuple")] == [True, False]
    assert [known["swarmstate.checkpoints"] for known in told.attributes("swarmstate.list")] == [1]
    assert told.durations() == {("put", None): 1, ("put_writes", None): 1, ("get_tuple", None): 2, ("list", None): 1}


def test_a_listing_that_nobody_reads_to_its_end_tells_what_was_read(store: ss.Store, told: Told) -> None:
    saver = instrument(SwarmStateSaver(store), **told.providers)
    for number in range(3):
        put(saver, config_of(), f"{number}")

    listed = saver.list(None)
    next(listed)
    del listed

    assert [known["swarmstate.checkpoints"] for known in told.attributes("swarmstate.list")] == [1]
    assert "swarmstate.thread_id" not in told.attributes("swarmstate.list")[0]


async def test_the_async_methods_and_graphs_tell_the_same(store: ss.Store, told: Told) -> None:
    saver = instrument(SwarmStateSaver(store), **told.providers)

    await delta_chat(saver).ainvoke({"log": ["hello"]}, config_of())
    assert [item async for item in saver.alist(config_of())]

    names = {span.name for span in told.spans()}
    assert names >= {"swarmstate.put", "swarmstate.put_writes", "swarmstate.get_tuple", "swarmstate.list"}


async def test_each_batch_of_a_memory_is_a_span(store: ss.Store, told: Told) -> None:
    memory = instrument(SwarmStateStore(store), **told.providers)

    memory.put(("a",), "k", {"v": 1})
    assert (await memory.aget(("a",), "k")).value == {"v": 1}  # type: ignore[union-attr]
    memory.batch(iter([GetOp(("a",), "k"), SearchOp(("a",)), PutOp(("a",), "j", {}), PutOp(("a",), "i", {})]))

    counted = [
        tuple(known[f"swarmstate.{name}"] for name in ("gets", "searches", "puts", "lists"))
        for known in told.attributes("swarmstate.batch")
    ]
    assert counted == [(0, 0, 1, 0), (1, 0, 0, 0), (1, 1, 2, 0)]
    assert told.durations() == {("batch", None): 3}
    assert SwarmStateStore(store).get(("a",), "i") is not None


def test_an_error_is_told_by_its_type_and_goes_on(make_store: Callable[..., ss.Store], told: Told) -> None:
    store = make_store()
    saver, memory = (
        instrument(SwarmStateSaver(store), **told.providers),
        instrument(SwarmStateStore(store), **told.providers),
    )
    store.close()

    with pytest.raises(ss.InvalidError):
        put(saver, config_of(SECRET), "1")
    with pytest.raises(ss.InvalidError):
        saver.list(config_of(SECRET))
    with pytest.raises(ss.InvalidError):
        memory.get((SECRET,), SECRET)

    assert {(span.status.status_code, span.status.description) for span in told.spans()} == {(StatusCode.ERROR, None)}
    assert [span.attributes["error.type"] for span in told.spans() if span.attributes] == ["InvalidError"] * 3
    assert told.durations() == {(name, "InvalidError"): 1 for name in ("put", "list", "batch")}
    assert SECRET not in "".join(span.to_json() for span in told.spans())


def test_a_thread_is_told_as_its_hash_its_id_or_not_at_all(store: ss.Store, told: Told) -> None:
    def said(**options: Any) -> Any:
        get_nothing = instrument(SwarmStateSaver(store), **told.providers, **options).get_tuple(config_of(SECRET))
        assert get_nothing is None
        return told.attributes("swarmstate.get_tuple")[-1].get("swarmstate.thread_id")

    hashed = said()

    assert len(hashed) == 16
    assert said(thread_id="hash") == hashed
    assert said(key=b"of this service") not in (hashed, None)
    assert SECRET not in "".join(span.to_json() for span in told.spans())
    assert said(thread_id="omit") is None
    assert said(thread_id="plain") == SECRET


def test_what_was_instrumented_works_on_the_same_store_and_the_other_tells_nothing(told: Told) -> None:
    class Own(SwarmStateSaver):
        """A saver of a user's own."""

        def put(self, *arguments: Any) -> Any:
            return super().put(*arguments)

    plain = Own()
    saver = instrument(plain, **told.providers)
    put(plain, config_of(), "1")

    assert told.spans() == []
    assert ids(saver.list(None)) == ["1"]
    assert isinstance(saver, Own)
    allowed = saver.with_allowlist([("own.types", "Own")])
    get(allowed, config_of())
    assert len(told.spans("swarmstate.get_tuple")) == 1


def test_what_cannot_be_instrumented_is_refused_and_named() -> None:
    with pytest.raises(TypeError, match="must be a SwarmStateSaver or a SwarmStateStore, not Store"):
        instrument(ss.Store())  # type: ignore[type-var]
    with pytest.raises(ss.InvalidError, match="SwarmStateStore is instrumented already"):
        instrument(instrument(SwarmStateStore()))
    with pytest.raises(ss.InvalidError, match='"hash", "plain" or "omit", not \'md5\''):
        instrument(SwarmStateSaver(), thread_id="md5")  # type: ignore[arg-type]
    with pytest.raises(ss.InvalidError, match="key has 65 bytes; the most are 64"):
        instrument(SwarmStateSaver(), key=bytes(65))


def test_without_it_nothing_of_opentelemetry_is_even_imported() -> None:
    program = (
        "import sys, swarmstate.integrations.langgraph as ours\n"
        "theirs = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "print(theirs, 'swarmstate.integrations.opentelemetry' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[] False\n"


def test_who_is_not_instrumented_runs_the_same_code_as_before() -> None:
    before = {name: vars(kind)[name] for kind in (SwarmStateSaver, SwarmStateStore) for name in vars(kind)}

    saver, memory = instrument(SwarmStateSaver()), instrument(SwarmStateStore())

    assert {name: vars(kind)[name] for kind in (SwarmStateSaver, SwarmStateStore) for name in vars(kind)} == before
    assert type(saver).put is not SwarmStateSaver.put
    assert type(memory).batch is not SwarmStateStore.batch
