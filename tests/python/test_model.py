"""Any history of operations, against a plain dict."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import swarmstate as ss

names = st.sampled_from(["", "a", "a%", "b", "B", "a\0"])
values = st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=3)
operations = st.lists(
    st.tuples(
        st.sampled_from(["set", "delete", "increment", "clear namespace", "copy", "snapshot", "restore"]),
        names,
        names,
        values,
    ),
    max_size=40,
)


class Model:
    """What a store is, as a dict from pairs to values."""

    def __init__(self):
        self.state, self.taken = {}, []

    def apply(self, store, name, first, second, value):
        state = self.state
        match name:
            case "set":
                store.set(first, second, value)
                state[first, second] = value
            case "delete":
                assert store.delete(first, second) is ((first, second) in state)
                state.pop((first, second), None)
            case "increment":
                self.increment(store, first, second)
            case "clear namespace":
                assert store.delete_namespace(first) is any(namespace == first for namespace, _ in state)
                self.state = {pair: kept for pair, kept in state.items() if pair[0] != first}
            case "copy":
                self.copy(store, first, second)
            case "snapshot":
                self.taken.append((store.snapshot(), dict(state)))
            case "restore" if self.taken:
                snapshot, kept = self.taken[len(second) % len(self.taken)]
                store.restore(snapshot)
                self.state = dict(kept)

    def increment(self, store, namespace, key):
        standing = self.state.get((namespace, key), 0)
        if type(standing) is int:
            self.state[namespace, key] = standing + 1
            assert store.increment(namespace, key) == standing + 1
        else:
            with pytest.raises(ss.WrongTypeError):
                store.increment(namespace, key)

    def copy(self, store, source, target):
        copied = {(target, key): value for (namespace, key), value in self.state.items() if namespace == source}
        if copied and any(namespace == target for namespace, _ in self.state):
            with pytest.raises(ss.ConflictError):
                store.copy_namespace(source, target)
        else:
            assert store.copy_namespace(source, target) is bool(copied)
            self.state |= copied

    def check(self, reader, state):
        in_order = sorted(state, key=lambda pair: (pair[0].encode(), pair[1].encode()))
        namespaces = list(dict.fromkeys(namespace for namespace, _ in in_order))
        assert reader.namespaces() == namespaces
        assert len(reader) == len(state)
        assert reader.size_bytes == sum(len(ss.dumps(value)) for value in state.values())
        listed = [(namespace, key, value) for namespace in namespaces for key, value in reader.items(namespace)]
        assert listed == [(*pair, state[pair]) for pair in in_order]


# Each history gets a store of its own from the factory, so that the fixture may serve all of them.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=operations)
def test_any_history_of_operations_leaves_what_a_dict_would_hold(make_store, history):
    store, model = make_store(), Model()

    for operation in history:
        model.apply(store, *operation)

    model.check(store, model.state)
    for snapshot, kept in model.taken:
        model.check(snapshot, kept)
        check_diff(store.snapshot().diff(snapshot), model.state, kept)


def check_diff(diff, state, base):
    def in_order(pairs):
        return sorted(pairs, key=lambda pair: (pair[0].encode(), pair[1].encode()))

    changed = {pair for pair in state.keys() & base.keys() if ss.dumps(state[pair]) != ss.dumps(base[pair])}
    assert diff == {
        "added": in_order(state.keys() - base.keys()),
        "removed": in_order(base.keys() - state.keys()),
        "changed": in_order(changed),
    }
