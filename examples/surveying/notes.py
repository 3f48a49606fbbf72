"""What there is to read in a folder, what a reader finds in a file, and what a writer makes of it.

Counting and pattern matching: the same folder gives the same notes and the same report. Who reads when, and where notes
are kept, is left to the survey.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

PROJECT = Path(__file__).resolve().parents[2]
PROJECT_PARTS = ("README.md", "docs", "src", "python")
SUFFIXES = {".md", ".py", ".pyi", ".rs", ".rst", ".toml", ".txt"}
LEFT_OUT = re.compile(r"\.|(?:__pycache__|node_modules|target)$")
COUNTS = ("files", "lines", "words", "headings", "definitions", "marks")

HEADING = re.compile(r"^#{1,6} +(.+?)\s*#*$", re.MULTILINE)
DEFINITION = re.compile(
    r"^\s*(?:pub(?:\([^)]*\))? +)?(?:async +|const +|unsafe +)*(?:def|class|fn|struct|enum|trait) +(\w+)", re.MULTILINE
)
MARK = re.compile(r"\b(?:TODO|FIXME|XXX)\b.*")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
DOC_COMMENT = re.compile(r"^\s*//[/!] ?(.*)$", re.MULTILINE)
DOCSTRING = re.compile(r'"""(.+?)(?:\n\s*\n|""")', re.DOTALL)
LONG_WORD = re.compile(r"[a-z]{5,}")
SENTENCE = re.compile(r"(?<!\S)(?!Args:|Returns:|Raises:)[A-Z][^.!?|]{30,300}[.!?](?=\s|$)")


class Note(TypedDict):
    """What a reader found in one file."""

    path: str
    group: str
    lines: int
    words: int
    headings: list[str]
    definitions: list[str]
    marks: list[str]
    sentences: list[str]


def group_files(folder: Path) -> dict[str, list[str]]:
    """What there is to read, by folder."""
    groups: dict[str, list[str]] = {}
    for path in find_files(folder):
        name = path.relative_to(folder)
        groups.setdefault(name.parent.as_posix(), []).append(name.as_posix())
    return groups


def largest(groups: dict[str, list[str]]) -> str:
    return max(groups, key=lambda group: len(groups[group]))


def find_files(folder: Path) -> list[Path]:
    """The documents and sources below a folder, in order; hidden and built ones left out."""
    starts = [folder / part for part in PROJECT_PARTS] if folder == PROJECT else [folder]
    found = (path for start in starts for path in ([start] if start.is_file() else start.rglob("*")))
    texts = (path for path in found if path.suffix in SUFFIXES and path.is_file())
    return sorted(path for path in texts if not any(map(LEFT_OUT.match, path.relative_to(folder).parts)))


def take_notes(folder: Path, path: str, group: str) -> Note:
    """Reads one file."""
    text = (folder / path).read_text(encoding="utf-8", errors="replace")
    is_document = Path(path).suffix in {".md", ".rst", ".txt"}
    return Note(
        path=path,
        group=group,
        lines=len(text.splitlines()),
        words=len(text.split()),
        headings=HEADING.findall(CODE_BLOCK.sub("", text)) if is_document else [],
        definitions=[] if is_document else DEFINITION.findall(text),
        marks=[mark.strip() for mark in MARK.findall(text)],
        sentences=key_sentences(CODE_BLOCK.sub("", text) if is_document else documentation(text), most=3),
    )


def documentation(source: str) -> str:
    """The prose in a source file: doc comments, and the first paragraphs of docstrings."""
    return "\n".join([*DOC_COMMENT.findall(source), *DOCSTRING.findall(source)])


def key_sentences(prose: str, most: int) -> list[str]:
    """The sentences that hold the most frequent words of their text, best first."""
    paragraphs = (" ".join(block.split()) for block in re.split(r"\n\s*\n|^#.*$", prose, flags=re.MULTILINE))
    sentences = [sentence for block in paragraphs for sentence in SENTENCE.findall(block)]
    frequency = Counter(word for sentence in sentences for word in LONG_WORD.findall(sentence.lower()))

    def weight(sentence: str) -> float:
        words = LONG_WORD.findall(sentence.lower())
        return sum(frequency[word] for word in words) / (len(words) + 4)

    return sorted(dict.fromkeys(sentences), key=weight, reverse=True)[:most]


def counts_of(note: Note) -> dict[str, int]:
    """What one file adds to the totals."""
    lists = {name: len(note[name]) for name in ("headings", "definitions", "marks")}
    return {"files": 1, "lines": note["lines"], "words": note["words"], **lists}


def write_report(notes: list[Note], totals: dict[str, int], emphasis: str) -> str:
    """The report on what the emphasis is on."""
    chosen = open_points(notes) if emphasis == "open points" else overview(notes, totals)
    return "\n".join([f"Emphasis: {emphasis}", "", *chosen])


def overview(notes: list[Note], totals: dict[str, int]) -> Iterator[str]:
    """What was counted, then the largest files, each with the sentence that says most."""
    groups: dict[str, Counter[str]] = {}
    for note in notes:
        groups.setdefault(note["group"], Counter()).update(counts_of(note))
    rows = [(group, *(counts[name] for name in COUNTS)) for group, counts in sorted(groups.items())]
    yield from format_table(("folder", *COUNTS), [*rows, ("all", *(totals[name] for name in COUNTS))])
    yield ""
    for note in sorted(notes, key=lambda note: note["words"], reverse=True)[:6]:
        yield f"{note['path']} ({note['lines']} lines)"
        told = note["sentences"] or [f"defines {', '.join(note['definitions'])}" if note["definitions"] else "no prose"]
        yield textwrap.shorten(told[0], 110, initial_indent="  ", placeholder=" …")


def open_points(notes: list[Note]) -> Iterator[str]:
    """The marks that somebody left, and the files without a word of prose."""
    marks = [
        f"{note['path']}: {textwrap.shorten(mark, 80, placeholder=' …')}" for note in notes for mark in note["marks"]
    ]
    yield f"Marks left in the text: {len(marks)}"
    yield from (f"  {mark}" for mark in marks[:8])
    silent = [note["path"] for note in notes if not note["sentences"]]
    yield f"Files without a sentence: {len(silent)}"
    yield from (f"  {path}" for path in silent[:8])


def format_table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Lines of aligned columns: names to the left, numbers to the right."""
    lines = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
