"""Exports and imports from Python: paths, files that Python opened, progress, and what goes wrong with them."""

import io
import json
import os
import threading

import pytest

import swarmstate as ss

FORMATS = ["msgpack", "jsonl"]
VALUES = [("n", "int", 2**63), ("n", "text", "ä\u2028"), ("n", "raw", b"\0\xff"), ("n", "nan", float("nan"))]


def exported(source, format="msgpack") -> io.BytesIO:
    file = io.BytesIO()
    ss.export(source, file, format=format)
    file.seek(0)
    return file


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_brings_every_entry_with_its_kind_and_expiry(make_store, fill, tmp_path, format):
    source, target = make_store(), make_store()
    fill(source, [*VALUES, ("\x1fown", "k", {"a": [1, None, {2: b"x"}]})])
    source.set("n", "soon", -1, ttl=10)

    written = ss.export(source, tmp_path / "state", format=format)
    done = ss.import_(str(tmp_path / "state"), target)

    assert [written, done] == [6, {"entries": 6, "expired": 0}]
    assert target.get("\x1fown", "k") == {"a": [1, None, {2: b"x"}]}
    for key in source.keys("n"):
        one, other = source.entry("n", key), target.entry("n", key)
        assert ss.dumps(one.value) == ss.dumps(other.value)
        assert [one.kind, one.expires_at] == [other.kind, other.expires_at]


def test_an_export_takes_a_snapshot_too(make_store):
    source, target = make_store(), make_store()
    source.set("n", "k", 1)
    snapshot = source.snapshot()
    source.set("n", "k", 2)

    ss.import_(exported(snapshot), target)

    assert target.get("n", "k") == 1


def test_an_export_reads_its_source_as_it_stood(make_store):
    source, target = make_store(), make_store()
    source.set_many([("a", str(i), i) for i in range(1000)])
    source.set("b", "k", "before")
    file = io.BytesIO()

    ss.export(source, file, progress=lambda done, total: source.set("b", "k", "after"))
    file.seek(0)
    ss.import_(file, target)

    assert target.get("b", "k") == "before"


def test_entries_that_are_due_are_left_out_and_counted(make_store, clock):
    source, target = make_store(), make_store()
    source.set("n", "goes", 1, ttl=5)
    source.set("n", "stays", 1)
    file = exported(source, "jsonl")

    clock.advance(5)

    assert ss.import_(file, target) == {"entries": 1, "expired": 1}
    assert target.keys("n") == ["stays"]


def test_progress_is_told_to_the_end(make_store):
    source = make_store()
    source.set_many([("n", str(i), i) for i in range(2500)])
    told, file = [], io.BytesIO()

    ss.export(source, file, progress=lambda *progress: told.append(progress))
    file.seek(0)
    ss.import_(file, make_store(), progress=lambda *progress: told.append(progress))

    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)] * 2


def test_an_exception_from_progress_ends_the_work_and_passes_on(make_store, tmp_path):
    source, target = make_store(), make_store()
    source.set_many([("n", str(i), i) for i in range(3000)])
    file, folder = exported(source), tmp_path / "exports"
    folder.mkdir()

    def stop(done, total):
        raise LookupError(f"{done} of {total}")

    with pytest.raises(LookupError, match="1000 of 3000"):
        ss.export(source, folder / "state", progress=stop)
    with pytest.raises(LookupError, match="1000 of 3000"):
        ss.import_(file, target, progress=stop)

    assert os.listdir(folder) == []
    assert len(target) == 1000


def test_an_import_onto_a_namespace_that_lives_is_a_conflict_and_writes_nothing(make_store, fill):
    source, target = make_store(), make_store()
    fill(source, [("a", "k", 1), ("b", "k", 1)])
    target.set("b", "other", 2)

    with pytest.raises(ss.ConflictError) as caught:
        ss.import_(exported(source), target)

    assert [caught.value.namespace, target.namespaces()] == ["b", ["b"]]


def test_an_import_never_overwrites_what_another_writes_meanwhile(make_store, fill):
    source, target = make_store(), make_store()
    fill(source, [("a", "k", 1), ("b", "k", 1)])

    with pytest.raises(ss.ConflictError) as caught:
        ss.import_(exported(source), target, progress=lambda done, total: target.set("b", "k", "another's"))

    assert [caught.value.namespace, target.get("a", "k"), target.get("b", "k")] == ["b", 1, "another's"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_cut_off_export_is_refused_and_writes_nothing(make_store, format):
    source, target = make_store(), make_store()
    source.set_many(VALUES)
    data = exported(source, format).getvalue()

    with pytest.raises(ss.InvalidError, match="cut off"):
        ss.import_(io.BytesIO(data[:-5]), target)

    assert len(target) == 0


def test_what_is_no_export_is_refused(store, tmp_path):
    (tmp_path / "file").write_bytes(b"SQLite format 3\0")

    with pytest.raises(ss.InvalidError, match="no export"):
        ss.import_(tmp_path / "file", store)
    with pytest.raises(ss.InvalidError, match="record 2 of the export"):
        ss.import_(io.BytesIO(b'{"format":"swarmstate","version":1}\n{}\n'), store)


class Chunks:
    """A file that takes and gives little at a time."""

    def __init__(self, data=b""):
        self.data = data

    def write(self, data):
        self.data += data[:7]
        return len(data[:7])

    def read(self, size):
        taken, self.data = self.data[: min(size, 3)], self.data[min(size, 3) :]
        return taken


def test_a_file_that_takes_and_gives_little_at_a_time_loses_nothing(make_store):
    source, target, file = make_store(), make_store(), Chunks()
    source.set_many(VALUES)

    ss.export(source, file)

    assert file.data == exported(source).getvalue()
    assert ss.import_(file, target)["entries"] == len(VALUES)


class Broken:
    def __init__(self, answer):
        self.answer = answer

    def read(self, size):
        return self._act()

    def write(self, data):
        return self._act()

    def _act(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (InterruptedError("again"), InterruptedError, "again"),
        (ss.ConflictError("mine"), ss.ConflictError, "mine"),
        (None, TypeError, "returned NoneType"),
        ("text", TypeError, "returned str"),
        (10**30, TypeError, "returned int"),
        (-1, TypeError, "returned int"),
    ],
)
def test_a_file_that_misbehaves_ends_in_its_own_error_or_a_type_error(store, answer, error, message):
    with pytest.raises(error, match=message):
        ss.export(store, Broken(answer))
    with pytest.raises(error, match=message):
        ss.import_(Broken(answer), store)


def test_a_file_that_gives_more_than_it_was_asked_for_is_refused(store):
    with pytest.raises(TypeError, match="more bytes than it was asked for"):
        ss.import_(Broken(b"x" * 10_000_000), store)


def test_a_file_of_text_is_refused(store, tmp_path):
    with (tmp_path / "text").open("w+") as file:
        with pytest.raises(TypeError):
            ss.export(store, file)
        with pytest.raises(TypeError, match='open the file for reading bytes, "rb"'):
            ss.import_(file, store)


def test_arguments_that_are_none_are_named(store):
    with pytest.raises(TypeError, match="'file' must be a path or a file with a method `write`, not int"):
        ss.export(store, 1)
    with pytest.raises(TypeError, match="'file' must be a path or a file with a method `read`, not NoneType"):
        ss.import_(None, store)
    with pytest.raises(TypeError, match="'source'"):
        ss.export("store", io.BytesIO())
    with pytest.raises(TypeError, match="'target'"):
        ss.import_(io.BytesIO(), store.snapshot())
    with pytest.raises(TypeError, match="'progress' must be callable"):
        ss.export(store, io.BytesIO(), progress=1)
    with pytest.raises(ss.InvalidError, match='format must be "msgpack" or "jsonl", not "json"'):
        ss.export(store, io.BytesIO(), format="json")


def test_a_file_that_does_not_exist_is_an_os_error_that_names_it(store, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        ss.import_(tmp_path / "missing", store)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ss.export(store, tmp_path / "nowhere" / "state")


def test_a_pipe_is_written_and_read_as_it_goes(make_store, tmp_path):
    source, target = make_store(), make_store()
    source.set_many([("n", str(i), "x" * 1000) for i in range(1000)])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    writer = threading.Thread(target=ss.export, args=(source, pipe))
    writer.start()
    done = ss.import_(pipe, target)
    writer.join()

    assert done == {"entries": 1000, "expired": 0}
    assert pipe.is_fifo()


def test_the_store_can_be_used_while_its_export_is_written(store):
    store.set("n", "k", 1)

    class Using(io.BytesIO):
        def write(self, data):
            store.increment("n", "k")
            return super().write(data)

    file = Using()
    ss.export(store, file, format="jsonl")

    assert [json.loads(line).get("value") for line in file.getvalue().splitlines()] == [None, 1, None]
    assert store.get("n", "k") == 2


def test_an_entry_shows_itself_as_a_line_of_its_stores_export(store):
    store.set_many(VALUES)

    lines = exported(store, "jsonl").getvalue().decode().split("\n")

    assert lines[1:-2] == [store.entry("n", key).to_json() for key in store.keys("n")]
    assert json.loads(store.entry("n", "int").to_json())["value"] == 2**63


def test_a_store_tells_what_happened_since_a_snapshot_and_takes_none(make_store, fill):
    store = make_store(max_history=2)
    store.set_many([("n", "changes", 1), ("n", "goes", 1), ("n", "stays", 1)])
    base = store.snapshot()

    fill(store, [("n", "changes", 2), ("m", "comes", 1), ("n", "stays", 1)])
    store.delete("n", "goes")

    expected = {"added": [("m", "comes")], "removed": [("n", "goes")], "changed": [("n", "changes")]}
    assert store.diff(base) == expected
    assert [kept.id for kept in store.history()] == [base.id]
    assert store.snapshot().diff(base) == expected


def test_a_diff_to_now_leaves_out_what_is_due(store, clock):
    store.set("n", "goes", 1, ttl=5)
    base = store.snapshot()

    clock.advance(5)

    assert store.diff(base)["removed"] == [("n", "goes")]


def test_state_moves_from_engine_to_engine_through_a_file(tmp_path):
    memory, back = ss.Store(), ss.Store()
    memory.set_many([*VALUES, *(("many", f"{i:04}", {"i": i, "pad": "x" * (i % 3000)}) for i in range(2500))])

    with ss.SqliteStore(tmp_path / "state.db") as file:
        ss.import_(exported(memory, "jsonl"), file)
        ss.import_(exported(file, "msgpack"), back)

    assert back.snapshot().diff(memory.snapshot()) == {"added": [], "removed": [], "changed": []}
