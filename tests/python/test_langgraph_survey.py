"""The example that surveys a folder prints facts that are true of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "survey.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents and two sources in three groups, of which `code` is the largest."""
    (tmp_path / "code").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "guide.md").write_text(
        "# Guide\n\n## Steps\n\nThe guide explains every step that a reader has to take.\n"
    )
    (tmp_path / "notes" / "plan.txt").write_text("TODO: write the plan\n")
    (tmp_path / "code" / "one.py").write_text("class One:\n    def method(self):\n        pass  # FIXME later\n")
    (tmp_path / "code" / "two.rs").write_text("pub fn two() {}\n")
    (tmp_path / ".hidden" / "secret.md").write_text("# Not shown\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_a_survey_counts_what_is_in_the_folder(folder: Path) -> None:
    done = run(folder)

    assert done.returncode == 0, done.stderr
    assert ["folder", "files", "lines", "words", "headings", "definitions", "marks"] in rows(done.stdout)
    assert [".", "1", "5", "15", "2", "0", "0"] in rows(done.stdout)
    assert ["code", "2", "4", "12", "0", "3", "1"] in rows(done.stdout)
    assert ["notes", "1", "1", "4", "0", "0", "1"] in rows(done.stdout)
    assert ["all", "4", "10", "31", "2", "3", "2"] in rows(done.stdout)
    assert "  The guide explains every step that a reader has to take." in done.stdout
    assert "Not shown" not in done.stdout


def test_a_survey_resumes_without_reading_again(folder: Path) -> None:
    output = run(folder).stdout

    assert "Asked: may I read 2 files in code? Answered: yes." in output
    assert "Readers that had finished and were not run again: 2; run again: code." in output
    assert [line.split("] ")[1] for line in output.splitlines() if "] read" in line].count("read 2 files in code") == 1
    assert len(re.findall(r"^\[ +\d+\] read", output, re.MULTILINE)) == 3


def test_a_survey_goes_back_for_another_emphasis(folder: Path) -> None:
    output = run(folder).stdout

    first, second = output.split("Back in time")
    assert "Emphasis: overview" in first
    assert "Emphasis: open points" in second
    assert "Marks left in the text: 2" in second
    assert "  code/one.py: FIXME later" in second
    assert "  notes/plan.txt: TODO: write the plan" in second
    assert "Readers that ran for this report: 0." in second


def test_a_survey_prints_what_changed_in_the_store(folder: Path) -> None:
    changes = rows(run(folder).stdout.split("What changed")[1])

    assert ["namespace", "added", "changed", "removed"] in changes
    assert ["survey-1/notes", "2", "0", "0"] in changes
    assert ["survey-1/started", "0", "1", "0"] in changes
    assert any(row[0] == "thread:survey-1" and int(row[1]) > 0 and row[2:] == ["1", "0"] for row in changes if row)


def test_a_survey_of_the_project_finds_its_sources() -> None:
    done = run()

    assert done.returncode == 0, done.stderr
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
