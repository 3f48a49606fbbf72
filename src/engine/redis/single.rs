//! The short way of a single `set` or `add`: one lean script, which sends the rare cases the long way.
//!
//! It answers what the batch of the same operation would; where it cannot, nothing was written and nothing is known.

use redis::Value as Answered;

use super::layout::{self, Now};
use super::script::{ADD, Effect, Request, SET};
use super::{Redis, reply};
use crate::error::Result;
use crate::store::{Condition, Expiry, Operation, Outcome};

/// What became of the short way.
pub(super) enum Short {
    /// It was carried out.
    Done(Outcome),
    /// A condition failed; the revision that the key has. Whether an earlier attempt was lost.
    Refused(u64, bool),
    /// It takes the long way; whether an earlier attempt was lost.
    Long(bool),
}

impl Redis {
    /// Tries the short way; `None` for an operation that has none.
    pub(super) fn try_short(
        &self,
        operation: &Operation<'_>,
        condition: Option<&Condition<'_>>,
        now: Now,
    ) -> Result<Option<Short>> {
        let Some(request) = self.short_request(operation, condition, now) else { return Ok(None) };
        let answer = self.transport()?.call(&request)?;
        let is_repeat = answer.is_repeat;
        Ok(Some(match answer.value {
            value if reply::is_word(&value, "BATCH") => Short::Long(is_repeat),
            Answered::Int(revision) => {
                let revision = u64::try_from(revision).map_err(|_| reply::unexpected())?;
                Short::Done(Outcome { revision, written: true, integer: None })
            }
            Answered::Array(parts) => match <[Answered; 3]>::try_from(parts) {
                Ok([_, _, actual]) => Short::Refused(reply::count(actual)?, is_repeat),
                Err(parts) => Short::Done(read_sum(parts)?),
            },
            _ => return Err(reply::unexpected()),
        }))
    }

    fn short_request(&self, operation: &Operation<'_>, condition: Option<&Condition<'_>>, now: Now) -> Option<Request> {
        let script = match (operation, condition) {
            (Operation::Set { expiry: Expiry::Never, .. }, _) => &SET,
            (Operation::Add { expiry: Expiry::Never, .. }, None) => &ADD,
            _ => return None,
        };
        let expected = match condition {
            None => String::new(),
            Some(condition) if !is_of(condition, operation) => return None,
            Some(Condition::KeyAt { revision, .. }) => revision.to_string(),
            Some(Condition::KeyAbsent { .. }) => "0".to_owned(),
            Some(_) => return None,
        };
        let effect = if condition.is_some() { Effect::Guarded } else { Effect::Once };
        let keys = self.layout().namespace(operation.namespace().as_str());
        let request = Request::script(script, &[&keys.hash, &keys.index], effect)
            .arg(operation.key()?.as_bytes())
            .arg(&now.time())
            .arg(now.revision_floor());
        Some(match operation {
            Operation::Set { value, .. } => request.arg(layout::value_bytes(value)).arg(expected),
            Operation::Add { by, .. } => request.arg(&by.to_be_bytes()),
            _ => return None,
        })
    }
}

/// Whether a condition speaks of the key that the operation changes.
fn is_of(condition: &Condition<'_>, operation: &Operation<'_>) -> bool {
    condition.namespace() == operation.namespace() && condition.key() == operation.key()
}

fn read_sum(parts: Vec<Answered>) -> Result<Outcome> {
    let mut parts = parts.into_iter();
    let revision = reply::count(parts.next().unwrap_or_default())?;
    let integer = reply::integer(&reply::bytes(parts.next().unwrap_or_default())?)?;
    Ok(Outcome { revision, written: true, integer: Some(integer) })
}
