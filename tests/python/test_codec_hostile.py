"""Malformed, truncated and mutated bytes: an exception each time, never a crash, a hang or unbounded memory."""

import os
import random
import subprocess
import sys
import time
import tracemalloc

import pytest

from swarmstate._core import dumps, loads

VALUE = {
    "messages": [
        {"role": "user", "content": "héllo " * 20, "tokens": [1, 300, 70_000, 2**40, -5, -200, -40_000, -(2**40)]}
    ]
    * 3,
    "data": b"\x00\xff" * 200,
    "scores": [0.5, 1e300, None, True, False],
    "nested": [[[[{"deep": {}}]]]],
    1: {None: {b"k": {True: "end"}}},
}

PROMISES_4_GB = {
    "str": b"\xdb\xff\xff\xff\xff",
    "bin": b"\xc6\xff\xff\xff\xff",
    "array": b"\xdd\xff\xff\xff\xff",
    "map": b"\xdf\xff\xff\xff\xff",
    "ext": b"\xc9\xff\xff\xff\xff\x01",
}


def spoilt(data):
    """The error that `loads` gives, which names the byte and reads as one clause."""
    with pytest.raises(ValueError) as refused:
        loads(data)
    return str(refused.value)


@pytest.mark.parametrize("header", PROMISES_4_GB.values(), ids=PROMISES_4_GB)
@pytest.mark.parametrize("rest", [b"", b"\x01" * 100])
def test_a_header_that_promises_4_gb_allocates_nothing(header, rest):
    tracemalloc.start()
    message = spoilt(header + rest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message == "malformed msgpack at byte 0: the item promises more than remains"
    assert peak < 100_000


@pytest.mark.parametrize("header", PROMISES_4_GB.values(), ids=PROMISES_4_GB)
def test_a_header_that_promises_4_gb_is_refused_inside_containers(header):
    for prefix in (b"\x91", b"\x81\xa1a", b"\x81", b"\x93\x01\x02", b"\x91" * 255):
        spoilt(prefix + header)


def test_nested_headers_that_each_promise_what_remains_stay_small():
    """Under a limit on address space: reserving by header would take 8 bytes for each promised item at each level."""
    program = """
import resource, struct
from swarmstate._core import loads
size = 4_000_000
parts = b"".join(b"\\xdd" + struct.pack(">I", size - 5 * level - 5) for level in range(256))
data = parts + b"\\x01" * (size - len(parts))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000,) * 2)
try:
    loads(data)
except ValueError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_every_truncated_prefix_is_refused():
    data = dumps(VALUE)
    for length in range(len(data)):
        spoilt(data[:length])
    assert loads(data) == VALUE


@pytest.mark.parametrize("behind", [b"\x00", b"\xc0", b"\xc1", b"\x90"])
def test_bytes_behind_the_value_are_refused(behind):
    assert spoilt(dumps([1]) + behind) == "malformed msgpack at byte 2: more bytes follow the value"


@pytest.mark.parametrize(
    "data",
    [
        b"\xd4\x01a",
        b"\xd5\x01ab",
        b"\xd6\xffabcd",
        b"\xd7\x01abcdefgh",
        b"\xd8\x01" + b"a" * 16,
        b"\xc7\x01\x05a",
        b"\xc7\x00\x05",
        b"\xc8\x00\x01\x05a",
    ],
)
def test_ext_types_are_refused(data):
    assert "ext types" in spoilt(data)
    assert spoilt(b"\x92\x01" + data) == "malformed msgpack at byte 2: ext types are not supported"
    assert "ext types" in spoilt(b"\x81" + data + b"\x01")


def test_the_reserved_marker_is_refused():
    assert spoilt(b"\x92\x01\xc1") == "malformed msgpack at byte 2: 0xc1 is not a marker"


@pytest.mark.parametrize(
    ("key", "what"), [(b"\x90", "an array"), (b"\x80", "a map"), (b"\xcb" + b"\x00" * 8, "a float")]
)
def test_a_map_key_that_dumps_would_not_write_is_refused(key, what):
    assert spoilt(b"\x81" + key + b"\x01") == f"malformed msgpack at byte 1: {what} is not a map key"


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"a" * 20 + b"\x80"]
)
def test_text_that_is_not_utf_8_is_refused(text):
    head = bytes([0xA0 | len(text)])
    assert spoilt(b"\x91" + head + text) == "malformed msgpack at byte 1: str is not utf-8"
    spoilt(b"\x81" + head + text + b"\x01")
    spoilt(b"\x81\xa1a" + head + text)


def test_empty_input_is_refused():
    assert spoilt(b"") == "malformed msgpack at byte 0: the value ends early"


def mutated(data, rng):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice(b"\x80\x90\xa0\xc0\xc1\xc4\xc7\xca\xcf\xd3\xd8\xd9\xdb\xdc\xdd\xde\xdf\xe0\xff")
            case 2:
                data[at:at] = rng.randbytes(rng.randint(1, 8))
            case 3:
                del data[at : at + rng.randint(1, 8)]
            case 4:
                del data[at:]
            case _:
                start = rng.randrange(len(data) + 1)
                data[at:at] = data[start : start + rng.randint(1, 40)]
    return bytes(data)


def arbitrary(rng, levels=4):
    """A value that `dumps` carries."""
    shape = rng.randrange(9 if levels else 7)
    if shape == 7:
        return [arbitrary(rng, levels - 1) for _ in range(rng.choice((0, 1, 3, 17)))]
    if shape == 8:
        keys = (
            rng.choice(("id", "role", "content", 1, -1, None, True, b"k", "k" * 40, rng.random().hex()))
            for _ in range(rng.choice((0, 2, 17)))
        )
        return {key: arbitrary(rng, levels - 1) for key in keys}
    return [
        None,
        rng.random() < 0.5,
        rng.getrandbits(rng.randint(1, 64)),
        -rng.getrandbits(rng.randint(1, 63)),
        rng.random(),
        "ä€" * rng.randrange(40),
        rng.randbytes(rng.randrange(300)),
    ][shape]


def test_mutated_bytes_load_and_dump_again_or_are_refused():
    seed = int(os.environ.get("SWARMSTATE_FUZZ_SEED", time.time_ns() % 2**32))
    print(f"SWARMSTATE_FUZZ_SEED={seed}")
    rng = random.Random(seed)
    deadline = time.monotonic() + float(os.environ.get("SWARMSTATE_FUZZ_SECONDS", 5))
    outcomes = {"loaded": 0, "refused": 0}
    while time.monotonic() < deadline:
        written = dumps(arbitrary(rng))
        for _ in range(50):
            data = mutated(written, rng)
            try:
                value = loads(data)
            except ValueError:
                outcomes["refused"] += 1
                continue
            again = dumps(value)
            assert dumps(loads(again)) == again, data
            outcomes["loaded"] += 1
    print(outcomes)
    assert min(outcomes.values()) > 100
