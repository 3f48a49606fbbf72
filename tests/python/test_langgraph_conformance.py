"""The checkpointer passes the conformance suite that LangGraph publishes."""

from collections.abc import AsyncIterator

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES
from langgraph.checkpoint.conformance.report import CapabilityReport

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver


async def conformance(store: ss.Store) -> CapabilityReport:
    @checkpointer_test(name="SwarmStateSaver")
    async def saver() -> AsyncIterator[SwarmStateSaver]:
        store.clear()
        yield SwarmStateSaver(store)

    return await validate(saver)


async def test_every_capability_of_the_suite_passes(store: ss.Store) -> None:
    report = await conformance(store)

    for capability in ALL_CAPABILITIES:
        result = report.results[capability.value]
        assert result.failures == []
        assert result.passed is True
        assert result.tests_passed > 0
    assert report.passed_all()
