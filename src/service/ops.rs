//! What can be done with keys, each operation once: the doors decode, call and encode.
//!
//! Nothing here knows of HTTP or MCP. Names and callers are checked before an operation is called; values, numbers and conditions
//! are checked here. Operations block where the store does.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::changes::{Change, Changes, Writing};
use super::members::{MAX_SAFE_INTEGER, Members, is_safe, safe_integer, text};
use super::refusal::{Refusal, Result};
use crate::clock::{Clock, Timestamp};
use crate::error::{Conflict, Error, Expected};
use crate::key::{Key, Namespace, Prefix};
use crate::msgpack::{self, MAX_DEPTH, read_integer};
use crate::store::{Batch, Condition, Expiry, Operation, Outcome, Range, Reader, Store};
use crate::value::{Entry, Kind, Revision, Stamp, Value};

/// The largest value, in bytes: of a string its UTF-8, of anything else its msgpack.
pub const MAX_VALUE_BYTES: usize = 2 * 1024 * 1024;

/// The most operations in a batch.
pub const MAX_BATCH: usize = 64;

/// A page ends once its values take so many bytes.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Entries that are read first, before their size is known.
const FIRST_CHUNK: usize = 16;

/// Below these an increment needs no condition: more of them would have to be under way at once than a server lets in.
const FAR_FROM_LIMIT: i64 = 1 << 51;
const SMALL_STEP: i64 = 1 << 40;

/// The operations on keys of one store.
#[derive(Clone)]
pub struct Keys {
    store: Arc<dyn Store>,
    clock: Clock,
    changes: Arc<Changes>,
}

/// What a write requires of the key before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// To be at one of these revisions; 0 stands for absent.
    AnyOf(Vec<Revision>),
    /// To exist.
    Present,
    /// Not to exist.
    Absent,
}

/// What a list shows.
#[derive(Clone, Debug)]
pub struct Query {
    /// What the keys begin with.
    pub prefix: String,
    /// The most entries.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many entries to pass over.
    pub offset: u64,
}

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

impl Query {
    /// What a list shows, as its parameters say.
    ///
    /// # Errors
    /// `Invalid` for a limit outside 1 to 1000, and for a cursor beside an offset.
    pub fn of(prefix: String, limit: Option<u64>, cursor: Option<String>, offset: Option<u64>) -> Result<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Refusal::invalid(format!("\"limit\" must be a whole number from 1 to 1000, but is {limit}")));
        }
        match cursor.is_some() && offset.is_some() {
            true => Err(Refusal::invalid("give either a cursor or an offset")),
            false => Ok(Self { prefix, limit: limit as usize, cursor, offset: offset.unwrap_or(0) }),
        }
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// How many matches there are at the instant of the items; `None` on a page asked for with a cursor.
    pub total: Option<u64>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// Where an operation works: both names are checked.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The key.
    pub key: &'a str,
}

impl<'a> Address<'a> {
    fn parts(self) -> Result<(Namespace<'a>, Key<'a>)> {
        Ok((Namespace::new(self.namespace)?, Key::new(self.key)?))
    }
}

impl Keys {
    /// The operations on `store`, which goes by `clock`.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        let changes = Arc::new(Changes::new(clock.clone()));
        Self { store, clock, changes }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What time it is for the store.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What these operations change, told as it happens.
    pub(super) fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    fn begin(&self, namespace: &Namespace<'_>) -> Writing<'_> {
        self.changes.begin(namespace.as_str())
    }

    /// The entry, or `None`.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub fn get(&self, address: Address<'_>) -> Result<Option<Entry>> {
        let (namespace, key) = address.parts()?;
        Ok(self.store.get(&namespace, &key)?)
    }

    /// Writes a value, and returns the entry that it made.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_VALUE_BYTES`], `Conflict` where `precondition` does not hold.
    pub fn put(
        &self,
        address: Address<'_>,
        value: &Value<'_>,
        expiry: Expiry,
        precondition: &Precondition,
    ) -> Result<Entry> {
        check_size(value)?;
        let (namespace, key) = address.parts()?;
        let condition = self.condition(address, precondition)?;
        let writing = self.begin(&namespace);
        let operation = Operation::Set { namespace, key: key.borrow(), value: value.clone(), expiry };
        let (outcome, writing) = writing.heard(self.store.apply(operation, condition))?;
        let entry = self.told(self.get(address)?, outcome, &key, value, Some(expiry));
        writing.set(&entry);
        Ok(entry)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// `NotFound` where it is not live, `Conflict` where `precondition` does not hold.
    pub fn delete(&self, address: Address<'_>, precondition: &Precondition) -> Result<()> {
        let (namespace, key) = address.parts()?;
        let condition = self.condition(address, precondition)?;
        let writing = self.begin(&namespace);
        let (outcome, writing) = writing.heard(self.store.apply(Operation::Delete { namespace, key }, condition))?;
        if outcome.written {
            writing.deleted(address.key, outcome.revision);
            return Ok(());
        }
        writing.nothing();
        Err(missing(address))
    }

    /// Adds to an integer, which is made where the key is not live, and returns the entry with the sum.
    ///
    /// # Errors
    /// `WrongType` for another kind, `Invalid` for an integer or a sum outside ±(2⁵³−1), `Conflict` where `precondition` does
    /// not hold.
    pub fn increment(&self, address: Address<'_>, by: i64, precondition: &Precondition) -> Result<Entry> {
        let (namespace, key) = address.parts()?;
        loop {
            let standing = self.store.get(&namespace, &key)?;
            let is_sure = precondition == &Precondition::None && is_far_from_limit(standing.as_ref(), by);
            let actual = standing.as_ref().map_or(0, Entry::revision);
            judge(address, precondition, actual)?;
            let sum = check_sum(address, standing.as_ref(), by)?;
            let condition = (!is_sure).then(|| Condition::at(namespace.borrow(), key.borrow(), actual));
            let operation =
                Operation::Add { namespace: namespace.borrow(), key: key.borrow(), by, expiry: Expiry::Never };
            match self.begin(&namespace).heard(self.store.apply(operation, condition)) {
                Ok((outcome, writing)) => {
                    let value = Value::from(outcome.integer.unwrap_or(sum));
                    let entry = self.told(self.get(address)?, outcome, &key, &value, None);
                    writing.set(&entry);
                    return Ok(entry);
                }
                // Somebody was quicker: judge again what stands there now.
                Err(Error::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes a value for so long, unless the key is live; tells whether it did, and the entry that stands.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_VALUE_BYTES`].
    pub fn claim(&self, address: Address<'_>, value: &Value<'_>, ttl: Duration) -> Result<(bool, Entry)> {
        check_size(value)?;
        let (namespace, key) = address.parts()?;
        let expiry = Expiry::After(ttl);
        loop {
            let operation =
                Operation::Ensure { namespace: namespace.borrow(), key: key.borrow(), value: value.clone(), expiry };
            let (outcome, writing) = self.begin(&namespace).heard(self.store.apply(operation, None))?;
            if outcome.written {
                let entry = self.told(self.get(address)?, outcome, &key, value, Some(expiry));
                writing.set(&entry);
                return Ok((true, entry));
            }
            writing.nothing();
            // Between both calls it may have gone, and is free again.
            if let Some(standing) = self.store.get(&namespace, &key)? {
                return Ok((false, standing));
            }
        }
    }

    /// A page of a namespace's entries, in ascending order of keys.
    ///
    /// # Cost
    /// O(page + offset); the first page also counts the matches of a prefix, O(matches).
    ///
    /// # Errors
    /// `Invalid` for a cursor that is none.
    pub fn list(&self, namespace: &str, query: &Query) -> Result<Page<Entry>> {
        let namespace = Namespace::new(namespace)?;
        if query.cursor.is_some() {
            let (items, next) = page(&*self.store, &namespace, query, decode_cursor(query.cursor.as_deref())?)?;
            return Ok(Page { items, total: None, next });
        }
        let view = self.store.view_of(&namespace)?;
        let (items, next) = page(&*view, &namespace, query, skip(&*view, &namespace, query)?)?;
        Ok(Page { items, total: Some(count(&*view, &namespace, &query.prefix)?), next })
    }

    /// A page of a namespace's keys alone.
    ///
    /// # Errors
    /// As [`Keys::list`].
    pub fn list_keys(&self, namespace: &str, query: &Query) -> Result<Page<String>> {
        let namespace = Namespace::new(namespace)?;
        let total = query.cursor.is_none();
        let reader: Arc<dyn Reader> = if total { self.store.view_of(&namespace)? } else { self.store.clone() };
        let after = match total {
            true => skip(&*reader, &namespace, query)?,
            false => decode_cursor(query.cursor.as_deref())?,
        };
        let mut items = reader.keys(&namespace, &range(&query.prefix, after.as_deref(), query.limit + 1)?)?;
        let next = cut(&mut items, query.limit);
        let total = total.then(|| count(&*reader, &namespace, &query.prefix)).transpose()?;
        Ok(Page { items, total, next })
    }

    /// A page of the namespaces, without those of the integrations.
    ///
    /// # Errors
    /// `Invalid` for a cursor that is none.
    pub fn namespaces(&self, query: &Query) -> Result<Page<String>> {
        let mut after = decode_cursor(query.cursor.as_deref())?;
        let mut items = Vec::new();
        loop {
            let wanted = query.limit + 1 - items.len();
            let names = self.store.namespaces(&range(&query.prefix, after.as_deref(), wanted)?)?;
            let is_last = names.len() < wanted;
            after = names.last().map(|last| past_integrations(last));
            items.extend(names.into_iter().filter(|name| !name.starts_with(INTEGRATIONS)));
            if is_last || items.len() > query.limit {
                break;
            }
        }
        let next = cut(&mut items, query.limit);
        Ok(Page { items, total: None, next })
    }

    /// Carries out several operations on one namespace, all or none, and returns what stands at each one's key after it.
    ///
    /// # Errors
    /// As each operation alone, with the place of the offending one.
    pub fn batch(&self, namespace: &str, steps: &[Step<'_>]) -> Result<Vec<Option<Entry>>> {
        let namespace = Namespace::new(namespace)?;
        loop {
            let plan = self.plan(&namespace, steps)?;
            match self.begin(&namespace).heard(self.store.write(&plan.batch)) {
                Ok((outcomes, writing)) => {
                    let shown = self.shown(&namespace, steps, &outcomes)?;
                    writing.all(changes(steps, &outcomes, &shown));
                    return Ok(shown);
                }
                Err(Error::Conflict(conflict)) => match plan.conditions.get(conflict.position) {
                    // What an increment was judged by has changed: judge again.
                    Some((_, true)) => {}
                    Some((place, false)) => return Err(Refusal::from(Error::Conflict(conflict)).at(*place)),
                    None => return Err(Error::Conflict(conflict).into()),
                },
                Err(Error::WrongType { namespace, key, kind }) => {
                    let place = steps.iter().position(|step| step.key == key && step.is_change());
                    let refusal = Refusal::from(Error::WrongType { namespace, key, kind });
                    return Err(place.map_or(refusal.clone(), |place| refusal.at(place)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn plan<'a>(&self, namespace: &Namespace<'a>, steps: &'a [Step<'a>]) -> Result<Plan<'a>> {
        let mut plan = Plan::default();
        for (place, step) in steps.iter().enumerate() {
            self.plan_step(&mut plan, namespace, step, place).map_err(|refusal| refusal.at(place))?;
        }
        Ok(plan)
    }

    fn plan_step<'a>(
        &self,
        plan: &mut Plan<'a>,
        namespace: &Namespace<'a>,
        step: &'a Step<'a>,
        place: usize,
    ) -> Result<()> {
        let key = Key::new(step.key)?;
        if let Some(revision) = step.if_revision {
            plan.require(Condition::at(namespace.clone(), key.clone(), revision), place, false);
        }
        match &step.action {
            Action::Check => {}
            Action::Delete => drop(plan.batch.delete(namespace.clone(), key)),
            Action::Set(value, expiry) => {
                check_size(value)?;
                plan.batch.set(namespace.clone(), key, value.clone(), *expiry);
            }
            Action::Increment(by) => {
                let standing = self.store.get(namespace, &key)?;
                let address = Address { namespace: namespace.as_str(), key: step.key };
                // That a value is of another kind is told by the store, which judges conditions first.
                if standing.as_ref().is_none_or(|entry| entry.kind() == Kind::Integer) {
                    check_sum(address, standing.as_ref(), *by)?;
                }
                if !is_far_from_limit(standing.as_ref(), *by) {
                    let actual = standing.as_ref().map_or(0, Entry::revision);
                    plan.require(Condition::at(namespace.clone(), key.clone(), actual), place, true);
                }
                plan.batch.add(namespace.clone(), key, *by, Expiry::Never);
            }
        }
        Ok(())
    }

    /// What stands at the key of each step after the batch.
    fn shown(&self, namespace: &Namespace<'_>, steps: &[Step<'_>], outcomes: &[Outcome]) -> Result<Vec<Option<Entry>>> {
        let pairs =
            steps.iter().map(|step| Ok((namespace.clone(), Key::new(step.key)?))).collect::<Result<Vec<_>>>()?;
        let standing = self.store.get_many(&pairs)?;
        let mut outcomes = outcomes.iter();
        let shown = steps.iter().zip(pairs).zip(standing).map(|((step, (_, key)), standing)| {
            let outcome =
                if step.is_change() { outcomes.next().copied().unwrap_or_default() } else { Outcome::default() };
            match &step.action {
                Action::Check => standing,
                Action::Delete => None,
                Action::Set(value, expiry) => Some(self.told(standing, outcome, &key, value, Some(*expiry))),
                Action::Increment(_) => {
                    let sum = Value::from(outcome.integer.unwrap_or_default());
                    Some(self.told(standing, outcome, &key, &sum, None))
                }
            }
        });
        Ok(shown.collect())
    }

    /// The condition that the store judges; several revisions become the one that stands.
    fn condition<'a>(&self, address: Address<'a>, precondition: &Precondition) -> Result<Option<Condition<'a>>> {
        let (namespace, key) = address.parts()?;
        Ok(match precondition {
            Precondition::None => None,
            Precondition::Present => Some(Condition::KeyPresent { namespace, key }),
            Precondition::Absent => Some(Condition::KeyAbsent { namespace, key }),
            Precondition::AnyOf(revisions) => {
                let revision = match revisions[..] {
                    [only] => only,
                    _ => self.store.get(&namespace, &key)?.map_or(0, |entry| entry.revision()),
                };
                judge_any(address, revisions, revision)?;
                Some(Condition::at(namespace, key, revision))
            }
        })
    }

    /// The entry that a write made, where `standing` stands by now. Where that is somebody else's, it is told from what is known:
    /// value, type and revision are the write's own, the times those of this moment.
    fn told(
        &self,
        standing: Option<Entry>,
        outcome: Outcome,
        key: &Key<'_>,
        value: &Value<'_>,
        expiry: Option<Expiry>,
    ) -> Entry {
        let now = self.clock.now();
        match standing {
            Some(entry) if entry.revision() == outcome.revision => entry,
            standing => {
                let created_at = standing.as_ref().map_or(now, |entry| entry.created_at().min(now));
                let kept = standing.as_ref().and_then(Entry::expires_at);
                let expires_at = expiry.map_or(kept, |expiry| expiry.resolve(now).ok().flatten());
                Entry::new(key, value, Stamp { revision: outcome.revision, created_at, updated_at: now, expires_at })
            }
        }
    }

    /// The expiry of a write, from `expiresInSec`.
    ///
    /// # Errors
    /// `Invalid` unless it is above 0 and ends within 2⁵³−1.
    pub fn expiry(&self, members: &Members<'_>) -> Result<Expiry> {
        Ok(self.duration(members, "expiresInSec")?.map_or(Expiry::Never, Expiry::After))
    }

    /// The seconds that a member gives.
    ///
    /// # Errors
    /// `Invalid` unless it is above 0 and ends within 2⁵³−1.
    pub fn duration(&self, members: &Members<'_>, name: &str) -> Result<Option<Duration>> {
        let Some(seconds) = members.integer(name)? else { return Ok(None) };
        let left = MAX_SAFE_INTEGER - self.clock.now().as_millis().max(0);
        match u64::try_from(seconds) {
            Ok(positive @ 1..) if seconds <= left / 1000 => Ok(Some(Duration::from_secs(positive))),
            _ => Err(Refusal::invalid(format!("{name:?} must be above 0 and end within 2^53-1 ms, but is {seconds}"))),
        }
    }

    /// What a claim writes, null without a value, and for how long.
    ///
    /// # Errors
    /// `Invalid` where the time is missing or none, and for a value that is not of its type.
    pub fn read_claim<'a>(&self, members: &Members<'a>) -> Result<(Value<'a>, Duration)> {
        let seconds = self.duration(members, "seconds")?;
        let seconds = seconds.ok_or_else(|| Refusal::invalid("\"seconds\" is missing: how long the claim holds"))?;
        Ok((if members.raw("value").is_some() { read_value(members)? } else { null() }, seconds))
    }
}

/// Namespaces of the integrations begin so, and no door shows them.
pub(super) const INTEGRATIONS: char = '\u{1f}';

/// Where a listing goes on behind `last`: past most of the namespaces that are not shown, however many there are.
fn past_integrations(last: &str) -> String {
    match last.starts_with(INTEGRATIONS) {
        true => last.max("\u{1f}\u{10ffff}").to_owned(),
        false => last.to_owned(),
    }
}

/// One operation of a batch.
#[derive(Debug)]
pub struct Step<'a> {
    key: &'a str,
    if_revision: Option<Revision>,
    action: Action<'a>,
}

#[derive(Debug)]
enum Action<'a> {
    Check,
    Set(Value<'a>, Expiry),
    Delete,
    Increment(i64),
}

impl<'a> Step<'a> {
    /// Reads an operation: `{op, key, …}`.
    ///
    /// # Errors
    /// `Invalid` for what is none.
    pub fn read(keys: &Keys, members: &Members<'a>) -> Result<Self> {
        let key = members.required_text("key")?;
        super::context::check_name("key", key)?;
        // What another operation has no use for must be right all the same.
        let (if_revision, revision) = (members.revision("ifRevision")?, members.revision("revision")?);
        let (by, expiry) = (members.integer("by")?.unwrap_or(1), keys.expiry(members)?);
        value_type(members)?;
        Ok(match members.required_text("op")? {
            "check" => {
                let missing = || Refusal::invalid("a check needs \"revision\": the one to be at, or 0 for absent");
                Self { key, if_revision: Some(revision.ok_or_else(missing)?), action: Action::Check }
            }
            "set" => Self { key, if_revision, action: Action::Set(read_value(members)?, expiry) },
            "delete" => Self { key, if_revision, action: Action::Delete },
            "incr" => Self { key, if_revision: None, action: Action::Increment(by) },
            other => {
                return Err(Refusal::invalid(format!(
                    "there is no op {other:?}; there are check, set, delete and incr"
                )));
            }
        })
    }

    fn is_change(&self) -> bool {
        !matches!(self.action, Action::Check)
    }
}

/// What the steps of a batch changed.
fn changes(steps: &[Step<'_>], outcomes: &[Outcome], shown: &[Option<Entry>]) -> Vec<(Revision, Change)> {
    let changing = steps.iter().zip(shown).filter(|(step, _)| step.is_change());
    let changes = changing.zip(outcomes).filter(|(_, outcome)| outcome.written);
    changes
        .map(|((step, shown), outcome)| match shown {
            Some(entry) => (outcome.revision, Change::Set(entry.clone())),
            None => (outcome.revision, Change::Delete { key: step.key.into(), revision: outcome.revision }),
        })
        .collect()
}

#[derive(Default)]
struct Plan<'a> {
    batch: Batch<'a>,
    /// For each condition the operation that it belongs to, and whether it is our own rather than the caller's.
    conditions: Vec<(usize, bool)>,
}

impl<'a> Plan<'a> {
    fn require(&mut self, condition: Condition<'a>, place: usize, is_own: bool) {
        self.batch.require(condition);
        self.conditions.push((place, is_own));
    }
}

/// The value that `value` and `valueType` state.
///
/// # Errors
/// `Invalid` where the value is missing or not of the type.
pub fn read_value<'a>(members: &Members<'a>) -> Result<Value<'a>> {
    let value = members.raw("value").ok_or_else(|| Refusal::invalid("\"value\" is missing"))?;
    match value_type(members)? {
        Kind::Json => match msgpack::skip(value, 0) {
            Ok(_) => Ok(Value::borrowed(Kind::Json, value)),
            Err(_) => Err(Refusal::invalid(format!("the value nests deeper than {MAX_DEPTH} levels"))),
        },
        Kind::String if text(value).is_some() => Ok(Value::borrowed(Kind::String, value)),
        Kind::String => Err(Refusal::invalid("the value of valueType string must be a JSON string")),
        Kind::Integer => match safe_integer(value).or_else(|| decimal(text(value)?)) {
            Some(integer) => Ok(Value::from(integer)),
            None => Err(Refusal::invalid("the value of valueType integer must be an integer within ±(2^53-1)")),
        },
        Kind::Bytes => Err(Refusal::invalid("bytes are read here, but not written")),
    }
}

/// The kind that `valueType` names, json without it.
fn value_type(members: &Members<'_>) -> Result<Kind> {
    match members.text("valueType")?.unwrap_or("json") {
        "json" => Ok(Kind::Json),
        "string" => Ok(Kind::String),
        "integer" => Ok(Kind::Integer),
        other => Err(Refusal::invalid(format!("there is no valueType {other:?}; there are json, string and integer"))),
    }
}

fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_decimal { text.parse().ok().filter(|integer| is_safe(*integer)) } else { None }
}

fn check_size(value: &Value<'_>) -> Result<()> {
    let size = match value.kind() {
        Kind::String => text(value.as_bytes()).map_or(0, str::len),
        Kind::Integer | Kind::Bytes | Kind::Json => value.as_bytes().len(),
    };
    match size > MAX_VALUE_BYTES {
        true => Err(too_large("the value in bytes", size, MAX_VALUE_BYTES)),
        false => Ok(()),
    }
}

/// The refusal of what is above a limit.
pub fn too_large(what: &str, size: usize, limit: usize) -> Refusal {
    Error::TooLarge { what: what.to_owned(), size: size as u64, limit: limit as u64 }.into()
}

/// The refusal for a key that is not live.
pub fn missing(address: Address<'_>) -> Refusal {
    Error::not_found(format!("key {:?} in namespace {:?}", address.key, address.namespace)).into()
}

fn judge(address: Address<'_>, precondition: &Precondition, actual: Revision) -> Result<()> {
    match precondition {
        Precondition::None => Ok(()),
        Precondition::AnyOf(revisions) => judge_any(address, revisions, actual),
        Precondition::Present if actual > 0 => Ok(()),
        Precondition::Absent if actual == 0 => Ok(()),
        Precondition::Present => Err(conflict(address, Expected::Present, actual)),
        Precondition::Absent => Err(conflict(address, Expected::Absent, actual)),
    }
}

fn judge_any(address: Address<'_>, revisions: &[Revision], actual: Revision) -> Result<()> {
    match revisions.contains(&actual) {
        true => Ok(()),
        false => {
            let expected = revisions.first().map_or(Expected::Present, |revision| Expected::Revision(*revision));
            Err(conflict(address, expected, actual))
        }
    }
}

fn conflict(address: Address<'_>, expected: Expected, actual: Revision) -> Refusal {
    let (namespace, key) = (address.namespace.to_owned(), Some(address.key.to_owned()));
    Error::from(Box::new(Conflict { namespace, key, expected, actual, position: 0 })).into()
}

/// The sum, where it is within ±(2⁵³−1).
fn check_sum(address: Address<'_>, standing: Option<&Entry>, by: i64) -> Result<i64> {
    let Some(entry) = standing else { return Ok(by) };
    if entry.kind() != Kind::Integer {
        let (namespace, key) = (address.namespace.to_owned(), address.key.to_owned());
        return Err(Error::WrongType { namespace, key, kind: entry.kind() }.into());
    }
    let integer = read_integer(entry.value()).unwrap_or(i64::MAX);
    match integer.checked_add(by).filter(|sum| is_safe(*sum) && is_safe(integer)) {
        Some(sum) => Ok(sum),
        None => Err(Refusal::invalid(format!("{integer} + {by} leaves ±(2^53-1); the value stays as it is"))),
    }
}

fn is_far_from_limit(standing: Option<&Entry>, by: i64) -> bool {
    let integer = standing.map_or(Some(0), |entry| read_integer(entry.value()));
    by.abs() <= SMALL_STEP && integer.is_some_and(|integer| integer.unsigned_abs() <= FAR_FROM_LIMIT as u64)
}

fn range<'a>(prefix: &'a str, after: Option<&'a str>, limit: usize) -> Result<Range<'a>> {
    let range = Range::of(Prefix::new(prefix)?).limit(limit);
    Ok(match after {
        Some(after) => range.after(Key::new(after)?),
        None => range,
    })
}

/// A page of entries behind `after`, which ends early where its values are large.
fn page(
    reader: &dyn Reader,
    namespace: &Namespace<'_>,
    query: &Query,
    mut after: Option<String>,
) -> Result<(Vec<Entry>, Option<String>)> {
    let (mut items, mut bytes, mut chunk) = (Vec::<Entry>::new(), 0, FIRST_CHUNK);
    loop {
        let wanted = chunk.min(query.limit + 1 - items.len());
        let read = reader.entries(namespace, &range(&query.prefix, after.as_deref(), wanted)?)?;
        let is_last = read.len() < wanted;
        for entry in read {
            if items.len() == query.limit || bytes >= PAGE_BYTES {
                let next = items.last().map(|entry| encode_cursor(entry.key()));
                return Ok((items, next));
            }
            bytes += entry.value().len();
            items.push(entry);
        }
        if is_last {
            return Ok((items, None));
        }
        after = items.last().map(|entry| entry.key().to_owned());
        let each = (bytes / items.len()).max(1);
        chunk = (PAGE_BYTES.saturating_sub(bytes) / each + 1).clamp(1, 2 * chunk);
    }
}

/// Names that are counted or passed over at a time.
const COUNTED: usize = 1000;

/// The last of the keys that `offset` passes over.
fn skip(reader: &dyn Reader, namespace: &Namespace<'_>, query: &Query) -> Result<Option<String>> {
    let (mut left, mut after) = (query.offset, None::<String>);
    while left > 0 {
        let step = left.min(COUNTED as u64) as usize;
        let keys = reader.keys(namespace, &range(&query.prefix, after.as_deref(), step)?)?;
        let is_last = keys.len() < step;
        after = keys.into_iter().next_back().or(after);
        left = if is_last { 0 } else { left - step as u64 };
    }
    Ok(after)
}

fn count(reader: &dyn Reader, namespace: &Namespace<'_>, prefix: &str) -> Result<u64> {
    if prefix.is_empty() {
        return Ok(reader.namespace(namespace)?.map_or(0, |known| known.usage.entries));
    }
    let (mut total, mut after) = (0, None::<String>);
    loop {
        let keys = reader.keys(namespace, &range(prefix, after.as_deref(), COUNTED)?)?;
        total += keys.len() as u64;
        if keys.len() < COUNTED {
            return Ok(total);
        }
        after = keys.into_iter().next_back();
    }
}

/// Cuts a page that was read by one more, and tells where the next one starts.
fn cut(items: &mut Vec<String>, limit: usize) -> Option<String> {
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(|last| encode_cursor(last))
}

/// Begins every cursor, so that what is none is told.
const CURSOR: &str = "k";

/// The cursor of a list that goes on behind `last`.
pub(super) fn encode_cursor(last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{CURSOR}{last}"))
}

/// Where a cursor says that a list goes on.
///
/// # Errors
/// `Invalid` for what is no cursor.
pub(super) fn decode_cursor(cursor: Option<&str>) -> Result<Option<String>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let last = decoded.as_deref().and_then(|text| text.strip_prefix(CURSOR)).map(str::to_owned);
    last.map(Some).ok_or_else(|| Refusal::invalid("the cursor is none that this service gave"))
}

/// The msgpack of null.
fn null() -> Value<'static> {
    let mut bytes = Vec::new();
    msgpack::write_nil(&mut bytes);
    Value::shared(Kind::Json, bytes)
}
