"""What the command understands: one parser, one subparser for each command."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import swarmstate
from swarmstate._command import _names

_EPILOG = r"""
STORE is a URL such as sqlite:///state.db, or the path of an SQLite file. Names are shown and typed with escapes: \\ is
a backslash, and \x1f the character of that code. Put -- before names that begin with a dash. Exit status: 0 done, 1 not
found or a conflict, 2 wrong arguments or input, 3 a store or a file that does not answer.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the arguments.

    Args:
        arguments: What stands behind the command's name; None = what the process was started with.

    Returns:
        The arguments, names unescaped.

    Raises:
        SystemExit: They are not understood, or ask for help.
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    _check(parser, parsed)
    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("swarmstate", description="Look into a store, change it, move it.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"swarmstate {swarmstate.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about, add in _COMMANDS:
        command = commands.add_parser(name, help=about, description=about, epilog=_EPILOG)
        command.add_argument("store", metavar="STORE", help="URL or path")
        add(command)
        command.add_argument("--json", action="store_true", help="print JSON for scripts")
    for name, about, add in _SERVICE_COMMANDS:
        add(commands.add_parser(name, help=about, description=about))
    return parser


def _check(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Refuses what belongs together and is not, or the other way round."""
    if parsed.command == "set" and (parsed.value is None) != parsed.stdin:
        parser.error("set takes either VALUE or --stdin")
    if parsed.command == "delete" and (parsed.key is None) != parsed.all:
        parser.error("delete takes either KEY or --all, which removes the whole namespace")
    if parsed.command == "delete" and parsed.all and parsed.if_revision is not None:
        parser.error("--if-revision belongs to a KEY")
    if parsed.command == "snapshots" and parsed.take and parsed.drop is not None:
        parser.error("snapshots takes either --take or --drop")


def _name(text: str) -> str:
    try:
        return _names.typed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    # Python takes digits of other scripts, blanks and underscores for numbers too.
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def _info(command: argparse.ArgumentParser) -> None:
    """Takes nothing besides the store."""


def _keys(command: argparse.ArgumentParser) -> None:
    command.add_argument("namespace", metavar="NAMESPACE", type=_name, nargs="?", help="list its keys")
    command.add_argument("--prefix", type=_name, default="", help="only names that begin so")
    command.add_argument("--after", type=_name, help="only names behind this one")
    command.add_argument("--limit", type=_count, help="the most names")
    command.add_argument("--reverse", action="store_true", help="greatest name first")


def _address(command: argparse.ArgumentParser) -> None:
    command.add_argument("namespace", metavar="NAMESPACE", type=_name)
    command.add_argument("key", metavar="KEY", type=_name)


def _set(command: argparse.ArgumentParser) -> None:
    _address(command)
    command.add_argument("value", metavar="VALUE", nargs="?", help="JSON, or msgpack: and base64")
    command.add_argument("--string", action="store_true", help="VALUE is a text as it stands")
    command.add_argument("--stdin", action="store_true", help="read VALUE from stdin")
    command.add_argument("--ttl", type=float, metavar="SECONDS", help="it goes after so long")
    command.add_argument("--if-revision", type=_count, help="only if the key is at this revision; 0 = absent")


def _delete(command: argparse.ArgumentParser) -> None:
    command.add_argument("namespace", metavar="NAMESPACE", type=_name)
    command.add_argument("key", metavar="KEY", type=_name, nargs="?")
    command.add_argument("--all", action="store_true", help="remove the whole namespace")
    command.add_argument("--if-revision", type=_count, help="only if the key is at this revision")


def _snapshots(command: argparse.ArgumentParser) -> None:
    command.add_argument("--take", action="store_true", help="take one, and list it alone")
    command.add_argument("--drop", type=_count, metavar="ID", help="drop one")


def _diff(command: argparse.ArgumentParser) -> None:
    command.add_argument("base", metavar="BASE", type=_count, help="a snapshot's id")
    command.add_argument("later", metavar="LATER", type=_count, nargs="?", help="another one's; without it, now")


def _restore(command: argparse.ArgumentParser) -> None:
    command.add_argument("snapshot", metavar="ID", type=_count, help="a snapshot's id")
    command.add_argument("--yes", action="store_true", help="do not ask")


def _export(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", nargs="?", default="-", help="where to; - = stdout, the default")
    command.add_argument("--format", choices=["msgpack", "jsonl"], default="msgpack", help="msgpack is the default")
    command.add_argument("--snapshot", type=_count, metavar="ID", help="what this snapshot holds, instead of now")
    command.add_argument("--force", action="store_true", help="replace FILE if it exists")


def _import(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", nargs="?", default="-", help="where from; - = stdin, the default")


def _backup(command: argparse.ArgumentParser) -> None:
    command.add_argument("target", metavar="TARGET", help="the URL or path of an empty store")


def _import_langgraph(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="the file, or the URL of a Redis server")
    command.add_argument("--prefix", default="swarmstate", help="what the keys on Redis begin with")


_COMMANDS = [
    ("info", "say what a store is and how much it holds", _info),
    ("keys", "list a store's namespaces, or a namespace's keys", _keys),
    ("get", "show a value", _address),
    ("set", "write a value and show its revision", _set),
    ("delete", "remove a key, or a whole namespace", _delete),
    ("snapshots", "list, take or drop snapshots", _snapshots),
    ("diff", "tell what happened since a snapshot", _diff),
    ("restore", "make a store what a snapshot holds", _restore),
    ("export", "write all that a store holds to a file", _export),
    ("backup", "copy a store to an empty one while it is in use", _backup),
    ("import", "write all that an export holds into a store", _import),
    (
        "import-langgraph",
        "write the threads of a SqliteSaver, or of swarmstate 0.11, into a store",
        _import_langgraph,
    ),
]


def _serve(command: argparse.ArgumentParser) -> None:
    _service_store(command)
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on; %(default)s without it")
    command.add_argument("--port", type=_count, default=8484, help="%(default)s without it; 0 = a free one")
    command.add_argument("--api-key", metavar="KEY", help="the operator's key; better in SWARMSTATE_API_KEY")
    command.add_argument("--public-url", metavar="URL", help="the URL that clients use, if it is another one")
    command.add_argument(
        "--pages-port", type=_count, metavar="PORT", help="the port for pages; the one behind --port without it"
    )
    command.add_argument("--pages-url", metavar="URL", help="the URL under which browsers find pages, if another")
    command.add_argument("--access-log", action="store_true", help="tell each request in a line on stderr")
    command.add_argument("--rate-limit", type=_count, metavar="N", help="requests a second of each key or token")


def _inspect(command: argparse.ArgumentParser) -> None:
    command.add_argument("store", metavar="STORE", help="URL or path")
    command.add_argument("--port", type=_count, default=0, help="the port; a free one without it")
    command.add_argument("--no-browser", action="store_true", help="print the URL alone, and open nothing")


def _mcp(command: argparse.ArgumentParser) -> None:
    _service_store(command)
    command.add_argument("--agent", metavar="ID", help="the agent that calls")
    command.add_argument("--task", metavar="ID", help="the task that it works on")


def _service_store(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store", default="sqlite:///swarmstate.db", metavar="STORE", help="URL or path; %(default)s without it"
    )


def _agents(command: argparse.ArgumentParser) -> None:
    add = _table(command, "agents", "register an agent, or change it")["add"]
    add.add_argument("id", metavar="ID")
    add.add_argument("--lead", action="store_true", help="it writes in every agent's namespace")
    add.add_argument("--capability", action="append", metavar="NAME", help="what it may use; without any, everything")


def _tasks(command: argparse.ArgumentParser) -> None:
    add = _table(command, "tasks", "register a task, or change it")["add"]
    add.add_argument("id", metavar="ID", nargs="?", help="a new one without it")
    add.add_argument("--context-key", metavar="NAMESPACE", help="the namespace of its conversation")
    add.add_argument("--agent", metavar="ID", help="who works on it")


def _tokens(command: argparse.ArgumentParser) -> None:
    add = _table(command, "tokens", "make a token; its secret is shown once")["add"]
    add.add_argument("agent", metavar="AGENT", help="whom it speaks for")
    add.add_argument(
        "--scope",
        action="append",
        choices=["read", "write", "admin"],
        help="repeat it for several; without it read and write",
    )
    add.add_argument("--expires", type=_count, metavar="SECONDS", help="it ends after so long")


def _pages(command: argparse.ArgumentParser) -> None:
    verbs = _table(command, "pages", "make a page", launch="let one browser in, once")
    add = verbs["add"]
    add.add_argument("file", metavar="FILE", type=Path, help="its HTML")
    add.add_argument("--title", help="what people call it")
    add.add_argument(
        "--access",
        choices=["authed", "password", "public"],
        default="authed",
        help="who sees it; %(default)s without it. A password is asked for, or stands in SWARMSTATE_PAGE_PASSWORD",
    )
    verbs["launch"].add_argument("id", metavar="ID")


def _table(
    command: argparse.ArgumentParser, table: str, adds: str, **others: str
) -> dict[str, argparse.ArgumentParser]:
    """Adds the verbs of a table of the registry, each with what it does, and returns them by name."""
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    abouts = {"list": f"list the {table}", "add": adds, **others, "remove": f"remove one of the {table}"}
    parsers = {verb: verbs.add_parser(verb, help=about, description=about) for verb, about in abouts.items()}
    parsers["remove"].add_argument("id", metavar="ID")
    for parser in parsers.values():
        _service_store(parser)
        parser.add_argument("--url", help="ask this running server instead")
        parser.add_argument("--api-key", metavar="KEY", help="a key for --url; better in SWARMSTATE_API_KEY")
        parser.add_argument("--json", action="store_true", help="print JSON for scripts")
    return parsers


_SERVICE_COMMANDS = [
    ("serve", "serve a store over HTTP", _serve),
    ("inspect", "show in the browser what a store holds, and change nothing", _inspect),
    ("mcp", "serve a store to one MCP client over stdin and stdout", _mcp),
    ("agents", "list, add or remove the agents that a service knows", _agents),
    ("tasks", "list, add or remove the tasks that a service knows", _tasks),
    ("pages", "list, add, launch or remove the pages of a service", _pages),
    ("tokens", "list, make or revoke the tokens of a service", _tokens),
]
