//! A batch on its way: as the arguments of a script, and the script's answer as outcomes.
//!
//! What a batch means is decided on the server, in `lua/batch.lua`. A batch whose answer was lost is sent again only if a condition
//! in it holds no longer once it was carried out; when the repeat then meets a conflict, what stands there tells whose work it is.

use std::collections::HashMap;

use redis::Value as Answered;

use super::layout::Keys;
use super::layout::{self, Now};
use super::script::{BATCH, Effect, Request};
use super::single::Short;
use super::{Redis, reply};
use crate::error::{Error, Result};
use crate::msgpack;
use crate::store::{Condition, Operation, Outcome, Store, sum, target_is_live};
use crate::value::{Kind, Revision, Value};

/// A batch, the moment at which it happens, and the namespaces that it names.
pub(super) struct Writing<'b, 'a> {
    pub(super) operations: &'b [Operation<'a>],
    pub(super) conditions: &'b [Condition<'a>],
    pub(super) now: Now,
    namespaces: Vec<&'b str>,
    /// Where each of the namespaces stands, counted from 1 as scripts do.
    places: HashMap<&'b str, usize>,
}

impl<'b, 'a> Writing<'b, 'a> {
    pub(super) fn new(operations: &'b [Operation<'a>], conditions: &'b [Condition<'a>], now: Now) -> Self {
        let mut writing = Self { operations, conditions, now, namespaces: Vec::new(), places: HashMap::new() };
        operations.iter().for_each(|operation| writing.enter(operation.namespace().as_str()));
        conditions.iter().for_each(|condition| writing.enter(condition.namespace().as_str()));
        writing
    }

    /// The same, with the namespaces that are copied among those that the script opens.
    fn with_sources(mut self) -> Self {
        for operation in self.operations {
            if let Operation::CopyNamespace { source, .. } = operation {
                self.enter(source.as_str());
            }
        }
        self
    }

    fn enter(&mut self, name: &'b str) {
        let namespaces = &mut self.namespaces;
        self.places.entry(name).or_insert_with(|| {
            namespaces.push(name);
            namespaces.len()
        });
    }

    fn place(&self, name: &str) -> usize {
        self.places.get(name).copied().unwrap_or_default()
    }

    /// The call of the script. `born` is the last snapshot before the namespaces were claimed; `None` before that.
    pub(super) fn request(&self, redis: &Redis, born: Option<i64>, pasted: Option<&[u8]>) -> Result<Request> {
        let keys = self.namespaces.iter().map(|name| redis.layout().namespace(name)).collect::<Vec<Keys>>();
        let keys = keys.iter().flat_map(|keys| [&*keys.hash, &*keys.index]).collect::<Vec<_>>();
        let effect = if self.is_guarded() { Effect::Guarded } else { Effect::Once };
        let mut request = Request::script(&BATCH, &keys, effect)
            .arg(&self.now.time())
            .arg(self.now.revision_floor())
            .arg(self.now.due())
            .arg(born.map_or(String::new(), |born| born.to_string()))
            .arg(self.conditions.len())
            .arg(self.operations.len());
        for condition in self.conditions {
            let (code, revision) = match condition {
                Condition::KeyAt { revision, .. } => ("r", *revision),
                Condition::KeyAbsent { .. } => ("a", 0),
                Condition::KeyPresent { .. } => ("p", 0),
                Condition::NamespaceAt { revision, .. } => ("n", *revision),
            };
            let key = condition.key().map_or(&b""[..], |key| key.as_bytes());
            request = request.arg(code).arg(self.place(condition.namespace().as_str())).arg(key).arg(revision);
        }
        for operation in self.operations {
            request = self.add(request, operation, pasted)?;
        }
        Ok(request)
    }

    fn add(&self, request: Request, operation: &Operation<'_>, pasted: Option<&[u8]>) -> Result<Request> {
        let now = self.now.at;
        let (code, expires_at, data) = match operation {
            Operation::Set { value, expiry, .. } => ("s", expiry.resolve(now)?, layout::value_bytes(value)),
            Operation::Ensure { value, expiry, .. } => ("e", expiry.resolve(now)?, layout::value_bytes(value)),
            Operation::Delete { .. } => ("d", None, Vec::new()),
            Operation::Touch { expiry, .. } => ("t", expiry.resolve(now)?, Vec::new()),
            Operation::Add { by, expiry, .. } => ("a", expiry.resolve(now)?, by.to_be_bytes().to_vec()),
            Operation::DeleteNamespace { .. } => ("D", None, Vec::new()),
            Operation::CopyNamespace { source, .. } => match pasted {
                Some(pasted) => ("P", None, pasted.to_vec()),
                None => ("C", None, self.place(source.as_str()).to_string().into_bytes()),
            },
        };
        let key = operation.key().map_or(&b""[..], |key| key.as_bytes());
        let request = request.arg(code).arg(self.place(operation.namespace().as_str())).arg(key);
        Ok(request.arg(&layout::expiry_bytes(expires_at)).arg(data))
    }

    /// Whether a condition surely fails once the batch was carried out, so that a repeat cannot apply it twice.
    fn is_guarded(&self) -> bool {
        self.conditions.iter().any(|condition| {
            self.operations.iter().any(|operation| match condition {
                Condition::KeyPresent { .. } => false,
                Condition::NamespaceAt { namespace, .. } => {
                    operation.namespace() == namespace
                        && matches!(operation, Operation::Set { .. } | Operation::Add { .. })
                }
                Condition::KeyAt { namespace, key, .. } => {
                    operation.namespace() == namespace
                        && operation.key() == Some(key)
                        && !matches!(operation, Operation::Ensure { .. })
                }
                Condition::KeyAbsent { namespace, key } => {
                    operation.namespace() == namespace
                        && operation.key() == Some(key)
                        && matches!(operation, Operation::Set { .. } | Operation::Add { .. } | Operation::Ensure { .. })
                }
            })
        })
    }

    /// What the script answered; `None` when the namespaces must be claimed first.
    pub(super) fn read(&self, answer: Answered) -> Result<Option<Vec<Outcome>>> {
        let mut parts = reply::array(answer)?.into_iter();
        let word = reply::bytes(parts.next().unwrap_or_default())?;
        match word.as_slice() {
            b"OK" => self.outcomes(parts).map(Some),
            b"REGISTER" => Ok(None),
            word => {
                let position = reply::count(parts.next().unwrap_or_default())?;
                Err(self.refusal(word, usize::try_from(position).unwrap_or(0), parts.next().unwrap_or_default())?)
            }
        }
    }

    fn outcomes(&self, mut parts: impl Iterator<Item = Answered>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(self.operations.len());
        for _ in self.operations {
            let revision = reply::count(parts.next().unwrap_or_default())?;
            let written = reply::count(parts.next().unwrap_or_default())? != 0;
            let integer = match parts.next().unwrap_or_default() {
                Answered::BulkString(bytes) => Some(reply::integer(&bytes)?),
                _ => None,
            };
            outcomes.push(Outcome { revision, written, integer });
        }
        Ok(outcomes)
    }

    fn refusal(&self, word: &[u8], position: usize, what: Answered) -> Result<Error> {
        if word == b"CONFLICT" {
            let condition = self.conditions.get(position).ok_or_else(reply::unexpected)?;
            return Ok(condition.judge(reply::count(what)?, position).err().unwrap_or_else(reply::unexpected));
        }
        let operation = self.operations.get(position).ok_or_else(reply::unexpected)?;
        if word == b"TAKEN" {
            return Ok(target_is_live(operation.namespace(), reply::count(what)?, position));
        }
        let Operation::Add { namespace, key, by, .. } = operation else { return Err(reply::unexpected()) };
        let (kind, standing) = match word {
            b"WRONGTYPE" => {
                let code = u8::try_from(reply::count(what)?).ok();
                (code.and_then(layout::kind_of_code).ok_or_else(reply::unexpected)?, Value::from(0))
            }
            b"OVERFLOW" => (Kind::Integer, Value::from(reply::integer(&reply::bytes(what)?)?)),
            _ => return Err(reply::unexpected()),
        };
        Ok(sum((namespace, key), kind, standing.as_bytes(), *by).err().unwrap_or_else(reply::unexpected))
    }

    /// What an error means, which after a repeat may be a conflict with the batch's own work.
    fn settle(&self, redis: &Redis, error: Error, is_repeat: bool) -> Result<Vec<Outcome>> {
        match error {
            Error::Conflict(conflict) if is_repeat => self.own_work(redis)?.ok_or_else(|| Error::Unavailable {
                what: format!("an answer was lost; what was asked may have happened, and since then {conflict}"),
            }),
            error => Err(error),
        }
    }

    /// After a repeat that met a conflict: the outcomes, if what stands everywhere is this batch's own work.
    fn own_work(&self, redis: &Redis) -> Result<Option<Vec<Outcome>>> {
        let mut outcomes = Vec::with_capacity(self.operations.len());
        for operation in self.operations {
            match self.own_outcome(redis, operation)? {
                Some(outcome) => outcomes.push(outcome),
                None => return Ok(None),
            }
        }
        Ok(Some(outcomes))
    }

    fn own_outcome(&self, redis: &Redis, operation: &Operation<'_>) -> Result<Option<Outcome>> {
        let Some(key) = operation.key() else { return Ok(None) };
        let entry = redis.stored(operation.namespace().as_str(), key.as_bytes())?;
        let Some(entry) = entry else {
            let is_ours = matches!(operation, Operation::Delete { .. });
            return Ok(is_ours.then_some(Outcome { revision: 0, written: true, integer: None }));
        };
        let is_value = match operation {
            Operation::Set { value, .. } | Operation::Ensure { value, .. } => {
                value.kind() == entry.kind() && value.as_bytes() == entry.value()
            }
            Operation::Add { .. } => entry.kind() == Kind::Integer,
            Operation::Touch { expiry, .. } => expiry.resolve(self.now.at)? == entry.expires_at(),
            _ => false,
        };
        let integer = match operation {
            Operation::Add { .. } => msgpack::read_integer(entry.value()),
            _ => None,
        };
        let is_ours = is_value && entry.updated_at() == self.now.at && self.gave(entry.revision());
        Ok(is_ours.then_some(Outcome { revision: entry.revision(), written: true, integer }))
    }

    /// Whether a revision is one that this batch gives where it is ahead of its namespace's: it begins with the microsecond of
    /// the batch, which tells it from another's batch of the same millisecond.
    fn gave(&self, revision: Revision) -> bool {
        let first = u64::try_from(self.now.revision_floor()).unwrap_or(0);
        (first..first + self.operations.len() as u64).contains(&revision)
    }
}

impl Redis {
    /// Carries out a checked batch.
    pub(super) fn carry_out(&self, batch: &[Operation<'_>], conditions: &[Condition<'_>]) -> Result<Vec<Outcome>> {
        if batch.is_empty() && conditions.is_empty() {
            return self.transport().map(|_| Vec::new());
        }
        let mut writing = Writing::new(batch, conditions, self.now()?);
        let mut pasted = None;
        match batch {
            [Operation::CopyNamespace { source, target }] if !self.is_alone() && source != target => {
                pasted = self.copied(source.as_str(), writing.now)?;
                if pasted.is_none() {
                    return self.judge_alone(&writing);
                }
            }
            _ => writing = writing.with_sources(),
        }
        let (mut born, mut is_repeat) = (None, false);
        if let ([operation], [] | [_]) = (batch, conditions) {
            match self.try_short(operation, conditions.first(), writing.now)? {
                Some(Short::Done(outcome)) => return Ok(vec![outcome]),
                Some(Short::Refused(actual, lost)) => {
                    let refusal = conditions.first().and_then(|condition| condition.judge(actual, 0).err());
                    return writing.settle(self, refusal.unwrap_or_else(reply::unexpected), lost);
                }
                Some(Short::Long(lost)) => is_repeat = lost,
                None => {}
            }
        }
        loop {
            let answer = self.transport()?.call(&writing.request(self, born, pasted.as_deref())?)?;
            is_repeat |= answer.is_repeat;
            match writing.read(answer.value) {
                Ok(Some(outcomes)) => return Ok(outcomes),
                Ok(None) => born = Some(self.claim(&writing.namespaces, writing.now)?),
                Err(error) => return writing.settle(self, error, is_repeat),
            }
        }
    }
}

impl Redis {
    /// The live entries of a namespace as one cut, ready to be pasted elsewhere; `None` where it holds nothing.
    fn copied(&self, source: &str, now: Now) -> Result<Option<Vec<u8>>> {
        let answer = self.ask(&Request::command("HGETALL", &self.layout().namespace(source).hash))?;
        let mut pasted = Vec::new();
        for (key, stored) in reply::pairs(answer)? {
            if layout::is_key(&key) && !layout::read_entry(&key, &stored)?.is_expired(now.at) {
                for part in [key, stored] {
                    let length = u32::try_from(part.len()).map_err(|_| reply::unexpected())?;
                    pasted.extend_from_slice(&length.to_be_bytes());
                    pasted.extend_from_slice(&part);
                }
            }
        }
        let (size, limit) = (pasted.len() as u64, self.capabilities().max_batch_bytes);
        if size > limit {
            return Err(Error::TooLarge { what: format!("a copy of namespace {source:?} in bytes"), size, limit });
        }
        Ok(Some(pasted).filter(|pasted| !pasted.is_empty()))
    }

    /// Judges the conditions of a batch whose operation has nothing to do.
    fn judge_alone(&self, writing: &Writing<'_, '_>) -> Result<Vec<Outcome>> {
        let nothing = vec![Outcome::default(); writing.operations.len()];
        if writing.conditions.is_empty() {
            return Ok(nothing);
        }
        let judged = Writing::new(&[], writing.conditions, writing.now);
        let answer = self.transport()?.call(&judged.request(self, None, None)?)?;
        judged.read(answer.value).map(|_| nothing)
    }
}
