"""A thread through a file is the same thread, on every engine, and arrives whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph_given import config_of, delta_chat, get, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

FORMATS = ["msgpack", "jsonl"]
A = "\x1fthread:a"
LONG = "a long word, " * 3000


def history(saver: SwarmStateSaver, thread_id: str) -> list[Any]:
    """All that is known of a thread, but for its id."""
    return [
        (item.checkpoint, item.metadata, item.pending_writes, item.config["configurable"]["checkpoint_ns"])
        for item in saver.list({"configurable": {"thread_id": thread_id}})
    ]


def talked(saver: SwarmStateSaver, thread_id: str = "thread") -> SwarmStateSaver:
    """A saver with a thread of several namespaces, large values, writes that wait, and delta channels."""
    for turn in range(6):
        delta_chat(saver).invoke({"log": [f"turn {turn}"]}, config_of(thread_id))
    config = config_of(thread_id, "inner:\x1f|", None)
    for step in range(3):
        config = put(saver, config, f"{step}", {"text": LONG + str(step), "odd\0name": b"\xff"}, version=str(step))
    saver.put_writes(config, [("text", "waits"), ("__interrupt__", 1)], "task", "~path")
    return saver


def exported(saver: SwarmStateSaver, thread_id: str = "thread", format: Any = "msgpack") -> io.BytesIO:
    file = io.BytesIO()
    saver.export_thread(thread_id, file, format=format)
    file.seek(0)
    return file


@pytest.mark.parametrize("format", FORMATS)
def test_a_thread_through_a_file_has_the_history_that_it_had(
    make_store: Callable[..., ss.Store], tmp_path: Path, format: Any
) -> None:
    ours, theirs = talked(SwarmStateSaver(make_store())), SwarmStateSaver(make_store())
    talked(ours, "another")
    told: list[tuple[int, int]] = []

    written = ours.export_thread("thread", tmp_path / "thread", format=format)
    assert theirs.import_thread(tmp_path / "thread", progress=lambda *counts: told.append(counts)) == "thread"

    assert told[-1] == (written, written)
    assert [info.thread_id for info in theirs.threads()] == ["thread"]
    assert history(theirs, "thread") == history(ours, "thread")
    assert theirs.usage("thread") == ours.usage("thread")
    assert delta_chat(theirs).get_state(config_of()).values == delta_chat(ours).get_state(config_of()).values


def test_a_thread_from_a_file_gets_another_id_and_goes_its_own_way(store: ss.Store) -> None:
    saver = talked(SwarmStateSaver(store))
    before = history(saver, "thread")

    assert saver.import_thread(exported(saver), "odd\x1f:id") == "odd\x1f:id"
    delta_chat(saver).invoke({"log": ["elsewhere"]}, config_of("odd\x1f:id"))

    assert history(saver, "thread") == before
    assert len(history(saver, "odd\x1f:id")) > len(before)


def test_a_thread_that_is_there_is_never_overwritten(store: ss.Store) -> None:
    saver = talked(SwarmStateSaver(store))
    put(saver, config_of("other"), "1", {"a": 1})
    before = store.snapshot()

    with pytest.raises(ss.ConflictError):
        saver.import_thread(exported(saver))
    with pytest.raises(ss.ConflictError):
        saver.import_thread(exported(saver), "other")

    assert not any(store.snapshot().diff(before).values())


def test_a_thread_that_is_not_there_is_not_exported(store: ss.Store, tmp_path: Path) -> None:
    saver = SwarmStateSaver(store)

    with pytest.raises(ss.NotFoundError, match='"absent"'):
        saver.export_thread("absent", tmp_path / "file")

    assert not (tmp_path / "file").exists()


def test_an_import_that_is_ended_halfway_leaves_nothing_and_can_be_repeated(
    make_store: Callable[..., ss.Store],
) -> None:
    ours, store = SwarmStateSaver(make_store()), make_store()
    for step in range(1200):
        put(ours, config_of(), f"{step:05}", {"a": step}, version=f"{step}")
    theirs, file = SwarmStateSaver(store), exported(ours)

    def stop(done: int, total: int) -> None:
        assert 0 < done < total
        assert theirs.threads() == []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        theirs.import_thread(file, progress=stop)
    assert len(store) == 0

    file.seek(0)
    theirs.import_thread(file)
    assert history(theirs, "thread") == history(ours, "thread")


def test_a_thread_that_somebody_begins_meanwhile_is_theirs_alone(make_store: Callable[..., ss.Store]) -> None:
    ours, theirs = SwarmStateSaver(make_store()), SwarmStateSaver(make_store())
    for step in range(1200):
        put(ours, config_of(), f"{step:05}", {"a": step}, version=f"{step}")

    def begin(done: int, total: int) -> None:
        if not theirs.threads():
            put(theirs, config_of(), "mine", {"a": "mine"})

    with pytest.raises(ss.ConflictError):
        theirs.import_thread(exported(ours), progress=begin)

    assert [item.checkpoint["id"] for item in theirs.list(config_of())] == ["mine"]
    assert get(theirs, config_of()).checkpoint["channel_values"] == {"a": "mine"}


def test_a_time_to_live_goes_on_and_what_is_over_does_not_come_back(
    make_store: Callable[..., ss.Store], clock: ss.Clock
) -> None:
    ours, store = SwarmStateSaver(make_store(), ttl=60), make_store()
    put(ours, config_of(), "1", {"a": 1})
    file, theirs = exported(ours), SwarmStateSaver(store)
    clock.advance(59)
    theirs.import_thread(file)
    assert len(history(theirs, "thread")) == 1

    clock.advance(1)
    assert theirs.get_tuple(config_of()) is None
    file.seek(0)
    with pytest.raises(ss.InvalidError, match="time to live of the thread in the export is over"):
        theirs.import_thread(file)

    assert len(store) == 0


def lines_of(store: ss.Store, beginning: str) -> list[bytes]:
    """The records of the namespaces that begin so, as lines."""
    file = io.BytesIO()
    ss.export(store, file, format="jsonl")
    return [
        line for line in file.getvalue().splitlines() if json.loads(line).get("namespace", "").startswith(beginning)
    ]


def export_of(lines: list[bytes]) -> io.BytesIO:
    """A whole export of some lines."""
    first = b'{"format":"swarmstate","version":1}'
    return io.BytesIO(b"\n".join([first, *lines, b'{"entries":%d}' % len(lines)]) + b"\n")


def test_what_is_no_export_of_one_thread_is_refused_and_named(store: ss.Store) -> None:
    saver, source = SwarmStateSaver(store), SwarmStateSaver()
    put(source, config_of("a"), "1", {"a": 1})
    put(source, config_of("b"), "1", {"a": 1})
    source.store.set("plain", "k", 1)
    whole = lines_of(source.store, A)
    other = lines_of(source.store, "\x1fthread:b")
    assert len(whole) == len(other) == 3

    def with_key(key: str, value: object, **options: Any) -> io.BytesIO:
        ours = SwarmStateSaver()
        put(ours, config_of("a"), "1", {"a": 1})
        ours.store.set(ours.store.namespaces(prefix=A)[0], key, value, **options)
        return export_of(lines_of(ours.store, A))

    for file, says in [
        (io.BytesIO(exported(source, "a").getvalue()[:-1]), "cut off"),
        (export_of(whole + other), "more than a thread"),
        (export_of(lines_of(source.store, "plain")), 'namespace "plain" is not that of a thread'),
        (export_of([line for line in whole if json.loads(line)["key"] != "head"]), "the export holds no thread"),
        (export_of([]), "the export holds no thread"),
        (with_key("stray", 1), 'key "stray" is not one of a thread'),
        (with_key("head", 1), 'record of key "head" is not what was stored'),
        (with_key("checkpoint:\x1f", 1), "is not one of a thread"),
        (with_key("chunk:x", 1, ttl=1e9), 'key "chunk:x" expires'),
        (io.BytesIO(), "empty"),
    ]:
        with pytest.raises(ss.InvalidError, match=says):
            saver.import_thread(file)

    assert len(store) == 0


async def test_the_async_twins_do_the_same(store: ss.Store, tmp_path: Path) -> None:
    saver = talked(SwarmStateSaver(store))

    await saver.aexport_thread("thread", tmp_path / "file", format="jsonl")
    assert await saver.aimport_thread(tmp_path / "file", "again") == "again"

    assert history(saver, "again") == history(saver, "thread")
