"""The command `swarmstate`: what it prints for people and for scripts, its exit statuses, and that it ends quietly."""

import io
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import servers

import swarmstate as ss
from swarmstate._command import _names, main

COMMAND = [sys.executable, "-m", "swarmstate"]


@dataclass
class Ran:
    status: int
    out: str
    error: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path) -> Callable[..., Ran]:
    """Runs the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"", **options) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main([str(argument) for argument in arguments], **options)
        except SystemExit as ended:
            status = ended.code
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture
def state(tmp_path) -> Path:
    """A file with a few entries and one snapshot, id 1."""
    with ss.SqliteStore(tmp_path / "state.db") as store:
        store.set_many([("n", "a", 1), ("n", "b", [1.0, "ä"]), ("n", "raw", b"\0\xff"), ("\x1fown", "k\\", None)])
        store.snapshot()
    return tmp_path / "state.db"


def test_info_tells_the_engine_how_much_it_holds_and_what_it_can_do(run, state):
    ran = run("info", "state.db", "--json")

    assert [ran.status, ran.error] == [0, ""]
    facts = {name: ran.document[name] for name in ("engine", "entries", "namespaces", "snapshots", "size_bytes")}
    assert facts == {"engine": "sqlite", "entries": 4, "namespaces": 2, "snapshots": 1, "size_bytes": 19}
    assert ran.document["capabilities"]["persistent"] is True
    assert "entries                         4" in run("info", "state.db").lines


def test_keys_lists_namespaces_or_keys_escaped_for_people_and_exact_for_scripts(run, state):
    assert run("keys", "state.db").lines == ["\\x1fown", "n"]
    assert run("keys", "state.db", "\\x1fown").lines == ["k\\\\"]
    assert [json.loads(line) for line in run("keys", "state.db", "--json").lines] == ["\x1fown", "n"]
    assert run("keys", "state.db", "n", "--after", "a", "--limit", 1).lines == ["b"]
    assert run("keys", "state.db", "n", "--reverse", "--prefix", "").lines == ["raw", "b", "a"]
    assert run("keys", "state.db", "n", "--prefix", "ra").lines == ["raw"]
    assert run("keys", "state.db", "absent").lines == run("keys", "state.db", "--limit", 0).lines == []


def test_keys_lists_more_than_a_page(run, state):
    with ss.SqliteStore(state) as store:
        store.set_many([("many", f"{number:04}", number) for number in range(2500)])

    expected = [f"{number:04}" for number in range(2500)]
    assert run("keys", "state.db", "many").lines == expected
    assert run("keys", "state.db", "many", "--reverse", "--limit", 1001).lines == expected[:-1002:-1]


def test_get_shows_json_and_marks_what_json_cannot_hold(run, state):
    assert run("get", "state.db", "n", "b").out == '[1.0, "ä"]\n'
    assert run("get", "state.db", "n", "raw").out == "msgpack:xAIA/w==\n"
    assert run("get", "state.db", "\\x1fown", "k\\\\").out == "null\n"


def test_get_for_scripts_is_the_entry_as_an_export_has_it(run, state):
    with ss.SqliteStore(state) as store:
        expected = store.entry("n", "raw").to_json()

    assert run("get", "state.db", "n", "raw", "--json").out == expected + "\n"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ('{"a": [1, 2.0, null]}', {"a": [1, 2.0, None]}),
        ("-5", -5),
        ("18446744073709551615", 2**64 - 1),
        ("msgpack:xAIA/w==", b"\0\xff"),
    ],
)
def test_set_takes_json_or_what_get_shows(run, state, typed, value):
    ran = run("set", "state.db", "n", "new", typed)

    with ss.SqliteStore(state) as store:
        assert [store.get("n", "new"), ran.out] == [value, f"{store.entry('n', 'new').revision}\n"]


def test_set_takes_texts_stdin_expiry_and_conditions(run, state):
    assert run("set", "state.db", "n", "text", "5", "--string").status == 0
    assert run("set", "state.db", "n", "in", "--stdin", stdin=b'{"from": "stdin"}').status == 0
    assert run("set", "state.db", "n", "soon", "1", "--ttl", 60).status == 0
    first = run("set", "state.db", "n", "once", "1", "--if-revision", 0, "--json")
    again = run("set", "state.db", "n", "once", "2", "--if-revision", 0)

    with ss.SqliteStore(state) as store:
        assert [store.get("n", "text"), store.get("n", "in")] == ["5", {"from": "stdin"}]
        assert store.entry("n", "soon").expires_at - store.entry("n", "soon").updated_at == 60_000
        assert first.document == {"revision": store.entry("n", "once").revision}
    assert [again.status, again.out] == [1, ""]
    assert "was required not to exist" in again.error


def test_set_makes_a_store_that_is_not_there(run, tmp_path):
    assert run("set", "sqlite:///new%20one.db", "n", "k", "1").out == "1\n"

    assert run("get", tmp_path / "new one.db", "n", "k").out == "1\n"


def test_delete_removes_a_key_under_a_condition_or_a_namespace_with_all(run, state):
    refused = run("delete", "state.db", "n", "a", "--if-revision", 99)
    assert [refused.status, run("delete", "state.db", "n", "a").out] == [1, "deleted\n"]
    assert run("delete", "state.db", "n", "a").error == 'swarmstate: key "a" in namespace "n" does not exist\n'
    assert run("delete", "state.db", "n", "--all", "--json").document == {"deleted": True}
    assert run("delete", "state.db", "n", "--all").error == 'swarmstate: namespace "n" does not exist\n'
    assert run("keys", "state.db").lines == ["\\x1fown"]


def test_snapshots_are_listed_taken_and_dropped(run, state):
    taken = run("snapshots", "state.db", "--take", "--json").document

    assert {name: taken[name] for name in ("id", "parent", "entries", "size_bytes")} == {
        "id": 2,
        "parent": 1,
        "entries": 4,
        "size_bytes": 19,
    }
    assert [json.loads(line)["id"] for line in run("snapshots", "state.db", "--json").lines] == [1, 2]
    assert [line.split()[0] for line in run("snapshots", "state.db").lines] == ["id", "1", "2"]
    assert run("snapshots", "state.db", "--drop", 1, "--json").document == {"dropped": 1}
    assert run("snapshots", "state.db", "--drop", 1).status == 1


def test_diff_compares_with_now_or_a_later_snapshot_and_leaves_none_behind(run, state):
    with ss.SqliteStore(state) as store:
        store.set("n", "a", 2)
        store.set("\x1fnew", "k", 1)
        store.delete("n", "b")
    expected = {"added": [["\x1fnew", "k"]], "removed": [["n", "b"]], "changed": [["n", "a"]]}

    assert run("diff", "state.db", 1, "--json").document == expected
    assert run("diff", "state.db?max_history=1", 1).status == 1
    assert run("diff", "sqlite:///state.db?max_history=1", 1).lines == ["+\t\\x1fnew\tk", "-\tn\tb", "~\tn\ta"]
    assert len(run("snapshots", "state.db", "--json").lines) == 1
    run("snapshots", "state.db", "--take")
    assert run("diff", "state.db", 1, 2, "--json").document == expected
    assert run("diff", "state.db", 2, 1, "--json").document["added"] == [["n", "b"]]
    assert run("diff", "state.db", 2).out == ""


def test_restore_without_a_terminal_wants_a_yes_and_says_what_it_does(run, state):
    run("set", "state.db", "n", "a", "2")
    run("delete", "state.db", "n", "raw")

    refused = run("restore", "state.db", 1)
    restored = run("restore", "state.db", 1, "--yes", "--json")

    effect = "removes 0, brings back 1 and changes back 1 entries"
    assert [refused.status, refused.out] == [2, ""]
    assert refused.error == f"swarmstate: restoring snapshot 1 {effect}; there is no terminal to ask, so say --yes\n"
    assert restored.document == {"restored": 1, "removed": 0, "brought_back": 1, "changed_back": 1}
    assert run("get", "state.db", "n", "a").out == "1\n"


@pytest.mark.parametrize("format", ["msgpack", "jsonl"])
def test_state_moves_through_a_file_or_a_pipe(run, state, format):
    assert run("export", "state.db", "moved", "--format", format).out == "exported 4 entries\n"
    assert run("import", "other.db", "moved", "--json").document == {"entries": 4, "expired": 0}
    assert run("import", "other.db", "moved").status == 1
    assert stat.S_IMODE(os.stat("moved").st_mode) == 0o600

    piped = subprocess.run([*COMMAND, "export", "other.db", "--format", format], capture_output=True, timeout=60).stdout
    assert run("import", "third.db", "-", stdin=piped).out == "imported 4 entries\n"
    with ss.SqliteStore(state) as store, ss.SqliteStore("third.db") as third:
        assert third.diff(store.snapshot()) == {"added": [], "removed": [], "changed": []}


@pytest.mark.parametrize("url", [servers.single, servers.cluster], ids=["server", "cluster"])
def test_state_moves_from_a_file_to_a_server_and_back(run, state, url):
    there = f"{url()}?prefix={servers.fresh_prefix()}"
    run("export", "state.db", "moved")

    assert run("import", there, "moved").out == "imported 4 entries\n"
    assert run("export", there, "back").out == "exported 4 entries\n"
    run("import", "again.db", "back")

    with ss.SqliteStore(state) as store, ss.SqliteStore("again.db") as again:
        assert again.diff(store.snapshot()) == {"added": [], "removed": [], "changed": []}


def test_an_export_replaces_a_file_only_by_force_and_can_be_of_a_snapshot(run, state):
    run("set", "state.db", "n", "a", "2")

    refused = run("export", "state.db", "state.db")
    assert [refused.status, refused.error] == [2, "swarmstate: state.db exists; --force replaces it\n"]
    run("export", "state.db", "moved", "--snapshot", 1)
    assert run("export", "state.db", "moved", "--snapshot", 1, "--force").status == 0

    run("import", "then.db", "moved")
    assert run("get", "then.db", "n", "a").out == "1\n"


def test_a_bad_export_is_one_clear_line_and_writes_nothing(run, state):
    Path("bad").write_bytes(b'{"format":"swarmstate","version":1}\n{"namespace":"n"}\n')

    ran = run("import", "state.db", "bad")

    assert ran.status == 2
    assert re.fullmatch(r"swarmstate: record 2 of the export: an entry has the members .*\n", ran.error)


READING = [
    ["info"],
    ["keys"],
    ["get", "n", "k"],
    ["delete", "n", "k"],
    ["snapshots"],
    ["snapshots", "--drop", "1"],
    ["diff", "1"],
    ["restore", "1", "--yes"],
    ["export"],
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.parametrize("store", ["absent.db", "sqlite:///absent.db", "sqlite:///absent.db?create=true&timeout=1"])
def test_what_only_reads_makes_no_store(run, tmp_path, words, store):
    command, *arguments = words

    ran = run(command, store, *arguments)

    assert [ran.status, ran.out, os.listdir(tmp_path)] == [1, "", []]
    assert "absent.db" in ran.error and ran.error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["set", "n", "k", "nope"], "the value is not JSON"),
        (["set", "n", "k", "NaN"], "NaN, which is not JSON"),
        (["set", "n", "k", "[" * 100_000], "nests too deep"),
        (["set", "n", "k", "18446744073709551616"], "outside -2**63 to 2**64-1"),
        (["set", "n", "k", "msgpack:!"], "base64"),
        (["set", "n", "k", "msgpack:kQ=="], "malformed msgpack"),
        (["set", "n", "k", "1", "--ttl", "0"], "ttl must be above 0"),
        (["set", "n", "k", "1", "--ttl", "soon"], "invalid float"),
        (["set", "n", "k"], "either VALUE or --stdin"),
        (["set", "n", "k", "1", "--stdin"], "either VALUE or --stdin"),
        (["set", "n", "k" * 5000, "1"], "longer than 4096"),
        (["get", "n", "\\q"], "write a backslash as"),
        (["get", "n", "\\udc00"], "surrogates not allowed"),
        (["get", "n", "\\Uffffffff"], "write a backslash as"),
        (["delete", "n"], "either KEY or --all"),
        (["delete", "n", "k", "--all"], "either KEY or --all"),
        (["delete", "n", "--all", "--if-revision", "1"], "belongs to a KEY"),
        (["snapshots", "--take", "--drop", "1"], "either --take or --drop"),
        (["diff", "one"], "no whole number"),
        (["diff", "-1"], "no whole number"),
        (["keys", "--limit", "\u0661"], "no whole number"),
        (["export", "--format", "json"], "invalid choice"),
        (["nothing"], "invalid choice"),
    ],
)
def test_wrong_input_is_told_with_status_two(run, state, words, message):
    command, *arguments = words

    ran = run(command, "state.db", *arguments)

    assert [ran.status, ran.out] == [2, ""]
    assert message in ran.error and "Traceback" not in ran.error


def test_what_is_absent_is_told_with_status_one(run, state):
    for words in (["get", "n", "no"], ["diff", "9"], ["restore", "9", "--yes"], ["export", "--snapshot", "9"]):
        ran = run(words[0], "state.db", *words[1:])
        assert [ran.status, ran.out, ran.error.count("\n")] == [1, "", 1]
    assert run("import", "state.db", "no-file").status == 1


@pytest.mark.parametrize("command", ["import", "import-langgraph"])
def test_what_cannot_be_read_makes_no_store(run, command):
    ran = run(command, "new.db", "no-file")

    assert [ran.status, ran.out, ran.error] == [1, "", "swarmstate: no-file: there is no such file\n"]
    assert not Path("new.db").exists()


def test_a_url_that_names_no_engine_is_wrong_input(run):
    ran = run("info", "nothing://user:secret@host")

    assert ran.status == 2
    assert '"nothing" names no engine' in ran.error and "secret" not in ran.error


@pytest.mark.parametrize(
    ("error", "status"),
    [(ss.UnavailableError("no answer"), 3), (PermissionError("denied"), 3), (ss.CorruptError("bad\nbytes"), 2)],
)
def test_an_error_is_one_line_and_a_status(run, error, status):
    def opener(url):
        raise error

    ran = run("info", "memory:", opener=opener)

    assert [ran.status, ran.error] == [status, f"swarmstate: {' '.join(str(error).split(chr(10)))}\n"]


def test_a_fault_of_the_command_itself_is_not_hidden(run):
    def opener(url):
        raise AttributeError("a fault")

    with pytest.raises(AttributeError, match="a fault"):
        run("info", "memory:", opener=opener)


def test_a_store_of_any_engine_is_opened_by_its_url(run):
    assert run("info", "memory:?max_history=3", "--json").document["engine"] == "memory"


@pytest.mark.parametrize("name", ["", "plain ä", "\\", "\\x41", "\x1f\x00\n", "\u2028\U000e0001", "\x9f\xa0\xad"])
def test_a_name_that_is_shown_can_be_typed(name):
    assert _names.typed(_names.shown(name)) == name
    assert _names.shown(name).isprintable()


@pytest.mark.parametrize(
    ("store", "create", "url"),
    [
        ("state.db", True, "sqlite:///state.db"),
        ("/var/a b?.db", True, "sqlite:////var/a%20b%3F.db"),
        ("./odd:name", False, "sqlite:///./odd%3Aname?create=false"),
        ("sqlite:///s.db?timeout=1&create=true", False, "sqlite:///s.db?timeout=1&create=false"),
        ("sqlite:///s.db?timeout=1", True, "sqlite:///s.db?timeout=1"),
        ("redis://h:1/0", False, "redis://h:1/0"),
    ],
)
def test_a_path_is_the_url_of_a_file(store, create, url):
    assert _names.url(store, create=create) == url


def test_every_command_explains_itself(run):
    words = run("--help").out
    for command in ("info", "keys", "get", "set", "delete", "snapshots", "diff", "restore", "export", "import"):
        assert command in words
        assert run(command, "--help").out.startswith(f"usage: swarmstate {command}")
    assert run("--version").out == f"swarmstate {ss.__version__}\n"


def test_processes_share_a_file(state):
    for value in range(3):
        subprocess.run([*COMMAND, "set", state, "n", "shared", str(value)], check=True, timeout=60)

    shown = subprocess.run([*COMMAND, "get", state, "n", "shared"], capture_output=True, timeout=60)

    assert [shown.returncode, shown.stdout] == [0, b"2\n"]


def test_the_console_script_is_the_same_command(state):
    script = Path(sys.executable).with_name("swarmstate")

    shown = subprocess.run([script, "get", state, "n", "a"], capture_output=True, timeout=60)

    assert [shown.returncode, shown.stdout] == [0, b"1\n"]


def test_output_is_utf8_whatever_the_locale(state):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    shown = subprocess.run([*COMMAND, "get", state, "n", "b"], capture_output=True, timeout=60, env=environment)

    assert shown.stdout.decode() == '[1.0, "ä"]\n'


@pytest.mark.parametrize("words", [["keys", "many"], ["export"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_it_quietly(state, words):
    with ss.SqliteStore(state) as store:
        store.set_many([("many", f"{number:0>200}", number) for number in range(5000)])
    command, *arguments = words

    process = subprocess.Popen(
        [*COMMAND, command, state, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    process.stdout.read(10)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()

    assert [process.wait(60), error] == [141, b""]


def test_ctrl_c_ends_it_quietly_and_writes_nothing(state):
    process = subprocess.Popen(
        [*COMMAND, "import", state],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        # A shell's background process, which a test may be, is deaf to Ctrl-C, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # More than the pipe holds: once it is taken, the command is reading.
    process.stdin.write(b'{"format":"swarmstate","version":1}\n' + b" " * 500_000)

    process.send_signal(signal.SIGINT)
    process.stdin.close()
    error = process.stderr.read()
    process.stderr.close()

    assert [process.wait(60), error] == [130, b""]
    with ss.SqliteStore(state) as store:
        assert len(store) == 4


def on_terminal(*words: object, typed: bytes = b"") -> tuple[int, str]:
    """Runs the command on a terminal, types, and returns its status and all that the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [*COMMAND, *map(str, words)])
    os.write(terminal, typed)
    shown = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        shown += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_restore_asks_on_a_terminal_and_does_nothing_without_a_yes(run, state):
    run("set", "state.db", "n", "a", "2")

    status, shown = on_terminal("restore", state, 1, typed=b"n\n")
    assert [status, run("get", "state.db", "n", "a").out] == [1, "2\n"]
    assert "restoring snapshot 1 removes 0, brings back 0 and changes back 1 entries; go on? [y/N]" in shown
    assert "swarmstate: nothing was restored" in shown

    status, _ = on_terminal("restore", state, 1, typed=b"y\n")
    assert [status, run("get", "state.db", "n", "a").out] == [0, "1\n"]


def test_progress_shows_on_a_terminal(state, tmp_path):
    status, shown = on_terminal("export", state, tmp_path / "moved")

    assert [status, shown.split("\r")[1].strip()] == [0, "exported 4 of 4 entries"]


def test_msgpack_is_not_written_to_a_terminal(state):
    status, shown = on_terminal("export", state)

    assert [status, "--format jsonl" in shown] == [2, True]


def test_a_backup_goes_into_an_empty_store(run, state):
    first = run("backup", state, "copy.db")
    second = run("backup", state, "copy.db")

    assert (first.status, first.lines) == (0, ["copied 4 entries"])
    assert (second.status, "empty store" in second.error) == (2, True)
    assert run("get", "copy.db", "n", "a").lines == ["1"]
