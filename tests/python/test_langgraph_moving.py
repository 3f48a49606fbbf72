"""Moving in: the threads of a SqliteSaver's file have the same history here, on every engine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from langgraph_given import assert_same_history, config_of

import swarmstate as ss
from swarmstate._command import main
from swarmstate.integrations.langgraph import ImportedThreads, SwarmStateSaver, import_langgraph


@dataclass(frozen=True)
class Plan:
    """A class of a user's own."""

    steps: int


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    plan: Plan
    raw: bytes
    nothing: None


def graph_on(saver: BaseCheckpointSaver[Any]) -> Any:
    inner = StateGraph(MessagesState)
    inner.add_node("say", lambda state: {"messages": [AIMessage("inside", id=f"inside {len(state['messages'])}")]})
    inner.add_edge(START, "say")
    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"plan": Plan(3), "raw": b"\0\1", "nothing": None})
    builder.add_node("inner", inner.compile(checkpointer=True))
    builder.add_node("ask", lambda state: {"messages": [AIMessage(interrupt("go on?"), id="asked")]})
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "inner")
    builder.add_edge("plan", "ask")
    return builder.compile(checkpointer=saver)


THREADS = ["done", "waiting", "odd\x1f:id"]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """The file of a saver that is open meanwhile, as that of a service would be."""
    path = tmp_path / "a #file?.db"
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        graph = graph_on(SqliteSaver(connection))
        for thread_id in THREADS:
            graph.invoke({"messages": [("user", "hello " * 200)]}, config_of(thread_id))
        graph.invoke(Command(resume="yes"), config_of("done"))
        yield path


def theirs(file: Path) -> SqliteSaver:
    return SqliteSaver(sqlite3.connect(file, check_same_thread=False))


def test_a_thread_that_moved_in_has_the_history_that_it_had(store: ss.Store, file: Path) -> None:
    saver, told = SwarmStateSaver(store), []

    done = import_langgraph(file, saver, progress=lambda done, total: told.append((done, total)))

    rows = [(item.config, item.checkpoint["id"]) for item in theirs(file).list(None)]
    assert done.threads == len(saver.threads()) == len(THREADS)
    assert done.checkpoints == len(rows)
    assert done.unreadable == 0
    assert told[-1] == (done.checkpoints + done.writes,) * 2
    for thread_id in THREADS:
        ours, there = graph_on(saver), graph_on(theirs(file))
        found = list(ours.get_state_history(config_of(thread_id)))
        assert found == list(there.get_state_history(config_of(thread_id)))
        assert_same_history(ours, there, config_of(thread_id))
        assert found[0].values["plan"] == Plan(3)
        assert found[0].values["raw"] == b"\0\1"


def test_a_run_that_waited_goes_on_here(store: ss.Store, file: Path) -> None:
    saver = SwarmStateSaver(store)
    import_langgraph(file, saver)

    final = graph_on(saver).invoke(Command(resume="yes"), config_of("waiting"))

    assert sorted(message.content for message in final["messages"]) == ["hello " * 200, "inside", "yes"]


def test_what_moved_in_is_stored_once_however_often(store: ss.Store, file: Path) -> None:
    saver = SwarmStateSaver(store)
    first = import_langgraph(file, saver)
    before, usage = store.snapshot(), [saver.usage(thread_id) for thread_id in THREADS]

    assert import_langgraph(file, saver) == first

    assert [saver.usage(thread_id) for thread_id in THREADS] == usage
    difference = store.snapshot().diff(before)
    assert (difference["added"], difference["removed"]) == ([], [])


def test_what_cannot_be_read_is_counted_and_left_out(store: ss.Store, file: Path) -> None:
    whole = import_langgraph(file, SwarmStateSaver())
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE checkpoints SET checkpoint = x'c1' WHERE thread_id = 'done' AND checkpoint_ns = ''")
        (count,) = connection.execute(
            "SELECT count(*) FROM checkpoints WHERE thread_id = 'done' AND checkpoint_ns = ''"
        ).fetchone()
        connection.execute("UPDATE checkpoints SET metadata = 'x' WHERE thread_id = 'waiting' AND checkpoint_ns != ''")
        count += connection.execute("SELECT changes()").fetchone()[0]
        connection.execute("UPDATE writes SET type = 'unknown' WHERE rowid = (SELECT min(rowid) FROM writes)")

    done = import_langgraph(file, SwarmStateSaver(store))

    assert done == ImportedThreads(3, whole.checkpoints - count, whole.writes - 1, count + 1)
    assert SwarmStateSaver(store).get_tuple(config_of("done")) is None
    assert SwarmStateSaver(store).get_tuple(config_of("waiting")) is not None


def test_what_is_no_file_of_a_saver_is_refused(store: ss.Store, tmp_path: Path) -> None:
    saver = SwarmStateSaver(store)
    (tmp_path / "text").write_text("no database " * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE checkpoints (other TEXT)")

    for name, says in [("text", "not a database"), ("other.db", "no such")]:
        with pytest.raises(ss.InvalidError, match=f"{name} cannot be read as the file of a SqliteSaver: .*{says}"):
            import_langgraph(tmp_path / name, saver)
    with pytest.raises(FileNotFoundError, match=r"absent\.db: there is no such file"):
        import_langgraph(tmp_path / "absent.db", saver)
    assert sorted(os.listdir(tmp_path)) in (["other.db", "text"], ["other.db", "store-0", "text"])
    assert len(store) == 0


def test_the_command_moves_threads_in(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/state.db"

    assert main(["import-langgraph", url, str(file)]) == 0
    assert capsys.readouterr().out.endswith(" of 3 threads\n")
    assert main(["import-langgraph", url, str(file), "--json"]) == 0
    assert '"threads": 3' in capsys.readouterr().out
    assert main(["import-langgraph", url, str(tmp_path / "absent.db")]) == 1
    assert "there is no such file" in capsys.readouterr().err
