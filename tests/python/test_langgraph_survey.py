"""The example that surveys a folder prints facts that are true of it, and goes on where a killed process stopped."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from langgraph.checkpoint.base import empty_checkpoint

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

EXAMPLE = Path(__file__).parents[2] / "examples" / "survey.py"
DEFAULT_FILE = EXAMPLE.parents[1] / "target" / "survey.db"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two documents and two sources in three groups, of which `code` is the largest."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "code").mkdir()
    (folder / "notes").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "guide.md").write_text(
        "# Guide\n\n## Steps\n\nThe guide explains every step that a reader has to take.\n"
    )
    (folder / "notes" / "plan.txt").write_text("TODO: write the plan\n")
    (folder / "code" / "one.py").write_text("class One:\n    def method(self):\n        pass  # FIXME later\n")
    (folder / "code" / "two.rs").write_text("pub fn two() {}\n")
    (folder / ".hidden" / "secret.md").write_text("# Not shown\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "state.db"


@pytest.fixture(scope="module")
def file_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "state.db"


@pytest.fixture(scope="module")
def run_in_a_file(folder: Path, file_of_a_run: Path) -> subprocess.CompletedProcess[str]:
    """A survey with its state in a file, begun by one process and finished by another."""
    return run(folder, "--store", url_of(file_of_a_run))


@pytest.fixture(scope="module")
def run_in_memory(folder: Path) -> subprocess.CompletedProcess[str]:
    """A survey with its state in memory."""
    return run(folder, "--store", "memory:")


@pytest.fixture(params=["run_in_a_file", "run_in_memory"])
def done(request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """A survey, once for every place where its state can lie."""
    return request.getfixturevalue(request.param)


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def read_lines(output: str) -> list[str]:
    """What the lines of progress say was read."""
    return re.findall(r"^\[ +\d+\] (read .*)$", output, re.MULTILINE)


def counted(file: Path, survey: str) -> dict[str, dict[str, int]]:
    """What a survey counted in its store, of which it keeps no snapshot."""
    with ss.SqliteStore(file) as store:
        assert store.history() == []
        return {what: dict(store.items(f"{survey}/{what}")) for what in ("started", "totals")}


TOTALS = {"files": 4, "lines": 10, "words": 31, "headings": 2, "definitions": 3, "marks": 2}


def test_a_survey_counts_what_is_in_the_folder(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert ["folder", "files", "lines", "words", "headings", "definitions", "marks"] in rows(done.stdout)
    assert [".", "1", "5", "15", "2", "0", "0"] in rows(done.stdout)
    assert ["code", "2", "4", "12", "0", "3", "1"] in rows(done.stdout)
    assert ["notes", "1", "1", "4", "0", "0", "1"] in rows(done.stdout)
    assert ["all", "4", "10", "31", "2", "3", "2"] in rows(done.stdout)
    assert "  The guide explains every step that a reader has to take." in done.stdout
    assert "Not shown" not in done.stdout


def test_a_survey_resumes_from_its_interrupt_without_reading_again(done: subprocess.CompletedProcess[str]) -> None:
    first, second = done.stdout.split("Resuming from the interrupt")

    assert "Asked: may I read 2 files in code? Answered: yes." in first
    assert "read 2 files in code" not in read_lines(first)
    assert read_lines(second) == ["read 2 files in code"]
    assert "Readers that had finished and were not run again: 2; run again: code." in second


def test_a_survey_goes_back_for_another_emphasis(done: subprocess.CompletedProcess[str]) -> None:
    first, second = done.stdout.split("Back in time")

    assert "Emphasis: overview" in first
    assert "Emphasis: open points" in second
    assert "Marks left in the text: 2" in second
    assert "  code/one.py: FIXME later" in second
    assert "  notes/plan.txt: TODO: write the plan" in second
    assert "Readers that ran for this report: 0." in second


def test_a_survey_prints_what_changed_in_the_store(done: subprocess.CompletedProcess[str]) -> None:
    changes = rows(done.stdout.split("What changed")[1])

    assert ["namespace", "added", "changed", "removed"] in changes
    assert ["survey-1/notes", "2", "0", "0"] in changes
    assert ["survey-1/started", "0", "1", "0"] in changes
    assert any(row[0] == "thread:survey-1" and int(row[1]) > 0 and row[2:] == ["1", "0"] for row in changes if row)


def test_a_survey_in_a_file_is_killed_halfway_and_goes_on_in_a_new_process(
    run_in_a_file: subprocess.CompletedProcess[str], file_of_a_run: Path
) -> None:
    before, after = run_in_a_file.stdout.split("Killed by SIGKILL after 1 of 3 readers.")

    assert {"read 1 file in ."} >= set(read_lines(before))
    assert ["finished:", "."] in rows(after)
    assert ["asking:", "code"] in rows(after)
    assert ["at", "work:", "notes"] in rows(after)
    assert "Readers that had finished before: 1; times that they were started, in all: 1." in after
    assert read_lines(after) == ["read 1 file in notes", "read 2 files in code"]
    # `notes` ran once in each process; `code` asked in both, and once more was answered.
    assert counted(file_of_a_run, "survey-1") == {"started": {".": 1, "code": 3, "notes": 2}, "totals": TOTALS}


def test_a_survey_in_memory_says_why_it_is_not_killed(run_in_memory: subprocess.CompletedProcess[str]) -> None:
    assert "It is not killed and resumed on the way: state in memory ends with its process." in run_in_memory.stdout
    assert "SIGKILL" not in run_in_memory.stdout
    assert sorted(read_lines(run_in_memory.stdout)) == [
        "read 1 file in .",
        "read 1 file in notes",
        "read 2 files in code",
    ]


def test_a_killed_process_leaves_what_its_readers_finished_and_nothing_half(folder: Path, file: Path) -> None:
    killed = run(folder, "--store", url_of(file), "--kill-halfway")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with ss.SqliteStore(file) as store:
        assert store.keys("survey-1/notes") == ["guide.md"]
    assert counted(file, "survey-1") == {
        "started": {".": 1, "code": 1, "notes": 1},
        "totals": {"files": 1, "lines": 5, "words": 15, "headings": 2, "definitions": 0, "marks": 0},
    }

    resumed = run("--resume", "survey-1", "--store", url_of(file))

    assert resumed.returncode == 0, resumed.stderr
    assert counted(file, "survey-1") == {"started": {".": 1, "code": 3, "notes": 2}, "totals": TOTALS}
    assert ["all", "4", "10", "31", "2", "3", "2"] in rows(resumed.stdout)


def test_a_second_survey_of_a_file_is_not_confused_by_a_first_one_that_was_stopped(folder: Path, file: Path) -> None:
    run(folder, "--store", url_of(file), "--kill-halfway")

    second = run(folder, "--store", url_of(file))

    assert second.returncode == 0, second.stderr
    assert counted(file, "survey-2") == {"started": {".": 1, "code": 3, "notes": 2}, "totals": TOTALS}
    assert counted(file, "survey-1")["started"] == {".": 1, "code": 1, "notes": 1}


def test_the_last_ten_surveys_stay_in_the_store(folder: Path, file: Path) -> None:
    with ss.SqliteStore(file) as store:
        store.increment("surveys", "last", 11)
        for survey in ("survey-2", "survey-3"):
            store.set("surveys", survey, str(folder))
            store.set(f"{survey}/notes", "guide.md", {})
            SwarmStateSaver(store).put({"configurable": {"thread_id": survey}}, empty_checkpoint(), {}, {})

    assert run(folder, "--store", url_of(file), "--kill-halfway").returncode == -signal.SIGKILL

    with ss.SqliteStore(file) as store:
        saver = SwarmStateSaver(store)
        assert store.keys("surveys", prefix="survey-") == ["survey-12", "survey-3"]
        assert store.namespaces(prefix="survey-") == [
            "survey-12/notes",
            "survey-12/started",
            "survey-12/totals",
            "survey-3/notes",
        ]
        assert saver.get_tuple({"configurable": {"thread_id": "survey-2"}}) is None
        assert saver.get_tuple({"configurable": {"thread_id": "survey-3"}}) is not None


def test_a_survey_of_two_folders_says_why_it_is_not_killed(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "one.md").write_text("# One\n")
    (tmp_path / "folder" / "below" / "two.md").write_text("# Two\n")

    done = run(tmp_path / "folder", "--store", url_of(tmp_path / "state.db"))

    assert done.returncode == 0, done.stderr
    assert "not killed and resumed on the way: that takes three readers" in done.stdout
    assert ["all", "2", "2", "4", "2", "0", "0"] in rows(done.stdout)


def test_a_survey_of_the_project_finds_its_sources_and_keeps_its_state_in_target() -> None:
    done = run()

    assert done.returncode == 0, done.stderr
    assert f'in <SqliteStore "{DEFAULT_FILE}"' in done.stdout
    assert DEFAULT_FILE.is_file()
    assert re.search(r"^Killed by SIGKILL after (\d+) of \d+ readers\.$", done.stdout, re.MULTILINE)
    assert re.search(r"finished before: (\d+); times that they were started, in all: \1\.$", done.stdout, re.MULTILINE)
    sources = len(list((Path(__file__).parents[2] / "src" / "checkpoint").glob("*.rs")))
    assert any(row[:2] == ["src/checkpoint", str(sources)] for row in rows(done.stdout))
    (total,) = [row for row in rows(done.stdout) if row[:1] == ["all"]]
    assert int(total[1]) > 40
    assert int(total[2]) > 5000
    assert "Readers that ran for this report: 0." in done.stdout


def test_a_folder_without_anything_to_read_is_said(tmp_path: Path) -> None:
    done = run(tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith(f"survey.py: nothing to read in {tmp_path}")
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["no such folder"], ["--store", "nowhere:"], ["--no-such-option"]])
def test_wrong_arguments_are_said(arguments: list[str]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert "usage: survey.py" in done.stderr
    assert arguments[-1].rstrip(":") in done.stderr
    assert "Traceback" not in done.stderr


def test_only_a_survey_that_the_store_has_is_resumed(folder: Path, run_in_a_file: object, file_of_a_run: Path) -> None:
    done = run("--resume", "survey-7", "--store", url_of(file_of_a_run))

    assert done.returncode == 2
    assert "the store has no survey 'survey-7'; it has survey-1" in done.stderr


def test_a_survey_in_memory_does_not_kill_itself(folder: Path) -> None:
    done = run(folder, "--store", "memory:", "--kill-halfway")

    assert done.returncode == 2
    assert "argument --kill-halfway: state in memory ends with its process" in done.stderr
