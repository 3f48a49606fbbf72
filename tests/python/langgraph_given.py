"""What the tests of the checkpointer start from: configs, checkpoints, and short ways to put and get them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple, empty_checkpoint

Saver = BaseCheckpointSaver[Any]


def config_of(thread_id: str = "thread", checkpoint_ns: str = "", checkpoint_id: str | None = None) -> RunnableConfig:
    configurable = {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns}
    return {"configurable": configurable | ({"checkpoint_id": checkpoint_id} if checkpoint_id is not None else {})}


def checkpoint_of(checkpoint_id: str, values: dict[str, Any] | None = None, version: Any = "1") -> Checkpoint:
    values = values or {}
    versions = dict.fromkeys(values, version)
    return {**empty_checkpoint(), "id": checkpoint_id, "channel_values": values, "channel_versions": versions}


def put(
    saver: Saver,
    config: RunnableConfig,
    checkpoint_id: str,
    values: dict[str, Any] | None = None,
    *,
    version: Any = "1",
    **metadata: Any,
) -> RunnableConfig:
    checkpoint = checkpoint_of(checkpoint_id, values, version)
    known: Any = {"source": "loop", **metadata}
    return saver.put(config, checkpoint, known, checkpoint["channel_versions"])


def get(saver: Saver, config: RunnableConfig) -> CheckpointTuple:
    found = saver.get_tuple(config)
    assert found is not None
    return found


def ids(found: Iterable[CheckpointTuple]) -> list[str]:
    return [item.checkpoint["id"] for item in found]
