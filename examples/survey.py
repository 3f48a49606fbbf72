"""Survey a folder of documents with several agents, and see what a swarmstate store does for them.

    python examples/survey.py [folder] [--store URL]

A planner groups the files, one reader for each group reads them at the same time, a counter adds up, a writer reports.
On the way the survey

1. is interrupted: the reader of the largest group asks before it begins, while the other readers finish;
2. resumes from its checkpoint, as another process would: readers that had finished do not run again;
3. goes back in time and writes another report, with another emphasis, from the same notes;
4. prints what changed in the store between two snapshots.

No network and no model: what a reader finds is counting and pattern matching; put your own agents in its place. The
folder is this project's own documents and sources, unless you name another. Exit codes: 0 done, 1 nothing to read,
2 wrong arguments.
"""

from __future__ import annotations

import argparse
import operator
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, interrupt

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

PROJECT = Path(__file__).resolve().parent.parent
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


class Survey(TypedDict, total=False):
    """What the graph's checkpoints hold. Notes of readers that run in parallel are appended, in the planner's order."""

    groups: dict[str, list[str]]
    notes: Annotated[list[Note], operator.add]
    totals: dict[str, int]
    emphasis: str
    report: str


class Assignment(TypedDict):
    """What the planner hands to one reader."""

    group: str
    paths: list[str]
    must_ask: bool


Graph = CompiledStateGraph[Survey, None, Survey, Survey]


@dataclass(frozen=True)
class Agents:
    """The nodes of the graph. Besides the graph's state they share a store, where they count."""

    store: ss.Store
    folder: Path
    survey_id: str

    def plan(self, state: Survey) -> Survey:
        """Groups the files by folder."""
        groups: dict[str, list[str]] = {}
        for path in find_files(self.folder):
            name = path.relative_to(self.folder)
            groups.setdefault(name.parent.as_posix(), []).append(name.as_posix())
        return {"groups": groups}

    def assign(self, state: Survey) -> list[Send]:
        """Sends one reader to each group; the reader of the largest must ask."""
        groups = state["groups"]
        largest = max(groups, key=lambda group: len(groups[group]))
        return [
            Send("read", Assignment(group=group, paths=paths, must_ask=group == largest))
            for group, paths in groups.items()
        ]

    def read(self, state: Assignment) -> Survey:
        """Takes notes of every file of a group, and counts in the shared store."""
        group = state["group"]
        # `increment` is one step of the store: readers that count at the same time lose nothing.
        self.store.increment(f"{self.survey_id}/started", group)
        if state["must_ask"]:
            # The graph stops here until somebody resumes it, then this node runs again from its beginning: what must
            # happen only once stands below.
            interrupt({"group": group, "files": len(state["paths"])})
        notes = [take_notes(self.folder, path, group) for path in state["paths"]]
        for note in notes:
            self.store.set(f"{self.survey_id}/notes", note["path"], dict(note))
            for name, count in counts_of(note).items():
                self.store.increment(f"{self.survey_id}/totals", name, count)
        return {"notes": notes}

    def count(self, state: Survey) -> Survey:
        """Collects what all readers counted."""
        return {"totals": {name: self.store.get(f"{self.survey_id}/totals", name, 0) for name in COUNTS}}

    def write(self, state: Survey) -> Survey:
        """Writes the report."""
        return {"report": write_report(state["notes"], state["totals"], state["emphasis"])}

    def started(self) -> dict[str, int]:
        """How often each reader was started."""
        return dict(self.store.items(f"{self.survey_id}/started"))


def build_graph(agents: Agents) -> Graph:
    """Puts the agents together. The one line that is swarmstate's is the last."""
    builder = StateGraph(Survey)
    builder.add_node("plan", agents.plan)
    builder.add_node("read", agents.read, input_schema=Assignment)
    builder.add_node("count", agents.count)
    builder.add_node("write", agents.write)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", agents.assign, ["read"])
    builder.add_edge("read", "count")
    builder.add_edge("count", "write")
    builder.add_edge("write", END)
    return builder.compile(checkpointer=SwarmStateSaver(agents.store))


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
    rows = [(group, *(counts[name] for name in COUNTS)) for group, counts in groups.items()]
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


class Progress:
    """Tells what runs: one living line on a terminal, one line for each step elsewhere."""

    def __init__(self) -> None:
        self.is_live = sys.stdout.isatty()
        self.steps = 0

    def tell(self, what: str) -> None:
        self.steps += 1
        line = f"[{self.steps:3}] {what}"
        print(f"\r\x1b[K{line}" if self.is_live else line, end="" if self.is_live else "\n", flush=True)

    def finish(self) -> None:
        if self.is_live:
            print("\r\x1b[K", end="", flush=True)


def run(graph: Graph, given: Survey | Command[Any] | None, config: RunnableConfig, progress: Progress) -> Any:
    """Runs the graph until it ends or is interrupted; returns what it asks, if it asks."""
    question = None
    for step in graph.stream(given, config, stream_mode="updates"):
        if step.get("__metadata__", {}).get("cached"):
            continue  # a task whose writes the checkpoint holds: it is replayed, not run
        for node, update in step.items():
            if node == "__interrupt__":
                question = update[0].value
            elif node == "read":
                progress.tell(f"read {files(len(update['notes']))} in {update['notes'][0]['group']}")
            else:
                progress.tell(node)
    progress.finish()
    return question


def survey(store: ss.Store, folder: Path) -> None:
    """Surveys a folder, with an interrupt, another branch and a comparison on the way."""
    agents = Agents(store, folder, f"survey-{store.increment('surveys', 'last')}")
    config: RunnableConfig = {"configurable": {"thread_id": agents.survey_id}}
    progress = Progress()

    print_title("Reading, until a reader asks")
    graph = build_graph(agents)
    question = run(graph, {"emphasis": "overview"}, config, progress)
    paused = store.snapshot()
    print(f"Asked: may I read {files(question['files'])} in {question['group']}? Answered: yes.")

    print_title("Resuming from the checkpoint")
    # A graph that was built anew, on a saver that was made anew, finds all it needs in the store.
    graph = build_graph(agents)
    run(graph, Command(resume=True), config, progress)
    once = [group for group, count in agents.started().items() if count == 1]
    print(f"Readers that had finished and were not run again: {len(once)}; run again: {question['group']}.")
    print_title("First report")
    print(graph.get_state(config).values["report"])

    print_title("Back in time: the same notes, another emphasis")
    started = sum(agents.started().values())
    before_writing = next(past for past in graph.get_state_history(config) if past.next == ("write",))
    branch = graph.update_state(before_writing.config, {"emphasis": "open points"}, as_node="count")
    run(graph, None, branch, progress)
    print(graph.get_state(config).values["report"])
    print(f"\nReaders that ran for this report: {sum(agents.started().values()) - started}.")

    print_title("What changed in the store since the reader asked")
    print_difference(store.snapshot(), paused)


def print_difference(later: ss.Snapshot, base: ss.Snapshot) -> None:
    """Prints how many entries of each namespace differ. Threads of LangGraph are namespaces too."""
    difference = later.diff(base)
    kinds: tuple[Literal["added", "changed", "removed"], ...] = ("added", "changed", "removed")
    counts = {kind: Counter(namespace for namespace, _ in difference[kind]) for kind in kinds}
    namespaces = sorted(set().union(*counts.values()))
    rows = [("".join(filter(str.isprintable, name)), *(counts[kind][name] for kind in kinds)) for name in namespaces]
    print("\n".join(format_table(("namespace", *kinds), rows)))


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def print_title(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")


def main(arguments: list[str] | None = None) -> int:
    """Reads the arguments; returns the exit code."""
    parser = argparse.ArgumentParser(description="Survey a folder of documents with several agents.")
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT, help="default: this project")
    parser.add_argument("--store", default="memory:", metavar="URL", help="default: %(default)s")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    if not folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    if not find_files(folder):
        print(f"{parser.prog}: nothing to read in {options.folder}: no {' '.join(sorted(SUFFIXES))}", file=sys.stderr)
        return 1
    try:
        store = ss.open(options.store)
    except ss.Error as error:
        parser.error(f"argument --store: {error}")
    with store:
        survey(store, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
