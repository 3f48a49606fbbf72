"""A process that holds a file: SQLite's locks on it are those of a process, so another one has to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Takes the file's one place for writing at a line on its stdin, and lets go of it at the next.
HOLDER = """
import sqlite3, sys

file = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in "BEGIN IMMEDIATE", "ROLLBACK":
    sys.stdin.readline()
    file.execute(statement)
    print("done", flush=True)
"""


class Holder:
    """Another process that holds the write lock of a file while it is asked to."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-c", HOLDER, str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self) -> None:
        """Takes the lock, and at the next call lets go of it; it is done when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        """Ends the process, and so what it holds."""
        self._process.kill()
        self._process.communicate()
