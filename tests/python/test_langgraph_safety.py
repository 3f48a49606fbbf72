"""What is read back makes no object that nobody allowed, and what is damaged is said and stays alone."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph_given import checkpoint_of, config_of, get, ids, put

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver


@dataclasses.dataclass
class Unlisted:
    """A type that no list of safe types has; it notes that it was made."""

    name: str

    def __post_init__(self) -> None:
        made.append(self.name)


made: list[str] = []


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    made.clear()
    yield


def test_strict_makes_no_object_of_an_unlisted_type(store: ss.Store) -> None:
    put(SwarmStateSaver(store), config_of(), "1", {"a": Unlisted("one"), "b": "plain"})
    made.clear()

    values = get(SwarmStateSaver(store, strict=True), config_of()).checkpoint["channel_values"]

    assert made == []
    assert not isinstance(values["a"], Unlisted)
    assert values["b"] == "plain"


def test_strict_makes_what_the_allowlist_names(store: ss.Store) -> None:
    put(SwarmStateSaver(store), config_of(), "1", {"a": Unlisted("one")})

    saver = SwarmStateSaver(store, strict=True).with_allowlist({(Unlisted.__module__, "Unlisted")})

    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": Unlisted("one")}


def test_strict_with_a_serializer_of_ones_own_is_invalid(store: ss.Store) -> None:
    with pytest.raises(ss.InvalidError, match="strict is for LangGraph's own serializer"):
        SwarmStateSaver(store, strict=True, serde=JsonPlusSerializer())


class OnlyPickle:
    """Nothing but pickle can store it."""

    def __init__(self) -> None:
        self.loop = self


def test_nothing_is_pickled_and_no_pickle_is_read_by_default(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)
    with pytest.raises(TypeError):
        put(saver, config_of(), "1", {"a": OnlyPickle()})
    assert len(store) == 0

    trusting = SwarmStateSaver(store, serde=JsonPlusSerializer(pickle_fallback=True))
    put(trusting, config_of(), "1", {"a": OnlyPickle()})
    assert isinstance(get(trusting, config_of()).checkpoint["channel_values"]["a"], OnlyPickle)
    with pytest.raises(NotImplementedError):
        saver.get_tuple(config_of())


class Xor:
    """A cipher whose output never repeats, as a real one's does not."""

    def __init__(self) -> None:
        self.nonce = 0

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        self.nonce += 1
        return "xor", self.nonce.to_bytes(4, "big") + self.turned(plaintext, self.nonce)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "xor"
        return self.turned(ciphertext[4:], int.from_bytes(ciphertext[:4], "big"))

    @staticmethod
    def turned(text: bytes, nonce: int) -> bytes:
        key = (pickle.dumps(nonce * 2654435761) * (len(text) // 4 + 1))[: len(text)]
        stream = (byte + 31 * nonce * at for at, byte in enumerate(key))
        return bytes(byte ^ (mask % 256) for byte, mask in zip(text, stream, strict=True))


def test_what_is_encrypted_comes_back_and_is_stored_whole(store: ss.Store) -> None:
    saver = SwarmStateSaver(store, serde=EncryptedSerializer(Xor()))
    words, config = [f"secret {number}" for number in range(1000)], config_of()
    for number in range(5):
        checkpoint = checkpoint_of(str(number), {"a": words[: 900 + number]}, str(number))
        config = saver.put(config, checkpoint, {"run_id": f"run {number}"}, checkpoint["channel_versions"])

    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": words[:904]}
    assert saver.usage("thread").chunks == 0
    stored = b"".join(ss.dumps(value) for _, value in store.items("\x1fthread:thread\0"))
    assert b"secret" not in stored
    saver.delete_for_runs(["run 0"])
    saver.prune(["thread"])
    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": words[:904]}


def test_a_damaged_checkpoint_is_named_and_takes_no_other_with_it(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)
    for number in range(3):
        put(saver, config_of(), str(number), {"a": number}, version=str(number))
    put(saver, config_of("other"), "1")
    (damaged,) = (
        key for key in store.keys("\x1fthread:thread\0") if key.startswith("checkpoint") and "\0" + "1" in key
    )
    store.set("\x1fthread:thread\0", damaged, "damage")

    for read in (lambda: saver.get_tuple(config_of(checkpoint_id="1")), lambda: list(saver.list(config_of()))):
        with pytest.raises(ss.CorruptError, match='checkpoint "1" of thread "thread"'):
            read()
    with pytest.raises(ss.CorruptError, match='checkpoint "1" of thread "thread"'):
        saver.delete_for_runs(["any"])
    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": 2}
    assert get(saver, config_of(checkpoint_id="0")).checkpoint["channel_values"] == {"a": 0}
    assert ids(saver.list(config_of("other"))) == ["1"]
    put(saver, config_of(checkpoint_id="1"), "3", {"a": 3}, version="3")
    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": 3}
    assert [thread.checkpoints for thread in saver.threads()] == [1, 4]
    saver.prune(["thread"])
    assert ids(saver.list(config_of())) == ["3"]


def test_a_damaged_head_is_named_and_hides_no_checkpoint(store: ss.Store) -> None:
    saver = SwarmStateSaver(store)
    put(saver, config_of(), "1", {"a": 1})
    store.set("\x1fthread:thread\0", "head", "damage")

    for call in (lambda: put(saver, config_of(), "2"), lambda: saver.prune(["thread"]), saver.threads):
        with pytest.raises(ss.CorruptError, match='the head of thread "thread" cannot be read'):
            call()
    assert get(saver, config_of()).checkpoint["channel_values"] == {"a": 1}
    saver.delete_thread("thread")
    assert saver.threads() == []


@given(
    which=st.integers(0, 20), damage=st.binary(max_size=4), at=st.integers(0, 400), length=st.none() | st.integers(0, 9)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_bytes_that_nobody_wrote_are_refused_and_never_crash(
    store: ss.Store, which: int, damage: bytes, at: int, length: int | None
) -> None:
    store.clear()
    saver = SwarmStateSaver(store)
    config = config_of()
    for number in range(3):
        checkpoint = checkpoint_of(str(number), {"a": ["x" * 300] * (30 + number)}, str(number))
        config = saver.put(config, checkpoint, {}, checkpoint["channel_versions"])
        saver.put_writes(config, [("a", number)], "task")
    namespace = "\x1fthread:thread\0"
    keys = store.keys(namespace)
    key = keys[which % len(keys)]
    stored = ss.dumps(store.get(namespace, key))
    # Other bytes in the place of as many leave most records readable.
    spoiled = stored[:at] + damage + stored[at + (len(damage) if length is None else length) :]
    try:
        store.set(namespace, key, ss.loads(spoiled))
    except (ValueError, UnicodeDecodeError):
        store.set(namespace, key, spoiled)

    for number in range(3):
        try:
            found = saver.get_tuple(config_of(checkpoint_id=str(number)))
        except ss.CorruptError as error:
            assert 'thread "thread"' in str(error)
            continue
        except Exception:
            # A channel's value that never left the process' memory is not verified before it is loaded.
            assert not store.capabilities.persistent and key.startswith(("value", "chunk"))
            continue
        if store.capabilities.persistent and found is not None:
            assert found.checkpoint["channel_values"] in ({}, {"a": ["x" * 300] * (30 + number)})
            assert found.pending_writes in ([], [("task", "a", number)])


@given(
    names=st.lists(st.text(), max_size=4),
    found=st.recursive(st.none() | st.text() | st.integers(-(2**63), 2**63), st.lists),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_filter_of_any_content_is_only_compared(store: ss.Store, names: list[str], found: Any) -> None:
    store.clear()
    saver = SwarmStateSaver(store)
    filter = {"name'; DROP TABLE entries; --%": found, **dict.fromkeys(names, found)}
    metadata: Any = {"source": "loop", **filter}
    checkpoint = checkpoint_of("1")
    saver.put(config_of(), checkpoint, metadata, {})
    put(saver, config_of(), "2")
    wanted = get(saver, config_of(checkpoint_id="1")).metadata

    assert ids(saver.list(None, filter={name: wanted.get(name) for name in filter}))[-1] == "1"
    assert ids(saver.list(None, filter={**filter, "absent": "x"})) == []
