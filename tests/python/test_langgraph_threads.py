"""What a checkpointer tells of its threads without reading their checkpoints, and how much room one takes."""

from __future__ import annotations

import pytest
from langgraph_given import checkpoint_of, config_of, get, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver, ThreadInfo

ODD_NAMES = ["", "\0", "\x01", "\x01\x01", "\x1f", ":", "a", "a\0", "a\0b", "a:b", "ab", "🐝", "\U0010ffff"]


@pytest.fixture
def saver(store: ss.Store) -> SwarmStateSaver:
    return SwarmStateSaver(store)


def names(threads: list[ThreadInfo]) -> list[str]:
    return [thread.thread_id for thread in threads]


def test_a_thread_is_told_with_its_latest_checkpoint_and_their_count(saver: SwarmStateSaver, clock: ss.Clock) -> None:
    put(saver, config_of("a"), "1")
    put(saver, config_of("a"), "3")
    put(saver, config_of("a", "inner"), "9")
    clock.advance(2.5)
    put(saver, config_of("a"), "2")
    put(saver, config_of("a"), "2")
    saver.put_writes(config_of("b", checkpoint_id="1"), [("a", 1)], "task")

    assert saver.threads() == [
        ThreadInfo("a", "3", 1_700_000_002.5, 4),
        ThreadInfo("b", None, 1_700_000_002.5, 0),
    ]


def test_removals_are_told(saver: SwarmStateSaver) -> None:
    for number in range(4):
        put(saver, config_of("a"), str(number), run_id=str(number))
    put(saver, config_of("a", "inner"), "9")

    saver.delete_for_runs(["3"])
    assert [(thread.checkpoint_id, thread.checkpoints) for thread in saver.threads()] == [("2", 4)]
    saver.prune(["a"])
    assert [(thread.checkpoint_id, thread.checkpoints) for thread in saver.threads()] == [("2", 2)]
    saver.delete_for_runs(["2"])
    assert [(thread.checkpoint_id, thread.checkpoints) for thread in saver.threads()] == [(None, 1)]
    saver.delete_thread("a")
    assert saver.threads() == []


def test_a_copy_is_told_like_its_source(saver: SwarmStateSaver) -> None:
    put(saver, config_of("a"), "1")
    saver.copy_thread("a", "b")

    first, second = saver.threads()
    assert (second.checkpoint_id, second.checkpoints) == (first.checkpoint_id, first.checkpoints) == ("1", 1)


def test_threads_are_listed_by_prefix_and_in_pages(saver: SwarmStateSaver) -> None:
    for name in ODD_NAMES:
        put(saver, config_of(name), "1")
    saver.store.set("not a thread", "key", 1)
    ordered = sorted(ODD_NAMES, key=lambda name: name.encode())

    assert names(saver.threads()) == ordered
    for prefix in ODD_NAMES:
        assert names(saver.threads(prefix=prefix)) == [name for name in ordered if name.startswith(prefix)]
        assert names(saver.threads(after=prefix)) == [name for name in ordered if name.encode() > prefix.encode()]
    found: list[str] = []
    while page := saver.threads(after=found[-1] if found else None, limit=2):
        found += names(page)
    assert found == ordered
    assert names(saver.threads(prefix="a", after="a\0", limit=1)) == ["a\0b"]
    assert saver.threads(limit=0) == []
    assert saver.threads(prefix="%") == []


def test_a_negative_limit_is_invalid(saver: SwarmStateSaver) -> None:
    with pytest.raises(ss.InvalidError, match="limit must not be negative, but is -1"):
        saver.threads(limit=-1)


def test_a_page_is_full_where_expired_threads_were_left_out(store: ss.Store, clock: ss.Clock) -> None:
    dying, living = SwarmStateSaver(store, ttl=60), SwarmStateSaver(store)
    for number in range(30):
        put(living if number % 10 == 9 else dying, config_of(f"{number:02}"), "1")
    clock.advance(60)

    assert names(living.threads(limit=2)) == ["09", "19"]


def test_the_room_that_a_thread_takes_is_its_own(saver: SwarmStateSaver) -> None:
    put(saver, config_of("a"), "1", {"text": "x" * 1000})
    alone = saver.usage("a")
    put(saver, config_of("b"), "1", {"text": "x" * 50_000})
    saver.put_writes(config_of("b", checkpoint_id="1"), [("a", "y" * 500)], "task")

    assert saver.usage("a") == alone
    assert alone.checkpoints == 1
    assert alone.chunks == 0
    assert 1000 < alone.serialized_bytes < alone.stored_bytes < 2000
    assert 50_500 < saver.usage("b").serialized_bytes < 52_000
    assert saver.usage("nobody") == (0, 0, 0, 0)


def test_a_chat_takes_less_room_than_its_versions(saver: SwarmStateSaver) -> None:
    config, chat = config_of(), [f"message {number} " * 20 for number in range(200)]
    for number in range(200):
        checkpoint = checkpoint_of(f"{number:04}", {"chat": chat[: number + 1]}, str(number))
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])

    usage = saver.usage("thread")
    assert usage.checkpoints == 200
    assert usage.chunks > 30
    assert usage.stored_bytes < usage.serialized_bytes / 10
    saver.prune(["thread"])
    assert saver.usage("thread").chunks < usage.chunks
    assert get(saver, config_of()).checkpoint["channel_values"]["chat"] == chat


async def test_what_is_told_has_async_twins(saver: SwarmStateSaver) -> None:
    put(saver, config_of("a"), "1")

    assert await saver.athreads(prefix="a") == saver.threads()
    assert await saver.ausage("a") == saver.usage("a")
    assert await saver.aremove_expired() == 0
