//! What a server answered, taken apart.
//!
//! Whatever a script of ours cannot have answered is `Corrupt`: something else speaks at the other end.

use redis::Value;

use crate::error::{Error, Result};

/// The error for an answer of another shape than the script gives.
#[cold]
pub(super) fn unexpected() -> Error {
    Error::corrupt("a script on the server answered what it cannot answer; does another version write there?")
}

pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(unexpected()),
    }
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    optional_bytes(value)?.ok_or_else(unexpected)
}

pub(super) fn optional_bytes(value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::Nil | Value::Boolean(false) => Ok(None),
        _ => Err(unexpected()),
    }
}

pub(super) fn count(value: Value) -> Result<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).map_err(|_| unexpected()),
        _ => Err(unexpected()),
    }
}

/// An integer in eight bytes.
pub(super) fn integer(bytes: &[u8]) -> Result<i64> {
    bytes.try_into().map(i64::from_be_bytes).map_err(|_| unexpected())
}

/// A list of byte strings.
pub(super) fn list(value: Value) -> Result<Vec<Vec<u8>>> {
    array(value)?.into_iter().map(bytes).collect()
}

/// Pairs of byte strings.
pub(super) fn pairs(value: Value) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    match value {
        Value::Map(pairs) => pairs.into_iter().map(|(one, other)| Ok((bytes(one)?, bytes(other)?))).collect(),
        _ => Err(unexpected()),
    }
}

/// Three numbers: revision, entries, bytes.
pub(super) fn triple(value: Value) -> Result<[u64; 3]> {
    let numbers = array(value)?.into_iter().map(count).collect::<Result<Vec<_>>>()?;
    numbers.try_into().map_err(|_| unexpected())
}

/// Whether a word stands instead of an answer.
pub(super) fn is_word(value: &Value, word: &str) -> bool {
    match value {
        Value::BulkString(bytes) => bytes == word.as_bytes(),
        Value::SimpleString(text) => text == word,
        Value::Okay => word == "OK",
        _ => false,
    }
}
