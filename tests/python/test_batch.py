"""Batches: all or nothing, each operation and each condition, and what became of them."""

import subprocess
import sys
import threading

import pytest

import swarmstate as ss

# Where `clock` stands at first.
START_MILLIS = 1_700_000_000_000


def revisions(store, namespace):
    """What revision each key of a namespace is at."""
    return {key: store.entry(namespace, key).revision for key in store.keys(namespace)}


def test_a_batch_writes_at_the_end_of_its_block(store):
    with store.batch() as batch:
        batch.set("n", "a", 1)
        assert store.get("n", "a") is None

    assert store.get("n", "a") == 1


def test_a_batch_carries_out_every_operation(wide_store):
    wide_store.set_many(
        [("n", "deleted", 1), ("n", "live", "old"), ("n", "touched", 1), ("whole", "k", 1), ("from", "k", 7)]
    )

    with wide_store.batch() as batch:
        batch.set("n", "set", 1, ttl=5)
        batch.delete("n", "deleted")
        batch.increment("n", "counter", 3, ttl=6)
        batch.ensure("n", "live", "new")
        batch.ensure("n", "made", "new", ttl=7)
        batch.touch("n", "touched", 8)
        batch.delete_namespace("whole")
        batch.copy_namespace("from", "to")
        assert len(batch) == 8

    assert wide_store.items("n") == [("counter", 3), ("live", "old"), ("made", "new"), ("set", 1), ("touched", 1)]
    expiries = [wide_store.entry("n", key).expires_at for key in wide_store.keys("n")]
    assert expiries == [START_MILLIS + 6000, None, START_MILLIS + 7000, START_MILLIS + 5000, START_MILLIS + 8000]
    assert [wide_store.items("whole"), wide_store.items("to"), wide_store.items("from")] == [[], [("k", 7)], [("k", 7)]]


def test_outcomes_tell_what_became_of_each_operation(wide_store):
    live = wide_store.set("n", "live", 1)

    with wide_store.batch() as batch:
        batch.set("n", "set", 1)
        batch.delete("n", "nothing")
        batch.increment("n", "counter", 3)
        batch.ensure("n", "live", 2)
        batch.touch("n", "nobody", 1)
        batch.delete_namespace("nowhere")
        batch.copy_namespace("nowhere else", "target")
        assert batch.outcomes is None

    outcomes = batch.outcomes
    assert [outcome.written for outcome in outcomes] == [True, False, True, False, False, False, False]
    assert [outcome.integer for outcome in outcomes] == [None, None, 3, None, None, None, None]
    assert [outcome.revision for outcome in outcomes[1:]] == [0, outcomes[0].revision + 1, live, 0, 0, 0]
    assert repr(outcomes[1]) == "Outcome(revision=0, written=False, integer=None)"


def test_each_change_of_a_batch_takes_its_own_revision_in_order(store):
    with store.batch() as batch:
        for key in "cab":
            batch.set("n", key, 0)

    given = [store.entry("n", key).revision for key in "cab"]
    assert given == [outcome.revision for outcome in batch.outcomes] == sorted(set(given))


def test_a_later_set_of_a_key_wins_within_a_batch(store):
    with store.batch() as batch:
        batch.set("n", "k", 1, ttl=5)
        batch.set("n", "other", 1)
        batch.set("n", "k", 2)

    assert store.items("n") == [("k", 2), ("other", 1)]
    assert store.entry("n", "k").expires_at is None
    assert len(batch.outcomes) == 2


def test_an_exception_inside_the_block_writes_nothing_and_passes_on(store):
    with pytest.raises(LookupError, match="half way"), store.batch() as batch:
        batch.set("n", "a", 1)
        raise LookupError("half way")

    assert [len(store), batch.outcomes] == [0, None]


def test_a_value_that_is_not_storable_fails_where_it_is_given(store):
    with pytest.raises(TypeError, match=r"value\[0\]: set is not storable"), store.batch() as batch:
        batch.set("n", "a", 1)
        batch.set("n", "b", [{1}])
        pytest.fail("the line above raises")

    assert len(store) == 0


def test_a_batch_encodes_a_value_when_it_is_given(store):
    value = [1]

    with store.batch() as batch:
        batch.set("n", "k", value)
        value.append(2)

    assert store.get("n", "k") == [1]


def test_an_empty_batch_is_fine(store):
    with store.batch() as batch:
        pass

    assert batch.outcomes == []


def requiring(store, **wanted):
    """Tries a batch whose only condition is `wanted`; answers whether it was carried out, and else the conflict."""
    try:
        with store.batch() as batch:
            batch.set("written", "k", 1)
            for name, arguments in wanted.items():
                getattr(batch, name)(*arguments)
    except ss.ConflictError as conflict:
        assert store.get("written", "k") is None
        return conflict
    return store.delete("written", "k")


def test_a_batch_requires_a_key_at_a_revision(wide_store):
    old = wide_store.set("n", "k", 1)
    new = wide_store.set("n", "k", 2)

    assert requiring(wide_store, require=("n", "k", new)) is True
    conflict = requiring(wide_store, require=("n", "k", old))
    assert [conflict.namespace, conflict.key, conflict.revision, conflict.position] == ["n", "k", new, 0]


def test_a_batch_requires_a_key_to_be_absent(wide_store):
    standing = wide_store.set("n", "k", 1)

    assert requiring(wide_store, require=("n", "absent", 0)) is True
    assert requiring(wide_store, require=("n", "k", 0)).revision == standing


def test_a_batch_requires_a_key_to_be_present(wide_store, clock):
    wide_store.set("n", "k", 1, ttl=5)

    assert requiring(wide_store, require_present=("n", "k")) is True
    clock.advance(5)
    assert requiring(wide_store, require_present=("n", "k")).revision == 0


def test_a_batch_requires_that_nothing_in_a_namespace_changed(wide_store):
    wide_store.set("n", "a", 1)
    last = wide_store.set("n", "b", 1)

    assert requiring(wide_store, require_namespace=("n", last)) is True
    assert requiring(wide_store, require_namespace=("absent", 0)) is True
    deleted = wide_store.set("n", "c", 1) + 1
    wide_store.delete("n", "c")
    conflict = requiring(wide_store, require_namespace=("n", last))
    assert conflict.key is None
    assert conflict.revision >= deleted - 1 > last


def test_conditions_are_judged_on_the_state_before_the_batch(store):
    with store.batch() as batch:
        batch.set("n", "k", 1)
        batch.require("n", "k", 0)

    with pytest.raises(ss.ConflictError), store.batch() as batch:
        batch.delete("n", "k")
        batch.require("n", "k", 0)

    assert store.get("n", "k") == 1


def test_a_failed_condition_tells_its_place(store):
    with pytest.raises(ss.ConflictError) as caught, store.batch() as batch:
        batch.set("n", "k", 1)
        batch.require("n", "absent", 0)
        batch.require_present("n", "missing")

    assert [caught.value.position, caught.value.key] == [1, "missing"]
    assert len(store) == 0


@pytest.mark.parametrize(
    "collect",
    [
        lambda batch: batch.increment("n", "text"),
        lambda batch: batch.increment("n", "most"),
        lambda batch: batch.copy_namespace("m", "n"),
        lambda batch: batch.set("n", "first", 2, ttl=1e18),
        lambda batch: batch.delete("n", "first"),
        lambda batch: batch.delete_namespace("n"),
    ],
    ids=["wrong kind", "overflow", "target exists", "ttl", "named twice", "whole and by key"],
)
def test_a_batch_that_fails_leaves_the_state_and_the_revisions(wide_store, collect):
    wide_store.set_many([("n", "text", "x"), ("n", "most", 2**63 - 1), ("m", "k", 1)])
    before = [wide_store.items("n"), revisions(wide_store, "n"), wide_store.items("m"), len(wide_store)]

    with pytest.raises(ss.Error), wide_store.batch() as batch:
        batch.set("n", "first", 1)
        batch.set("o", "k", 1)
        collect(batch)

    assert [wide_store.items("n"), revisions(wide_store, "n"), wide_store.items("m"), len(wide_store)] == before
    assert batch.outcomes is None


def test_a_key_is_named_once_unless_it_is_set_again(store):
    with pytest.raises(ss.InvalidError, match='names key "k" in namespace "n" twice'), store.batch() as batch:
        batch.set("n", "k", 1)
        batch.delete("n", "k")

    assert len(store) == 0


def test_a_batch_is_used_once(store):
    with store.batch() as batch:
        batch.set("n", "k", 1)

    for use in (
        lambda: batch.set("n", "k", 2),
        lambda: batch.require("n", "k", 0),
        lambda: batch.delete_namespace("n"),
        lambda: batch.__enter__(),
        lambda: batch.__exit__(None, None, None),
    ):
        with pytest.raises(ss.InvalidError, match="the batch is over"):
            use()
    assert store.get("n", "k") == 1


# Python code runs where the exception is made, as it does when a collection of garbage falls there.
USES_A_BATCH_THAT_IS_OVER = """
import swarmstate as ss

batch = ss.Store().batch()
with batch:
    pass

class Error(ss.InvalidError):
    def __init__(self, message):
        super().__init__(message, len(batch))

ss.exceptions.InvalidError = Error
for use in (lambda: batch.set("n", "k", 1), batch.__enter__, lambda: batch.__exit__(None, None, None)):
    try:
        use()
    except Error as error:
        print(*error.args)
"""


def test_python_code_may_use_a_batch_while_it_raises():
    command = [sys.executable, "-c", USES_A_BATCH_THAT_IS_OVER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == ["the batch is over; take a new one from the store 0"] * 3, done.stderr


def test_a_batch_says_how_far_it_is(store):
    batch = store.batch()
    batch.set("n", "k", 1)
    assert repr(batch) == "<Batch: 1 operations>"

    with batch:
        pass
    assert repr(batch) == "<Batch: 1 operations carried out>"

    with pytest.raises(LookupError), store.batch() as failed:
        raise LookupError
    assert repr(failed) == "<Batch: over, nothing carried out>"


def test_a_reader_sees_a_batch_whole_or_not_at_all(store, run_threads):
    store.set_many([("n", "a", 0), ("n", "b", 0)])
    is_over, seen = threading.Event(), []

    def write():
        for i in range(1, 300):
            with store.batch() as batch:
                batch.set("n", "a", i)
                batch.set("n", "b", i)
        is_over.set()

    def read():
        while not is_over.is_set():
            seen.append(store.get_many([("n", "a"), ("n", "b")]))

    run_threads([write, read, read])

    assert all(a == b for a, b in seen)


def test_a_batch_above_the_limit_of_operations_is_too_large(store):
    most = store.capabilities.max_batch_operations

    with pytest.raises(ss.TooLargeError, match="a batch in operations") as caught:
        store.set_many(("n", str(i), None) for i in range(most + 1))

    assert [caught.value.size, caught.value.limit, len(store)] == [most + 1, most, 0]
