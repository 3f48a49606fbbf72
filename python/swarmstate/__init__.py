"""The state layer under AI agents: a namespaced store with free snapshots, rollbacks and diffs.

Example:
    >>> import swarmstate as ss
    >>> store = ss.Store()
    >>> revision = store.set("workflow", "onboarding", {"step": 3})
    >>> savepoint = store.snapshot()
    >>> revision = store.set("workflow", "onboarding", {"step": 4})
    >>> store.restore(savepoint)
    >>> store.get("workflow", "onboarding")
    {'step': 3}
"""

from importlib.metadata import version as _version

from swarmstate import context
from swarmstate._client import Client
from swarmstate._core import (
    Batch,
    Capabilities,
    Clock,
    Entry,
    Outcome,
    RedisStore,
    Server,
    Snapshot,
    SqliteStore,
    Store,
    copy,
    dumps,
    export,
    import_,
    loads,
    open,
    serve,
)
from swarmstate._remote import RemoteBatch, RemoteSnapshot
from swarmstate._wire import RemoteEntry
from swarmstate.exceptions import (
    ConflictError,
    CorruptError,
    Error,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
    WrongTypeError,
)

__version__ = _version("swarmstate")

__all__ = [
    "Batch",
    "Capabilities",
    "Client",
    "Clock",
    "ConflictError",
    "CorruptError",
    "Entry",
    "Error",
    "InvalidError",
    "NotFoundError",
    "Outcome",
    "RedisStore",
    "RemoteBatch",
    "RemoteEntry",
    "RemoteSnapshot",
    "Server",
    "Snapshot",
    "SqliteStore",
    "Store",
    "TooLargeError",
    "UnavailableError",
    "UnsupportedError",
    "WrongTypeError",
    "context",
    "copy",
    "dumps",
    "export",
    "import_",
    "loads",
    "open",
    "serve",
]
