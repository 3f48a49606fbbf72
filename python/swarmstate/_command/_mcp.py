"""`swarmstate mcp`: opens the store, and serves its tools over stdin and stdout until the client is gone."""

import argparse
import signal
from collections.abc import Callable

from swarmstate import Store, _core
from swarmstate._command import _names, _serve


def serve(opener: Callable[[str], Store], arguments: argparse.Namespace) -> None:
    """Serves a store to the MCP client that started this process. Nothing but messages goes to stdout.

    Args:
        opener: Opens the store that a URL names.
        arguments: The command's arguments.

    Raises:
        Error: The store cannot be opened, or an argument is wrong.
    """
    with opener(_names.url(arguments.store, create=True)) as store:
        # Python would notice the signal only when the input ends.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _core.serve_stdio(store, agent=arguments.agent, task=arguments.task, capabilities=_serve.capabilities())
