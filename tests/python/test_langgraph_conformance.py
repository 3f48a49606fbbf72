"""The checkpointer passes the conformance suite that LangGraph publishes."""

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import BASE_CAPABILITIES, Capability
from langgraph.checkpoint.conformance.report import CapabilityReport

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

SUPPORTED = BASE_CAPABILITIES | {Capability.COPY_THREAD}


async def conformance(store: ss.Store) -> CapabilityReport:
    @checkpointer_test(name="SwarmStateSaver")
    async def saver() -> AsyncIterator[SwarmStateSaver]:
        store.clear()
        yield SwarmStateSaver(store)

    return await validate(saver)


async def test_every_capability_that_the_saver_has_passes(store: ss.Store) -> None:
    report = await conformance(store)

    for capability in SUPPORTED:
        result = report.results[capability.value]
        assert result.failures == []
        assert result.passed is True
        assert result.tests_passed > 0
    assert report.passed_all_base()


async def test_what_the_saver_does_not_do_is_said(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)

    for call in (saver.aprune(["1"]), saver.adelete_for_runs(["1"])):
        with pytest.raises(NotImplementedError):
            await call
