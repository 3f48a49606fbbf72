//! What a write may say: operations, conditions and what became of them.
//!
//! Every rule that does not need the store's state is checked here, once for all engines: limits, names that meet, and values
//! that are what their kind says. An engine calls [`Batch::check`] before it touches anything.

use std::collections::HashSet;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::Capabilities;
use crate::clock::Timestamp;
use crate::error::{Conflict, Error, Expected, Result};
use crate::key::{Key, Namespace};
use crate::msgpack::{self, Item};
use crate::value::{Kind, Revision, Value};

/// So few operations are compared one with another, without a set of their names.
const FEW: usize = 8;

/// When an entry goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// So long after the write, in whole milliseconds, rounded up.
    After(Duration),
    /// At this moment.
    At(Timestamp),
}

impl Expiry {
    /// The moment it stands for, when the write happens at `now`; [`Timestamp::MAX`] is never.
    ///
    /// # Errors
    /// `Invalid` beyond what a timestamp holds.
    pub fn resolve(self, now: Timestamp) -> Result<Option<Timestamp>> {
        let at = match self {
            Self::Never => None,
            Self::At(at) => Some(at),
            Self::After(duration) => Some(now.checked_add(duration).ok_or_else(|| {
                Error::invalid(format!("a time to live of {} s ends after all time", duration.as_secs()))
            })?),
        };
        Ok(at.filter(|at| *at < Timestamp::MAX))
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Operation<'a> {
    /// Writes a value, whatever stood there.
    Set {
        /// Where.
        namespace: Namespace<'a>,
        /// Under which key.
        key: Key<'a>,
        /// What.
        value: Value<'a>,
        /// Until when; `Never` clears an expiry.
        expiry: Expiry,
    },
    /// Removes a key, if it is live.
    Delete {
        /// Where.
        namespace: Namespace<'a>,
        /// Which key.
        key: Key<'a>,
    },
    /// Adds to an integer; an absent key counts as 0.
    Add {
        /// Where.
        namespace: Namespace<'a>,
        /// Which key.
        key: Key<'a>,
        /// The summand.
        by: i64,
        /// Until when, if this creates the key; a live one keeps its own.
        expiry: Expiry,
    },
    /// Writes a value unless the key is live.
    Ensure {
        /// Where.
        namespace: Namespace<'a>,
        /// Under which key.
        key: Key<'a>,
        /// What.
        value: Value<'a>,
        /// Until when.
        expiry: Expiry,
    },
    /// Sets or clears the expiry of a live key.
    Touch {
        /// Where.
        namespace: Namespace<'a>,
        /// Which key.
        key: Key<'a>,
        /// Until when; `Never` clears it.
        expiry: Expiry,
    },
    /// Removes a namespace with all its keys.
    DeleteNamespace {
        /// Which one.
        namespace: Namespace<'a>,
    },
    /// Copies all of a namespace into one that holds nothing.
    CopyNamespace {
        /// What is copied, as it stands before the batch.
        source: Namespace<'a>,
        /// Where it goes.
        target: Namespace<'a>,
    },
}

impl<'a> Operation<'a> {
    /// The namespace that it changes.
    pub fn namespace(&self) -> &Namespace<'a> {
        match self {
            Self::Set { namespace, .. }
            | Self::Delete { namespace, .. }
            | Self::Add { namespace, .. }
            | Self::Ensure { namespace, .. }
            | Self::Touch { namespace, .. }
            | Self::DeleteNamespace { namespace } => namespace,
            Self::CopyNamespace { target, .. } => target,
        }
    }

    /// The key that it changes; `None` when it changes the namespace whole.
    pub fn key(&self) -> Option<&Key<'a>> {
        match self {
            Self::Set { key, .. }
            | Self::Delete { key, .. }
            | Self::Add { key, .. }
            | Self::Ensure { key, .. }
            | Self::Touch { key, .. } => Some(key),
            Self::DeleteNamespace { .. } | Self::CopyNamespace { .. } => None,
        }
    }

    /// The value that it writes, if it brings one.
    pub fn value(&self) -> Option<&Value<'a>> {
        match self {
            Self::Set { value, .. } | Self::Ensure { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Checks what can be known without the store's state.
    ///
    /// # Errors
    /// `Invalid` for a value that is not of its kind, `TooLarge` above `max_value_bytes`.
    pub fn check(&self, capabilities: &Capabilities) -> Result<()> {
        let Some(value) = self.value() else { return Ok(()) };
        let size = value.as_bytes().len() as u64;
        if size > capabilities.max_value_bytes {
            let what = format!("the value of key {:?} in bytes", self.key().map_or("", |key| key.as_str()));
            return Err(Error::TooLarge { what, size, limit: capabilities.max_value_bytes });
        }
        if is_of_its_kind(value) { Ok(()) } else { Err(not_of_its_kind(self, value.kind())) }
    }

    /// The same operation, owning its names and value.
    pub fn into_owned(self) -> Operation<'static> {
        match self {
            Self::Set { namespace, key, value, expiry } => {
                let (namespace, key) = (namespace.into_owned(), key.into_owned());
                Operation::Set { namespace, key, value: value.into_owned(), expiry }
            }
            Self::Delete { namespace, key } => {
                Operation::Delete { namespace: namespace.into_owned(), key: key.into_owned() }
            }
            Self::Add { namespace, key, by, expiry } => {
                Operation::Add { namespace: namespace.into_owned(), key: key.into_owned(), by, expiry }
            }
            Self::Ensure { namespace, key, value, expiry } => {
                let (namespace, key) = (namespace.into_owned(), key.into_owned());
                Operation::Ensure { namespace, key, value: value.into_owned(), expiry }
            }
            Self::Touch { namespace, key, expiry } => {
                Operation::Touch { namespace: namespace.into_owned(), key: key.into_owned(), expiry }
            }
            Self::DeleteNamespace { namespace } => Operation::DeleteNamespace { namespace: namespace.into_owned() },
            Self::CopyNamespace { source, target } => {
                Operation::CopyNamespace { source: source.into_owned(), target: target.into_owned() }
            }
        }
    }

    fn size_bytes(&self) -> u64 {
        let key = self.key().map_or(0, |key| key.as_bytes().len());
        let value = self.value().map_or(0, |value| value.as_bytes().len());
        (self.namespace().as_bytes().len() + key + value) as u64
    }
}

fn is_of_its_kind(value: &Value<'_>) -> bool {
    match value.kind() {
        Kind::Json => !value.as_bytes().is_empty(),
        Kind::Integer => is_shortest_integer(value.as_bytes()),
        Kind::String => matches!(whole_item(value.as_bytes()), Some(Item::Str(_))),
        Kind::Bytes => matches!(whole_item(value.as_bytes()), Some(Item::Bin(_))),
    }
}

/// The item that takes up exactly these bytes; what is inside a text is not looked at.
fn whole_item(bytes: &[u8]) -> Option<Item<'_>> {
    let mut reader = msgpack::Reader::new(bytes, 0);
    reader.item().ok().filter(|_| reader.is_at_end())
}

fn is_shortest_integer(bytes: &[u8]) -> bool {
    msgpack::read_integer(bytes)
        .is_some_and(|integer| bytes.len() == 1 || *encode_integer(integer).as_bytes() == *bytes)
}

/// An integer as a value: its shortest msgpack form.
pub(crate) fn encode_integer(integer: i64) -> Value<'static> {
    let mut bytes = Vec::with_capacity(9);
    msgpack::write_integer(&mut bytes, integer);
    Value::shared(Kind::Integer, bytes)
}

#[cold]
fn not_of_its_kind(operation: &Operation<'_>, kind: Kind) -> Error {
    let key = operation.key().map_or("", |key| key.as_str());
    Error::invalid(format!("the value of key {key:?} is declared {kind}, but its bytes are not"))
}

/// What must be so for a batch to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// The key is live at exactly this revision.
    KeyAt {
        /// Where.
        namespace: Namespace<'a>,
        /// Which key.
        key: Key<'a>,
        /// Its revision, positive.
        revision: Revision,
    },
    /// The key is not live.
    KeyAbsent {
        /// Where.
        namespace: Namespace<'a>,
        /// Which key.
        key: Key<'a>,
    },
    /// The key is live, at whatever revision.
    KeyPresent {
        /// Where.
        namespace: Namespace<'a>,
        /// Which key.
        key: Key<'a>,
    },
    /// The namespace's last change has this revision; 0 = it does not exist.
    NamespaceAt {
        /// Which one.
        namespace: Namespace<'a>,
        /// Its revision.
        revision: Revision,
    },
}

impl<'a> Condition<'a> {
    /// That the key is at `revision`, where 0 stands for absent.
    pub fn at(namespace: Namespace<'a>, key: Key<'a>, revision: Revision) -> Self {
        match revision {
            0 => Self::KeyAbsent { namespace, key },
            _ => Self::KeyAt { namespace, key, revision },
        }
    }

    /// The namespace that it judges.
    pub fn namespace(&self) -> &Namespace<'a> {
        match self {
            Self::KeyAt { namespace, .. }
            | Self::KeyAbsent { namespace, .. }
            | Self::KeyPresent { namespace, .. }
            | Self::NamespaceAt { namespace, .. } => namespace,
        }
    }

    /// The key that it judges; `None` when it judges the namespace whole.
    pub fn key(&self) -> Option<&Key<'a>> {
        match self {
            Self::KeyAt { key, .. } | Self::KeyAbsent { key, .. } | Self::KeyPresent { key, .. } => Some(key),
            Self::NamespaceAt { .. } => None,
        }
    }

    /// What it requires.
    pub fn expected(&self) -> Expected {
        match self {
            Self::KeyAt { revision, .. } | Self::NamespaceAt { revision, .. } => Expected::Revision(*revision),
            Self::KeyAbsent { .. } => Expected::Absent,
            Self::KeyPresent { .. } => Expected::Present,
        }
    }

    /// Judges the condition, which stands at `position` in its batch, where its key or namespace is at revision `actual`, 0 = not
    /// live.
    ///
    /// # Errors
    /// `Conflict` when it does not hold.
    pub(crate) fn judge(&self, actual: Revision, position: usize) -> Result<()> {
        let expected = self.expected();
        let holds = match expected {
            Expected::Revision(revision) => actual == revision,
            Expected::Absent => actual == 0,
            Expected::Present => actual != 0,
        };
        if holds {
            return Ok(());
        }
        let key = self.key().map(|key| key.as_str().to_owned());
        let namespace = self.namespace().as_str().to_owned();
        Err(Box::new(Conflict { namespace, key, expected, actual, position }).into())
    }

    /// The same condition, owning its names.
    pub fn into_owned(self) -> Condition<'static> {
        match self {
            Self::KeyAt { namespace, key, revision } => {
                Condition::KeyAt { namespace: namespace.into_owned(), key: key.into_owned(), revision }
            }
            Self::KeyAbsent { namespace, key } => {
                Condition::KeyAbsent { namespace: namespace.into_owned(), key: key.into_owned() }
            }
            Self::KeyPresent { namespace, key } => {
                Condition::KeyPresent { namespace: namespace.into_owned(), key: key.into_owned() }
            }
            Self::NamespaceAt { namespace, revision } => {
                Condition::NamespaceAt { namespace: namespace.into_owned(), revision }
            }
        }
    }
}

/// The `Conflict` of a copy, at `position` in its batch, whose target is live at revision `actual`.
pub(crate) fn target_is_live(target: &Namespace<'_>, actual: Revision, position: usize) -> Error {
    let namespace = target.as_str().to_owned();
    Box::new(Conflict { namespace, key: None, expected: Expected::Absent, actual, position }).into()
}

/// The sum that an `add` of `by` makes of a live entry of `kind` that holds `value`.
///
/// # Errors
/// `WrongType` for another kind than an integer, `Invalid` for a sum outside `i64`, `Corrupt` for an integer that is none.
pub(crate) fn sum((namespace, key): (&Namespace<'_>, &Key<'_>), kind: Kind, value: &[u8], by: i64) -> Result<i64> {
    let address = || (namespace.as_str().to_owned(), key.as_str().to_owned());
    if kind != Kind::Integer {
        let (namespace, key) = address();
        return Err(Error::WrongType { namespace, key, kind });
    }
    let Some(integer) = msgpack::read_integer(value) else {
        let (namespace, key) = address();
        return Err(Error::corrupt(format!(
            "key {key:?} in namespace {namespace:?} is no integer, though kept as one"
        )));
    };
    integer.checked_add(by).ok_or_else(|| {
        let (namespace, key) = address();
        Error::invalid(format!(
            "{integer} + {by} for key {key:?} in namespace {namespace:?} is outside the 64-bit integers"
        ))
    })
}

/// What became of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The revision that it took or, for an `ensure` that found the key live, met; 0 when there is none.
    pub revision: Revision,
    /// Whether it changed something.
    pub written: bool,
    /// The sum, for an `add`.
    pub integer: Option<i64>,
}

/// Operations that are carried out together or not at all, if all conditions hold.
///
/// # Example
/// ```
/// use swarmstate::{Batch, Condition, Key, Memory, Namespace, Store, StoreExt};
///
/// let store = Memory::new();
/// let (jobs, key) = (Namespace::new("jobs")?, Key::new("next")?);
/// let seen = store.set("jobs", "next", 7)?;
/// let mut batch = Batch::new();
/// batch.delete(jobs.borrow(), key.borrow()).require(Condition::at(jobs.borrow(), key.borrow(), seen));
/// assert!(store.write(&batch)?[0].written);
/// # Ok::<(), swarmstate::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    operations: Vec<Operation<'a>>,
    conditions: Vec<Condition<'a>>,
    /// Whether the operations are known to be sets of a key each, so that no names meet.
    is_distinct_sets: bool,
}

impl<'a> Batch<'a> {
    /// A batch that does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch of what was collected elsewhere.
    pub fn from_parts(operations: Vec<Operation<'a>>, conditions: Vec<Condition<'a>>) -> Self {
        Self { operations, conditions, is_distinct_sets: false }
    }

    /// Leaves, of several `set` of one key, only the last.
    pub fn keep_last_sets(&mut self) {
        let mut seen = HashSet::with_capacity_and_hasher(self.operations.len(), RandomState::default());
        let is_last: Vec<bool> =
            self.operations.iter().rev().map(|operation| is_new_set(&mut seen, operation)).collect();
        let all_stay = is_last.iter().all(|is_last| *is_last);
        self.is_distinct_sets = self.operations.iter().all(|operation| matches!(operation, Operation::Set { .. }));
        if !all_stay {
            let mut is_last = is_last.into_iter().rev();
            self.operations.retain(|_| is_last.next().unwrap_or(true));
        }
    }

    /// Adds a condition.
    pub fn require(&mut self, condition: Condition<'a>) -> &mut Self {
        self.conditions.push(condition);
        self
    }

    /// Adds an operation.
    pub fn push(&mut self, operation: Operation<'a>) -> &mut Self {
        self.operations.push(operation);
        self.is_distinct_sets = false;
        self
    }

    /// Adds [`Operation::Set`].
    pub fn set(&mut self, namespace: Namespace<'a>, key: Key<'a>, value: Value<'a>, expiry: Expiry) -> &mut Self {
        self.push(Operation::Set { namespace, key, value, expiry })
    }

    /// Adds [`Operation::Delete`].
    pub fn delete(&mut self, namespace: Namespace<'a>, key: Key<'a>) -> &mut Self {
        self.push(Operation::Delete { namespace, key })
    }

    /// Adds [`Operation::Add`].
    pub fn add(&mut self, namespace: Namespace<'a>, key: Key<'a>, by: i64, expiry: Expiry) -> &mut Self {
        self.push(Operation::Add { namespace, key, by, expiry })
    }

    /// Adds [`Operation::Ensure`].
    pub fn ensure(&mut self, namespace: Namespace<'a>, key: Key<'a>, value: Value<'a>, expiry: Expiry) -> &mut Self {
        self.push(Operation::Ensure { namespace, key, value, expiry })
    }

    /// Adds [`Operation::Touch`].
    pub fn touch(&mut self, namespace: Namespace<'a>, key: Key<'a>, expiry: Expiry) -> &mut Self {
        self.push(Operation::Touch { namespace, key, expiry })
    }

    /// Adds [`Operation::DeleteNamespace`].
    pub fn delete_namespace(&mut self, namespace: Namespace<'a>) -> &mut Self {
        self.push(Operation::DeleteNamespace { namespace })
    }

    /// Adds [`Operation::CopyNamespace`].
    pub fn copy_namespace(&mut self, source: Namespace<'a>, target: Namespace<'a>) -> &mut Self {
        self.push(Operation::CopyNamespace { source, target })
    }

    /// The operations, in their order.
    pub fn operations(&self) -> &[Operation<'a>] {
        &self.operations
    }

    /// The conditions, in their order.
    pub fn conditions(&self) -> &[Condition<'a>] {
        &self.conditions
    }

    /// The bytes of its names and values, which [`Capabilities::max_batch_bytes`] bounds.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.operations.iter().map(Operation::size_bytes).sum()
    }

    /// The same batch, owning its names and values; what is shared stays shared.
    pub fn into_owned(self) -> Batch<'static> {
        Batch {
            operations: self.operations.into_iter().map(Operation::into_owned).collect(),
            conditions: self.conditions.into_iter().map(Condition::into_owned).collect(),
            is_distinct_sets: self.is_distinct_sets,
        }
    }

    /// Checks all that can be known without the store's state.
    ///
    /// # Cost
    /// O(operations), and one hash of each name where there is more than one.
    ///
    /// # Errors
    /// `TooLarge` above a limit, `Invalid` for names that meet or a value that is not of its kind, `Unsupported` for several
    /// namespaces where the engine cannot change them in one instant.
    pub fn check(&self, capabilities: &Capabilities) -> Result<()> {
        let count = self.operations.len();
        capabilities.check_batch_length("a batch in operations", count)?;
        capabilities.check_batch_length("a batch in conditions", self.conditions.len())?;
        self.operations.iter().try_for_each(|operation| operation.check(capabilities))?;
        let (size, limit) = (self.size_bytes(), capabilities.max_batch_bytes);
        if size > limit {
            return Err(Error::TooLarge { what: "a batch in bytes".into(), size, limit });
        }
        if !capabilities.atomic_across_namespaces {
            self.check_one_namespace(capabilities)?;
        }
        if count > 1 && !self.is_distinct_sets { self.check_names() } else { Ok(()) }
    }

    fn check_one_namespace(&self, capabilities: &Capabilities) -> Result<()> {
        let operations = self.operations.iter().map(Operation::namespace);
        let mut all = operations.chain(self.conditions.iter().map(Condition::namespace));
        let Some(first) = all.next() else { return Ok(()) };
        match all.find(|other| *other != first) {
            None => Ok(()),
            Some(other) => Err(Error::unsupported(format!(
                "{} cannot change the namespaces {:?} and {:?} in one batch; write one batch for each",
                capabilities.engine,
                first.as_str(),
                other.as_str()
            ))),
        }
    }

    /// Whether every operation changes one key, of which there is no other.
    fn is_each_its_own_key(&self) -> bool {
        let is_new = |(place, operation): (usize, &Operation<'_>)| {
            let (key, namespace) = (operation.key(), operation.namespace());
            let is_other = |other: &Operation<'_>| other.key() != key || other.namespace() != namespace;
            key.is_some() && self.operations[..place].iter().all(is_other)
        };
        self.operations.iter().enumerate().all(is_new)
    }

    /// Each key at most once, and a namespace either whole or by keys.
    fn check_names(&self) -> Result<()> {
        if self.operations.len() <= FEW && self.is_each_its_own_key() {
            return Ok(());
        }
        let mut keys = HashSet::with_capacity_and_hasher(self.operations.len(), RandomState::default());
        let mut whole = HashSet::with_hasher(RandomState::default());
        for operation in &self.operations {
            let namespace = operation.namespace().as_str();
            let is_new = match operation.key() {
                Some(key) => keys.insert((namespace, key.as_str())),
                None => whole.insert(namespace),
            };
            if !is_new {
                return Err(named_twice(operation));
            }
        }
        match keys.iter().find(|(namespace, _)| whole.contains(namespace)).filter(|_| !whole.is_empty()) {
            None => Ok(()),
            Some((namespace, key)) => Err(Error::invalid(format!(
                "a batch changes namespace {namespace:?} as a whole and its key {key:?} as well; write two batches"
            ))),
        }
    }
}

/// Whether it is no `set`, or the first one of its key.
fn is_new_set<'b>(seen: &mut HashSet<(&'b str, &'b str), RandomState>, operation: &'b Operation<'_>) -> bool {
    match operation {
        Operation::Set { namespace, key, .. } => seen.insert((namespace.as_str(), key.as_str())),
        _ => true,
    }
}

#[cold]
fn named_twice(operation: &Operation<'_>) -> Error {
    let namespace = operation.namespace().as_str();
    Error::invalid(match operation.key() {
        Some(key) => format!("a batch names key {:?} in namespace {namespace:?} twice", key.as_str()),
        None => format!("a batch changes namespace {namespace:?} as a whole twice"),
    })
}
