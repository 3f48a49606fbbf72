"""Survey a folder of documents with several agents, and see what a swarmstate store does for them.

    python examples/survey.py [folder] [--store URL]
    python examples/survey.py --resume SURVEY [--store URL]

A planner groups the files, one reader for each group reads them at the same time, a counter adds up, a writer reports.
On the way the survey

1. is killed: its first process ends itself with SIGKILL when half of the readers have finished, others are in the
   middle of their work, and the reader of the largest group has asked whether it may begin;
2. resumes in a new process, which opens the same file: readers that had finished do not run again;
3. is answered, and goes on from the interrupt;
4. goes back in time and writes another report, with another emphasis, from the same notes;
5. prints what changed in the store between two snapshots.

State lies in target/survey.db, in the project's folder, unless --store names another store; in memory, where state ends
with its process, nothing is killed. Each run is a survey of its own, and the last ten stay in the store. One that was
stopped, by whatever, goes on with --resume.

No network and no model: what a reader finds is counting and pattern matching; put your own agents in its place. The
folder is this project's own documents and sources, unless you name another. Exit codes: 0 done, 1 nothing to read,
2 wrong arguments, 3 a process of the survey did not end as it should.
"""

from __future__ import annotations

import argparse
import contextlib
import operator
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict
from urllib.parse import quote

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, interrupt

import swarmstate as ss
from surveying.notes import (
    COUNTS,
    PROJECT,
    SUFFIXES,
    Note,
    counts_of,
    files,
    find_files,
    format_table,
    group_files,
    largest,
    take_notes,
    write_report,
)
from swarmstate.integrations.langgraph import SwarmStateSaver

DEFAULT_FILE = PROJECT / "target" / "survey.db"
# A survey that ends before it drops its snapshot leaves it behind; the bound keeps such from adding up.
DEFAULT_STORE = f"sqlite:///{quote(str(DEFAULT_FILE))}?max_history=20"
KEPT_SURVEYS = 10


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

    @property
    def config(self) -> RunnableConfig:
        return {"configurable": {"thread_id": self.survey_id}}

    def plan(self, state: Survey) -> Survey:
        """Groups the files by folder."""
        return {"groups": group_files(self.folder)}

    def assign(self, state: Survey) -> list[Send]:
        """Sends one reader to each group, the largest group's first: that reader must ask."""
        groups = state["groups"]
        first = largest(groups)
        return [
            Send("read", Assignment(group=group, paths=groups[group], must_ask=group == first))
            for group in (first, *(group for group in groups if group != first))
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
            self.keep(note)
        return {"notes": notes}

    def keep(self, note: Note) -> None:
        """Stores a note and counts it: both or neither, and once, however often its reader runs."""
        # A reader that is killed before LangGraph has stored what it returned runs again, and finds its notes here.
        with contextlib.suppress(ss.ConflictError), self.store.batch() as batch:
            batch.require(f"{self.survey_id}/notes", note["path"], 0)
            batch.set(f"{self.survey_id}/notes", note["path"], dict(note))
            for name, count in counts_of(note).items():
                batch.increment(f"{self.survey_id}/totals", name, count)

    def count(self, state: Survey) -> Survey:
        """Collects what all readers counted."""
        return {"totals": {name: self.store.get(f"{self.survey_id}/totals", name, 0) for name in COUNTS}}

    def write(self, state: Survey) -> Survey:
        """Writes the report."""
        return {"report": write_report(state["notes"], state["totals"], state["emphasis"])}

    def started(self) -> dict[str, int]:
        """How often each reader was started."""
        return dict(self.store.items(f"{self.survey_id}/started"))

    def unread(self) -> dict[str, list[str]]:
        """The groups that have files without a note."""
        noted = set(self.store.keys(f"{self.survey_id}/notes"))
        return {group: paths for group, paths in group_files(self.folder).items() if not noted.issuperset(paths)}


class Kill:
    """Ends its own process halfway, with SIGKILL: nothing is flushed, closed or cleaned up.

    It strikes as soon as the checkpoint holds what half of the readers returned and the question of another one, while
    yet others are in the middle of their work. To be hit there however fast the machine is, those wait for it.
    """

    # Readers and the writes of what they return share a pool of threads; some are left for the writes.
    THREADS = 32
    HELD_READERS = 24
    PATIENCE_SECONDS = 60.0

    def __init__(self, groups: dict[str, list[str]]) -> None:
        first = largest(groups)
        others = [group for group in groups if group != first]
        self.wanted = len(groups) // 2
        self.held = {groups[group][-1] for group in others[self.wanted :][: self.HELD_READERS]}
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def see(self, event: Literal["stored", "asked", "held"]) -> None:
        with self.lock:
            self.seen[event] += 1
            if self.seen["stored"] >= self.wanted and self.seen["asked"] and self.seen["held"]:
                os.kill(os.getpid(), signal.SIGKILL)

    def hold(self) -> None:
        """Waits for the end; if it does not come, since another reader failed, the reader goes on."""
        self.see("held")
        threading.Event().wait(self.PATIENCE_SECONDS)


@dataclass(frozen=True)
class DoomedAgents(Agents):
    """Agents whose process will be killed while some of the readers stand before their last note."""

    kill: Kill

    @property
    def config(self) -> RunnableConfig:
        return {**super().config, "max_concurrency": self.kill.THREADS}

    def keep(self, note: Note) -> None:
        if note["path"] in self.kill.held:
            self.kill.hold()
        super().keep(note)


class DoomedSaver(SwarmStateSaver):
    """A saver that tells a kill what is stored."""

    def __init__(self, store: ss.Store, kill: Kill) -> None:
        super().__init__(store)
        self.kill = kill

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        super().put_writes(config, writes, task_id, task_path)
        channels = {channel for channel, _ in writes}
        if "notes" in channels:
            self.kill.see("stored")
        elif "__interrupt__" in channels:
            self.kill.see("asked")


def build_graph(agents: Agents, saver: SwarmStateSaver) -> Graph:
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
    return builder.compile(checkpointer=saver)


class Progress:
    """Tells what runs: one living line on a terminal, one line for each step elsewhere."""

    def __init__(self) -> None:
        self.is_live = sys.stdout.isatty()
        self.steps = 0

    def tell(self, what: str) -> None:
        self.steps += 1
        line = f"[{self.steps:3}] {what}"
        # One string, so that a process that is killed meanwhile leaves no line without its end.
        print(f"\r\x1b[K{line}" if self.is_live else f"{line}\n", end="", flush=True)

    def finish(self) -> None:
        if self.is_live:
            print("\r\x1b[K", end="", flush=True)


def run(graph: Graph, given: Survey | Command[Any] | None, config: RunnableConfig) -> Any:
    """Runs the graph until it ends or is interrupted; returns what it asks, if it asks."""
    question, progress = None, Progress()
    # `sync`: the checkpoint that assigns the readers is stored before the first of them starts. By default LangGraph
    # writes it beside them; a process killed before it is there would forget which of them had finished.
    for step in graph.stream(given, config, stream_mode="updates", durability="sync"):
        if step.get("__metadata__", {}).get("cached"):
            continue  # a task whose writes the checkpoint holds: it is replayed, not run
        for node, update in step.items():
            if node == "__interrupt__":
                question = update[0].value
                progress.tell(f"the reader of {question['group']} asks")
            elif node == "read":
                progress.tell(f"read {files(len(update['notes']))} in {update['notes'][0]['group']}")
            else:
                progress.tell(node)
    progress.finish()
    return question


def start_or_go_on(graph: Graph, config: RunnableConfig) -> Any:
    """Runs the graph from its last checkpoint, or from the start if it has none; returns what it asks."""
    return run(graph, None if graph.get_state(config).created_at else {"emphasis": "overview"}, config)


def finished_readers(graph: Graph, config: RunnableConfig) -> list[str]:
    """The groups whose readers will not run again, since the checkpoint holds what they returned."""
    results = [task.result for task in graph.get_state(config).tasks if task.name == "read" and task.result]
    return [result["notes"][0]["group"] for result in results]


def begin(store: ss.Store, folder: Path) -> str:
    """Gives a survey its name, and removes the one that is too old to be kept."""
    number = store.increment("surveys", "last")
    store.set("surveys", f"survey-{number}", str(folder))
    old = f"survey-{number - KEPT_SURVEYS}"
    if store.delete("surveys", old):
        SwarmStateSaver(store).delete_thread(old)
        for namespace in store.namespaces(prefix=f"{old}/"):
            store.delete_namespace(namespace)
    return f"survey-{number}"


def why_not_killed(store: ss.Store, groups: dict[str, list[str]]) -> str | None:
    """Why a process that reads these groups cannot be killed halfway and resumed."""
    if not store.capabilities.persistent:
        return "state in memory ends with its process"
    if len(groups) < 3:
        return f"that takes three readers, one finished, one at work and one that asks, and there are {len(groups)}"
    return None


def read_until_killed(agents: Agents) -> int:
    """Reads, and returns only if a kill does not come; the exit code."""
    kill = Kill(agents.unread())
    doomed = DoomedAgents(agents.store, agents.folder, agents.survey_id, kill)
    start_or_go_on(build_graph(doomed, DoomedSaver(agents.store, kill)), doomed.config)
    print("The kill did not come: the readers were not halfway at any moment.", file=sys.stderr)
    return 3


def kill_and_resume(agents: Agents, url: str) -> int:
    """Surveys in two processes, of which the first is killed; returns the exit code."""
    print_title("Reading in a process that will be killed")
    process = start_process("--store", url, "--resume", agents.survey_id, "--kill-halfway")
    Progress().finish()  # the line that the killed process could not end
    if process.returncode != -signal.SIGKILL:
        print(f"The first process was to end by SIGKILL, but ended with status {process.returncode}.", file=sys.stderr)
        return 3
    print_what_is_left(agents)
    print_title("Resuming in a new process")
    resumed = start_process("--store", url, "--resume", agents.survey_id)
    return 3 if resumed.returncode else 0


def start_process(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs this program anew, on the same terminal."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, __file__, *arguments], check=False)


def print_what_is_left(agents: Agents) -> None:
    """Prints what the file holds of a process that was killed."""
    graph = build_graph(agents, SwarmStateSaver(agents.store))
    state, started = graph.get_state(agents.config), agents.started()
    finished = finished_readers(graph, agents.config)
    asking = [item.value["group"] for item in state.interrupts]
    at_work = [group for group in started if group not in finished and group not in asking]
    print(f"Killed by SIGKILL after {len(finished)} of {len(state.tasks)} readers.")
    for what, groups in ("finished", finished), ("asking", asking), ("at work", at_work):
        print(textwrap.fill(f"{what}: {', '.join(groups)}", 118, initial_indent="  ", subsequent_indent="    "))


def go_on(agents: Agents) -> int:
    """Surveys on from wherever the survey stands, with an interrupt, another branch and a comparison on the way."""
    graph = build_graph(agents, SwarmStateSaver(agents.store))
    finished = finished_readers(graph, agents.config)
    question = start_or_go_on(graph, agents.config)
    if finished:
        starts = sum(agents.started()[group] for group in finished)
        print(f"Readers that had finished before: {len(finished)}; times that they were started, in all: {starts}.")
    paused = agents.store.snapshot()
    if question:
        answer(agents, question)
    print_title("Report")
    print(graph.get_state(agents.config).values["report"])
    travel_back(agents, graph)
    later = agents.store.snapshot()
    print_title("What changed in the store since the reader asked" if question else "What changed in the store")
    print_difference(later, paused)
    for snapshot in paused, later:
        agents.store.drop_snapshot(snapshot.id)
    return 0


def answer(agents: Agents, question: dict[str, Any]) -> None:
    """Resumes the graph from its interrupt."""
    print(f"Asked: may I read {files(question['files'])} in {question['group']}? Answered: yes.")
    print_title("Resuming from the interrupt")
    before = agents.started()
    # A graph that was built anew, on a saver that was made anew, finds all it needs in the store.
    graph = build_graph(agents, SwarmStateSaver(agents.store))
    run(graph, Command(resume=True), agents.config)
    again = [group for group, count in agents.started().items() if count > before[group]]
    print(
        f"Readers that had finished and were not run again: {len(before) - len(again)}; run again: {', '.join(again)}."
    )


def travel_back(agents: Agents, graph: Graph) -> None:
    """Writes another report from the checkpoint before the first one."""
    print_title("Back in time: the same notes, another emphasis")
    started = sum(agents.started().values())
    before_writing = next(past for past in graph.get_state_history(agents.config) if past.next == ("write",))
    branch = graph.update_state(before_writing.config, {"emphasis": "open points"}, as_node="count")
    run(graph, None, branch)
    print(graph.get_state(agents.config).values["report"])
    print(f"\nReaders that ran for this report: {sum(agents.started().values()) - started}.")


def print_difference(later: ss.Snapshot, base: ss.Snapshot) -> None:
    """Prints how many entries of each namespace differ. Threads of LangGraph are namespaces too."""
    difference = later.diff(base)
    kinds: tuple[Literal["added", "changed", "removed"], ...] = ("added", "changed", "removed")
    counts = {kind: Counter(namespace for namespace, _ in difference[kind]) for kind in kinds}
    namespaces = sorted(set().union(*counts.values()))
    rows = [("".join(filter(str.isprintable, name)), *(counts[kind][name] for kind in kinds)) for name in namespaces]
    print("\n".join(format_table(("namespace", *kinds), rows)))


def print_title(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


def main() -> int:
    """Reads the arguments, opens the store; returns the exit code."""
    parser = argparse.ArgumentParser(description="Survey a folder of documents with several agents.")
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT, help="default: this project")
    parser.add_argument("--store", default=DEFAULT_STORE, metavar="URL", help="default: %(default)s")
    parser.add_argument("--resume", metavar="SURVEY", help="go on with a survey of the store that was stopped")
    parser.add_argument("--kill-halfway", action="store_true", help="end this very process with SIGKILL, to be resumed")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    if not find_files(folder):
        print(f"{parser.prog}: nothing to read in {options.folder}: no {' '.join(sorted(SUFFIXES))}", file=sys.stderr)
        return 1
    if options.store == DEFAULT_STORE:
        DEFAULT_FILE.parent.mkdir(exist_ok=True)
    try:
        store = ss.open(options.store)
    except ss.Error as error:
        parser.error(f"argument --store: {error}")
    with store:
        if options.resume:
            return resume(store, options, parser)
        return start(store, folder, options, parser)


def start(store: ss.Store, folder: Path, options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Makes a survey; returns the exit code."""
    reason = why_not_killed(store, group_files(folder))
    if reason and options.kill_halfway:
        parser.error(f"argument --kill-halfway: {reason}")
    agents = Agents(store, folder, begin(store, folder))
    print(f"{agents.survey_id} of {folder}\nin {store!r}")
    if options.kill_halfway:
        return read_until_killed(agents)
    if not reason:
        print(f"If anything stops it, --resume {agents.survey_id} goes on.")
        return kill_and_resume(agents, options.store)
    print(f"It is not killed and resumed on the way: {reason}.")
    print_title("Reading, until a reader asks")
    return go_on(agents)


def resume(store: ss.Store, options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Goes on with a survey; returns the exit code."""
    folder = store.get("surveys", options.resume)
    if not isinstance(folder, str):
        known = ", ".join(store.keys("surveys", prefix="survey-")) or "none"
        parser.error(f"argument --resume: the store has no survey {options.resume!r}; it has {known}")
    if not Path(folder).is_dir():
        parser.error(f"argument --resume: the folder of {options.resume}, {folder}, is gone")
    agents = Agents(store, Path(folder), options.resume)
    if options.kill_halfway:
        if reason := why_not_killed(store, agents.unread()):
            parser.error(f"argument --kill-halfway: {reason}")
        return read_until_killed(agents)
    return go_on(agents)


if __name__ == "__main__":
    sys.exit(main())
