"""Writes the tables of `docs/performance.md` that are marked with their rows, from `benches/results/`.

A marked part begins with `<!-- rows: NAME.json -->` and ends with `<!-- end of rows -->`. What stands between
is replaced: the machine, then a table for each rival, with the rows that miss their aim. The text around it is written
by hand. `--check` writes nothing, and fails where the page says something else than the rows.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PART = re.compile(r"(<!-- rows: ([a-z-]+\.json) -->\n).*?(<!-- end of rows -->\n)", re.DOTALL)
WIDTH = 120

Rows = list[dict[str, object]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benches/page.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is another")
    arguments = parser.parse_args()
    before = PAGE.read_text()
    after = PART.sub(lambda part: part[1] + text_of(part[2]) + part[3], before)
    if before == after:
        return 0
    if arguments.check:
        print(f"{PAGE.relative_to(ROOT)} is not what benches/page.py makes of the rows: run it", file=sys.stderr)
        return 1
    PAGE.write_text(after)
    return 0


def text_of(name: str) -> str:
    """What the page says of a file of rows."""
    report = json.loads((ROOT / "benches" / "results" / name).read_text())
    rivals: dict[tuple[object, object], Rows] = {}
    for row in report["rows"]:
        rivals.setdefault((row.get("against"), row["unit"]), []).append(row)
    tables = [table(rival, unit, rows) for (rival, unit), rows in rivals.items()]
    return (
        "\n".join(["", *wrapped(f"{facts(report)}."), "", *(line for lines in tables for line in [*lines, ""])]) + "\n"
    )


def facts(report: dict[str, object]) -> str:
    """The machine, the versions and how busy it was."""
    system = f"{report['machine']}; {report['system']}; CPython {report['python']}"
    known = ("date", "machine", "system", "python", "durability", "rows")
    rest = [f"{name} {fact}" for name, fact in report.items() if name not in known]
    return "; ".join([system, *rest, str(report["date"])])


def wrapped(text: str) -> list[str]:
    """Lines of a page, which break between words."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


def table(rival: object, unit: object, rows: Rows) -> list[str]:
    """A table of rows that have a rival and a unit in common."""
    head = [f"| {unit} | swarmstate | {rival or 'alone'} | ratio | aim | |", "|---|---|---|---|---|---|"]
    return head + [line(row) for row in rows]


def line(row: dict[str, object]) -> str:
    """A row of a table; one that misses its aim is loud."""
    verdict = {True: "met", False: "**not met**", None: ""}[row.get("is_met")]
    aim = str(row.get("aim", "")).removeprefix("ratio ").replace("<=", "≤").replace(">=", "≥")
    figures = [number(row["ours"]), number(row.get("theirs")), ratio(row.get("ratio"))]
    cells = [str(row["what"]), *figures, aim, verdict]
    return f"| {' | '.join(cells)} |"


def number(figure: object) -> str:
    if figure is None:
        return "\u2013"
    assert isinstance(figure, float | int)
    return f"{figure:,.0f}" if figure >= 100 or isinstance(figure, int) else f"{figure:.2f}"


def ratio(figure: object) -> str:
    if figure is None:
        return "\u2013"
    assert isinstance(figure, float | int)
    return "< 0.01" if figure < 0.01 else f"{figure:.2f}"


if __name__ == "__main__":
    sys.exit(main())
