"""`swarmstate.Client`: the same code on a store and on a client of the service that serves one."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

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


def test_set_many_is_of_one_namespace_and_bounded(client):
    with pytest.raises(ss.UnsupportedError, match="one namespace"):
        client.set_many([("a", "k", 1), ("b", "k", 1)])
    with pytest.raises(ss.TooLargeError, match="65 keys"):
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
