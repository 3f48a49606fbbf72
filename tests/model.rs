//! Random work on every engine beside a plain model: batches, conditions, expiries, snapshots, restores, time.
//!
//! After every step all that can be seen of the store must be what the model holds. Revisions are the engine's own: the model
//! takes them from the outcomes, and holds the engine to rising ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use swarmstate::{
    Batch, Condition, Diff, Error, Expiry, Key, Kind, Namespace, Operation, Outcome, Range, Reader, Snapshot, Store,
    Value,
};

#[path = "contract/engines.rs"]
mod engines;

use engines::Engine;

const NAMESPACES: [&str; 4] = ["", "a", "a\0", "b"];
const KEYS: [&str; 5] = ["", "k", "k\0", "kk", "l"];

type Address = (&'static str, &'static str);

#[derive(Clone, Debug, PartialEq)]
struct Row {
    value: Vec<u8>,
    kind: Kind,
    revision: u64,
    created_at: i64,
    updated_at: i64,
    expires_at: Option<i64>,
}

/// The whole state, with rows that are due and not yet removed.
#[derive(Clone, Debug, Default)]
struct State {
    rows: BTreeMap<Address, Row>,
    revisions: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Debug)]
enum Act {
    Set(Address, u8, Option<u8>),
    Delete(Address),
    Add(Address, i64, Option<u8>),
    Ensure(Address, u8, Option<u8>),
    Touch(Address, Option<u8>),
    DeleteNamespace(&'static str),
    Copy(&'static str, &'static str),
}

/// What a condition asks for; where it speaks of a revision, the one that stands or another.
#[derive(Clone, Debug)]
enum Wish {
    Standing(Address),
    Other(Address),
    Absent(Address),
    Present(Address),
    Namespace(&'static str),
    OtherNamespace(&'static str),
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Act>, Vec<Wish>),
    Apply(Act, Option<Wish>),
    Pass(u8),
    Snapshot,
    Restore(prop::sample::Index),
    Drop(prop::sample::Index),
    Compare(prop::sample::Index, prop::sample::Index),
    Clear,
    Compact,
}

impl Row {
    /// Gives a copy the revision and the time of the copying; its expiry stays.
    fn stamp(&mut self, outcome: &Outcome, now: i64) {
        (self.revision, self.created_at, self.updated_at) = (outcome.revision, now, now);
    }
}

impl State {
    fn live(&self, address: Address, now: i64) -> Option<&Row> {
        self.rows.get(&address).filter(|row| row.expires_at.is_none_or(|at| at > now))
    }

    fn without_what_is_due(&self, now: i64) -> Self {
        let mut state = self.clone();
        state.rows.retain(|_, row| row.expires_at.is_none_or(|at| at > now));
        state
    }

    fn revision(&self, namespace: &str, now: i64) -> u64 {
        let exists = self.rows.keys().any(|at| at.0 == namespace && self.live(*at, now).is_some());
        if exists { self.revisions[namespace] } else { 0 }
    }

    /// Whether the act can be carried out; the name of the error if not.
    fn judge(&self, act: &Act, now: i64) -> Result<(), &'static str> {
        match act {
            Act::Add(address, by, _) => match self.live(*address, now) {
                Some(row) if row.kind != Kind::Integer => Err("wrong type"),
                Some(row) => integer(row).checked_add(*by).map(drop).ok_or("invalid"),
                None => Ok(()),
            },
            Act::Copy(source, target) => {
                let is_free = self.revision(source, now) == 0 || self.revision(target, now) == 0;
                is_free.then_some(()).ok_or("conflict")
            }
            _ => Ok(()),
        }
    }

    /// Carries out an act that took `outcome`; `before` is the state before its batch.
    fn carry_out(&mut self, before: &Self, act: &Act, outcome: &Outcome, now: i64) {
        let changes = match act {
            Act::Set(..) | Act::Add(..) => true,
            Act::Delete(address) | Act::Touch(address, _) => before.live(*address, now).is_some(),
            Act::Ensure(address, ..) => before.live(*address, now).is_none(),
            Act::DeleteNamespace(name) | Act::Copy(name, _) => before.revision(name, now) != 0,
        };
        assert_eq!(outcome.written, changes, "{act:?}");
        if !changes {
            let standing = if let Act::Ensure(address, ..) = act { before.rows[address].revision } else { 0 };
            assert_eq!(outcome.revision, standing, "{act:?}");
            return;
        }
        self.change(before, act, outcome, now);
        self.revisions.insert(act.namespace(), outcome.revision);
    }

    fn change(&mut self, before: &Self, act: &Act, outcome: &Outcome, now: i64) {
        let expiry = |ttl: &Option<u8>| ttl.map(|ttl| now + i64::from(ttl));
        match act {
            Act::Set(address, value, ttl) | Act::Ensure(address, value, ttl) => {
                self.put(*address, sample(*value), outcome, now, expiry(ttl));
            }
            Act::Add(address, by, ttl) => {
                let standing = before.live(*address, now).cloned();
                let sum = standing.as_ref().map_or(0, integer) + by;
                assert_eq!(outcome.integer, Some(sum));
                let expires_at = standing.map_or(expiry(ttl), |row| row.expires_at);
                self.put(*address, Value::from(sum), outcome, now, expires_at);
            }
            Act::Touch(address, ttl) => {
                let row = self.rows.get_mut(address).expect("it is live");
                (row.revision, row.updated_at, row.expires_at) = (outcome.revision, now, expiry(ttl));
            }
            Act::Delete(address) => drop(self.rows.remove(address)),
            Act::DeleteNamespace(name) => self.rows.retain(|at, _| at.0 != *name),
            Act::Copy(source, target) => {
                self.rows.retain(|at, _| at.0 != *target);
                let rows = before.rows.iter().filter(|(at, _)| at.0 == *source);
                self.rows.extend(rows.map(|(at, row)| ((*target, at.1), row.clone())));
            }
        }
    }

    fn put(&mut self, address: Address, value: Value<'_>, outcome: &Outcome, now: i64, expires_at: Option<i64>) {
        let created_at = self.live(address, now).map_or(now, |row| row.created_at);
        let (value, kind) = (value.as_bytes().to_vec(), value.kind());
        let row = Row { value, kind, revision: outcome.revision, created_at, updated_at: now, expires_at };
        self.rows.insert(address, row);
    }

    fn diff(&self, base: &Self) -> Diff {
        let differs =
            |at: &Address| self.rows[at].value != base.rows[at].value || self.rows[at].kind != base.rows[at].kind;
        let pair = |at: &Address| (at.0.to_owned(), at.1.to_owned());
        Diff {
            added: self.rows.keys().filter(|at| !base.rows.contains_key(*at)).map(pair).collect(),
            removed: base.rows.keys().filter(|at| !self.rows.contains_key(*at)).map(pair).collect(),
            changed: self.rows.keys().filter(|at| base.rows.contains_key(*at) && differs(at)).map(pair).collect(),
        }
    }
}

impl Act {
    fn namespace(&self) -> &'static str {
        match self {
            Self::Set(at, ..) | Self::Delete(at) | Self::Add(at, ..) | Self::Ensure(at, ..) | Self::Touch(at, _) => {
                at.0
            }
            Self::DeleteNamespace(name) | Self::Copy(_, name) => name,
        }
    }

    fn operation(&self) -> Operation<'static> {
        match self {
            Self::Set(at, value, ttl) => {
                let (namespace, key) = address(*at);
                Operation::Set { namespace, key, value: sample(*value), expiry: expiry(*ttl) }
            }
            Self::Delete(at) => {
                let (namespace, key) = address(*at);
                Operation::Delete { namespace, key }
            }
            Self::Add(at, by, ttl) => {
                let (namespace, key) = address(*at);
                Operation::Add { namespace, key, by: *by, expiry: expiry(*ttl) }
            }
            Self::Ensure(at, value, ttl) => {
                let (namespace, key) = address(*at);
                Operation::Ensure { namespace, key, value: sample(*value), expiry: expiry(*ttl) }
            }
            Self::Touch(at, ttl) => {
                let (namespace, key) = address(*at);
                Operation::Touch { namespace, key, expiry: expiry(*ttl) }
            }
            Self::DeleteNamespace(name) => Operation::DeleteNamespace { namespace: namespace(name) },
            Self::Copy(source, target) => {
                Operation::CopyNamespace { source: namespace(source), target: namespace(target) }
            }
        }
    }

    /// Whether two acts may not stand in one batch.
    fn meets(&self, other: &Self) -> bool {
        let keys = (self.operation().key().cloned(), other.operation().key().cloned());
        self.namespace() == other.namespace() && (keys.0 == keys.1 || keys.0.is_none() || keys.1.is_none())
    }
}

impl Wish {
    fn namespace(&self) -> &'static str {
        match self {
            Self::Standing(at) | Self::Other(at) | Self::Absent(at) | Self::Present(at) => at.0,
            Self::Namespace(name) | Self::OtherNamespace(name) => name,
        }
    }

    /// The condition, and whether it holds.
    fn condition(&self, state: &State, now: i64) -> (Condition<'static>, bool) {
        let standing = |at: Address| state.live(at, now).map_or(0, |row| row.revision);
        let key_at = |at: Address, revision| {
            let (namespace, key) = address(at);
            Condition::at(namespace, key, revision)
        };
        match *self {
            Self::Standing(at) => (key_at(at, standing(at)), true),
            Self::Other(at) => (key_at(at, standing(at) + 1), false),
            Self::Absent(at) => (key_at(at, 0), standing(at) == 0),
            Self::Present(at) => {
                let (namespace, key) = address(at);
                (Condition::KeyPresent { namespace, key }, standing(at) != 0)
            }
            Self::Namespace(name) => {
                (Condition::NamespaceAt { namespace: namespace(name), revision: state.revision(name, now) }, true)
            }
            Self::OtherNamespace(name) => {
                (Condition::NamespaceAt { namespace: namespace(name), revision: state.revision(name, now) + 1 }, false)
            }
        }
    }
}

fn namespace(name: &'static str) -> Namespace<'static> {
    Namespace::new(name).expect("short")
}

fn address(at: Address) -> (Namespace<'static>, Key<'static>) {
    (namespace(at.0), Key::new(at.1).expect("short"))
}

fn expiry(ttl: Option<u8>) -> Expiry {
    ttl.map_or(Expiry::Never, |ttl| Expiry::After(Duration::from_millis(ttl.into())))
}

fn integer(row: &Row) -> i64 {
    swarmstate::msgpack::read_integer(&row.value).expect("an integer")
}

/// One of a few values of each kind, a large one among them.
fn sample(number: u8) -> Value<'static> {
    match number {
        0..=1 => Value::from(i64::from(number)),
        2 => Value::from(i64::MAX),
        3 => Value::from("text"),
        4 => Value::shared(Kind::Json, vec![0x91, 0x01]),
        5 => Value::shared(Kind::Json, vec![0x01]),
        _ => Value::from(&[number; 5_000][..]),
    }
}

/// A store and its model, side by side. Where the engine takes one namespace in a batch, the rest of a step is left out.
struct Pair {
    engine: Engine,
    store: Arc<dyn Store>,
    state: State,
    snapshots: Vec<(Arc<dyn Snapshot>, State)>,
    highest: BTreeMap<&'static str, u64>,
}

impl Pair {
    fn new(engine: Engine) -> Self {
        let store = engine.store();
        Self { engine, store, state: State::default(), snapshots: Vec::new(), highest: BTreeMap::new() }
    }

    fn now(&self) -> i64 {
        self.engine.now().as_millis()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(acts, wishes) => self.write(acts, wishes),
            Step::Apply(act, wish) => self.apply(act, wish.as_ref()),
            Step::Pass(millis) => self.engine.pass(u64::from(*millis)),
            Step::Snapshot => {
                self.state = self.state.without_what_is_due(self.now());
                let snapshot = self.store.snapshot().expect("it is taken");
                self.snapshots.push((snapshot, self.state.clone()));
            }
            Step::Restore(index) if !self.snapshots.is_empty() => {
                let (snapshot, state) = index.get(&self.snapshots);
                self.store.restore(&**snapshot).expect("it is ours");
                self.state = state.clone();
            }
            Step::Drop(index) if !self.snapshots.is_empty() => {
                let (snapshot, _) = self.snapshots.remove(index.index(self.snapshots.len()));
                assert_eq!(self.store.drop_snapshot(snapshot.info().id), Ok(true));
            }
            Step::Compare(one, other) if !self.snapshots.is_empty() => {
                let ((later, state), (base, base_state)) = (one.get(&self.snapshots), other.get(&self.snapshots));
                assert_eq!(later.diff(&**base), Ok(state.diff(base_state)));
            }
            Step::Clear => {
                self.store.clear().expect("the engine answers");
                self.state = State::default();
            }
            Step::Compact => self.store.compact().expect("the engine answers"),
            Step::Restore(_) | Step::Drop(_) | Step::Compare(..) => {}
        }
        let now = self.now();
        assert_same(&*self.store, &self.state, now);
    }

    fn write(&mut self, acts: &[Act], wishes: &[Wish]) {
        let now = self.now();
        let one = acts.first().map(Act::namespace).or(wishes.first().map(Wish::namespace));
        let fits = |name| self.store.capabilities().atomic_across_namespaces || Some(name) == one;
        let acts = &*acts.iter().filter(|act| fits(act.namespace())).cloned().collect::<Vec<_>>();
        let wishes = wishes.iter().filter(|wish| fits(wish.namespace())).collect::<Vec<_>>();
        let conditions = wishes.iter().map(|wish| wish.condition(&self.state, now)).collect::<Vec<_>>();
        let operations = acts.iter().map(Act::operation).collect();
        let batch = Batch::from_parts(operations, conditions.iter().map(|(condition, _)| condition.clone()).collect());
        let meet = (0..acts.len()).any(|one| acts[one + 1..].iter().any(|other| acts[one].meets(other)));
        let expected = match conditions.iter().position(|(_, holds)| !holds) {
            _ if meet => Err("invalid"),
            Some(_) => Err("conflict"),
            None => acts.iter().try_for_each(|act| self.state.judge(act, now)),
        };
        let result = self.store.write(&batch);
        self.take(acts, result, expected, now);
    }

    fn apply(&mut self, act: &Act, wish: Option<&Wish>) {
        let now = self.now();
        let across = self.store.capabilities().atomic_across_namespaces;
        let wish = wish.filter(|wish| across || wish.namespace() == act.namespace());
        let condition = wish.map(|wish| wish.condition(&self.state, now));
        let expected = match &condition {
            Some((_, false)) => Err("conflict"),
            _ => self.state.judge(act, now),
        };
        let result = self.store.apply(act.operation(), condition.map(|(condition, _)| condition));
        self.take(std::slice::from_ref(act), result.map(|outcome| vec![outcome]), expected, now);
    }

    fn take(&mut self, acts: &[Act], result: Result<Vec<Outcome>, Error>, expected: Result<(), &str>, now: i64) {
        let outcomes = match (result, expected) {
            (Ok(outcomes), Ok(())) => outcomes,
            (Err(error), Err(name)) => return assert_eq!(name_of(&error), name, "{error}"),
            (result, expected) => panic!("{acts:?}: {result:?} where {expected:?} was due"),
        };
        assert_eq!(outcomes.len(), acts.len());
        let before = self.state.clone();
        for (act, outcome) in acts.iter().zip(&outcomes) {
            self.state.carry_out(&before, act, outcome, now);
            if let Act::Copy(_, target) = act
                && outcome.written
                && !self.store.capabilities().copies_keep_revisions
            {
                self.state
                    .rows
                    .iter_mut()
                    .filter(|(at, _)| at.0 == *target)
                    .for_each(|(_, row)| row.stamp(outcome, now));
            }
            if outcome.written {
                let highest = self.highest.entry(act.namespace()).or_default();
                assert!(outcome.revision > *highest, "{} comes after {highest}", outcome.revision);
                *highest = outcome.revision;
            }
        }
    }
}

fn name_of(error: &Error) -> &'static str {
    match error {
        Error::Conflict(_) => "conflict",
        Error::WrongType { .. } => "wrong type",
        Error::Invalid { .. } => "invalid",
        _ => "another error",
    }
}

/// All that can be seen of `reader` at `now` is what the model holds.
fn assert_same(reader: &dyn Reader, state: &State, now: i64) {
    let live = state.without_what_is_due(now);
    let mut namespaces = live.rows.keys().map(|at| at.0).collect::<Vec<_>>();
    namespaces.dedup();
    assert_eq!(reader.namespaces(&Range::default()).expect("the engine answers"), namespaces);
    let bytes: usize = live.rows.values().map(|row| row.value.len()).sum();
    let usage = reader.usage().expect("the engine answers");
    assert_eq!((usage.entries, usage.size_bytes), (live.rows.len() as u64, bytes as u64));
    for name in NAMESPACES {
        let info = reader.namespace(&namespace(name)).expect("the engine answers");
        assert_eq!(info.map_or(0, |info| info.revision), state.revision(name, now), "{name:?}");
        let entries = reader.entries(&namespace(name), &Range::default()).expect("the engine answers");
        let seen = entries.iter().map(|entry| {
            let row = Row {
                value: entry.value().to_vec(),
                kind: entry.kind(),
                revision: entry.revision(),
                created_at: entry.created_at().as_millis(),
                updated_at: entry.updated_at().as_millis(),
                expires_at: entry.expires_at().map(|at| at.as_millis()),
            };
            (entry.key().to_owned(), row)
        });
        let rows = live.rows.iter().filter(|(at, _)| at.0 == name).map(|(at, row)| (at.1.to_owned(), row.clone()));
        assert_eq!(seen.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
    }
    for at in NAMESPACES.into_iter().flat_map(|name| KEYS.map(|key| (name, key))) {
        let (namespace, key) = address(at);
        let found = reader.get(&namespace, &key).expect("the engine answers");
        assert_eq!(found.map(|entry| entry.revision()), live.rows.get(&at).map(|row| row.revision));
    }
}

fn an_address() -> impl Strategy<Value = Address> {
    (prop::sample::select(&NAMESPACES[..]), prop::sample::select(&KEYS[..]))
}

fn a_namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMESPACES[..])
}

fn a_ttl() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.4, 1..20_u8)
}

fn an_act() -> impl Strategy<Value = Act> {
    let by = prop_oneof![4 => -3..4_i64, 1 => Just(i64::MAX)];
    prop_oneof![
        6 => (an_address(), 0..8_u8, a_ttl()).prop_map(|(at, value, ttl)| Act::Set(at, value, ttl)),
        3 => an_address().prop_map(Act::Delete),
        4 => (an_address(), by, a_ttl()).prop_map(|(at, by, ttl)| Act::Add(at, by, ttl)),
        3 => (an_address(), 0..8_u8, a_ttl()).prop_map(|(at, value, ttl)| Act::Ensure(at, value, ttl)),
        3 => (an_address(), a_ttl()).prop_map(|(at, ttl)| Act::Touch(at, ttl)),
        1 => a_namespace().prop_map(Act::DeleteNamespace),
        2 => (a_namespace(), a_namespace()).prop_map(|(source, target)| Act::Copy(source, target)),
    ]
}

fn a_wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        4 => an_address().prop_map(Wish::Standing),
        1 => an_address().prop_map(Wish::Other),
        1 => an_address().prop_map(Wish::Absent),
        1 => an_address().prop_map(Wish::Present),
        2 => a_namespace().prop_map(Wish::Namespace),
        1 => a_namespace().prop_map(Wish::OtherNamespace),
    ]
}

fn a_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (prop::collection::vec(an_act(), 0..5), prop::collection::vec(a_wish(), 0..2))
            .prop_map(|(acts, wishes)| Step::Write(acts, wishes)),
        8 => (an_act(), prop::option::weighted(0.3, a_wish())).prop_map(|(act, wish)| Step::Apply(act, wish)),
        4 => (1..15_u8).prop_map(Step::Pass),
        3 => Just(Step::Snapshot),
        2 => index().prop_map(Step::Restore),
        1 => index().prop_map(Step::Drop),
        3 => (index(), index()).prop_map(|(one, other)| Step::Compare(one, other)),
        1 => Just(Step::Clear),
        1 => Just(Step::Compact),
    ]
}

macro_rules! model {
    ($engine:ident, $cases:literal) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: $cases, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn $engine(steps in prop::collection::vec(a_step(), 1..60)) {
                let mut pair = Pair::new(Engine::$engine());
                for step in &steps {
                    pair.step(step);
                }
                for (snapshot, state) in &pair.snapshots {
                    assert_same(&**snapshot, state, snapshot.info().taken_at().as_millis());
                }
            }
        }
    };
}

model!(memory, 2_000);
#[cfg(feature = "redis")]
model!(redis, 100);
#[cfg(feature = "redis")]
model!(redis_cluster, 60);
#[cfg(feature = "sqlite")]
model!(sqlite, 500);
