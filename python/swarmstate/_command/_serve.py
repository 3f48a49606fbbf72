"""`swarmstate serve`: opens the store, finds or makes the operator's key, and serves until a signal.

The key is in a file beside a store that lies in one, readable by its owner alone; it is printed once, when it is made.
"""

import argparse
import os
import resource
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import swarmstate
from swarmstate import Store
from swarmstate._command import _names
from swarmstate.exceptions import InvalidError

# How many snapshots a served store keeps, unless its URL says otherwise.
_MAX_HISTORY = 100
# Files that may be open at a time: connections, watches and the store's own, with room to spare.
_OPEN_FILES = 8192
# What ends a server.
SIGNALS = {signal.SIGINT, signal.SIGTERM}


def serve(opener: Callable[[str], Store], arguments: argparse.Namespace) -> None:
    """Serves a store until SIGTERM or SIGINT; requests under way finish. A second signal ends the process at once.

    Args:
        opener: Opens the store that a URL names.
        arguments: The command's arguments.

    Raises:
        Error: The store cannot be opened, or the server cannot listen.
    """
    _allow_open_files()
    with signals_waiting(), opener(_url(arguments.store)) as store:
        key, shown = _key(store, arguments.api_key)
        with swarmstate.serve(
            store,
            host=arguments.host,
            port=arguments.port,
            api_key=key,
            public_url=arguments.public_url,
            pages_port=_pages_port(arguments),
            pages_url=arguments.pages_url,
            capabilities=capabilities(),
            rate_limit=arguments.rate_limit,
            access_log=arguments.access_log,
        ) as server:
            _greet(store, server, arguments.public_url or server.url, shown)
            signal.sigwait(SIGNALS)
            print("stopping: requests under way finish; another signal ends it at once", flush=True)
            _let_signals_end_it()


@contextmanager
def signals_waiting() -> Iterator[None]:
    """Has SIGTERM and SIGINT wait for `sigwait`, wherever they arrive: enter it before any thread starts.

    Yields:
        Nothing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pages_port(arguments: argparse.Namespace) -> int:
    """The port for pages: that of the API and one, unless another is given."""
    if arguments.pages_port is not None:
        return int(arguments.pages_port)
    return int(arguments.port) + 1 if 0 < arguments.port < 65535 else 0


def capabilities() -> list[str]:
    """What agents may use over MCP.

    Returns:
        The names in SWARMSTATE_CAPABILITIES, which commas separate; `kv` and `pages` where it is not set.
    """
    names = os.environ.get("SWARMSTATE_CAPABILITIES", "kv,pages").split(",")
    return [name.strip() for name in names if name.strip()]


def _allow_open_files() -> None:
    """Raises the soft limit, which is below what the server takes on most systems, as far as this user may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _let_signals_end_it() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _url(store: str) -> str:
    url = _names.url(store, create=True)
    if "max_history=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}max_history={_MAX_HISTORY}"


def _key(store: Store, given: str | None) -> tuple[str, str]:
    """The operator's key, and how a command line names it."""
    if given is not None:
        return given, "$SWARMSTATE_API_KEY"
    if key := os.environ.get("SWARMSTATE_API_KEY"):
        return key, "$SWARMSTATE_API_KEY"
    new = f"ssk_{secrets.token_hex(32)}"
    path = key_file(store)
    if path is None:
        return new, new
    try:
        if _make(path, new):
            return new, new
        return path.read_text().strip(), f"$(cat '{path}')"
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"the operator's key in {path} cannot be used ({error}); give --api-key") from error


def key_file(store: Store) -> Path | None:
    """The file of a store's operator key.

    Args:
        store: The store that is served.

    Returns:
        The file beside the store's own, or for a server the one of its prefix in this folder; None in memory.
    """
    if isinstance(store, swarmstate.SqliteStore):
        return Path(f"{str(store.path).removesuffix('.db')}.key")
    return Path("swarmstate.key").absolute() if isinstance(store, swarmstate.RedisStore) else None


def _make(path: Path, key: str) -> bool:
    """Writes a key unless there is one: whole or not at all, so that two servers that start at once have the same."""
    if path.exists():
        return False
    # Made readable by its owner alone.
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return False
    return True


def _greet(store: Store, server: swarmstate.Server, url: str, key: str) -> None:
    print(f"swarmstate {swarmstate.__version__} listens on {url}")
    print(f"the store: {place(store)}")
    print(f"pages for browsers: {server.pages_url}")
    if path := key_file(store):
        print(f"the operator's key: {path if key.startswith(('ssk_', '$(')) else 'as given'}")
    print("try it:")
    print(f'  curl -X POST -H "Authorization: Bearer {key}" {url}/api/kv/_/demo/visits/incr', flush=True)


def place(store: Store) -> str:
    """Where a store is, without what opens it.

    Args:
        store: A store of any engine.

    Returns:
        Its file, its server's address, or that it is in memory.
    """
    if isinstance(store, swarmstate.SqliteStore):
        return str(store.path)
    return store.address if isinstance(store, swarmstate.RedisStore) else "in memory, gone with this process"
