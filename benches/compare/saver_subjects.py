"""The threads that every checkpointer gets, and the work that it does with them.

Nothing here names a candidate: a saver is whatever has LangGraph's `put`, `put_writes`, `get_tuple` and
`get_next_version`. So both environments of the namesake's comparison run this very file.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

SMALL = {"step": 3, "status": "running", "route": ["plan", "search"]}
_WORDS = [f"w{number * 7919 % 100_003:x}" for number in range(3000)]


def text(length: int, seed: int) -> str:
    """Words in no order, as long as is wanted."""
    chosen = random.Random(seed)
    words: list[str] = []
    while sum(map(len, words)) + len(words) < length:
        words.append(chosen.choice(_WORDS))
    return " ".join(words)[:length]


def messages(count: int, length: int = 200) -> list:
    kinds = (HumanMessage, AIMessage)
    return [kinds[at % 2](text(length, at), id=f"{at:032x}") for at in range(count)]


def channels(turn: int) -> dict:
    """Ten channels of 20 KB, of which one is another at every turn."""
    return {f"channel {at}": text(20_000, at) for at in range(9)} | {"channel 9": text(20_000, 100 + turn % 7)}


class Thread:
    """A thread that grows by one checkpoint at a time."""

    def __init__(self, saver, thread_id: str = "thread") -> None:
        self.saver = saver
        self.config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        self.latest = self.config
        self.versions: dict = {}
        self.step = 0

    def following(self, values: dict, changed: list[str]) -> tuple:
        """What the next put takes, and the thread as it is after it."""
        checkpoint = empty_checkpoint()
        new = {name: self.saver.get_next_version(self.versions.get(name), None) for name in changed}
        self.versions = {**self.versions, **new}
        checkpoint["channel_values"], checkpoint["channel_versions"] = values, self.versions
        self.step += 1
        arguments = (self.latest, checkpoint, {"source": "loop", "step": self.step, "parents": {}}, new)
        self.latest = {"configurable": {**self.config["configurable"], "checkpoint_id": checkpoint["id"]}}
        return arguments

    def put(self, values: dict, changed: list[str]) -> None:
        self.saver.put(*self.following(values, changed))


class Puts:
    """Puts on one thread; what they take is made before the round."""

    def __init__(self, saver, states: list[dict], changed: list[str], count: int, thread_id: str = "thread") -> None:
        self.saver, self.states, self.changed, self.count = saver, states, changed, count
        self.thread = Thread(saver, thread_id)
        self.thread.put(states[0], list(states[0]))

    def prepare(self) -> None:
        states = self.states
        self.made = [self.thread.following(states[at % len(states)], self.changed) for at in range(self.count)]

    def __call__(self) -> None:
        put = self.saver.put
        for arguments in self.made:
            put(*arguments)


def small_puts(saver, count: int, thread_id: str = "thread") -> Puts:
    """Puts a small state, of which one channel changed, `count` times."""
    return Puts(saver, [SMALL], ["status"], count, thread_id)


def large_puts(saver, count: int) -> Puts:
    """Puts ten channels of 20 KB, of which one changed, `count` times."""
    return Puts(saver, [channels(turn) for turn in range(7)], ["channel 9"], count)


class Writes:
    """Puts two writes of a task, over and over, on a checkpoint of its own round."""

    def __init__(self, saver, count: int, written: object = "done") -> None:
        self.saver, self.count, self.written, self.thread = saver, count, written, Thread(saver)

    def prepare(self) -> None:
        self.thread.put(SMALL, ["status"])

    def __call__(self) -> None:
        put_writes, config, path = self.saver.put_writes, self.thread.latest, "~__pregel_pull, node"
        for task in range(self.count):
            put_writes(config, [("status", self.written), ("step", 4)], f"task {task}", path)


def gets(saver, count: int, values: dict) -> Callable[[], None]:
    """Gets the latest checkpoint of a thread, `count` times."""
    thread = Thread(saver, "gets")
    thread.put(values, list(values))

    def work() -> None:
        for _ in range(count):
            saver.get_tuple(thread.config)

    return work


def chat_puts(saver, chat: list, thread_id: str = "chat") -> Thread:
    """A thread whose one channel holds the first message, then the first two, and so on."""
    thread = Thread(saver, thread_id)
    for turn in range(len(chat)):
        thread.put({"messages": chat[: turn + 1]}, ["messages"])
    return thread
