"""Any history of operations, against a plain dict that knows when its values go."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import swarmstate as ss

WRITES = ["set", "set", "ensure", "delete", "increment", "touch", "clear namespace", "copy", "batch"]
names = st.sampled_from(["", "a", "a%", "b", "B", "a\0"])
values = st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=3)
ttls = st.none() | st.integers(1, 3)
operations = st.lists(
    st.tuples(st.sampled_from([*WRITES, "advance", "snapshot", "restore"]), names, names, values, ttls), max_size=40
)


class Model:
    """What a store is, as a dict from pairs to (value, when it goes in seconds or None)."""

    def __init__(self, clock):
        self.clock, self.state, self.taken = clock, {}, []

    def live(self):
        """What is live now, with when it goes."""
        now = self.clock.now()
        return {pair: (value, at) for pair, (value, at) in self.state.items() if at is None or at > now}

    def apply(self, store, name, first, second, value, ttl):
        self.state = self.live()
        match name:
            case "set":
                store.set(first, second, value, ttl=ttl)
                self.state[first, second] = value, self.after(ttl)
            case "ensure":
                with store.batch() as batch:
                    batch.ensure(first, second, value, ttl=ttl)
                assert batch.outcomes[0].written is ((first, second) not in self.state)
                self.state.setdefault((first, second), (value, self.after(ttl)))
            case "delete":
                assert store.delete(first, second) is (self.state.pop((first, second), None) is not None)
            case "touch":
                assert store.touch(first, second, ttl) is ((first, second) in self.state)
                if (first, second) in self.state:
                    self.state[first, second] = self.state[first, second][0], self.after(ttl)
            case "increment":
                self.increment(store, first, second, ttl)
            case "clear namespace":
                assert store.delete_namespace(first) is any(namespace == first for namespace, _ in self.state)
                self.state = {pair: kept for pair, kept in self.state.items() if pair[0] != first}
            case "copy":
                self.copy(store, first, second)
            case "batch":
                self.batch(store, first, second, value)
            case "advance":
                self.clock.advance(ttl or 1)
            case "snapshot":
                self.taken.append((store.snapshot(), dict(self.state)))
            case "restore" if self.taken:
                snapshot, kept = self.taken[len(second) % len(self.taken)]
                store.restore(snapshot)
                self.state = dict(kept)

    def after(self, ttl):
        return None if ttl is None else self.clock.now() + ttl

    def increment(self, store, namespace, key, ttl):
        standing, expires_at = self.state.get((namespace, key), (0, self.after(ttl)))
        if type(standing) is int:
            self.state[namespace, key] = standing + 1, expires_at
            assert store.increment(namespace, key, ttl=ttl) == standing + 1
        else:
            with pytest.raises(ss.WrongTypeError):
                store.increment(namespace, key, ttl=ttl)

    def copy(self, store, source, target):
        copied = {(target, key): kept for (namespace, key), kept in self.state.items() if namespace == source}
        if copied and any(namespace == target for namespace, _ in self.state):
            with pytest.raises(ss.ConflictError):
                store.copy_namespace(source, target)
        else:
            assert store.copy_namespace(source, target) is bool(copied)
            self.state |= copied

    def batch(self, store, namespace, key, value):
        """Sets two keys if the first one is absent, and else nothing."""
        other = (key if store.capabilities.atomic_across_namespaces else namespace, namespace)
        try:
            with store.batch() as batch:
                batch.require(namespace, key, 0)
                batch.set(namespace, key, value)
                batch.set(*other, "other")
            assert (namespace, key) not in self.state
        except ss.ConflictError as conflict:
            assert [conflict.namespace, conflict.key] == [namespace, key]
            assert (namespace, key) in self.state
            return
        self.state |= {(namespace, key): (value, None), other: ("other", None)}

    def check(self, reader, state):
        in_order = sorted(state, key=in_bytes)
        namespaces = list(dict.fromkeys(namespace for namespace, _ in in_order))
        assert reader.namespaces() == namespaces
        assert len(reader) == len(state)
        assert reader.size_bytes == sum(len(ss.dumps(value)) for value, _ in state.values())
        listed = [(namespace, key, value) for namespace in namespaces for key, value in reader.items(namespace)]
        assert listed == [(*pair, state[pair][0]) for pair in in_order]


def in_bytes(pair):
    return pair[0].encode(), pair[1].encode()


# Each history gets a store of its own from the factory, so the fixture serves all of them.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=operations)
def test_any_history_of_operations_leaves_what_a_dict_would_hold(make_store, history):
    clock = ss.Clock()
    store, model = make_store(clock=clock), Model(clock)

    for operation in history:
        model.apply(store, *operation)
        assert len(store) == len(model.live())

    model.check(store, model.live())
    for snapshot, kept in model.taken:
        model.check(snapshot, kept)
        check_diff(store.snapshot().diff(snapshot), model.live(), kept)


def check_diff(diff, state, base):
    changed = {pair for pair in state.keys() & base.keys() if ss.dumps(state[pair][0]) != ss.dumps(base[pair][0])}
    assert diff == {
        "added": sorted(state.keys() - base.keys(), key=in_bytes),
        "removed": sorted(base.keys() - state.keys(), key=in_bytes),
        "changed": sorted(changed, key=in_bytes),
    }
