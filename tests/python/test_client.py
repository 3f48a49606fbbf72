"""`swarmstate.Client`: the same code on a store and on a client of the service that serves one."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest
import servers

import swarmstate as ss

Either = ss.Store | ss.Client


@pytest.fixture
def served() -> Iterator[tuple[ss.Server, ss.Store]]:
    store = ss.Store()
    with ss.serve(store) as server:
        yield server, store


@pytest.fixture(params=["store", "client"])
def either(request) -> Iterator[Either]:
    """A store, and a client of a service that serves one."""
    if request.param == "store":
        yield ss.Store()
        return
    with ss.serve(ss.Store()) as server, ss.Client(server.url, server.api_key) as client:
        yield client


@pytest.fixture
def client(served) -> Iterator[ss.Client]:
    with ss.Client(served[0].url, served[0].api_key) as client:
        yield client


VALUES = [
    None,
    True,
    0,
    -1,
    2**53 - 1,
    2**53,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
    0.5,
    "",
    "ü\x00",
    {"z": [1, {"a": None}]},
    [],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was_set(either, value):
    either.set("n", "k", value)

    read = either.get("n", "k")

    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(("value", "kind"), [(1, "integer"), (True, "json"), ("x", "string"), ([1], "json")])
def test_an_entry_tells_kind_revision_and_times(either, value, kind):
    revision = either.set("n", "k", value)
    entry = either.entry("n", "k")

    assert (entry.namespace, entry.key, entry.value, entry.kind) == ("n", "k", value, kind)
    assert (entry.revision, entry.expires_at) == (revision, None)
    assert 0 < entry.created_at <= entry.updated_at


def test_what_is_missing_is_none_or_the_default(either):
    assert either.get("n", "k") is None
    assert either.get("n", "k", "default") == "default"
    assert either.entry("n", "k") is None
    assert either.contains("n", "k") is False
    assert either.delete("n", "k") is False


def test_a_deleted_key_is_gone(either):
    either.set("n", "k", 1)

    assert either.contains("n", "k") is True
    assert either.delete("n", "k") is True
    assert either.get("n", "k") is None


def test_a_write_insists_on_what_was_read(either):
    first = either.set("n", "k", 1, if_revision=0)
    second = either.set("n", "k", 2, if_revision=first)

    with pytest.raises(ss.ConflictError) as late:
        either.set("n", "k", 3, if_revision=first)
    with pytest.raises(ss.ConflictError):
        either.set("n", "k", 3, if_revision=0)
    with pytest.raises(ss.ConflictError):
        either.delete("n", "k", if_revision=first)

    assert (late.value.namespace, late.value.key, late.value.revision, late.value.position) == ("n", "k", second, 0)
    assert either.get("n", "k") == 2
    assert either.delete("n", "k", if_revision=second) is True


def test_a_counter_counts_and_refuses_another_kind(either):
    either.set("n", "text", "x")

    assert [either.increment("n", "k"), either.increment("n", "k", 5), either.increment("n", "k", -2)] == [1, 6, 4]
    with pytest.raises(ss.WrongTypeError) as wrong:
        either.increment("n", "text")
    assert (wrong.value.namespace, wrong.value.key) == ("n", "text")


def test_a_ttl_is_kept_and_a_set_without_one_clears_it(either):
    either.set("n", "k", 1, ttl=60)
    kept = either.entry("n", "k")
    either.set("n", "k", 1)

    assert kept.expires_at == kept.updated_at + 60_000
    assert either.entry("n", "k").expires_at is None
    with pytest.raises(ss.InvalidError):
        either.set("n", "k", 1, ttl=0)


def test_lists_are_ordered_and_bounded(either):
    either.set_many([("n", key, key) for key in ("b", "a:2", "a:1", "A")])
    either.set("m", "k", 1)

    assert either.keys("n") == ["A", "a:1", "a:2", "b"]
    assert either.keys("n", prefix="a:") == ["a:1", "a:2"]
    assert either.keys("n", limit=2) == ["A", "a:1"]
    assert either.items("n", prefix="a:", limit=1) == [("a:1", "a:1")]
    assert either.namespaces() == ["m", "n"]
    assert either.namespaces(prefix="n", limit=1) == ["n"]
    assert either.keys("none") == []


def test_a_list_goes_on_behind_a_key_and_runs_either_way(either):
    either.set_many([("n", key, key) for key in ("b", "a:2", "a:1", "A")])
    either.set("m", "k", 1)

    assert either.keys("n", after="A") == ["a:1", "a:2", "b"]
    assert either.keys("n", after="a:", limit=1) == ["a:1"]
    assert either.keys("n", prefix="a:", after="a:1") == ["a:2"]
    assert either.keys("n", reverse=True) == ["b", "a:2", "a:1", "A"]
    assert either.keys("n", reverse=True, after="b", limit=2) == ["a:2", "a:1"]
    assert either.items("n", prefix="a:", reverse=True) == [("a:2", "a:2"), ("a:1", "a:1")]
    assert either.namespaces(after="m") == ["n"]
    assert either.namespaces(reverse=True, limit=1) == ["n"]
    with pytest.raises(ss.InvalidError):
        either.keys("n", limit=-1)


def test_a_counter_gets_a_ttl_when_it_is_made_and_keeps_it(either):
    made = either.increment("n", "k", 2, ttl=60)
    first = either.entry("n", "k")
    counted = either.increment("n", "k", ttl=600)

    assert (made, counted) == (2, 3)
    assert first.expires_at == first.updated_at + 60_000
    assert either.entry("n", "k").expires_at == first.expires_at


@pytest.mark.parametrize("value", ["x", 1, True, ["ü", None]], ids=repr)
def test_a_touch_sets_and_clears_the_ttl_of_a_live_key_and_keeps_the_rest(either, value):
    either.set("n", "k", value)
    before = either.entry("n", "k")

    is_live = either.touch("n", "k", 60)
    touched = either.entry("n", "k")
    either.touch("n", "k", None)

    assert is_live is True
    assert (touched.value, touched.kind, touched.created_at) == (value, before.kind, before.created_at)
    assert touched.expires_at > before.updated_at
    assert either.entry("n", "k").expires_at is None
    assert either.touch("n", "none", 60) is False


def test_an_address_is_in_a_store(either):
    either.set("n", "k", None)

    assert ("n", "k") in either
    assert ("n", "none") not in either


def test_a_batch_happens_whole_or_not_at_all(either):
    first = either.set("n", "cursor", "c-17")
    either.set("n", "gone", 1)

    with either.batch() as batch:
        batch.require("n", "cursor", first)
        batch.require("n", "new", 0)
        batch.set("n", "cursor", "c-18")
        batch.set("n", "new", 1)
        batch.set("n", "new", [2], ttl=60)
        batch.delete("n", "gone")
        batch.increment("n", "pages", 3)
        length = len(batch)
    with pytest.raises(ss.ConflictError) as stale, either.batch() as late:
        late.require("n", "new", either.entry("n", "new").revision)
        late.require("n", "cursor", first)
        late.set("n", "new", "never")

    assert length == 4
    assert dict(either.items("n")) == {"cursor": "c-18", "new": [2], "pages": 3}
    assert either.entry("n", "new").expires_at is not None
    assert (stale.value.namespace, stale.value.key, stale.value.position) == ("n", "cursor", 1)
    assert stale.value.revision == either.entry("n", "cursor").revision


def test_a_batch_whose_block_fails_or_is_over_changes_nothing(either):
    with pytest.raises(RuntimeError), either.batch() as batch:
        batch.set("n", "k", 1)
        raise RuntimeError("the block fails")
    with pytest.raises(ss.InvalidError, match="over"):
        batch.set("n", "k", 1)
    with either.batch():
        pass

    assert either.keys("n") == []


def test_a_snapshot_is_read_compared_and_restored(either):
    for key in ("kept", "changed", "removed"):
        either.set("n", key, 1)
    before = either.snapshot()
    either.set("n", "changed", 2)
    either.set("n", "added", 1)
    either.delete("n", "removed")
    after = either.snapshot()
    diff = after.diff(before)
    either.restore(before)

    assert diff == {"added": [("n", "added")], "removed": [("n", "removed")], "changed": [("n", "changed")]}
    assert (before.get("n", "changed"), after.get("n", "changed"), after.get("n", "removed", 0)) == (1, 2, 0)
    assert (len(before), before.size_bytes, before.parent, after.parent) == (3, 3, None, before.id)
    assert before.timestamp <= after.timestamp
    assert before.entry("n", "kept").revision == either.entry("n", "kept").revision
    assert [snapshot.id for snapshot in either.history()] == [before.id, after.id]
    assert dict(either.items("n")) == {"kept": 1, "changed": 1, "removed": 1}
    assert either.snapshot_by_id(after.id).get("n", "added") == 1
    with pytest.raises(ss.NotFoundError):
        either.snapshot_by_id(after.id + 1)


def test_several_values_are_written_together_or_not_at_all(either):
    either.set_many([("n", "a", 1), ("n", "b", "x"), ("n", "a", 2)])
    with pytest.raises(TypeError):
        either.set_many([("n", "c", 1), ("n", "d", {1})])

    assert either.get_many([("n", "a"), ("n", "b"), ("n", "c")], default=0) == [2, "x", 0]


@pytest.mark.parametrize("key", ["a/b", "incr", "claim", "_", "a/incr", "v1.2", "..a", "x" * 512])
def test_every_name_of_the_service_is_reached(client, served, key):
    client.set("a/b:c", key, 1)

    assert client.get("a/b:c", key) == 1
    assert client.increment("a/b:c", key) == 2
    assert served[1].keys("a/b:c") == [key]
    assert client.delete("a/b:c", key) is True


@pytest.mark.parametrize(
    ("namespace", "key"), [("", "k"), ("n", ""), ("n", "."), ("n", ".."), ("..", "k"), ("n", "a b")]
)
def test_a_name_that_the_service_does_not_take_is_invalid(client, namespace, key):
    for call in (client.get, client.increment, client.delete):
        with pytest.raises(ss.InvalidError):
            call(namespace, key)


@pytest.mark.parametrize("value", [b"x", [b"x"], {1: 2}, {"a": {None: 1}}, {1}, float("nan"), [float("inf")]], ids=repr)
def test_a_value_that_json_would_lose_is_refused_with_the_path_to_it(client, value):
    with pytest.raises((TypeError, ValueError), match=r"^value|set is not storable"):
        client.set("n", "k", value)

    assert client.contains("n", "k") is False


def test_what_python_wrote_reads_as_it_was_written(client, served):
    written = {"bytes": b"\x00\xff", "nested": [b"x"], "keys": {1: 2}, "large": [1, float("inf")]}
    for key, value in written.items():
        served[1].set("n", key, value)

    assert dict(client.items("n")) == written


def test_a_list_longer_than_a_page_is_whole(client, served):
    names = [f"{number:04}" for number in range(2500)]
    served[1].set_many([("n", name, 1) for name in names])

    assert client.keys("n") == names
    assert client.keys("n", limit=1500) == names[:1500]
    assert client.keys("n", limit=0) == []
    assert [entry.key for entry in client.entries("n", limit=1001)] == names[:1001]


def test_one_of_many_claims_work(client, served):
    with ss.Client(served[0].url, served[0].api_key) as other:
        claimed, refused = client.claim("jobs", "next", 60, "me"), other.claim("jobs", "next", 60, "you")

    assert claimed is not None
    assert (claimed.value, refused) == ("me", None)
    assert client.delete("jobs", "next", if_revision=claimed.revision) is True


def test_a_snapshot_that_the_service_dropped_is_not_found(client, served):
    snapshot = client.snapshot()
    served[1].drop_snapshot(snapshot.id)

    for call in (lambda: snapshot.get("n", "k"), lambda: client.restore(snapshot), lambda: snapshot.diff(snapshot)):
        with pytest.raises(ss.NotFoundError, match="snapshot"):
            call()


def test_snapshots_are_for_admins(served):
    server, _ = served
    with ss.Client(server.url, server.api_key) as operator:
        snapshot = operator.snapshot()
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.api_key}"}) as rest:
        token = rest.post("/api/tokens", json={"agentId": "a", "scopes": ["read", "write"]}).json()["token"]

    with ss.Client(server.url, token) as agent:
        for call in (agent.snapshot, agent.history, lambda: agent.restore(snapshot)):
            with pytest.raises(ss.InvalidError, match="scope admin"):
                call()


def test_what_the_service_does_not_write_cannot_be_touched(client, served):
    served[1].set("n", "k", b"x")

    with pytest.raises(ss.UnsupportedError, match="cannot be touched"):
        client.touch("n", "k", 60)


def test_many_that_create_a_counter_with_a_ttl_count_exactly(served):
    def count() -> None:
        with ss.Client(served[0].url, served[0].api_key) as counter:
            for _ in range(10):
                counter.increment("n", "k", ttl=600)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert served[1].get("n", "k") == 80


def test_a_batch_of_a_service_shows_what_stands_after_it(client):
    with client.batch() as batch:
        batch.require("n", "a", 0)
        batch.set("n", "a", "x")
        batch.delete("n", "b")
        batch.increment("n", "c", 2)

    assert batch.entries is not None
    assert [entry and (entry.key, entry.value) for entry in batch.entries] == [("a", "x"), None, ("c", 2)]


def test_a_batch_of_a_service_is_of_one_namespace_and_bounded(client):
    with pytest.raises(ss.UnsupportedError, match="one namespace"), client.batch() as mixed:
        mixed.set("a", "k", 1)
        mixed.set("b", "k", 1)
    with pytest.raises(ss.TooLargeError, match="65 operations"), client.batch() as large:
        for number in range(65):
            large.increment("n", str(number))

    assert client.namespaces() == []


def test_set_many_is_of_one_namespace_and_bounded(client):
    with pytest.raises(ss.UnsupportedError, match="one namespace"):
        client.set_many([("a", "k", 1), ("b", "k", 1)])
    with pytest.raises(ss.TooLargeError, match="65 operations"):
        client.set_many([("a", str(number), 1) for number in range(65)])
    client.set_many([])

    assert client.namespaces() == []


def test_write_rules_and_credentials_are_those_of_the_service(served):
    server, _ = served
    with ss.Client(server.url, server.api_key, agent="a1") as agent:
        agent.set("task:agent:a1", "k", 1)
        with pytest.raises(ss.InvalidError, match="only agent other"):
            agent.set("task:agent:other", "k", 1)
    with ss.Client(server.url, "wrong") as stranger, pytest.raises(ss.InvalidError, match="unknown, revoked"):
        stranger.get("n", "k")


def test_a_service_that_does_not_answer_is_unavailable():
    with ss.Client(f"http://127.0.0.1:{servers.free_port()}", "token-1") as client:
        for call in (client.get, client.increment, client.delete):
            with pytest.raises(ss.UnavailableError, match="does not answer"):
                call("n", "k")


@pytest.mark.parametrize(("method", "sent"), [("get", 3), ("increment", 1), ("delete", 1)])
def test_only_a_read_is_sent_again_where_nothing_was_answered(method, sent):
    asked: list[bytes] = []

    def hang_up(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with ss.Client(url, "token-1") as client, pytest.raises(ss.UnavailableError):
            getattr(client, method)("n", "k")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)

    assert len(asked) == sent


def test_the_token_is_never_shown(served):
    secret = "sst_secret"
    with ss.Client(served[0].url, secret) as client:
        with pytest.raises(ss.Error) as refused:
            client.get("n", "k")
        assert secret not in repr(client) + str(refused.value)
    with pytest.raises(ss.InvalidError) as wrong:
        ss.Client(served[0].url, f"{secret}\n")
    assert secret not in str(wrong.value)


def test_a_url_that_is_none_is_refused():
    with pytest.raises(ss.InvalidError, match="http://127"):
        ss.Client("127.0.0.1:8484", "token-1")


def test_without_httpx_a_client_says_what_to_install_and_the_rest_works():
    program = (
        "import sys; sys.modules['httpx'] = None\n"
        "import swarmstate as ss; ss.Store().set('n', 'k', 1)\n"
        "try: ss.Client('http://127.0.0.1:1', 't')\n"
        "except ImportError as error: print(error)"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert "pip install 'swarmstate[client]'" in ended.stdout
