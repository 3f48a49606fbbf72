"""The package on PyPI that bears the same name, 0.11.0: it has the same import name, so each has a process of its own.

Both processes run `worker.py` with one Python version and do the same work; a round is one call to each in turn, over
pipes, and only the work itself is timed, inside the worker.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from figures import Plan, Row, row_of_rounds

WORKER = str(Path(__file__).with_name("worker.py"))


class Worker:
    """A process that measures one candidate, a round at a time."""

    def __init__(self, python: str) -> None:
        # A search path from outside would give both workers one package.
        environment = {name: setting for name, setting in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.version = self._ask("version")

    def _ask(self, line: str) -> str:
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"the worker ended at {line!r}")
        return answer

    def round(self, work: str, size: int) -> float:
        """Does one round and tells how long an operation took, in nanoseconds."""
        return float(self._ask(f"{work} {size}"))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def rows(plan: Plan, python: str) -> Iterator[Row]:
    if not Path(python).exists():
        print(f"{python} is missing: not compared with the namesake")
        return
    ours, theirs = Worker(sys.executable), Worker(python)
    try:
        against = f"namesake {theirs.version}"
        for work, size, rounds in _schedule(plan):
            pairs = [(ours.round(work, size), theirs.round(work, size)) for _ in range(rounds)]
            yield row_of_rounds(f"{work}, {size:,} stored", against, pairs, None)
    finally:
        ours.close()
        theirs.close()


def _schedule(plan: Plan) -> Iterator[tuple[str, int, int]]:
    for work in ("set_small", "get_small", "set_agent", "get_agent", "set_many", "get_many"):
        yield work, 1_000, plan.rounds
    for size in plan.sizes:
        yield "snapshot", size, plan.rounds
    for size, rounds in zip(plan.sizes, plan.copies, strict=True):
        yield "diff", size, rounds
