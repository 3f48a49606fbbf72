"""What each command does: calls the store, and shows what it answers, to people or to scripts."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import swarmstate
from swarmstate import Snapshot, Store
from swarmstate._command import _names, _values
from swarmstate.exceptions import ConflictError, InvalidError, NotFoundError

# Names that are read at a time.
_PAGE = 1000

Arguments = argparse.Namespace
Action = Callable[[Store, Arguments], None]


def creates(arguments: Arguments) -> bool:
    """Tells whether a command may make a store that does not exist.

    Args:
        arguments: The command's arguments.

    Returns:
        True for what writes something new.
    """
    return arguments.command in {"set", "import", "import-langgraph"} or (
        arguments.command == "snapshots" and bool(arguments.take)
    )


def require_source(arguments: Arguments) -> None:
    """Refuses to read from a file that is not there, before a store is made for it.

    Args:
        arguments: The command's arguments.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if arguments.command == "import":
        is_file = arguments.file != "-"
    else:
        is_file = arguments.command == "import-langgraph" and "://" not in arguments.file
    if is_file and not os.path.exists(arguments.file):
        raise FileNotFoundError(f"{arguments.file}: there is no such file")


def _info(store: Store, arguments: Arguments) -> None:
    can = store.capabilities
    facts = {
        "engine": can.engine,
        "entries": len(store),
        "size_bytes": store.size_bytes,
        "namespaces": sum(1 for _ in _pages(store.namespaces)),
        "snapshots": len(store.history()),
    }
    abilities = {name: getattr(can, name) for name in dir(can) if not name.startswith("_") and name != "engine"}
    if arguments.json:
        _document({**facts, "capabilities": abilities})
        return
    for name, value in {**facts, **abilities}.items():
        print(f"{name:<32}{json.dumps(value) if isinstance(value, bool) else value}")


def _keys(store: Store, arguments: Arguments) -> None:
    def listed(**range_: Any) -> list[str]:
        named = arguments.namespace is not None
        return store.keys(arguments.namespace, **range_) if named else store.namespaces(**range_)

    names = _pages(listed, arguments.after, arguments.limit, prefix=arguments.prefix, reverse=arguments.reverse)
    for name in names:
        print(json.dumps(name, ensure_ascii=False) if arguments.json else _names.shown(name))


def _pages(
    listed: Callable[..., list[str]], after: str | None = None, limit: int | None = None, **range_: Any
) -> Iterator[str]:
    """All names of a listing, a page at a time."""
    left = sys.maxsize if limit is None else limit
    while left:
        page = listed(after=after, limit=min(left, _PAGE), **range_)
        yield from page
        left -= len(page)
        if len(page) < _PAGE:
            return
        after = page[-1]


def _get(store: Store, arguments: Arguments) -> None:
    entry = store.entry(arguments.namespace, arguments.key)
    if entry is None:
        raise _absent(arguments)
    print(entry.to_json() if arguments.json else _values.shown(entry.to_json()))


def _set(store: Store, arguments: Arguments) -> None:
    text = sys.stdin.buffer.read().decode() if arguments.stdin else arguments.value
    value = text if arguments.string else _values.typed(text)
    revision = store.set(
        arguments.namespace, arguments.key, value, ttl=arguments.ttl, if_revision=arguments.if_revision
    )
    _answer(arguments, {"revision": revision}, str(revision))


def _delete(store: Store, arguments: Arguments) -> None:
    if arguments.all:
        done = store.delete_namespace(arguments.namespace)
    else:
        done = store.delete(arguments.namespace, arguments.key, if_revision=arguments.if_revision)
    if not done:
        raise _absent(arguments)
    _answer(arguments, {"deleted": True}, "deleted")


def _absent(arguments: Arguments) -> NotFoundError:
    namespace = f'namespace "{_names.shown(arguments.namespace)}"'
    what = namespace if arguments.key is None else f'key "{_names.shown(arguments.key)}" in {namespace}'
    return NotFoundError(f"{what} does not exist")


def _snapshots(store: Store, arguments: Arguments) -> None:
    if arguments.drop is not None:
        if not store.drop_snapshot(arguments.drop):
            raise NotFoundError(f"snapshot {arguments.drop} does not exist")
        _answer(arguments, {"dropped": arguments.drop}, f"dropped snapshot {arguments.drop}")
        return
    snapshots = [store.snapshot()] if arguments.take else store.history()
    if not arguments.json and snapshots:
        print(f"{'id':>8}  {'taken (UTC)':<19}  {'parent':>8}  {'entries':>12}  {'bytes':>16}")
    for snapshot in snapshots:
        _show_snapshot(snapshot, arguments)


def _show_snapshot(snapshot: Snapshot, arguments: Arguments) -> None:
    entries, size_bytes, parent = len(snapshot), snapshot.size_bytes, snapshot.parent
    taken = datetime.fromtimestamp(snapshot.timestamp, timezone.utc)
    line = f"{snapshot.id:>8}  {taken:%Y-%m-%d %H:%M:%S}  {parent or '-':>8}  {entries:>12,}  {size_bytes:>16,}"
    document = {"id": snapshot.id, "timestamp": snapshot.timestamp, "parent": parent}
    _answer(arguments, {**document, "entries": entries, "size_bytes": size_bytes}, line)


def _diff(store: Store, arguments: Arguments) -> None:
    base = store.snapshot_by_id(arguments.base)
    later = store if arguments.later is None else store.snapshot_by_id(arguments.later)
    changes = later.diff(base)
    if arguments.json:
        _document(changes)
        return
    for sign, pairs in (("+", changes["added"]), ("-", changes["removed"]), ("~", changes["changed"])):
        for namespace, key in pairs:
            print(sign, _names.shown(namespace), _names.shown(key), sep="\t")


def _restore(store: Store, arguments: Arguments) -> None:
    snapshot = store.snapshot_by_id(arguments.snapshot)
    since = store.diff(snapshot)
    removes, brings_back, changes_back = len(since["added"]), len(since["removed"]), len(since["changed"])
    effect = f"removes {removes:,}, brings back {brings_back:,} and changes back {changes_back:,} entries"
    if not arguments.yes:
        _ask(f"restoring snapshot {snapshot.id} {effect}")
    store.restore(snapshot)
    counts = {"removed": removes, "brought_back": brings_back, "changed_back": changes_back}
    _answer(arguments, {"restored": snapshot.id, **counts}, f"restored snapshot {snapshot.id}: it {effect}")


def _ask(effect: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidError(f"{effect}; there is no terminal to ask, so say --yes")
    print(f"{effect}; go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ConflictError("nothing was restored")


def _export(store: Store, arguments: Arguments) -> None:
    to_stdout = arguments.file == "-"
    if to_stdout and arguments.format == "msgpack" and sys.stdout.isatty():
        raise InvalidError("msgpack is not for a terminal: name a FILE, or take --format jsonl")
    if os.path.isfile(arguments.file) and not to_stdout and not arguments.force:
        raise InvalidError(f"{arguments.file} exists; --force replaces it")
    source = store if arguments.snapshot is None else store.snapshot_by_id(arguments.snapshot)
    file = sys.stdout.buffer if to_stdout else arguments.file
    with _progress("exported") as progress:
        entries = swarmstate.export(source, file, format=arguments.format, progress=progress)
    if not to_stdout:
        _answer(arguments, {"entries": entries}, f"exported {entries:,} entries")


def _backup(store: Store, arguments: Arguments) -> None:
    with swarmstate.open(_names.url(arguments.target, create=True)) as target:
        if len(target):
            raise InvalidError(f"{arguments.target} holds {len(target):,} entries; a backup goes into an empty store")
        with _progress("copied") as progress:
            entries = swarmstate.copy(store, target, progress=progress)
    _answer(arguments, {"entries": entries}, f"copied {entries:,} entries")


def _import(store: Store, arguments: Arguments) -> None:
    file = sys.stdin.buffer if arguments.file == "-" else arguments.file
    with _progress("imported") as progress:
        done = swarmstate.import_(file, store, progress=progress)
    left_out = f"; {done['expired']:,} were due already and left out" if done["expired"] else ""
    _answer(arguments, done, f"imported {done['entries']:,} entries{left_out}")


def _import_langgraph(store: Store, arguments: Arguments) -> None:
    try:
        from swarmstate.integrations.langgraph import SwarmStateSaver, import_langgraph
    except ImportError as error:
        raise InvalidError(f'{error}: import-langgraph needs pip install "swarmstate[langgraph]"') from None
    with _progress("imported", "records") as progress:
        done = import_langgraph(arguments.file, SwarmStateSaver(store), prefix=arguments.prefix, progress=progress)
    line = f"imported {done.checkpoints:,} checkpoints and {done.writes:,} writes of {done.threads:,} threads"
    left_out = f"; {done.unreadable:,} could not be read and were left out" if done.unreadable else ""
    _answer(arguments, done._asdict(), line + left_out)


@contextmanager
def _progress(verb: str, what: str = "entries") -> Iterator[Callable[[int, int], None]]:
    """Tells people how far it is, on stderr, and lets Ctrl-C end it in between."""
    shows = sys.stderr.isatty()
    was_shown = False

    def tell(done: int, total: int) -> None:
        nonlocal was_shown
        if shows:
            was_shown = True
            print(f"\r{verb} {done:,} of {total:,} {what}", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if was_shown:
            print(file=sys.stderr)


def _answer(arguments: Arguments, document: object, line: str) -> None:
    if arguments.json:
        _document(document)
    else:
        print(line)


def _document(document: object) -> None:
    print(json.dumps(document, ensure_ascii=False))


ACTIONS: dict[str, Action] = {
    "info": _info,
    "keys": _keys,
    "get": _get,
    "set": _set,
    "delete": _delete,
    "snapshots": _snapshots,
    "diff": _diff,
    "restore": _restore,
    "export": _export,
    "backup": _backup,
    "import": _import,
    "import-langgraph": _import_langgraph,
}
