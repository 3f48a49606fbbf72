"""Compares stores and checkpointers with their rivals: prints tables, and stores the raw rows in `benches/results/`.

`scripts/bench` builds the released wheel, makes the environments and runs this. A quick run stores nothing.
"""

import argparse
import gc
import itertools
import json
import time
from collections.abc import Iterable

import beside
import machine
import memory
import namesake
import savers
import weight
from figures import Plan, Row, show

parser = argparse.ArgumentParser(prog="benches/compare", description=__doc__)
parser.add_argument("part", nargs="?", choices=("stores", "savers"), help="only these; else both")
parser.add_argument("--quick", action="store_true", help="few rounds and no million entries; stores nothing")
parser.add_argument("--namesake", default=".venv-namesake/bin/python", help="a Python that has the namesake installed")
parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date that the rows are stored with")


PARTS = {
    "stores": (
        "memory.json",
        "none, in memory",
        lambda plan, python: itertools.chain(
            memory.rows(plan), beside.rows(plan), weight.rows(plan), namesake.rows(plan, python)
        ),
    ),
    "savers": ("savers.json", "as each row says", savers.rows),
}
"""For each part the file of its results, their durability, and its rows."""


def main() -> None:
    arguments = parser.parse_args()
    plan = Plan.quick() if arguments.quick else Plan.full()
    gc.disable()
    for part in [arguments.part] if arguments.part else PARTS:
        file, durability, rows_of = PARTS[part]
        facts = machine.facts(arguments.date)
        print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n")
        rows = shown(rows_of(plan, arguments.namesake))
        facts["load average at the end"] = machine.load()
        if not arguments.quick:
            stored = {**facts, "durability": durability, "rows": [row.as_json() for row in rows]}
            machine.results(file).write_text(json.dumps(stored, indent=2) + "\n")
            print(f"\nwritten to benches/results/{file}")


def shown(found: Iterable[Row]) -> list[Row]:
    """The rows, each printed as it comes."""
    rows = []
    for row in found:
        show(row, is_first=not rows)
        rows.append(row)
    return rows


main()
