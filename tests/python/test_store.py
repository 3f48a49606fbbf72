"""A store from Python: entries, names, conditions on one write, integers, several at once, whole namespaces."""

import gc
import weakref

import pytest

import swarmstate as ss

# Where `clock` stands at first.
START_MILLIS = 1_700_000_000_000


def revisions(store, namespace):
    """What revision each key of a namespace is at."""
    return {key: store.entry(namespace, key).revision for key in store.keys(namespace)}


def test_set_returns_a_revision_that_rises_with_every_write(store):
    first = store.set("n", "a", 1)
    second = store.set("n", "b", 1)
    third = store.set("n", "a", 1)

    assert 0 < first < second < third
    assert revisions(store, "n") == {"a": third, "b": second}


def test_a_revision_is_never_given_twice_over_deletes_restores_and_clears(store):
    given = [store.set("n", "k", 0)]
    snapshot = store.snapshot()

    store.delete("n", "k")
    given.append(store.set("n", "k", 0))
    store.restore(snapshot)
    given.append(store.set("n", "k", 0))
    store.clear()
    given.append(store.set("n", "k", 0))

    assert given == sorted(set(given))


def test_an_entry_tells_value_kind_revision_times_and_size(store, clock):
    created = store.set("jobs", "a", {"step": 3})
    clock.advance(2.5)
    updated = store.set("jobs", "a", {"step": 4}, ttl=60)

    entry = store.entry("jobs", "a")

    assert [entry.namespace, entry.key, entry.value, entry.kind] == ["jobs", "a", {"step": 4}, "json"]
    assert entry.revision == updated > created
    assert [entry.created_at, entry.updated_at] == [START_MILLIS, START_MILLIS + 2500]
    assert entry.expires_at == START_MILLIS + 62_500
    assert entry.size_bytes == len(ss.dumps({"step": 4}))
    assert repr(entry) == f"Entry('jobs', 'a', {{'step': 4}}, kind='json', revision={updated})"


def test_an_absent_key_has_no_entry(store):
    assert store.entry("n", "k") is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (7, "integer"),
        (-(2**63), "integer"),
        (2**63 - 1, "integer"),
        (2**63, "json"),
        (True, "json"),
        (None, "json"),
        (1.0, "json"),
        ("text", "string"),
        (b"raw", "bytes"),
        ([1], "json"),
        ({}, "json"),
    ],
    ids=repr,
)
def test_the_kind_of_an_entry_follows_from_its_value(store, value, kind):
    store.set("n", "k", value)

    assert store.entry("n", "k").kind == kind


def test_a_value_that_was_read_is_a_copy(store):
    store.set("n", "k", {"list": []})

    store.get("n", "k")["list"].append(1)
    store.entry("n", "k").value["list"].append(1)
    store.items("n")[0][1]["list"].append(1)

    assert store.get("n", "k") == {"list": []}


def test_a_cycle_through_an_entrys_value_is_collected(store):
    class Witness:
        pass

    store.set("n", "k", [])
    entry, witness = store.entry("n", "k"), Witness()
    entry.value.extend([entry, witness])
    witness = weakref.ref(witness)

    del entry
    gc.collect()

    assert witness() is None


def test_a_value_that_was_set_can_change_without_the_store(store):
    value = {"list": []}

    store.set("n", "k", value)
    value["list"].append(1)

    assert store.get("n", "k") == {"list": []}


def test_a_store_counts_entries_and_value_bytes(store):
    store.set("a", "k", "four")
    store.set("b", "k", b"\0" * 100)

    assert [len(store), store.size_bytes] == [2, 5 + 102]
    store.delete("b", "k")
    assert [len(store), store.size_bytes] == [1, 5]


def test_an_empty_store_is_true(store):
    assert bool(store) is True


def test_membership_asks_for_a_pair(store):
    store.set("n", "k", None)

    assert ("n", "k") in store
    assert ("n", "other") not in store
    assert ("other", "k") not in store


@pytest.mark.parametrize("name", ["", "\0", "a\0b", "%", "_", "*", "ключ", "🗝", " ", "a/b:c", "x" * 4096], ids=ascii)
def test_any_text_up_to_the_limit_is_a_name(store, name):
    store.set(name, name, 1)

    assert [store.namespaces(), store.keys(name), store.get(name, name)] == [[name], [name], 1]
    assert store.delete(name, name) is True


def test_a_name_is_text_that_utf_8_can_hold_and_a_subclass_of_str_counts_as_its_text(store):
    class Name(str):
        __slots__ = ()

        def __str__(self):
            raise AssertionError("nobody asks")

        __hash__ = __eq__ = __str__

    store.set_many([(Name("n"), Name("k"), 1)])
    assert store.get("n", Name("k")) == 1
    for use in (
        lambda: store.set("n", "\ud800", 1),
        lambda: store.get("\ud800", "k"),
        lambda: store.keys("n", prefix="\ud800"),
        lambda: store.set_many([("n", "k", 2), ("n", "\ud800", 1)]),
        lambda: store.get_many([("n", "\ud800")]),
        lambda: ("n", "\ud800") in store,
    ):
        with pytest.raises(UnicodeEncodeError):
            use()
    assert store.items("n") == [("k", 1)]


def test_the_limit_of_a_name_counts_bytes_of_utf_8(store):
    store.set("n", "é" * 2048, 1)

    with pytest.raises(ss.InvalidError, match="a key of 4098 bytes is longer than 4096"):
        store.set("n", "é" * 2049, 1)


def test_namespace_and_key_never_run_into_one_another(store):
    store.set("ab", "c", 1)
    store.set("a", "bc", 2)
    store.set("a", "b\0c", 3)

    assert [store.get("ab", "c"), store.get("a", "bc"), store.get("a", "b\0c")] == [1, 2, 3]
    assert store.keys("a") == ["b\0c", "bc"]


def test_if_revision_zero_writes_only_an_absent_key(store):
    store.set("n", "k", "first", if_revision=0)

    with pytest.raises(ss.ConflictError) as caught:
        store.set("n", "k", "second", if_revision=0)

    assert store.get("n", "k") == "first"
    assert caught.value.revision == store.entry("n", "k").revision


def test_if_revision_writes_only_what_nobody_changed(store):
    seen = store.set("n", "k", 1)

    store.set("n", "k", 2, if_revision=seen)
    with pytest.raises(ss.ConflictError):
        store.set("n", "k", 3, if_revision=seen)

    assert store.get("n", "k") == 2


def test_a_conflict_names_the_address_and_the_revision_that_stands(store):
    actual = store.set("jobs", "a", 1)

    with pytest.raises(ss.ConflictError) as caught:
        store.set("jobs", "a", 2, if_revision=actual + 1)

    error = caught.value
    assert [error.namespace, error.key, error.revision, error.position] == ["jobs", "a", actual, 0]
    assert 'key "a" in namespace "jobs" is at revision' in str(error)


def test_delete_takes_a_condition_too(store):
    seen = store.set("n", "k", 1)
    newer = store.set("n", "k", 2)

    with pytest.raises(ss.ConflictError):
        store.delete("n", "k", if_revision=seen)

    assert store.delete("n", "k", if_revision=newer) is True


def test_a_delete_under_a_revision_conflicts_where_nothing_is(store):
    with pytest.raises(ss.ConflictError) as caught:
        store.delete("n", "k", if_revision=1)

    assert caught.value.revision == 0


def test_increment_counts_from_zero_and_by_what_it_is_told(store):
    assert store.increment("n", "k") == 1
    assert store.increment("n", "k", 5) == 6
    assert store.increment("n", "k", by=-10) == -4
    assert store.get("n", "k") == -4
    assert store.increment("n", "k", 0) == -4


def test_increment_works_on_what_set_wrote(store):
    store.set("n", "k", 2**62)

    assert store.increment("n", "k", 2**62 - 1) == 2**63 - 1


@pytest.mark.parametrize(
    ("value", "kind"), [("1", "string"), (b"1", "bytes"), (1.0, "json"), (True, "json"), (2**63, "json")], ids=repr
)
def test_increment_of_another_kind_is_refused_and_names_it(store, value, kind):
    revision = store.set("n", "k", value)

    with pytest.raises(ss.WrongTypeError, match=f'key "k" in namespace "n" holds {kind}') as caught:
        store.increment("n", "k")

    assert [caught.value.namespace, caught.value.key, caught.value.kind] == ["n", "k", kind]
    assert [store.get("n", "k"), store.entry("n", "k").revision] == [value, revision]


@pytest.mark.parametrize(("standing", "by"), [(2**63 - 1, 1), (-(2**63), -1)])
def test_increment_past_64_bits_is_refused_and_leaves_the_integer(store, standing, by):
    store.set("n", "k", standing)

    with pytest.raises(ss.InvalidError, match="outside the 64-bit integers"):
        store.increment("n", "k", by)

    assert store.get("n", "k") == standing


def test_set_many_writes_all_and_the_last_of_equal_addresses_wins(wide_store):
    assert wide_store.set_many([("n", "a", 1), ("m", "b", 2), ("n", "a", 3)]) is None

    assert wide_store.get_many([("n", "a"), ("m", "b")]) == [3, 2]
    assert len(wide_store) == 2


def test_set_many_takes_any_iterable_and_a_ttl(store, clock):
    store.set_many((("n", str(i), i) for i in range(3)), ttl=10)
    store.set_many([])

    assert len(store) == 3
    clock.advance(10)
    assert len(store) == 0


@pytest.mark.parametrize(
    "bad",
    [("n", "c", {1}), ("n", "c", 2**64), ("n", 5, 1), ("n", "c"), "n", ("n", "c" * 4097, 1), ("n" * 4097, "c", 1)],
    ids=["set", "int", "key", "pair", "str", "long key", "long namespace"],
)
def test_set_many_writes_nothing_when_one_item_is_wrong(store, bad):
    with pytest.raises((TypeError, ValueError)):
        store.set_many([("n", "a", 1), bad, ("n", "b", 2)])

    assert len(store) == 0


def test_set_many_passes_on_what_its_iterable_raises_and_writes_nothing(store):
    def items():
        yield "n", "a", 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        store.set_many(items())

    assert len(store) == 0


def test_set_many_asks_a_value_once_and_passes_on_what_it_raises(store):
    class RaisesOnce(dict):
        calls = 0

        def items(self):
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            return super().items()

    value = RaisesOnce(a=1)
    with pytest.raises(KeyboardInterrupt):
        store.set_many([("n", "k", 1), ("n", "l", value)])

    assert value.calls == 1
    assert len(store) == 0


def test_set_many_uses_the_store_inside_its_iterable(store):
    def items():
        for i in range(3):
            store.set("inside", str(i), i)
            yield "n", str(i), len(store)

    store.set_many(items())

    assert store.items("n") == [("0", 1), ("1", 2), ("2", 3)]


@pytest.mark.parametrize("length", [2**62, 2**44, -1])
def test_set_many_believes_no_length_that_its_iterable_claims(store, length):
    class Claims:
        def __len__(self):
            return length

        def __iter__(self):
            return iter([("n", "k", 1)])

    store.set_many(Claims())

    assert store.get("n", "k") == 1


def test_set_many_names_the_item_whose_value_is_not_storable(store):
    with pytest.raises(TypeError, match=r"^items\[1\]\[2\]\[\"a\"\]: set is not storable"):
        store.set_many([("n", "a", 1), ("n", "b", {"a": {1}})])

    assert len(store) == 0


def test_set_many_reads_no_further_than_a_batch_may_be_long(store):
    most, taken = store.capabilities.max_batch_operations, 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield ("n", "k", taken)

    with pytest.raises(ss.TooLargeError) as caught:
        store.set_many(endless())

    assert (taken, caught.value.limit, len(store)) == (most + 1, most, 0)


def test_stores_and_snapshots_can_be_referenced_weakly(store):
    snapshot = store.snapshot()

    assert weakref.ref(store)() is store
    assert weakref.ref(snapshot)() is snapshot


def test_get_many_answers_in_order_with_a_default_for_what_is_absent(store, fill):
    fill(store, [("a", "x", 1), ("b", "y", None)])

    pairs = [("b", "y"), ("a", "missing"), ("a", "x"), ("a", "x")]
    assert store.get_many(pairs) == [None, None, 1, 1]
    assert store.get_many(iter(pairs), default="-") == [None, "-", 1, 1]
    assert store.get_many([]) == []


def test_delete_namespace_removes_its_keys_and_no_other(store, fill):
    fill(store, [("x", "a", 1), ("x", "b", 1), ("x:y", "a", 1), ("", "a", 1)])

    assert store.delete_namespace("x") is True
    assert store.delete_namespace("x") is False
    assert store.namespaces() == ["", "x:y"]


def test_copy_namespace_copies_values_and_expiries_and_then_both_go_their_ways(store, clock):
    store.set("source", "a", [1], ttl=10)
    store.set("source", "b", 2)

    assert store.copy_namespace("source", "target") is True
    store.set("source", "b", 20)
    store.set("target", "c", 3)

    assert store.items("target") == [("a", [1]), ("b", 2), ("c", 3)]
    assert store.items("source") == [("a", [1]), ("b", 20)]
    clock.advance(10)
    assert store.keys("target") == ["b", "c"]


def test_copy_namespace_keeps_revisions_and_times_where_the_engine_says_so(store, clock):
    store.set("source", "k", 1)
    clock.advance(5)

    store.copy_namespace("source", "target")

    source, target = store.entry("source", "k"), store.entry("target", "k")
    is_same = [source.revision, source.created_at] == [target.revision, target.created_at]
    assert is_same is store.capabilities.copies_keep_revisions


def test_copy_namespace_of_nothing_does_nothing(store):
    assert store.copy_namespace("nowhere", "target") is False
    assert len(store) == 0


def test_copy_namespace_into_one_that_lives_is_a_conflict(store, clock):
    store.set("source", "k", 1)
    store.set("target", "k", 2, ttl=5)

    with pytest.raises(ss.ConflictError) as caught:
        store.copy_namespace("source", "target")
    assert [caught.value.namespace, caught.value.key, store.get("target", "k")] == ["target", None, 2]

    clock.advance(5)
    assert store.copy_namespace("source", "target") is True
    assert store.get("target", "k") == 1
