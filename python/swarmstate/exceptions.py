"""What a store can raise, on one screen.

Exception
└── Error                                      what every error of a store is
    ├── NotFoundError (KeyError)               what was asked for by name does not exist
    ├── ConflictError                          a condition does not hold: read again, decide again
    ├── WrongTypeError (TypeError)             the entry is of a kind that the operation does not work on
    ├── InvalidError (ValueError)              the request is wrong, and will be wrong again
    ├── TooLargeError (ValueError)             above a limit that `store.capabilities` states
    ├── UnsupportedError (NotImplementedError) this engine cannot do it
    ├── CorruptError                           stored bytes are not what was written
    └── UnavailableError (ConnectionError)     the engine did not answer; the write may have happened

A value that cannot be stored raises plain `TypeError` or `ValueError`, with the path to the offending part. Unless a
class says otherwise, nothing was written.
"""

__all__ = [
    "ConflictError",
    "CorruptError",
    "Error",
    "InvalidError",
    "NotFoundError",
    "TooLargeError",
    "UnavailableError",
    "UnsupportedError",
    "WrongTypeError",
]


class Error(Exception):
    """What every error of a store is."""


class NotFoundError(Error, KeyError):
    """What was asked for by name does not exist."""

    def __str__(self) -> str:
        """Return the message as it is, where KeyError would quote it."""
        return Exception.__str__(self)


class ConflictError(Error):
    """A condition does not hold: read again, decide again, repeat.

    Attributes:
        namespace: The namespace that the condition names.
        key: The key that it names, or None when it speaks of the whole namespace.
        revision: The revision that was found; 0 when nothing is live there.
        position: The place of the failed condition among the batch's conditions or, where no condition failed, of the
            operation among its operations.
    """

    namespace: str
    key: str | None
    revision: int
    position: int


class WrongTypeError(Error, TypeError):
    """The entry is of a kind that the operation does not work on; it is untouched.

    Attributes:
        namespace: Where the entry is.
        key: Its key.
        kind: What it holds: "string", "bytes" or "json".
    """

    namespace: str
    key: str
    kind: str


class InvalidError(Error, ValueError):
    """The request is wrong, and will be wrong again."""


class TooLargeError(Error, ValueError):
    """The request is above a limit that `store.capabilities` states.

    Attributes:
        size: How large it is, in the unit that the message names.
        limit: How large it can be.
    """

    size: int
    limit: int


class UnsupportedError(Error, NotImplementedError):
    """This engine cannot do it; the message says what to do instead."""


class CorruptError(Error):
    """Stored bytes are not what was written. Nothing that reads on repairs it: call for help."""


class UnavailableError(Error, ConnectionError):
    """The engine did not answer. The write may have happened: repeat it under a revision condition."""
