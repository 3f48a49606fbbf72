"""The command `swarmstate`: a store on the command line.

Arguments are read in `_arguments`, each command is a function in `_actions`, `_serve`, `_inspect`, `_mcp` or
`_administration`, and here everything becomes an exit status and one line on stderr. What happens to state is the
store's.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

import swarmstate
from swarmstate._command import _actions, _administration, _arguments, _inspect, _mcp, _names, _serve
from swarmstate.exceptions import ConflictError, InvalidError, NotFoundError, UnavailableError

Opener = Callable[[str], swarmstate.Store]

_DONE, _NOT_SO, _USAGE, _UNAVAILABLE = 0, 1, 2, 3
# What a shell reports of a program that such a signal ended.
_INTERRUPTED, _BROKEN_PIPE = 130, 141


def main(arguments: Sequence[str] | None = None, *, opener: Opener = swarmstate.open) -> int:
    """Runs the command.

    Args:
        arguments: What stands behind the command's name; None = what the process was started with.
        opener: Opens the store that a URL names.

    Returns:
        The exit status: 0 = done, 1 = not found or a conflict, 2 = wrong arguments or input, 3 = a store or a file that
        does not answer.

    Raises:
        SystemExit: The arguments are not understood, or `--help` was asked for.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        return _run(_arguments.parse(arguments), opener)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more: what is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _run(arguments: argparse.Namespace, opener: Opener) -> int:
    try:
        _act(arguments, opener)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        print(f"swarmstate: {_line(error)}", file=sys.stderr)
        return status
    return _DONE


def _act(arguments: argparse.Namespace, opener: Opener) -> None:
    if arguments.command == "serve":
        _serve.serve(_making(opener), arguments)
    elif arguments.command == "inspect":
        _inspect.inspect(opener, arguments)
    elif arguments.command == "mcp":
        _mcp.serve(_making(opener), arguments)
    elif arguments.command in _administration.TABLES:
        _administration.administer(_making(opener), arguments)
    else:
        _actions.require_source(arguments)
        with opener(_names.url(arguments.store, create=_actions.creates(arguments))) as store:
            _actions.ACTIONS[arguments.command](store, arguments)


def _making(opener: Opener) -> Opener:
    """The opener of commands that make a store that is not there: where none can be made, the URL is a wrong one."""

    def opened(url: str) -> swarmstate.Store:
        try:
            return opener(url)
        except NotFoundError as error:
            raise InvalidError(str(error)) from None

    return opened


def _status(error: Exception) -> int | None:
    """The exit status for an error; None for one that is a fault of the command itself."""
    if isinstance(error, NotFoundError | ConflictError | FileNotFoundError):
        return _NOT_SO
    if isinstance(error, UnavailableError):
        return _UNAVAILABLE
    if isinstance(error, swarmstate.Error | ValueError | RecursionError):
        return _USAGE
    return _UNAVAILABLE if isinstance(error, OSError) else None


def _line(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the value nests too deep"
    return " ".join(str(error).split("\n"))
