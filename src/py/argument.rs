//! Arguments as users write them: checked once, named in errors.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString, PyTuple};

use super::error::{OrRaise, to_py};
use crate::error::Error;
use crate::key::{Key, Namespace, Prefix};
use crate::store::{Condition, Expiry, Order, Range};
use crate::value::Revision;

/// An int within 64 bits.
pub(super) struct Integer(pub(super) i64);

impl<'py> FromPyObject<'_, 'py> for Integer {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<i64>() {
            Ok(integer) => Ok(Self(integer)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Err(to_py(Error::invalid(format!("{} is outside the 64-bit integers", shown(&object)))))
            }
            Err(error) => Err(error),
        }
    }
}

/// An int that is not negative: a count, an id or a revision.
pub(super) struct Count(pub(super) u64);

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Integer(integer) = object.extract()?;
        match u64::try_from(integer) {
            Ok(count) => Ok(Self(count)),
            Err(_) => Err(to_py(Error::invalid(format!("{integer} is negative, where a count is wanted")))),
        }
    }
}

/// Seconds, an int or float above 0.
pub(super) struct Seconds(pub(super) Duration);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyBool>() {
            return Err(PyTypeError::new_err("seconds are an int or a float, not a bool"));
        }
        let seconds = match object.extract::<f64>() {
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => f64::INFINITY,
            other => other?,
        };
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if !duration.is_zero() => Ok(Self(duration)),
            _ => Err(to_py(Error::invalid(format!(
                "a time in seconds must be above 0 and finite, not {}",
                shown(&object)
            )))),
        }
    }
}

/// The object as an error shows it, cut where it is long.
fn shown(object: &Bound<'_, PyAny>) -> String {
    let text = match object
        .cast::<PyInt>()
        .map(|integer| integer.call_method0("bit_length").and_then(|bits| bits.extract()))
    {
        // Python refuses to print integers of thousands of digits.
        Ok(Ok::<u64, PyErr>(bits)) if bits > 256 => format!("an int of {bits} bits"),
        _ => object.repr().map_or_else(|_| "it".to_owned(), |text| text.to_string_lossy().into_owned()),
    };
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// When an entry goes, from `ttl=`.
pub(super) fn expiry(ttl: Option<Seconds>) -> Expiry {
    ttl.map_or(Expiry::Never, |ttl| Expiry::After(ttl.0))
}

/// The address of an entry.
#[inline]
pub(super) fn address<'a>(namespace: &'a str, key: &'a str) -> PyResult<(Namespace<'a>, Key<'a>)> {
    Ok((Namespace::new(namespace).or_raise()?, Key::new(key).or_raise()?))
}

/// A namespace.
pub(super) fn namespace(name: &str) -> PyResult<Namespace<'_>> {
    Namespace::new(name).or_raise()
}

/// The condition that `if_revision=` states.
#[inline]
pub(super) fn condition<'a>(
    namespace: &'a str,
    key: &'a str,
    revision: Option<Count>,
) -> PyResult<Option<Condition<'a>>> {
    let Some(Count(revision)) = revision else { return Ok(None) };
    let (namespace, key) = address(namespace, key)?;
    Ok(Some(Condition::at(namespace, key, revision as Revision)))
}

/// The range that the keywords of a listing state.
pub(super) fn range<'a>(
    prefix: &'a str,
    after: Option<&'a str>,
    reverse: bool,
    limit: Option<Count>,
) -> PyResult<Range<'a>> {
    Ok(Range {
        prefix: Prefix::new(prefix).or_raise()?,
        after: after.map(Key::new).transpose().or_raise()?,
        order: if reverse { Order::Descending } else { Order::Ascending },
        limit: limit.map_or(usize::MAX, |limit| usize::try_from(limit.0).unwrap_or(usize::MAX)),
    })
}

/// A pair of str out of a tuple, both kept alive.
pub(super) fn pair<'py>(object: &Bound<'py, PyAny>) -> PyResult<[Bound<'py, PyString>; 2]> {
    let parts = parts(object, 2, "(namespace, key)")?;
    Ok([text(&parts, 0, "namespace")?, text(&parts, 1, "key")?])
}

/// The tuple that `object` must be.
pub(super) fn parts<'py>(object: &Bound<'py, PyAny>, count: usize, shape: &str) -> PyResult<Bound<'py, PyTuple>> {
    match object.cast::<PyTuple>() {
        Ok(tuple) if tuple.len() == count => Ok(tuple.clone()),
        Ok(tuple) => Err(PyTypeError::new_err(format!("a tuple {shape} is wanted, not one of {} items", tuple.len()))),
        Err(_) => Err(PyTypeError::new_err(format!("a tuple {shape} is wanted, not {}", object.get_type().name()?))),
    }
}

/// The str that stands at `index` of a tuple.
pub(super) fn text<'py>(parts: &Bound<'py, PyTuple>, index: usize, name: &str) -> PyResult<Bound<'py, PyString>> {
    let object = parts.get_item(index)?;
    match object.cast_into::<PyString>() {
        Ok(text) => Ok(text),
        Err(error) => {
            let kind = error.into_inner().get_type().name()?;
            Err(PyTypeError::new_err(format!("argument '{name}': a str is wanted, not {kind}")))
        }
    }
}
