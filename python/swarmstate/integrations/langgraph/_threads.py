"""What a checkpointer tells of its threads."""

from __future__ import annotations

from typing import NamedTuple


class ThreadInfo(NamedTuple):
    """What is known of a thread without reading its checkpoints.

    Attributes:
        thread_id: The thread.
        checkpoint_id: The latest checkpoint of its root graph; None = it has none.
        updated_at: When a checkpoint was put last, in seconds since 1970.
        checkpoints: How many checkpoints there are, in all namespaces.
    """

    thread_id: str
    checkpoint_id: str | None
    updated_at: float
    checkpoints: int


class ThreadUsage(NamedTuple):
    """How much room a thread takes, and how much it would take whole.

    Attributes:
        stored_bytes: The bytes of all its keys and values.
        serialized_bytes: The bytes that the serializer makes of its checkpoints, metadata and writes, and of each
            version of each channel: what a saver that stores them whole keeps.
        checkpoints: How many checkpoints there are, in all namespaces.
        chunks: How many parts of large values are stored, each once.
    """

    stored_bytes: int
    serialized_bytes: int
    checkpoints: int
    chunks: int
