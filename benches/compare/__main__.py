"""Compares engines and checkpointer with their rivals: prints tables and stores the raw rows in `benches/results/`.

`scripts/bench` builds the released wheel, makes the environments and runs this. A quick run stores nothing.
"""

import argparse
import gc
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import beside
import figures
import files
import growth
import machine
import memory
import namesake
import recall
import savers
import sqlite
import weight
from figures import Plan

parser = argparse.ArgumentParser(prog="benches/compare", description=__doc__)
parser.add_argument(
    "part", nargs="?", choices=("memory", "sqlite", "savers", "recall"), help="what to compare; else all of it"
)
parser.add_argument("--quick", action="store_true", help="few rounds and no million entries; stores nothing")
parser.add_argument("--namesake", default=".venv-namesake/bin/python", help="a Python that has the namesake installed")
parser.add_argument("--folder", default="target", help="where files are made that are measured; it must be on a disk")
parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date that the rows are stored with")


def main() -> None:
    arguments = parser.parse_args()
    gc.disable()
    parts = {"memory": compare_memory, "sqlite": compare_sqlite, "savers": compare_savers, "recall": compare_recall}
    for part in [arguments.part] if arguments.part else parts:
        parts[part](arguments)


def compare_memory(arguments: argparse.Namespace) -> None:
    plan = Plan.quick() if arguments.quick else Plan.full()
    facts = machine.facts(arguments.date)
    tell(facts)
    rows = []
    for part in (memory.rows, beside.rows, weight.rows, lambda plan: namesake.rows(plan, arguments.namesake)):
        rows += shown(part(plan), figures.show, is_first=not rows)
    store("memory.json", arguments, facts, {"durability": "none, in memory", "rows": rows})


def compare_sqlite(arguments: argparse.Namespace) -> None:
    plan = sqlite.FilePlan.quick() if arguments.quick else sqlite.FilePlan.full()
    facts = machine.facts(arguments.date) | machine.disk(Path(arguments.folder))
    facts |= {name: version(name) for name in ("diskcache", "sqlitedict")}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        facts |= files.versions(folder / "versions")
        tell(facts)
        settings = {way: files.settings(folder / "settings" / way, way) for way in sqlite.DURABILITIES}
        loads = shown(sqlite.rows(plan, folder), sqlite.show, is_first=True)
        grown = shown(growth.rows(plan, folder), figures.show, is_first=True)
    durability = "in each row of `loads`; normal in those of `growth`"
    store(
        "sqlite.json",
        arguments,
        facts,
        {"durability": durability, "settings": settings, "loads": loads, "growth": grown},
    )


def compare_savers(arguments: argparse.Namespace) -> None:
    plan = Plan.quick() if arguments.quick else Plan.full()
    facts = machine.facts(arguments.date) | machine.disk(Path(arguments.folder))
    packages = ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite")
    facts |= {name: version(name) for name in packages}
    tell(facts)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = shown(savers.rows(plan, folder, arguments.namesake), figures.show, is_first=True)
    store("savers.json", arguments, facts, {"durability": "in memory, or as each row says", "rows": rows})


def compare_recall(arguments: argparse.Namespace) -> None:
    plan = recall.RecallPlan.quick() if arguments.quick else recall.RecallPlan.full()
    facts = machine.facts(arguments.date) | machine.disk(Path(arguments.folder))
    facts |= {name: version(name) for name in ("langgraph-checkpoint", "numpy")}
    tell(facts)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = shown(recall.rows(plan, folder), figures.show, is_first=True)
    store("recall.json", arguments, facts, {"durability": "in memory, or normal in a file", "rows": rows})


def tell(facts: dict[str, str]) -> None:
    print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n")


def shown(rows, show, *, is_first: bool) -> list[dict[str, object]]:
    """Prints rows as they come, and gives them as they are stored."""
    stored = []
    for row in rows:
        show(row, is_first=is_first and not stored)
        stored.append(row.as_json())
    return stored


def store(name: str, arguments: argparse.Namespace, facts: dict[str, str], rest: dict[str, object]) -> None:
    if arguments.quick:
        return
    facts["load average at the end"] = machine.load()
    machine.results(name).write_text(json.dumps({**facts, **rest}, indent=2) + "\n")
    print(f"\nwritten to benches/results/{name}")


if __name__ == "__main__":
    main()
