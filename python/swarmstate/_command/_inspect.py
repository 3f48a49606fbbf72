"""`swarmstate inspect`: shows what a store holds in the browser, and lets nothing be written.

The key is made for this one run and travels in the fragment of the URL, which no request carries and the page removes
at once. A browser that is opened here gets the URL as an argument of its process.
"""

import argparse
import signal
import webbrowser
from collections.abc import Callable

import swarmstate
from swarmstate import Store
from swarmstate._command import _names, _serve


def inspect(opener: Callable[[str], Store], arguments: argparse.Namespace) -> None:
    """Serves a store to be read alone, on this machine alone, until SIGTERM or SIGINT.

    Args:
        opener: Opens the store that a URL names.
        arguments: The command's arguments.

    Raises:
        Error: The store cannot be opened, or the server cannot listen.
    """
    with (
        _serve.signals_waiting(),
        opener(_names.url(arguments.store, create=False)) as store,
        swarmstate.serve(store, port=arguments.port, read_only=True) as server,
    ):
        url = f"{server.url}/#key={server.api_key}"
        print(f"looking into {_serve.place(store)}; nothing can be changed from here; Ctrl-C ends it")
        print(url, flush=True)
        if not arguments.no_browser:
            webbrowser.open(url)
        signal.sigwait(_serve.SIGNALS)
