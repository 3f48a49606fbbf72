//! What the store must hold: each thread's batches by number, and a plain model of what they leave.
//!
//! A thread writes into namespaces of its own, and counts its batches there and in one namespace that all share. So its state is
//! known from which of its batches happened, whatever the others did, and a torn commit shows as a sum that does not fit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use swarmstate::{Batch, Condition, Expiry, Key, Kind, Namespace, Operation, Value};

pub(crate) const THREADS: usize = 4;
pub(crate) const SHARED: &str = "shared";
const COUNT: &str = "count";

/// Numbers that follow from a seed (SplitMix64).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(parts: &[u64]) -> Self {
        let mut random = Self(0);
        for part in parts {
            random.0 = random.next().wrapping_add(*part);
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) value: Arc<[u8]>,
    pub(crate) expires_at: Option<i64>,
}

/// What stands in some namespaces, due entries included.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State(pub(crate) BTreeMap<(String, String), Row>);

impl State {
    fn is_live(&self, namespace: &str, key: &str, now: i64) -> bool {
        let row = self.0.get(&(namespace.to_owned(), key.to_owned()));
        row.is_some_and(|row| row.expires_at.is_none_or(|at| at > now))
    }

    fn live_space(&self, namespace: &str, now: i64) -> bool {
        self.0.keys().any(|(name, key)| name == namespace && self.is_live(name, key, now))
    }

    pub(crate) fn live(&self, now: i64) -> Self {
        let mut state = self.clone();
        state.0.retain(|_, row| row.expires_at.is_none_or(|at| at > now));
        state
    }

    /// How many batches the state has counted.
    pub(crate) fn count(&self, thread: usize) -> i64 {
        self.integer(&space(thread, 'n'), COUNT).unwrap_or(0)
    }

    pub(crate) fn integer(&self, namespace: &str, key: &str) -> Option<i64> {
        let row = self.0.get(&(namespace.to_owned(), key.to_owned()))?;
        Some(swarmstate::msgpack::read_integer(&row.value).expect("an integer"))
    }

    /// Carries a batch out; `false` when it is refused, and changes nothing.
    pub(crate) fn apply(&mut self, batch: &Batch<'_>, now: i64) -> bool {
        let before = self.live(now);
        if !batch.conditions().iter().all(|condition| holds(&before, condition, now))
            || !batch.operations().iter().all(|operation| is_free(&before, operation, now))
        {
            return false;
        }
        batch.operations().iter().for_each(|operation| self.change(&before, operation, now));
        true
    }

    fn change(&mut self, before: &Self, operation: &Operation<'_>, now: i64) {
        let name = operation.namespace().as_str().to_owned();
        let Some(key) = operation.key() else {
            if let Operation::CopyNamespace { source, .. } = operation {
                if !before.live_space(source.as_str(), now) {
                    return;
                }
                self.0.retain(|(namespace, _), _| *namespace != name);
                let rows = before.0.iter().filter(|((namespace, _), _)| namespace == source.as_str());
                self.0.extend(rows.map(|((_, key), row)| ((name.clone(), key.clone()), row.clone())));
            } else {
                self.0.retain(|(namespace, _), _| *namespace != name);
            }
            return;
        };
        let address = (name, key.as_str().to_owned());
        let standing = before.0.get(&address);
        match operation {
            Operation::Ensure { .. } if standing.is_some() => {}
            Operation::Set { value, expiry, .. } | Operation::Ensure { value, expiry, .. } => {
                self.0.insert(address, row(value, end(*expiry, now)));
            }
            Operation::Add { by, expiry, .. } => {
                let sum = by + before.integer(&address.0, &address.1).unwrap_or(0);
                let expires_at = standing.map_or_else(|| end(*expiry, now), |row| row.expires_at);
                self.0.insert(address, row(&Value::from(sum), expires_at));
            }
            Operation::Touch { expiry, .. } => {
                if let Some(row) = standing {
                    self.0.insert(address, Row { expires_at: end(*expiry, now), ..row.clone() });
                }
            }
            _ => drop(self.0.remove(&address)),
        }
    }
}

fn row(value: &Value<'_>, expires_at: Option<i64>) -> Row {
    Row { kind: value.kind(), value: value.as_bytes().into(), expires_at }
}

fn end(expiry: Expiry, now: i64) -> Option<i64> {
    match expiry {
        Expiry::After(duration) => Some(now + duration.as_millis() as i64),
        _ => None,
    }
}

fn holds(before: &State, condition: &Condition<'_>, now: i64) -> bool {
    let key = condition.key().expect("only keys are judged").as_str();
    let is_live = before.is_live(condition.namespace().as_str(), key, now);
    is_live == matches!(condition, Condition::KeyPresent { .. })
}

fn is_free(before: &State, operation: &Operation<'_>, now: i64) -> bool {
    match operation {
        Operation::CopyNamespace { source, target } => {
            !before.live_space(source.as_str(), now) || !before.live_space(target.as_str(), now)
        }
        _ => true,
    }
}

/// The namespaces of a thread: `a` and `b` hold values, `c` is copied from `a`, `n` counts.
pub(crate) fn space(thread: usize, which: char) -> String {
    format!("{which} of {thread}")
}

/// The count that a thread's batches have reached, as the address of an entry.
pub(crate) fn count_address(thread: usize) -> (Namespace<'static>, Key<'static>) {
    address(space(thread, 'n'), COUNT.to_owned())
}

fn address(namespace: String, key: String) -> (Namespace<'static>, Key<'static>) {
    let namespace = Namespace::new(&namespace).expect("the name is short").into_owned();
    (namespace, Key::new(&key).expect("the name is short").into_owned())
}

/// The batch of this number of a thread, which always counts itself.
pub(crate) fn batch(seed: u64, thread: usize, number: u64) -> Batch<'static> {
    let mut random = Random::new(&[seed, thread as u64, number]);
    let mut batch = Batch::new();
    for (namespace, key) in [count_address(thread), address(SHARED.to_owned(), "total".to_owned())] {
        batch.add(namespace, key, 1, Expiry::Never);
    }
    let whole = |which| address(space(thread, which), String::new()).0;
    match random.below(12) {
        0 => drop(batch.copy_namespace(whole('a'), whole('c'))),
        1 | 2 => drop(batch.delete_namespace(whole('c'))),
        3 => {
            batch.delete_namespace(whole('b'));
            change_keys(&mut batch, thread, 'a', &mut random);
        }
        _ => {
            change_keys(&mut batch, thread, 'a', &mut random);
            change_keys(&mut batch, thread, 'b', &mut random);
        }
    }
    if random.below(8) == 0 {
        let (namespace, key) = address(space(thread, 'a'), "value 0".to_owned());
        batch.require(match random.below(2) {
            0 => Condition::KeyPresent { namespace, key },
            _ => Condition::KeyAbsent { namespace, key },
        });
    }
    batch
}

fn change_keys(batch: &mut Batch<'static>, thread: usize, which: char, random: &mut Random) {
    let first = random.below(8);
    for step in 0..random.below(4) {
        let number = (first + step) % 8;
        let (namespace, integer) = address(space(thread, which), format!("integer {number}"));
        let key = Key::new(format!("value {number}")).expect("the name is short").into_owned();
        match random.below(10) {
            0..4 => batch.set(namespace, key, value(random), expiry(random)),
            4 => batch.ensure(namespace, key, value(random), expiry(random)),
            5 => batch.touch(namespace, key, expiry(random)),
            6 | 7 => batch.delete(namespace, key),
            8 => batch.delete(namespace, integer),
            _ => batch.add(namespace, integer, random.below(1000) as i64, expiry(random)),
        };
    }
}

/// Values stand in their rows, at the border to the table of large ones, or in it.
fn value(random: &mut Random) -> Value<'static> {
    let length = match random.below(10) {
        0..6 => random.below(120),
        6 | 7 => 1390 + random.below(20),
        8 => random.below(6_000),
        _ => random.below(30_000),
    };
    let mut bytes = Vec::with_capacity(length as usize + 8);
    while bytes.len() < length as usize {
        bytes.extend_from_slice(&random.below(u64::MAX).to_le_bytes());
    }
    Value::from(&bytes[..length as usize])
}

/// Each run of the worker is a second later than the one before.
fn expiry(random: &mut Random) -> Expiry {
    match random.below(6) {
        0 => Expiry::After(Duration::from_millis(500)),
        1 => Expiry::After(Duration::from_millis(2500)),
        _ => Expiry::Never,
    }
}
