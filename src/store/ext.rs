//! What can be built from a store's required operations.

use std::time::Duration;

use super::batch::encode_integer;
use super::{Condition, Expiry, Operation, Store};
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::msgpack::{self, TooLong};
use crate::value::{Kind, Revision, Value};

impl From<i64> for Value<'static> {
    fn from(integer: i64) -> Self {
        encode_integer(integer)
    }
}

impl From<&str> for Value<'static> {
    fn from(text: &str) -> Self {
        encode_text(Kind::String, text.as_bytes(), msgpack::write_str_head)
    }
}

impl From<&[u8]> for Value<'static> {
    fn from(raw: &[u8]) -> Self {
        encode_text(Kind::Bytes, raw, msgpack::write_bin_head)
    }
}

/// What msgpack has no head for goes without: it is above every limit, and a store refuses it for its size.
fn encode_text(
    kind: Kind,
    text: &[u8],
    write_head: fn(&mut Vec<u8>, usize) -> std::result::Result<(), TooLong>,
) -> Value<'static> {
    let mut bytes = Vec::with_capacity(text.len() + 5);
    let _ = write_head(&mut bytes, text.len());
    bytes.extend_from_slice(text);
    Value::shared(kind, bytes)
}

/// Conveniences that every [`Store`] has. Names are plain text here, and checked.
///
/// # Example
/// ```
/// use swarmstate::{Memory, StoreExt};
///
/// let store = Memory::new();
/// let first = store.set("agents", "researcher", "running")?;
/// assert!(store.replace("agents", "researcher", "done", first)? > first);
/// assert_eq!(store.increment("agents", "tokens", 1200)?, 1200);
/// # Ok::<(), swarmstate::Error>(())
/// ```
pub trait StoreExt: Store {
    /// Writes a value without an expiry and returns its revision.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn set<'v>(&self, namespace: &str, key: &str, value: impl Into<Value<'v>>) -> Result<Revision> {
        let (namespace, key) = address(namespace, key)?;
        let operation = Operation::Set { namespace, key, value: value.into(), expiry: Expiry::Never };
        Ok(self.apply(operation, None)?.revision)
    }

    /// Writes a value that goes after `ttl` and returns its revision.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn set_for<'v>(&self, namespace: &str, key: &str, value: impl Into<Value<'v>>, ttl: Duration) -> Result<Revision> {
        let (namespace, key) = address(namespace, key)?;
        let operation = Operation::Set { namespace, key, value: value.into(), expiry: Expiry::After(ttl) };
        Ok(self.apply(operation, None)?.revision)
    }

    /// Writes a value if the key is still at `expected` (0 = absent), and returns its new revision.
    ///
    /// # Errors
    /// As [`Store::write`]; `Conflict` when the key is at another revision.
    fn replace<'v>(
        &self,
        namespace: &str,
        key: &str,
        value: impl Into<Value<'v>>,
        expected: Revision,
    ) -> Result<Revision> {
        let (namespace, key) = address(namespace, key)?;
        let condition = Condition::at(namespace.clone(), key.clone(), expected);
        let operation = Operation::Set { namespace, key, value: value.into(), expiry: Expiry::Never };
        Ok(self.apply(operation, Some(condition))?.revision)
    }

    /// Removes a key; `false` when it was not live.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn delete(&self, namespace: &str, key: &str) -> Result<bool> {
        let (namespace, key) = address(namespace, key)?;
        Ok(self.apply(Operation::Delete { namespace, key }, None)?.written)
    }

    /// Adds to an integer and returns the sum; an absent key counts as 0.
    ///
    /// # Errors
    /// As [`Store::write`]; `WrongType` for another kind, `Invalid` for a sum outside `i64`.
    fn increment(&self, namespace: &str, key: &str, by: i64) -> Result<i64> {
        let (namespace, key) = address(namespace, key)?;
        let outcome = self.apply(Operation::Add { namespace, key, by, expiry: Expiry::Never }, None)?;
        Ok(outcome.integer.expect("an `add` that was carried out answers its sum"))
    }

    /// Whether a key is live.
    ///
    /// # Errors
    /// As [`Reader::get`](super::Reader::get).
    fn contains(&self, namespace: &str, key: &str) -> Result<bool> {
        let (namespace, key) = address(namespace, key)?;
        Ok(self.get(&namespace, &key)?.is_some())
    }

    /// Removes a namespace with all its keys; `false` when none was live.
    ///
    /// # Errors
    /// As [`Store::write`].
    fn delete_namespace(&self, namespace: &str) -> Result<bool> {
        Ok(self.apply(Operation::DeleteNamespace { namespace: Namespace::new(namespace)? }, None)?.written)
    }

    /// Copies a namespace into one that holds nothing; `false` when the source holds nothing either.
    ///
    /// # Errors
    /// As [`Store::write`]; `Conflict` when the target holds a live key.
    fn copy_namespace(&self, source: &str, target: &str) -> Result<bool> {
        let (source, target) = (Namespace::new(source)?, Namespace::new(target)?);
        Ok(self.apply(Operation::CopyNamespace { source, target }, None)?.written)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

fn address<'a>(namespace: &'a str, key: &'a str) -> Result<(Namespace<'a>, Key<'a>)> {
    Ok((Namespace::new(namespace)?, Key::new(key)?))
}
