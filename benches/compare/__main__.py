"""Compares the memory engine with its rivals: prints a table and stores the raw rows in `benches/results/memory.json`.

`scripts/bench` builds the released wheel, makes the environments and runs this. A quick run stores nothing.
"""

import argparse
import gc
import json
import time

import beside
import machine
import memory
import namesake
import weight
from figures import Plan, show

parser = argparse.ArgumentParser(prog="benches/compare", description=__doc__)
parser.add_argument("--quick", action="store_true", help="few rounds and no million entries; stores nothing")
parser.add_argument("--namesake", default=".venv-namesake/bin/python", help="a Python that has the namesake installed")
parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date that the rows are stored with")


def main() -> None:
    arguments = parser.parse_args()
    plan = Plan.quick() if arguments.quick else Plan.full()
    facts = machine.facts(arguments.date)
    print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n")
    gc.disable()
    rows = []
    for part in (memory.rows, beside.rows, weight.rows, lambda plan: namesake.rows(plan, arguments.namesake)):
        for row in part(plan):
            show(row, is_first=not rows)
            rows.append(row)
    facts["load average at the end"] = machine.load()
    if not arguments.quick:
        stored = {**facts, "durability": "none, in memory", "rows": [row.as_json() for row in rows]}
        machine.results("memory.json").write_text(json.dumps(stored, indent=2) + "\n")
        print("\nwritten to benches/results/memory.json")


main()
