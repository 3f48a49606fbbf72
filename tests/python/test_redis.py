"""A store on Redis beside others: processes, forks, threads, the event loop, TLS, sockets, a cluster's limits."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import servers

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

SURVIVES_A_KILL = ["--appendonly", "yes", "--appendfsync", "always"]


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


WRITER = """
import sys, threading, time
import swarmstate as ss

store = ss.RedisStore(sys.argv[1], prefix="p", timeout=10)
print("ready", flush=True)
sys.stdin.readline()
end, sure, unsure = time.monotonic() + 3, [], []

def write():
    while time.monotonic() < end:
        try:
            store.increment("n", "total")
            sure.append(1)
        except ss.UnavailableError as error:
            assert "may have happened" in str(error), error
            unsure.append(1)

threads = [threading.Thread(target=write) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(sure), len(unsure))
"""


def test_four_processes_lose_no_acknowledged_write_when_the_server_is_killed_and_double_none():
    server = servers.Server(*SURVIVES_A_KILL)
    url = f"redis://127.0.0.1:{server.port}"
    writers = [start(WRITER, url) for _ in range(4)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()

    for _ in range(2):
        server.kill_and_restart(0.2)

    said = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    sure, unsure = (sum(int(line[column]) for line in said) for column in (0, 1))
    store = ss.RedisStore(url, prefix="p")
    assert 0 < sure <= store.get("n", "total") <= sure + unsure
    store.close()
    server.stop()


def test_a_forked_child_connects_anew_and_both_go_on():
    store = ss.RedisStore(servers.single(), prefix=servers.fresh_prefix())
    store.set("n", "k", 1)
    child = os.fork()
    if child == 0:
        os._exit(0 if store.increment("n", "k") == 2 and store.snapshot().get("n", "k") == 2 else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.increment("n", "k") == 3


def test_a_thread_that_waits_for_the_server_lets_the_others_run():
    server = servers.Server()
    store = ss.RedisStore(f"redis://127.0.0.1:{server.port}", timeout=60)
    store.set("n", "k", 1)
    server.must("CLIENT", "PAUSE", "60000", "WRITE")

    waiting = threading.Thread(target=store.set, args=("n", "k", 2))
    waiting.start()

    # If it held the interpreter, nobody could let the server go on.
    server.must("CLIENT", "UNPAUSE")
    waiting.join(60)
    assert store.get("n", "k") == 2
    server.stop()


async def test_the_event_loop_goes_on_while_the_saver_waits_for_the_server():
    server = servers.Server()
    saver = SwarmStateSaver(ss.RedisStore(f"redis://127.0.0.1:{server.port}", timeout=60))
    config = {"configurable": {"thread_id": "a"}}
    assert await saver.aget_tuple(config) is None
    server.must("CLIENT", "PAUSE", "60000", "WRITE")

    reading = asyncio.ensure_future(saver.adelete_thread("a"))
    for _ in range(3):
        await asyncio.sleep(0)

    server.must("CLIENT", "UNPAUSE")
    await asyncio.wait_for(reading, 60)
    server.stop()


def test_a_cluster_takes_one_namespace_in_a_batch():
    store = ss.open(f"{servers.cluster()}?prefix={servers.fresh_prefix()}")

    with pytest.raises(ss.UnsupportedError, match="one batch for each"):
        store.set_many([("a", "k", 1), ("b", "k", 2)])
    with pytest.raises(ss.UnsupportedError, match="one batch for each"), store.batch() as batch:
        batch.set("a", "k", 1)
        batch.require("b", "k", 0)

    assert len(store) == 0
    assert isinstance(store, ss.RedisStore)
    store.set("b", "k", 2)
    assert store.get_many([("a", "k"), ("b", "k")], default=0) == [0, 2]


def test_a_socket_and_a_database_are_part_of_the_url(tmp_path):
    server = servers.Server("--unixsocket", str(tmp_path / "redis.sock"))
    ones = [ss.open(f"unix://{tmp_path}/redis.sock?db={number}&prefix=p") for number in (0, 1)]

    ones[0].set("n", "k", 1)

    assert [one.get("n", "k") for one in ones] == [1, None]
    assert "database 1" in ones[1].address
    assert ss.open(f"redis://127.0.0.1:{server.port}/0?prefix=p").get("n", "k") == 1
    server.stop()


def certificates(folder: Path) -> list[str]:
    """An authority and a server's certificate for localhost; answers the arguments of a server that uses them."""
    subject = ["-nodes", "-days", "2", "-newkey", "rsa:2048"]
    authority = ["-x509", *subject, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=an authority of the tests"]
    request = [*subject[:1], *subject[3:], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"]
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    sign = ["-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    for command in (["req", *authority], ["req", *request], ["x509", *sign, "-extfile", "names", "-out", "server.pem"]):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    files = {"--tls-cert-file": "server.pem", "--tls-key-file": "server.key", "--tls-ca-cert-file": "ca.pem"}
    return [part for name, file in files.items() for part in (name, str(folder / file))]


def test_tls_trusts_the_given_authority_and_no_stranger(tmp_path):
    port = servers.free_port()
    server = servers.Server("--tls-port", str(port), "--tls-auth-clients", "no", *certificates(tmp_path))
    url = f"rediss://localhost:{port}"

    store = ss.RedisStore(url, ca=tmp_path / "ca.pem")

    store.set("n", "k", 1)
    assert ss.open(f"{url}?ca={tmp_path}/ca.pem").get("n", "k") == 1
    with pytest.raises(ss.Error):
        ss.RedisStore(url, timeout=2)
    with pytest.raises(ss.Error):
        ss.RedisStore(f"rediss://127.0.0.1:{port}", ca=tmp_path / "ca.pem", timeout=2)
    server.stop()


def test_tls_trusts_the_authorities_of_the_system_where_none_is_given(tmp_path):
    port = servers.free_port()
    server = servers.Server("--tls-port", str(port), "--tls-auth-clients", "no", *certificates(tmp_path))
    program = f"import swarmstate as ss; ss.RedisStore('rediss://localhost:{port}').set('n', 'k', 1)"
    system = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}

    ended = subprocess.run([sys.executable, "-c", program], env=system, timeout=60, check=False)

    assert ended.returncode == 0
    server.stop()


def test_a_password_is_in_no_repr_and_no_error():
    server = servers.Server("--requirepass", "sesame")

    store = ss.RedisStore(f"redis://:sesame@127.0.0.1:{server.port}", timeout=1)
    with pytest.raises(ss.InvalidError) as caught:
        ss.RedisStore(f"redis://:other@127.0.0.1:{server.port}", timeout=1)

    server.stop()
    with pytest.raises(ss.UnavailableError) as gone:
        store.get("n", "k")
    for text in (repr(store), store.address, str(caught.value), str(gone.value)):
        assert "sesame" not in text
        assert "other" not in text
