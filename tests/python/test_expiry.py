"""What expires: when it is gone, and what each write does to the expiry that stands."""

import pytest

# Where `clock` stands at first.
START_MILLIS = 1_700_000_000_000


def test_an_entry_is_gone_at_its_time_for_every_read(store, clock):
    store.set("n", "short", "x", ttl=10)
    store.set("n", "long", "y", ttl=20)

    clock.advance(9.999)
    assert store.get("n", "short") == "x"
    clock.advance(0.001)

    assert store.get("n", "short", "gone") == "gone"
    assert [store.entry("n", "short"), store.contains("n", "short"), ("n", "short") in store] == [None, False, False]
    assert [store.keys("n"), store.items("n"), store.get_many([("n", "short")])] == [["long"], [("long", "y")], [None]]
    assert [len(store), store.size_bytes] == [1, 2]
    clock.advance(10)
    assert [store.namespaces(), len(store), store.size_bytes] == [[], 0, 0]


@pytest.mark.parametrize(("ttl", "millis"), [(1, 1000), (0.5, 500), (0.0001, 1), (1e-300, 1), (1.0005, 1001)])
def test_a_ttl_is_seconds_rounded_up_to_a_millisecond(store, ttl, millis):
    store.set("n", "k", 1, ttl=ttl)

    assert store.entry("n", "k").expires_at == START_MILLIS + millis


def test_set_clears_an_expiry_unless_it_gives_one(store):
    store.set("n", "k", 1, ttl=10)
    store.set("n", "k", 2)

    assert store.entry("n", "k").expires_at is None


def test_set_on_a_live_key_keeps_when_it_was_created_and_on_an_expired_one_does_not(store, clock):
    store.set("n", "k", 1, ttl=10)
    clock.advance(5)
    store.set("n", "k", 2, ttl=10)
    assert store.entry("n", "k").created_at == START_MILLIS

    clock.advance(10)
    store.set("n", "k", 3)

    assert store.entry("n", "k").created_at == START_MILLIS + 15_000


def test_a_write_on_an_expired_key_is_a_first_write(store, clock):
    store.set("n", "k", 41, ttl=10)
    clock.advance(10)

    store.set("n", "k", 1, if_revision=0)
    assert store.increment("n", "k") == 2
    store.set("n", "other", "text", ttl=10)
    clock.advance(10)
    assert store.increment("n", "other") == 1


def test_increment_keeps_the_expiry_of_a_live_key_and_gives_one_to_a_new_one(store, clock):
    store.increment("n", "k", ttl=10)
    clock.advance(5)

    store.increment("n", "k", ttl=100)
    store.increment("n", "forever")

    assert store.entry("n", "k").expires_at == START_MILLIS + 10_000
    assert store.entry("n", "forever").expires_at is None


def test_touch_moves_and_clears_the_expiry_and_keeps_the_value(store, clock):
    written = store.set("n", "k", "value", ttl=10)
    clock.advance(5)

    assert store.touch("n", "k", 10) is True
    moved = store.entry("n", "k")
    assert store.touch("n", "k", None) is True
    cleared = store.entry("n", "k")

    assert [moved.value, moved.expires_at, cleared.expires_at] == ["value", START_MILLIS + 15_000, None]
    assert written < moved.revision < cleared.revision
    assert [cleared.created_at, cleared.updated_at] == [START_MILLIS, START_MILLIS + 5000]


def test_touch_of_nothing_changes_nothing(store, clock):
    store.set("n", "gone", 1, ttl=1)
    clock.advance(1)

    assert [store.touch("n", "gone", 10), store.touch("n", "never", None)] == [False, False]
    assert len(store) == 0


def test_delete_of_an_expired_key_finds_nothing(store, clock):
    store.set("n", "k", 1, ttl=1)
    clock.advance(1)

    assert store.delete("n", "k") is False
    assert store.delete_namespace("n") is False


def test_compact_keeps_all_that_is_live(store, clock):
    store.set("n", "gone", 1, ttl=1)
    store.set("n", "kept", 2, ttl=2)
    clock.advance(1)

    store.compact()

    assert store.items("n") == [("kept", 2)]


@pytest.mark.parametrize("remove", ["nothing", "compact", "snapshot", "set elsewhere"])
def test_expiry_takes_no_revision(store, clock, remove):
    store.set("n", "gone", 1, ttl=1)
    last = store.set("n", "kept", 1)
    clock.advance(1)

    match remove:
        case "compact":
            store.compact()
        case "snapshot":
            store.snapshot()
        case "set elsewhere":
            store.set("m", "k", 1)
    with store.batch() as batch:
        batch.require_namespace("n", last)
        batch.set("n", "new", 1)

    assert store.keys("n") == ["kept", "new"]
