"""Listings of keys, items and namespaces: order, prefix, cursor, limit."""

import pytest

LISTED = ["", "%", "*", "A", "B", "_", "a", "a%", "a*b", "a\0", "a_", "aa", "b", "é", "🗝"]


@pytest.fixture
def listed(store):
    store.set_many([("n", key, position) for position, key in reversed(list(enumerate(LISTED)))])
    return store


def test_keys_are_listed_by_their_bytes(listed):
    in_order = sorted(LISTED, key=str.encode)

    assert listed.keys("n") == in_order
    assert listed.keys("n", reverse=True) == in_order[::-1]
    assert [key for key, _ in listed.items("n")] == in_order


def test_items_are_pairs_of_key_and_value(listed):
    assert listed.items("n", prefix="a", limit=2) == [("a", LISTED.index("a")), ("a\0", LISTED.index("a\0"))]


@pytest.mark.parametrize("prefix", ["", "a", "a%", "%", "_", "*", "A", "a\0", "zz", "é"], ids=ascii)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_prefix_is_a_range_and_never_a_pattern(listed, prefix, reverse):
    expected = sorted((key for key in LISTED if key.startswith(prefix)), key=str.encode, reverse=reverse)

    assert listed.keys("n", prefix=prefix, reverse=reverse) == expected


@pytest.mark.parametrize("after", [*LISTED, "a ", "zz", "\0"], ids=ascii)
def test_a_listing_goes_on_behind_its_cursor(listed, after):
    in_order = sorted(LISTED, key=str.encode)

    assert listed.keys("n", after=after) == [key for key in in_order if key.encode() > after.encode()]
    assert listed.keys("n", after=after, reverse=True) == [
        key for key in reversed(in_order) if key.encode() < after.encode()
    ]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
@pytest.mark.parametrize("reverse", [False, True])
def test_paging_by_the_last_key_shows_every_key_once(listed, limit, reverse):
    paged, page = [], listed.keys("n", limit=limit, reverse=reverse)
    while page:
        paged += page
        page = listed.keys("n", after=page[-1], limit=limit, reverse=reverse)

    assert paged == listed.keys("n", reverse=reverse)


def test_a_limit_of_zero_lists_nothing(listed):
    assert [listed.keys("n", limit=0), listed.items("n", limit=0), listed.namespaces(limit=0)] == [[], [], []]


def test_a_cursor_outside_the_prefix_is_only_a_bound(listed):
    assert listed.keys("n", prefix="a", after="A") == listed.keys("n", prefix="a")
    assert listed.keys("n", prefix="a", after="b") == []
    assert listed.keys("n", prefix="a", after="b", reverse=True) == listed.keys("n", prefix="a", reverse=True)


def test_a_page_is_full_although_entries_in_it_expired(store, clock):
    store.set_many([("n", f"{i:02}", i) for i in range(20)])
    store.set_many([("n", f"{i:02}", i) for i in range(0, 20, 2)], ttl=1)
    clock.advance(1)

    assert store.keys("n", limit=5) == ["01", "03", "05", "07", "09"]


def test_namespaces_are_listed_by_the_same_rules(store):
    for namespace in LISTED:
        store.set(namespace, "k", 1)
    in_order = sorted(LISTED, key=str.encode)

    assert store.namespaces() == in_order
    assert store.namespaces(reverse=True, limit=2) == in_order[:-3:-1]
    assert store.namespaces(prefix="a", after="a", limit=2) == ["a\0", "a%"]
