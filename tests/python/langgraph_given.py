"""What the tests of the checkpointer start from: configs, checkpoints, and short ways to put and get them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import StateSnapshot

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


def plain(snapshot: StateSnapshot) -> dict[str, Any]:
    """What of a snapshot is the same in every run: all but ids and times."""
    tasks = [
        (task.name, task.path, str(task.error), [item.value for item in task.interrupts], settled(task.result))
        for task in snapshot.tasks
    ]
    metadata = {key: value for key, value in (snapshot.metadata or {}).items() if key not in ("run_id", "parents")}
    return {"values": snapshot.values, "next": snapshot.next, "metadata": metadata, "tasks": tasks}


def settled(result: Any) -> Any:
    """A task's writes without their order, which LangGraph's own saver keeps by index only from 4.3 on."""
    if isinstance(result, dict) and "$writes" in result:
        return sorted(result["$writes"], key=str)
    return {channel: settled(value) for channel, value in result.items()} if isinstance(result, dict) else result


def assert_same_history(ours: Any, theirs: Any, thread: RunnableConfig) -> None:
    """Two graphs have the same checkpoints in a thread, item by item, but for ids and times."""
    our_history, their_history = list(ours.get_state_history(thread)), list(theirs.get_state_history(thread))
    assert [plain(item) for item in our_history] == [plain(item) for item in their_history]
    our_ids = [item.config["configurable"]["checkpoint_id"] for item in our_history]
    parents = [(item.parent_config or {}).get("configurable", {}).get("checkpoint_id") for item in our_history]
    their_ids = [item.config["configurable"]["checkpoint_id"] for item in their_history]
    their_parents = [(item.parent_config or {}).get("configurable", {}).get("checkpoint_id") for item in their_history]
    position = {checkpoint_id: at for at, checkpoint_id in enumerate(our_ids)}
    their_position = {checkpoint_id: at for at, checkpoint_id in enumerate(their_ids)}
    assert [position.get(str(parent)) for parent in parents] == [
        their_position.get(str(parent)) for parent in their_parents
    ]


def extend(state: list[str], writes: Sequence[Any]) -> list[str]:
    return [*state, *(item for write in writes for item in write)]


class Chat(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=4)]
    turn: int


def delta_chat(saver: Saver) -> Any:
    """A graph whose log is rebuilt from writes, with a stored value at every fourth."""
    builder = StateGraph(Chat)
    builder.add_node("answer", lambda state: {"log": [f"answer {len(state['log'])}"], "turn": len(state["log"])})
    builder.add_node("note", lambda state: {"log": [f"note {state['turn']}"]})
    builder.add_edge(START, "answer")
    builder.add_edge("answer", "note")
    builder.add_edge("note", END)
    return builder.compile(checkpointer=saver)
