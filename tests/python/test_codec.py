"""What `dumps` and `loads` carry, what they refuse, and how they say so."""

import collections
import dataclasses
import datetime
import decimal
import enum
import gc
import math
import struct
import subprocess
import sys
import threading

import msgpack
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmstate._core import dumps, loads

MAX_DEPTH = 256

integers = st.integers(min_value=-(2**63), max_value=2**64 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | integers | st.floats() | text | st.binary()
keys = st.none() | st.booleans() | integers | text | st.binary()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=40,
)


def same(read, written):
    """Tells whether `read` is `written` after a round trip: equal types, tuples as lists, NaN as NaN, -0.0 as -0.0."""
    if isinstance(written, (list, tuple)):
        return type(read) is list and len(read) == len(written) and all(map(same, read, written))
    if isinstance(written, dict):
        return (
            type(read) is dict
            and all(map(same, read.keys(), written.keys()))
            and all(map(same, read.values(), written.values()))
        )
    if isinstance(written, float):
        return type(read) is float and (
            struct.pack("d", read) == struct.pack("d", written) or (math.isnan(read) and math.isnan(written))
        )
    return type(read) is type(written) and read == written


def nested_lists(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def nested_dicts(levels):
    value = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def depth_of(value):
    depth = 0
    while isinstance(value, (list, dict)):
        depth += 1
        if not value:
            break
        value = value[0] if isinstance(value, list) else value["a"]
    return depth


# Round trips, and other readers and writers of the format


@given(values)
def test_every_supported_value_comes_back(value):
    assert same(loads(dumps(value)), value)


@given(values)
def test_another_library_reads_what_dumps_writes(value):
    read = msgpack.unpackb(dumps(value), strict_map_key=False)
    assert same(read, value)


@given(values)
def test_loads_reads_what_another_library_writes(value):
    assert same(loads(msgpack.packb(value, use_bin_type=True)), value)


@given(values)
def test_dumps_writes_the_shortest_forms(value):
    assert dumps(value) == msgpack.packb(value, use_bin_type=True)


@pytest.mark.parametrize("length", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
@pytest.mark.parametrize(
    "make", [lambda n: "x" * n, lambda n: b"x" * n, lambda n: [1] * n, lambda n: dict.fromkeys(range(n))]
)
def test_every_length_takes_the_shortest_header(make, length):
    value = make(length)
    assert dumps(value) == msgpack.packb(value, use_bin_type=True)
    assert loads(dumps(value)) == value


BOUNDARIES = [
    sign * (base + offset)
    for base in (0, 2**5, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**63)
    for offset in (-1, 0, 1)
    for sign in (1, -1)
    if sign * (base + offset) >= -(2**63)
]


@pytest.mark.parametrize("value", BOUNDARIES)
def test_integers_around_each_boundary_take_the_shortest_form(value):
    assert dumps(value) == msgpack.packb(value)
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 2**64 - 1, -(2**63), True, False, None, "", b"", [], {}, ()],
)
def test_values_at_the_edge_are_kept(value):
    assert same(loads(dumps(value)), value)


def test_a_32_bit_float_is_read():
    assert loads(b"\xca" + struct.pack(">f", 1.5)) == 1.5


def test_large_bytes_and_text_come_back():
    for value in (b"\x00\xff" * 50_000, "a" * 100_000, "é" * 100_000, "𐍈" * 50_000):
        assert loads(dumps(value)) == value
        assert loads(dumps([value])) == [value]


def test_loads_takes_bytearray_and_memoryview():
    data = dumps({"a": [1, 2]})
    assert loads(bytearray(data)) == loads(memoryview(data)) == loads(memoryview(data + b"x")[:-1]) == {"a": [1, 2]}


@pytest.mark.parametrize("data", ["text", None, 1, [1], bytes])
def test_loads_refuses_what_is_not_bytes(data):
    with pytest.raises(TypeError, match="bytes, bytearray or memoryview"):
        loads(data)


def test_of_equal_map_keys_the_last_wins():
    assert loads(b"\x83\xa1a\x01\xa1b\x02\xa1a\x03") == {"a": 3, "b": 2}


@pytest.mark.parametrize("length", [*range(0, 40)])
def test_keys_that_differ_in_one_byte_stay_apart(length):
    for place in range(length):
        value = {"k" * length: 0, "k" * place + "x" + "k" * (length - place - 1): 1}
        assert loads(dumps(value)) == value
        assert loads(dumps(value)) == value


def test_more_keys_than_the_cache_holds_come_back():
    value = {f"key-{number}": number for number in range(5000)}
    for _ in range(3):
        assert loads(dumps(value)) == value


# Subclasses


class Color(enum.IntEnum):
    RED = 3


class Mode(str, enum.Enum):
    FAST = "fast"


Point = collections.namedtuple("Point", "x y")


class MyFloat(float):
    def __float__(self):
        raise AssertionError("the stored number counts")


class MyStr(str):
    def __str__(self):
        raise AssertionError("the stored text counts")


class MyList(list):
    def __iter__(self):
        raise AssertionError("the stored items count")


class MyBytes(bytes):
    pass


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (Color.RED, 3),
        (Mode.FAST, "fast"),
        (Point(1, 2), [1, 2]),
        (MyFloat(1.5), 1.5),
        (MyStr("a"), "a"),
        (MyList([1, 2]), [1, 2]),
        (MyBytes(b"a"), b"a"),
        (numpy.float64(0.5), 0.5),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        ({Color.RED: 1, Mode.FAST: 2, MyBytes(b"k"): 3}, {3: 1, "fast": 2, b"k": 3}),
    ],
)
def test_a_subclass_comes_back_as_its_base(value, base):
    assert same(loads(dumps(value)), base)
    assert dumps(value) == dumps(base)


def test_bool_is_kept_apart_from_int():
    assert [type(item) for item in loads(dumps([True, 1, False, 0]))] == [bool, int, bool, int]


def test_an_ordered_dict_keeps_the_order_of_its_items():
    value = collections.OrderedDict(a=1, b=2, c=3)
    value.move_to_end("a")
    assert list(loads(dumps(value))) == ["b", "c", "a"]


def test_a_dict_subclass_is_written_by_its_items():
    class Shouting(dict):
        def items(self):
            return ((key.upper(), value) for key, value in super().items())

    assert loads(dumps(Shouting(a=1, b=[Shouting(c=2)]))) == {"A": 1, "B": [{"C": 2}]}


def test_what_items_raises_passes_through():
    class Broken(dict):
        def items(self):
            raise LookupError("no items today")

    with pytest.raises(LookupError, match="no items today"):
        dumps({"a": [Broken(b=1)]})


@pytest.mark.parametrize("items", [None, 3, [1], [(1, 2, 3)], ["ab"], [None]])
def test_items_that_are_no_pairs_are_refused(items):
    class Odd(dict):
        def items(self):
            return items

    with pytest.raises((TypeError, ValueError)):
        dumps(Odd(a=1))


# What is refused


@dataclasses.dataclass
class Plain:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({1}, "set"),
        (frozenset([1]), "frozenset"),
        (object(), "object"),
        (Plain(), "Plain"),
        (numpy.zeros(2), "numpy.ndarray"),
        (numpy.int64(1), "numpy.int64"),
        (datetime.datetime(2026, 1, 1), "datetime.datetime"),
        (datetime.date(2026, 1, 1), "datetime.date"),
        (bytearray(b"a"), "bytearray"),
        (memoryview(b"a"), "memoryview"),
        (decimal.Decimal(1), "decimal.Decimal"),
        (1j, "complex"),
        (int, "type"),
        (dumps, "builtin_function_or_method"),
        ((item for item in ()), "generator"),
        (collections.deque(), "collections.deque"),
        (type("Überlang" * 1000, (), {})(), "Überlang"),
    ],
)
def test_what_is_not_storable_is_a_type_error_with_path_and_type(value, name):
    for whole, path in [
        (value, "value"),
        ([0, value], "value[1]"),
        ({"a": [1, 2, 3, value]}, 'value["a"][3]'),
        ((({7: {b"k": {None: {True: value}}}},),), 'value[0][0][7][b"k"][None][True]'),
        (collections.OrderedDict(a=value), 'value["a"]'),
    ]:
        with pytest.raises(TypeError) as refused:
            dumps(whole)
        message = str(refused.value)
        assert message.startswith(f"{path}: ")
        assert name in message
        assert "is not storable" in message
        assert len(message) < 300


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (bytearray(), "bytes()"),
        (memoryview(b""), "bytes()"),
        (datetime.datetime(2026, 1, 1), "isoformat()"),
        (numpy.zeros(1), "tolist()"),
    ],
)
def test_the_message_tells_what_to_store_instead(value, advice):
    with pytest.raises(TypeError) as refused:
        dumps(value)
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    ("key", "name"), [((1, 2), "tuple"), (1.5, "float"), (frozenset(), "frozenset"), (object(), "object")]
)
def test_a_dict_key_of_another_type_is_a_type_error_with_path_and_type(key, name):
    with pytest.raises(TypeError) as refused:
        dumps({"a": [{key: 1}]})
    assert str(refused.value).startswith(f'value["a"][0]: {name} is not storable as a dict key')


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**100, -(10**100)])
def test_an_integer_out_of_range_is_a_value_error_with_path(number):
    for whole, path in [(number, "value"), ({"a": [number]}, 'value["a"][0]'), ({"a": {number: 1}}, 'value["a"]')]:
        with pytest.raises(ValueError) as refused:
            dumps(whole)
        assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"\ud800": 1}, {"a": "\udc00"}, MyStr("\ud800")])
def test_a_lone_surrogate_is_a_unicode_encode_error(value):
    with pytest.raises(UnicodeEncodeError):
        dumps(value)


def test_a_long_key_is_shortened_in_the_path():
    with pytest.raises(TypeError) as refused:
        dumps({"ключ" * 100_000: {1}, 'quote"\n': 1})
    assert len(str(refused.value)) < 300
    with pytest.raises(TypeError, match=r'value\["quote\\"\\n"\]: set'):
        dumps({'quote"\n': {1}})


def test_a_metaclass_that_raises_does_not_hide_the_refusal():
    class Meta(type):
        @property
        def __module__(cls):
            raise LookupError("no module today")

    with pytest.raises(TypeError, match="is not storable"):
        dumps([Meta("Odd", (), {})()])


def test_after_a_refusal_the_next_value_is_written_whole():
    for _ in range(3):
        with pytest.raises(TypeError):
            dumps(["left over", {1}])
        assert dumps([1]) == b"\x91\x01"


# Nesting


@pytest.mark.parametrize("make", [nested_lists, nested_dicts])
def test_256_levels_are_carried_and_257_are_not(make):
    assert depth_of(loads(dumps(make(MAX_DEPTH)))) == MAX_DEPTH
    with pytest.raises(ValueError, match="nested deeper than 256 levels, or contains itself") as refused:
        dumps(make(MAX_DEPTH + 1))
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("prefix", [b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdf\x00\x00\x00\x01\x01"])
def test_257_levels_of_bytes_are_refused(prefix):
    assert loads(prefix * MAX_DEPTH + b"\xc0") is not None
    with pytest.raises(ValueError, match="nested deeper than 256 levels"):
        loads(prefix * (MAX_DEPTH + 1) + b"\xc0")


def test_a_cycle_is_a_value_error():
    lists = []
    lists.append(lists)
    dicts = {}
    dicts["self"] = [dicts]
    ordered = collections.OrderedDict()
    ordered["self"] = (ordered,)
    for value in (lists, dicts, ordered):
        with pytest.raises(ValueError, match="contains itself"):
            dumps(value)


def test_100_000_levels_do_not_crash():
    for make in (nested_lists, nested_dicts):
        with pytest.raises(ValueError):
            dumps(make(100_000))
    for prefix in (b"\x91", b"\x81\xa1a", b"\x92\xc0"):
        with pytest.raises(ValueError):
            loads(prefix * 100_000)


def test_256_levels_fit_a_thread_with_a_64_kib_stack():
    program = """
import collections, threading
from swarmstate._core import dumps, loads
def run():
    for make in (lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: collections.OrderedDict(a=v)):
        value = make(0)
        for _ in range(255):
            value = make(value)
        loads(dumps(value))
        try:
            dumps(make(value))
        except ValueError:
            pass
    print("fits")
threading.stack_size(64 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "fits\n"), done.stderr


# Values that change meanwhile


class Acting(dict):
    """Runs `action` when its items are asked for, in the middle of an encode."""

    def __init__(self, action):
        super().__init__(a=1)
        self.action = action

    def items(self):
        self.action()
        return super().items()


def test_a_list_that_shrinks_meanwhile_is_a_runtime_error():
    value = [0, [[1]], "text" * 10]
    value.insert(1, Acting(value.clear))
    with pytest.raises(RuntimeError, match="list changed size"):
        dumps(value)


def test_a_list_that_grows_meanwhile_is_a_runtime_error():
    value = [0]
    value.append(Acting(lambda: value.append(1)))
    with pytest.raises(RuntimeError, match="list changed size"):
        dumps(value)


@pytest.mark.parametrize(
    "change", [dict.clear, lambda d: d.update(new=1), lambda d: d.update((str(i), i) for i in range(1000))]
)
def test_a_dict_that_changes_size_meanwhile_is_a_runtime_error(change):
    value = {"first": 0}
    value["acting"] = Acting(lambda: change(value))
    value["last"] = "text" * 10
    with pytest.raises(RuntimeError, match="dictionary changed size"):
        dumps(value)


def test_a_container_that_loses_its_last_reference_meanwhile_is_still_written():
    outer = [None, "end"]
    outer[0] = [Acting(lambda: outer.__setitem__(0, "gone")), ["x" * 50] * 3]
    assert loads(dumps(outer)) == [[{"a": 1}, ["x" * 50] * 3], "end"]
    held = {"inner": None}
    held["inner"] = {"k" * 50: Acting(lambda: held.update(inner="gone")), "after": {"b": ["y" * 50]}}
    assert loads(dumps(held)) == {"inner": {"k" * 50: {"a": 1}, "after": {"b": ["y" * 50]}}}


def test_a_path_is_told_when_the_container_is_gone_by_then():
    outer = {"o" * 40: None}
    outer["o" * 40] = {"k" * 40: [Acting(outer.clear), {1}]}
    with pytest.raises(TypeError) as refused:
        dumps(outer)
    assert str(refused.value).startswith(f'value["{"o" * 40}"]["{"k" * 40}"][1]: set is not storable')


def test_dumps_within_dumps_keeps_both_whole():
    inner = []
    value = ["before" * 10, Acting(lambda: inner.append(dumps({"inner": ["x" * 100]}))), "after" * 10]
    assert loads(dumps(value)) == ["before" * 10, {"a": 1}, "after" * 10]
    assert loads(inner[0]) == {"inner": ["x" * 100]}


def with_collector(callback, work):
    """Runs `work` while every step of the collector runs `callback`, with collections as frequent as can be."""
    before = gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(1)
    try:
        work()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(callback)


def test_a_finaliser_that_dumps_and_loads_meanwhile_disturbs_nothing():
    value = {"keys": [{"id": number, "text": "é" * number, "items": [[number], {}]} for number in range(30)]}
    written = dumps(value)
    calls = []

    def again(phase, info):
        calls.append(phase)
        assert loads(dumps(["again", {"id": 1}])) == ["again", {"id": 1}]
        with pytest.raises(UnicodeEncodeError):
            dumps("\ud800" * 100)

    class Finalised:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            again("del", None)

    def work():
        for _ in range(20):
            Finalised()
            assert dumps(value) == written
            assert loads(written) == value
            for refused, error in [
                (["x" * 50, "\udfff"], UnicodeEncodeError),
                ({"a": [{1}]}, TypeError),
                ([2**64], ValueError),
            ]:
                Finalised()
                with pytest.raises(error):
                    dumps(refused)
            with pytest.raises(ValueError):
                loads(written[:-1])

    with_collector(again, work)
    assert "del" in calls


def test_a_collector_that_looks_at_every_object_meets_no_half_made_list():
    written = dumps([[[[number] * 5] * 5] * 3 for number in range(5)])

    def look(phase, info):
        for seen in gc.get_objects():
            if type(seen) is list and len(seen) < 10:
                seen[:]

    def work():
        for _ in range(10):
            loads(written)

    with_collector(look, work)


def test_threads_encode_and_decode_side_by_side():
    values = [{f"key-{thread}-{number}": [number] * 3 for number in range(200)} for thread in range(4)]
    wrong = []

    def work(value):
        for _ in range(100):
            if loads(dumps(value)) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_references_are_neither_lost_nor_kept():
    text, value = "t" * 100, {"a": ["b" * 100, (1.5,), {"c": None}]}
    held = [value["a"], value["a"][0], value["a"][1], value["a"][2], value, text]
    written = dumps([value, text])
    before = [sys.getrefcount(item) for item in held]
    for _ in range(100):
        dumps([value, text])
        with pytest.raises(TypeError):
            dumps([value, text, {1}])
        read = loads(written)
    assert [sys.getrefcount(item) for item in held] == before
    built = [{"a": ["b" * 100, [1.5], {"c": None}]}, text[:50] + text[50:]]
    parts = [[sys.getrefcount(part) for part in (v, v[0], v[1], v[0]["a"], v[0]["a"][1])] for v in (read, built)]
    assert parts[0] == parts[1]
