"""Moving in from the other package called swarmstate: what its version 0.11 wrote, in a file and on Redis."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
import servers
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.types import Command
from langgraph_given import config_of, get
from namesake.made import graph_on

import swarmstate as ss
from swarmstate._command import main
from swarmstate.integrations.langgraph import ImportedThreads, SwarmStateSaver, import_langgraph

# What it wrote, and with which code: see made.py there.
MADE = Path(__file__).parent / "namesake"
FILES = ["threads.db", "incremental.db"]
CHECKPOINTS, WRITES, THREADS = 13, 25, ["done", "waiting"]
WHOLE = ImportedThreads(len(THREADS), CHECKPOINTS, WRITES, 0)
HELLO = "hello " * 20


def rows_of(file: Path) -> list[tuple[str, str, bytes]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT ns, k, v FROM kv").fetchall()


@pytest.fixture
def on_redis() -> Iterator[Callable[[Path], dict[str, str]]]:
    """Puts the rows of a file on a server, as RedisStore does, under a prefix with characters of patterns."""
    client = redis.Redis.from_url(servers.single())
    prefix = servers.fresh_prefix() + "[*]?\\"

    def put(file: Path) -> dict[str, str]:
        for namespace, key, value in rows_of(file):
            client.hset(f"{prefix}:{namespace}", key, value)
            client.hset(f"{prefix.replace('[*]', 'x')}:{namespace}x", key, value)
        client.set(f"{prefix}:ck\x1fno\x1fhash", "x")
        return {"file": servers.single(), "prefix": prefix}

    yield put
    client.close()


@pytest.mark.parametrize("name", FILES)
def test_a_thread_of_a_file_has_the_history_that_it_had(store: ss.Store, name: str) -> None:
    saver, told = SwarmStateSaver(store), []

    done = import_langgraph(MADE / name, saver, progress=lambda *counts: told.append(counts))

    assert done == WHOLE
    assert told[-1] == (CHECKPOINTS + WRITES,) * 2
    assert [info.thread_id for info in saver.threads()] == THREADS
    states = [*graph_on(saver).get_state_history(config_of("done"))]
    assert [state.metadata["step"] for state in states if state.metadata] == [2, 1, 0, -1]
    messages = {message.content for message in states[0].values["messages"]}
    assert messages == {HELLO, "inside", "yes"}
    assert states[0].values["raw"] == b"\0\1"
    assert get(saver, config_of("done", "inner")).checkpoint["channel_values"]["messages"]
    assert all(state.parent_config for state in states[:-1])


def test_both_ways_to_keep_values_give_the_same_threads() -> None:
    threads = []
    for name in FILES:
        saver = SwarmStateSaver()
        import_langgraph(MADE / name, saver)
        found = [*graph_on(saver).get_state_history(config_of("waiting"))]
        counted = [{**state.values, "messages": len(state.values.get("messages", []))} for state in found]
        threads.append((counted, [state.next for state in found]))

    assert threads[0] == threads[1]


@pytest.mark.parametrize("name", FILES)
def test_threads_on_redis_move_in_too(store: ss.Store, on_redis: Callable[[Path], dict[str, str]], name: str) -> None:
    saver, from_file = SwarmStateSaver(store), SwarmStateSaver()
    import_langgraph(MADE / name, from_file)

    assert import_langgraph(**on_redis(MADE / name), saver=saver) == WHOLE

    for thread_id in THREADS:
        config: Any = {"configurable": {"thread_id": thread_id}}
        assert [*saver.list(config)] == [*from_file.list(config)]


def test_a_run_that_waited_goes_on_here(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)
    import_langgraph(MADE / "incremental.db", saver)

    final = graph_on(saver).invoke(Command(resume="yes"), config_of("waiting"))

    assert sorted(message.content for message in final["messages"]) == [HELLO, "inside", "yes"]


def test_branches_that_reached_the_same_number_keep_their_own_values(store: ss.Store, tmp_path: Path) -> None:
    file, form = Path(shutil.copy(MADE / "threads.db", tmp_path)), "msgpack"

    def saved(value: str, version: int) -> bytes:
        checkpoint = {
            **empty_checkpoint(),
            "channel_values": {"a": value},
            "channel_versions": {"a": version},
            "versions_seen": {"node": {"a": version}, "other": {"a": version - 1}},
        }
        return ss.dumps({"cp": [form, ss.dumps(checkpoint)], "md": [form, ss.dumps({"step": 1})], "parent": None})

    with closing(sqlite3.connect(file)) as connection, connection:
        rows = [("1", saved("left", 2)), ("2", saved("right", 2)), ("3", saved("right", 2)), ("4", saved("last", 3))]
        connection.executemany("INSERT INTO kv VALUES ('ck\x1fbranches\x1f', ?, ?)", rows)
    saver = SwarmStateSaver(store)

    import_langgraph(file, saver)

    found = [get(saver, config_of("branches", checkpoint_id=id)).checkpoint for id, _ in rows]
    assert [checkpoint["channel_values"]["a"] for checkpoint in found] == ["left", "right", "right", "last"]
    versions = [str(checkpoint["channel_versions"]["a"]) for checkpoint in found]
    assert versions[1] == versions[2] != versions[0]
    assert max(versions[:3]) < versions[3] < saver.get_next_version(versions[3], None)
    for checkpoint in found:
        seen, version = checkpoint["versions_seen"], checkpoint["channel_versions"]["a"]
        assert seen["node"]["a"] == version > seen["other"]["a"]


def test_what_moved_in_is_stored_once_however_often(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)
    import_langgraph(MADE / "incremental.db", saver)
    before = store.snapshot()

    assert import_langgraph(MADE / "incremental.db", saver) == WHOLE

    difference = store.snapshot().diff(before)
    assert (difference["added"], difference["removed"]) == ([], [])


def test_what_cannot_be_read_is_counted_and_left_out(store: ss.Store, tmp_path: Path) -> None:
    file = Path(shutil.copy(MADE / "incremental.db", tmp_path))
    saved, written = "ck\x1fdone\x1f", "wr\x1fdone\x1f\x1f1"
    typed = ["msgpack", b"\x80"]
    odd = {
        saved: [
            1,
            {},
            {"cp": typed, "md": typed, "parent": 7},
            {"cp": ["msgpack", b"\xc1"], "md": typed, "parent": None},
            {"cp": ["msgpack", ss.dumps({"channel_versions": {"a": [1]}})], "md": typed},
            {"cp": ["msgpack", ss.dumps({"channel_versions": {"a": None}, "channel_values": {}})], "md": typed},
            {"cp": ["msgpack", ss.dumps({"channel_versions": {"bad": "1"}})], "md": typed},
        ],
        "ck\x1fa\x1fb\x1fc": [{"cp": typed, "md": typed}],
        "ck\x1falone": [{"cp": typed, "md": typed}],
        "ck\x1flong\x1f" + "x" * 5000: [{"cp": typed, "md": typed}],
        written: [7, [], ["0", 1, typed, ""], ["0", "channel", ["unknown", b""], ""], ["other", "channel", typed, ""]],
    }
    with closing(sqlite3.connect(file)) as connection, connection:
        for namespace, values in odd.items():
            for value in values:
                key = f"{connection.execute('SELECT count(*) FROM kv').fetchone()[0]}\x1f0"
                connection.execute("INSERT INTO kv VALUES (?, ?, ?)", (namespace, key, ss.dumps(value)))
        connection.execute("INSERT INTO kv VALUES (?, 'cut', x'93')", (saved,))
        connection.execute("INSERT INTO kv VALUES (?, 'no index', x'93')", (written,))
        connection.execute("INSERT INTO kv VALUES ('bl\x1fdone\x1f', 'bad\x1f1', ?)", (ss.dumps(["v", 1]),))

    done = import_langgraph(file, SwarmStateSaver(store))

    unreadable = sum(map(len, odd.values())) + 2
    assert done == WHOLE._replace(unreadable=unreadable)
    assert [info.thread_id for info in SwarmStateSaver(store).threads()] == THREADS


def test_a_store_that_is_closed_is_an_error_and_not_a_file_that_cannot_be_read(make_store: Any) -> None:
    store = make_store()
    saver = SwarmStateSaver(store)
    store.close()

    with pytest.raises(ss.InvalidError, match="closed"):
        import_langgraph(MADE / "threads.db", saver)


def test_a_server_that_cannot_be_asked_is_named_and_its_password_is_not() -> None:
    port = servers.free_port()

    with pytest.raises(ss.UnavailableError, match=f"does not give what it holds: .*{port}"):
        import_langgraph(f"redis://:secret@127.0.0.1:{port}", SwarmStateSaver())
    with pytest.raises(ss.InvalidError, match="the URL of the Redis server is wrong") as caught:
        import_langgraph("redis://:sec#ret@host", SwarmStateSaver())

    assert "sec" not in str(caught.value)


def test_the_command_moves_threads_in_from_a_file_and_from_redis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], on_redis: Callable[[Path], dict[str, str]]
) -> None:
    url, there = f"sqlite:///{tmp_path}/state.db", on_redis(MADE / "threads.db")

    assert main(["import-langgraph", url, str(MADE / "incremental.db")]) == 0
    assert capsys.readouterr().out == "imported 13 checkpoints and 25 writes of 2 threads\n"
    assert main(["import-langgraph", url, there["file"], "--prefix", there["prefix"], "--json"]) == 0
    assert '"threads": 2' in capsys.readouterr().out
