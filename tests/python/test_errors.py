"""What a store raises: the tree, what each error knows, and that a refused call names its fault and writes nothing."""

import inspect
import io
import pickle

import pytest

import swarmstate as ss
from swarmstate import _core, exceptions

TREE = {
    ss.NotFoundError: KeyError,
    ss.ConflictError: Exception,
    ss.WrongTypeError: TypeError,
    ss.InvalidError: ValueError,
    ss.TooLargeError: ValueError,
    ss.UnsupportedError: NotImplementedError,
    ss.CorruptError: Exception,
    ss.UnavailableError: ConnectionError,
}

NAMES = ["namespace", "key", "prefix", "after", "source", "target"]

# What each argument does not take. `value`, `obj` and `default` take any object of Python's; what lies in a value is
# the codec's to judge, and its message begins with the path.
WRONG = {
    **{name: [b"bytes", 7, ["list"]] for name in [*NAMES, "url", "backend", "codec", "durability"]},
    **{name: [b"bytes", 7] for name in ["host", "api_key", "public_url", "pages_url"]},
    **{name: ["1", 1.0] for name in ["port", "pages_port", "rate_limit"]},
    **{name: [1, "yes"] for name in ["read_only", "access_log"]},
    "store": ["memory:", 7],
    "capabilities": ["kv", 7, ["kv", 7]],
    **{name: ["1", 1.0, b"1"] for name in ["by", "if_revision", "revision", "limit", "max_history", "id"]},
    **{name: ["1", True, [1]] for name in ["ttl", "seconds", "timeout"]},
    **{name: [1, "yes"] for name in ["reverse", "create"]},
    "path": [b"bytes", 7, None],
    "ca": [b"bytes", 7],
    "snapshot": [1, "1", ss.Store()],
    "base": [1, None, ss.Store()],
    "clock": [1.0, "now", ss.Store()],
    "start": ["0", True],
    "items": [3, None],
    "pairs": [3, None],
}

# What stands for something else where state moves from one store to another.
WRONG_MOVES = {
    **{name: [7, "call me"] for name in ["source", "target", "progress"]},
    "file": [7, None],
    "format": [7, b"jsonl"],
}

RANGE = {"prefix": "", "after": None, "reverse": False, "limit": 1}
KEY = {"namespace": "n", "key": "k"}

# A call of every function and method that takes arguments, with each of its arguments.
CALLS = {
    "open": {"url": "memory:"},
    "serve": {
        "store": ss.Store(),
        "host": "127.0.0.1",
        "port": 0,
        "api_key": "a key of some length",
        "public_url": "http://localhost",
        "pages_port": 0,
        "pages_url": "http://localhost",
        "capabilities": ["kv"],
        "rate_limit": 1,
        "read_only": False,
        "access_log": False,
        "clock": ss.Clock(),
    },
    "copy": {"source": ss.Store().snapshot(), "target": ss.Store(), "progress": None},
    "export": {"source": ss.Store(), "file": io.BytesIO(), "format": "jsonl", "progress": None},
    "import_": {"file": io.BytesIO(), "target": ss.Store(), "progress": None},
    "Clock": {"start": 0.0},
    "Clock.advance": {"seconds": 1},
    "RedisStore": {
        "url": "redis://127.0.0.1",
        "prefix": "p",
        "timeout": 1,
        "max_history": 1,
        "ca": "ca.pem",
        "clock": ss.Clock(),
    },
    "SqliteStore": {
        "path": "state.db",
        "durability": "full",
        "timeout": 1,
        "max_history": 1,
        "create": False,
        "clock": ss.Clock(),
    },
    "Store": {"backend": "memory", "codec": "msgpack", "max_history": 1, "clock": ss.Clock()},
    "Store.set": {**KEY, "value": 1, "ttl": 1, "if_revision": 0},
    "Store.get": {**KEY, "default": None},
    "Store.entry": KEY,
    "Store.contains": KEY,
    "Store.delete": {**KEY, "if_revision": 1},
    "Store.increment": {**KEY, "by": 1, "ttl": 1},
    "Store.touch": {**KEY, "ttl": 1},
    "Store.keys": {"namespace": "n", **RANGE},
    "Store.items": {"namespace": "n", **RANGE},
    "Store.namespaces": RANGE,
    "Store.set_many": {"items": [("n", "k", 1)], "ttl": 1},
    "Store.get_many": {"pairs": [("n", "k")], "default": None},
    "Store.delete_namespace": {"namespace": "n"},
    "Store.copy_namespace": {"source": "n", "target": "m"},
    "Store.diff": {"base": ss.Store().snapshot()},
    "Store.restore": {"snapshot": ss.Store().snapshot()},
    "Store.snapshot_by_id": {"id": 1},
    "Store.drop_snapshot": {"id": 1},
    "Snapshot.get": {**KEY, "default": None},
    "Snapshot.entry": KEY,
    "Snapshot.items": {"namespace": "n", **RANGE},
    "Snapshot.namespaces": RANGE,
    "Snapshot.diff": {"base": ss.Store().snapshot()},
    "Snapshot.fork": {"max_history": 1},
    "Batch.set": {**KEY, "value": 1, "ttl": 1},
    "Batch.ensure": {**KEY, "value": 1, "ttl": 1},
    "Batch.delete": KEY,
    "Batch.increment": {**KEY, "by": 1, "ttl": 1},
    "Batch.touch": {**KEY, "ttl": 1},
    "Batch.delete_namespace": {"namespace": "n"},
    "Batch.copy_namespace": {"source": "n", "target": "m"},
    "Batch.require": {**KEY, "revision": 1},
    "Batch.require_present": KEY,
    "Batch.require_namespace": {"namespace": "n", "revision": 1},
}
# Positional only, and named by what they do: these two have tests of their own.
CODEC = {"dumps", "loads"}
ANY_OBJECT = {"value", "default"}
MOVES = {"copy", "export", "import_"}


def arguments_of_the_binding():
    """The dotted name of everything that users call with arguments, and the names of its arguments."""
    found = {}
    for name in set(_core.__all__) & set(ss.__all__):
        thing = getattr(_core, name)
        members = vars(thing).items() if isinstance(thing, type) else []
        callables = {name: thing, **{f"{name}.{key}": member for key, member in members if not key.startswith("_")}}
        for dotted, called in callables.items():
            signature = inspect.signature(called) if callable(called) and takes_arguments(called) else None
            parameters = [parameter for parameter in signature.parameters if parameter != "self"] if signature else []
            if parameters:
                found[dotted] = sorted(parameters)
    return found


def takes_arguments(called):
    return getattr(called, "__text_signature__", None) is not None


def wrong_calls():
    for dotted, arguments in CALLS.items():
        for argument in arguments.keys() - ANY_OBJECT:
            wrong = WRONG_MOVES[argument] if dotted in MOVES else WRONG[argument]
            for position, value in enumerate(wrong):
                yield pytest.param(dotted, argument, value, id=f"{dotted}-{argument}-{position}")


def long_name_calls():
    for dotted, arguments in CALLS.items():
        for argument in sorted(arguments.keys() & set(NAMES)):
            if dotted not in MOVES and dotted != "RedisStore":
                yield pytest.param(dotted, argument, id=f"{dotted}-{argument}")


@pytest.fixture
def filled(store, fill):
    """A store in which every call of the table would change or read something."""
    fill(store, [("n", "k", 1), ("n", "other", "text"), ("o", "k", [1])])
    store.snapshot()
    return store


def call(store, dotted, arguments):
    """Makes a call of the table on `store`, on its snapshot, or on a batch of it that is then carried out."""
    owner, _, method = dotted.rpartition(".")
    if owner == "Store":
        return getattr(store, method)(**arguments)
    if owner == "Snapshot":
        return getattr(store.history()[0], method)(**arguments)
    if owner == "Clock":
        return getattr(ss.Clock(), method)(**arguments)
    if owner == "Batch":
        with store.batch() as batch:
            batch.set("written", "by the batch", 1)
            return getattr(batch, method)(**arguments)
    return getattr(ss, method)(**arguments)


def contents(store):
    """All that a user sees of a store."""
    entries = [store.entry(namespace, key) for namespace in store.namespaces() for key in store.keys(namespace)]
    state = [(entry.namespace, entry.key, entry.value, entry.revision, entry.expires_at) for entry in entries]
    return state, len(store), store.size_bytes, [snapshot.id for snapshot in store.history()]


def test_the_table_has_every_argument_of_every_method():
    table = {dotted: sorted(arguments) for dotted, arguments in CALLS.items()}

    assert table == {dotted: names for dotted, names in arguments_of_the_binding().items() if dotted not in CODEC}


@pytest.mark.parametrize(("dotted", "argument", "value"), list(wrong_calls()))
def test_an_argument_of_a_wrong_type_is_a_type_error_that_names_it(filled, dotted, argument, value):
    before = contents(filled)

    with pytest.raises(TypeError, match=f"^argument '{argument}' must be "):
        call(filled, dotted, {**CALLS[dotted], argument: value})

    assert contents(filled) == before


def test_a_copy_whose_progress_cannot_be_called_writes_nothing(filled, make_store):
    target = make_store()

    with pytest.raises(TypeError, match=r"^argument 'progress' must be "):
        ss.copy(filled, target, progress=3)

    assert len(target) == 0


@pytest.mark.parametrize(("dotted", "argument"), list(long_name_calls()))
def test_a_name_above_the_limit_is_refused_and_nothing_is_written(filled, dotted, argument):
    before = contents(filled)

    with pytest.raises(ss.InvalidError, match="of 4097 bytes is longer than 4096"):
        call(filled, dotted, {**CALLS[dotted], argument: "x" * 4097})

    assert contents(filled) == before


@pytest.mark.parametrize("dotted", [dotted for dotted, arguments in CALLS.items() if "value" in arguments])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({1}, TypeError, r"^value: set is not storable"),
        ({"a": [1, {"b": {1}}]}, TypeError, r'^value\["a"\]\[1\]\["b"\]: set is not storable'),
        ({"a": [2**64]}, ValueError, r'^value\["a"\]\[0\]: int is outside'),
        ({(1, 2): 3}, TypeError, r"^value: tuple is not storable as a dict key"),
        ("\ud800", UnicodeEncodeError, "surrogates not allowed"),
    ],
    ids=["set", "path", "int", "dict key", "surrogate"],
)
def test_a_value_that_is_not_storable_is_named_by_its_path(filled, dotted, value, error, message):
    before = contents(filled)

    with pytest.raises(error, match=message):
        call(filled, dotted, {**CALLS[dotted], "value": value})

    assert contents(filled) == before


def test_a_value_that_contains_itself_or_nests_too_deep_is_a_value_error(store):
    cycle = []
    cycle.append(cycle)

    with pytest.raises(ValueError, match="nested deeper than 256 levels, or contains itself"):
        store.set("n", "k", cycle)

    assert len(store) == 0


def test_the_codec_says_what_it_takes():
    with pytest.raises(TypeError, match=r"^value: set is not storable"):
        ss.dumps({1})
    with pytest.raises(TypeError, match=r"^loads takes bytes, bytearray or memoryview, not str"):
        ss.loads("text")
    with pytest.raises(ValueError, match="malformed msgpack at byte 0"):
        ss.loads(b"")


@pytest.mark.parametrize(
    ("dotted", "given", "message"),
    [
        ("Store.set", {"ttl": 0}, "ttl must be above 0 seconds and finite, but is 0"),
        ("Store.set", {"ttl": -1.5}, "but is -1.5"),
        ("Store.set", {"ttl": float("nan")}, "but is nan"),
        ("Store.set", {"ttl": float("inf")}, "but is inf"),
        ("Store.set", {"ttl": 10**400}, "but is an int of 1329 bits"),
        ("Store.set", {"ttl": 10**17, "if_revision": None}, "ends after all time"),
        ("Store.set", {"if_revision": -1}, "if_revision must not be negative, but is -1"),
        ("Store.set", {"if_revision": 2**64}, "if_revision is 18446744073709551616, outside the 64-bit integers"),
        ("Store.increment", {"by": 2**63}, "by is 9223372036854775808, outside the 64-bit integers"),
        ("Store.keys", {"limit": -1}, "limit must not be negative, but is -1"),
        ("Store.snapshot_by_id", {"id": -1}, "id must not be negative, but is -1"),
        ("Batch.require", {"revision": -1}, "revision must not be negative, but is -1"),
        ("Snapshot.fork", {"max_history": 0}, "max_history must be at least 1"),
        ("Store", {"max_history": -1}, "max_history must not be negative, but is -1"),
        ("Clock", {"start": float("nan")}, "start must be finite, but is nan"),
        ("Clock.advance", {"seconds": 0}, "seconds must be above 0 seconds and finite, but is 0"),
    ],
)
def test_an_argument_out_of_range_is_named_with_what_it_was(filled, dotted, given, message):
    before = contents(filled)

    with pytest.raises(ss.InvalidError, match=message):
        call(filled, dotted, {**CALLS[dotted], **given})

    assert contents(filled) == before


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("nk", r"a tuple \(namespace, key\) is wanted, not str"),
        (["n", "k"], r"a tuple \(namespace, key\) is wanted, not list"),
        (("n",), r"a tuple \(namespace, key\) is wanted, not one of 1 items"),
        (("n", "k", 1), r"a tuple \(namespace, key\) is wanted, not one of 3 items"),
        (("n", 1), "argument 'key' must be a str, not int"),
    ],
    ids=["str", "list", "one", "three", "int key"],
)
def test_what_is_no_pair_is_refused_by_every_use_of_pairs(filled, pair, message):
    for use in (lambda: pair in filled, lambda: pair in filled.snapshot(), lambda: filled.get_many([pair])):
        with pytest.raises(TypeError, match=message):
            use()


@pytest.mark.parametrize("kind", ["Batch", "Capabilities", "Entry", "Outcome", "Snapshot"])
def test_what_only_a_store_makes_cannot_be_made_by_hand(kind):
    with pytest.raises(TypeError, match=f"cannot create 'swarmstate.{kind}' instances"):
        getattr(ss, kind)()


@pytest.mark.parametrize("error", TREE)
def test_every_error_is_an_error_of_a_store_and_one_of_pythons_own(error):
    assert issubclass(error, ss.Error)
    assert issubclass(error, TREE[error])
    assert error.__module__ == "swarmstate.exceptions"
    assert getattr(exceptions, error.__name__) is error


def test_the_tree_has_every_error_that_is_exported():
    assert {exceptions.Error, *TREE} == {getattr(exceptions, name) for name in exceptions.__all__}


@pytest.mark.parametrize("error", TREE)
def test_every_class_of_error_comes_through_pickle(error):
    raised = error("the message")
    raised.fact = 7

    copied = pickle.loads(pickle.dumps(raised))

    assert [type(copied), str(copied), copied.fact] == [error, "the message", 7]


def conflict():
    store = ss.Store()
    store.set("n", "k", 1)
    store.set("n", "k", 1, if_revision=0)


def wrong_type():
    store = ss.Store()
    store.set("n", "k", "text")
    store.increment("n", "k")


RAISING = {
    "NotFoundError": lambda: ss.Store().snapshot_by_id(7),
    "ConflictError": conflict,
    "WrongTypeError": wrong_type,
    "InvalidError": lambda: ss.open("nothing:"),
    "TooLargeError": lambda: ss.Store().set_many(("n", str(i), 0) for i in range(1_000_001)),
}


@pytest.mark.parametrize("name", RAISING)
def test_an_error_comes_through_pickle_with_its_message_and_its_facts(name):
    with pytest.raises(getattr(ss, name)) as caught:
        RAISING[name]()

    copied = pickle.loads(pickle.dumps(caught.value))

    assert type(copied) is type(caught.value)
    assert [str(copied), copied.args] == [str(caught.value), caught.value.args]
    assert vars(copied) == {fact: value for fact, value in vars(caught.value).items() if fact != "__notes__"}


@pytest.mark.parametrize("name", RAISING)
def test_an_error_knows_the_facts_that_its_class_states(name):
    with pytest.raises(getattr(ss, name)) as caught:
        RAISING[name]()

    assert vars(caught.value).keys() == inspect.get_annotations(getattr(ss, name)).keys()


def test_a_missing_snapshot_is_named_without_quotes():
    with pytest.raises(ss.NotFoundError) as caught:
        ss.Store().snapshot_by_id(7)

    assert str(caught.value) == "snapshot 7 does not exist"


def test_a_value_above_the_limit_is_refused_with_its_size(store):
    limit = store.capabilities.max_value_bytes

    with pytest.raises(ss.TooLargeError, match='the value of key "k" in bytes takes') as caught:
        store.set("n", "k", bytes(limit))

    assert [caught.value.size, caught.value.limit, len(store)] == [limit + 5, limit, 0]
