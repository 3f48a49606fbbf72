"""The documentation is true: its code runs, its results are what it says, its commands, links and figures exist.

Every ```python block of README.md and docs/ runs, page by page in order, all blocks of a page in one module and in a
directory of their own. Behind an expression statement, at the end of its line or on comment lines below it,

    expression              # -> value            says what it gives, as Python writes it
    expression              # raises Error: text  says which exception it ends in, and with what in its message

and each of these is checked. A claim goes on in comment lines that are indented by three blanks or more. Blocks of
other languages are commands (bash), or output and drawings (text). The figures on the design page are those of the
bench; `python tests/python/test_docs.py --write` brings them there.
"""

import ast
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tokenize
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import servers

import swarmstate as ss
from swarmstate._command import _arguments

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONTINUATION = re.compile(r"# {3,}\S")
CLAIM = re.compile(r"#\s*(->|raises)\s+(.*)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PROGRAMS = {"cargo", "curl", "export", "maturin", "pip", "python"}
DESIGN = ROOT / "docs" / "design.md"
FIGURE_ROW = re.compile(r"^\| ([^|]+) \| ([\d,]+) \| [\d,]+ \| [\d,]+ \| [\d.< ]+ \|$", re.MULTILINE)


@dataclass
class Block:
    """A fenced block of a page, with the line on which its text begins."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1) for found in FENCED.finditer(text)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass
class Claim:
    """What a page says of one of its expressions: what it gives, or what it raises."""

    kind: str
    text: str
    line: int


def claims(block: Block) -> dict[int, Claim]:
    """The claims of a block by the line on which their statement ends, each with its continuation lines."""
    found: dict[int, Claim] = {}
    is_open = None
    for token in tokenize.generate_tokens(io.StringIO(block.text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, matched = token.start[0], CLAIM.fullmatch(token.string)
        is_alone = not token.line[: token.start[1]].strip()
        if matched:
            is_open = found[line - is_alone] = Claim(matched[1], matched[2].strip(), line)
        elif is_open and is_alone and line == is_open.line + 1 and CONTINUATION.match(token.string):
            is_open.text += " " + token.string.lstrip("# ")
            is_open.line = line
        else:
            is_open = None
    return found


def run_page(page: Path) -> int:
    """Runs a page's code and returns how many claims it kept."""
    module = types.ModuleType("page_" + re.sub(r"\W", "_", name_of(page)))
    sys.modules[module.__name__] = module
    try:
        return sum(run_block(page, block, vars(module)) for block in blocks(page) if block.language == "python")
    finally:
        del sys.modules[module.__name__]


def run_block(page: Path, block: Block, namespace: dict) -> int:
    unused = claims(block)
    made = len(unused)
    for statement in ast.parse(block.text).body:
        claim = unused.pop(statement.end_lineno, None)
        ast.increment_lineno(statement, block.line - 1)
        run_statement(statement, claim, name_of(page), namespace)
    assert not unused, (
        f"{name_of(page)}: no expression statement belongs to {[claim.text for claim in unused.values()]}"
    )
    return made


def run_statement(statement: ast.stmt, claim: Claim | None, name: str, namespace: dict) -> None:
    if claim is None:
        exec(compile(ast.Module([statement], []), name, "exec"), namespace)
        return
    where = f"{name}:{statement.lineno}"
    assert isinstance(statement, ast.Expr), f"{where}: a claim stands behind an expression"
    code = compile(ast.Expression(statement.value), name, "eval")
    if claim.kind == "raises":
        error, _, message = claim.text.partition(": ")
        with pytest.raises(eval(error, namespace)) as caught:
            eval(code, namespace)
        assert message in str(caught.value), where
    else:
        value = eval(code, namespace)
        assert is_as_written(value, claim.text, namespace), f"{where}: {value!r} is not {claim.text}"


def is_as_written(value: object, text: str, namespace: dict) -> bool:
    """Whether the text is the value's repr, or an expression for an equal value of its type."""
    if repr(value) == text:
        return True
    try:
        written = eval(text, namespace)
    except (SyntaxError, NameError):
        return False
    return type(value) is type(written) and value == written


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_code_of_a_page_runs_and_gives_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name_of(page) == "docs/engines/redis.md":
        monkeypatch.setenv("REDIS_URL", servers.single())
        monkeypatch.setenv("REDIS_CLUSTER_URL", servers.cluster())

    run_page(page)


def page_of(tmp_path, monkeypatch, text: str) -> Path:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"```python\n{text}\n```\n")
    return page


@pytest.mark.parametrize(
    "text",
    [
        "1 + 1  # -> 3",
        "1  # -> True",
        "1  # -> one",
        "[1]\n# -> [1,\n#     2]",
        "x = 1  # -> 1",
        "if True:\n    1  # -> 1",
        "1  # raises ValueError: no",
        "int('x')  # raises ValueError: another message",
        "assert 1 == 2",
    ],
)
def test_a_claim_that_is_not_true_fails(tmp_path, monkeypatch, text):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run_page(page_of(tmp_path, monkeypatch, text))


def test_claims_that_are_true_hold(tmp_path, monkeypatch):
    at_the_end = "x = 1\nx + 1  # -> 2\nint('x')  # raises ValueError: invalid literal\nx  # a remark\n"
    below = "[x,\n 2]\n# -> [1,\n#     2]\n# A remark."

    assert run_page(page_of(tmp_path, monkeypatch, at_the_end + below)) == 3


def test_the_readme_shows_the_store_in_at_most_fifteen_lines():
    example = next(block for block in blocks(ROOT / "README.md") if block.language == "python")

    assert example.text.count("\n") <= 15
    assert len(claims(example)) >= 3


def test_the_pages_show_every_public_name():
    text = "\n".join(page.read_text() for page in PAGES)
    members = [
        f"{name}.{member}"
        for name in ss.__all__
        if isinstance(getattr(ss, name), type)
        for member in vars(getattr(ss, name))
        if not member.startswith("_")
    ]

    missing = [name for name in [*ss.__all__, *members] if not re.search(rf"\b{name.split('.')[-1]}\b", text)]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_is_of_a_language_that_is_checked(page):
    assert {block.language for block in blocks(page)} <= {"python", "bash", "text"}


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_command_of_a_page_exists(page):
    lines = [line for block in blocks(page) if block.language == "bash" for line in block.text.splitlines()]

    for words in (shlex.split(line, comments=True) for line in lines):
        if words:
            check_command([word for word in words if not re.fullmatch(r"[A-Z_]+=\S*", word)])


def check_command(words: list[str]) -> None:
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "swarmstate":
        _arguments.parse(arguments)
        return
    if "/" not in program:
        assert program in PROGRAMS
        assert all((ROOT / argument).exists() for argument in arguments if argument.endswith(".py"))
        return
    assert os.access(ROOT / program, os.X_OK), f"{program} cannot be run"
    if program == "scripts/test":
        parts = (
            [argument for argument in arguments[: arguments.index("--")] if argument]
            if "--" in arguments
            else arguments
        )
        defined = re.findall(r"^part_(\w+)\(\)", (ROOT / program).read_text(), re.MULTILINE)
        assert set(parts) <= {*defined, "--help"}


@pytest.mark.parametrize("command", ["scripts/test", "scripts/setup", "scripts/bench"])
def test_a_command_explains_itself(command):
    run = subprocess.run([ROOT / command, "--help"], capture_output=True, text=True, timeout=60)

    assert [run.returncode, run.stdout.startswith("usage: ")] == [0, True]


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page):
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if not re.match(r"https?://", target):
            linked = (page.parent / path) if path else page
            assert linked.exists(), f"{name_of(page)} links to {target}"
            assert not anchor or anchor in anchors(linked), f"{name_of(page)} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_figures_of_the_design_page_are_those_of_the_bench():
    page = DESIGN.read_text()

    assert len(FIGURE_ROW.findall(page)) >= 10
    assert with_figures(page) == page, "run: python tests/python/test_docs.py --write"


def test_the_tables_of_the_performance_page_are_those_of_the_rows():
    page = ROOT / "docs" / "performance.md"

    done = subprocess.run(
        [sys.executable, str(ROOT / "benches" / "page.py"), "--check"], capture_output=True, text=True
    )

    assert "<!-- rows: savers.json -->" in page.read_text()
    assert done.returncode == 0, done.stderr


def with_figures(page: str) -> str:
    """The page with the figures of the bench in the rows of its table."""
    rows = json.loads((ROOT / "benches" / "results" / "map.json").read_text())["rows"]
    measured = {(row["row"], f"{row['keys']:,}"): row for row in rows if "nested map" in row}

    def shown(found: re.Match[str]) -> str:
        row = measured[found[1], found[2]]
        ours, theirs = row["nested map"], row["nested im"]
        ratio = f"{row['ratio']:.2f}" if row["ratio"] >= 0.01 else "< 0.01"
        return f"| {found[1]} | {found[2]} | {ours:,.0f} | {theirs:,.0f} | {ratio} |"

    return FIGURE_ROW.sub(shown, page)


if __name__ == "__main__" and "--write" in sys.argv:
    DESIGN.write_text(with_figures(DESIGN.read_text()))
