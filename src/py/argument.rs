//! Arguments as users write them: checked once, named in errors.

use std::time::Duration;

use pyo3::PyClass;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyIterator, PyString, PyTuple};

use super::error::{OrRaise, to_py};
use crate::error::Error;
use crate::key::{Key, Namespace, Prefix};
use crate::store::{Condition, Expiry, Order, Range};

/// An argument as Python passes it. Whoever takes one says its name, for errors.
pub(super) type Argument<'a, 'py> = &'a Bound<'py, PyAny>;

/// A str.
#[inline(always)]
pub(super) fn text<'a>(name: &str, object: Argument<'a, '_>) -> PyResult<&'a str> {
    match object.cast::<PyString>() {
        Ok(text) => text.to_str(),
        Err(_) => Err(wrong_type(name, "a str", object)),
    }
}

/// An int within 64 bits.
pub(super) fn integer(name: &str, object: Argument<'_, '_>) -> PyResult<i64> {
    if !object.is_instance_of::<PyInt>() {
        return Err(wrong_type(name, "an int", object));
    }
    match object.extract() {
        Ok(integer) => Ok(integer),
        Err(_) => Err(to_py(Error::invalid(format!("{name} is {}, outside the 64-bit integers", shown(object))))),
    }
}

/// An int that is not negative: a count, an id or a revision.
pub(super) fn count(name: &str, object: Argument<'_, '_>) -> PyResult<u64> {
    let integer = integer(name, object)?;
    u64::try_from(integer).map_err(|_| to_py(Error::invalid(format!("{name} must not be negative, but is {integer}"))))
}

/// A bool.
pub(super) fn flag(name: &str, object: Argument<'_, '_>) -> PyResult<bool> {
    match object.cast::<PyBool>() {
        Ok(flag) => Ok(flag.is_true()),
        Err(_) => Err(wrong_type(name, "a bool", object)),
    }
}

/// Seconds, an int or float above 0.
pub(super) fn seconds(name: &str, object: Argument<'_, '_>) -> PyResult<Duration> {
    let seconds = number(name, object)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds > 0.0 => Ok(duration.max(Duration::from_nanos(1))),
        _ => Err(to_py(Error::invalid(format!("{name} must be above 0 seconds and finite, but is {}", shown(object))))),
    }
}

/// A finite number.
pub(super) fn number(name: &str, object: Argument<'_, '_>) -> PyResult<f64> {
    let is_number = object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>();
    if !is_number || object.is_instance_of::<PyBool>() {
        return Err(wrong_type(name, "an int or a float", object));
    }
    // An int beyond all floats is as wrong as infinity.
    match object.extract().unwrap_or(f64::INFINITY) {
        number if number.is_finite() => Ok(number),
        _ => Err(to_py(Error::invalid(format!("{name} must be finite, but is {}", shown(object))))),
    }
}

/// What can be iterated over; `shape` says over what.
pub(super) fn iterator<'py>(name: &str, shape: &str, object: Argument<'_, 'py>) -> PyResult<Bound<'py, PyIterator>> {
    match object.try_iter() {
        Err(error) if error.is_instance_of::<PyTypeError>(object.py()) && !is_iterable(object) => {
            Err(wrong_type(name, &format!("an iterable of {shape}"), object))
        }
        other => other,
    }
}

/// Whether a type claims to be iterable, so that what it raises is its own.
fn is_iterable(object: Argument<'_, '_>) -> bool {
    object.get_type().hasattr("__iter__").unwrap_or(true) || object.get_type().hasattr("__getitem__").unwrap_or(true)
}

/// Several str, in any iterable that is none itself.
pub(super) fn texts(name: &str, object: Argument<'_, '_>) -> PyResult<Vec<String>> {
    const SHAPE: &str = "str";
    let wrong = |object: Argument<'_, '_>| wrong_type(name, "an iterable of str", object);
    if object.is_instance_of::<PyString>() {
        return Err(wrong(object));
    }
    let text = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        let text = item.cast::<PyString>().map_err(|_| wrong(&item))?;
        text.to_str().map(str::to_owned)
    };
    iterator(name, SHAPE, object)?.map(text).collect()
}

/// Something to call.
pub(super) fn callable<'a, 'py>(name: &str, object: Argument<'a, 'py>) -> PyResult<Argument<'a, 'py>> {
    if object.is_callable() { Ok(object) } else { Err(wrong_type(name, "callable", object)) }
}

/// An object of one of our classes.
pub(super) fn instance<'a, 'py, T: PyClass>(name: &str, object: Argument<'a, 'py>) -> PyResult<&'a Bound<'py, T>> {
    object.cast::<T>().map_err(|_| wrong_type(name, &format!("a {}", T::NAME), object))
}

#[cold]
pub(super) fn wrong_type(name: &str, wanted: &str, object: Argument<'_, '_>) -> PyErr {
    match object.get_type().name() {
        Ok(kind) => PyTypeError::new_err(format!("argument '{name}' must be {wanted}, not {kind}")),
        Err(error) => error,
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
pub(super) fn expiry(ttl: Option<Argument<'_, '_>>) -> PyResult<Expiry> {
    match ttl {
        None => Ok(Expiry::Never),
        Some(ttl) => Ok(Expiry::After(seconds("ttl", ttl)?)),
    }
}

/// A namespace.
#[inline(always)]
pub(super) fn namespace<'a>(name: &str, object: Argument<'a, '_>) -> PyResult<Namespace<'a>> {
    Namespace::new(text(name, object)?).or_raise()
}

/// The address of an entry, from `namespace` and `key`.
#[inline(always)]
pub(super) fn address<'a>(namespace: Argument<'a, '_>, key: Argument<'a, '_>) -> PyResult<(Namespace<'a>, Key<'a>)> {
    let (namespace, key) = (text("namespace", namespace)?, text("key", key)?);
    Ok((Namespace::new(namespace).or_raise()?, Key::new(key).or_raise()?))
}

/// The condition that `if_revision=` states.
#[inline]
pub(super) fn condition<'a>(
    (namespace, key): (&Namespace<'a>, &Key<'a>),
    if_revision: Option<Argument<'_, '_>>,
) -> PyResult<Option<Condition<'a>>> {
    let Some(revision) = if_revision else { return Ok(None) };
    Ok(Some(Condition::at(namespace.clone(), key.clone(), count("if_revision", revision)?)))
}

/// The range that the keywords of a listing state.
pub(super) fn range<'a>(
    prefix: Option<Argument<'a, '_>>,
    after: Option<Argument<'a, '_>>,
    reverse: Option<Argument<'_, '_>>,
    limit: Option<Argument<'_, '_>>,
) -> PyResult<Range<'a>> {
    let mut range = Range::default();
    if let Some(prefix) = prefix {
        range.prefix = Prefix::new(text("prefix", prefix)?).or_raise()?;
    }
    if let Some(after) = after {
        range.after = Some(Key::new(text("after", after)?).or_raise()?);
    }
    if let Some(reverse) = reverse
        && flag("reverse", reverse)?
    {
        range.order = Order::Descending;
    }
    if let Some(limit) = limit {
        range.limit = usize::try_from(count("limit", limit)?).unwrap_or(usize::MAX);
    }
    Ok(range)
}

/// The tuple that `object` must be.
pub(super) fn parts<'py>(object: Bound<'py, PyAny>, count: usize, shape: &str) -> PyResult<Bound<'py, PyTuple>> {
    match object.cast_into::<PyTuple>() {
        Ok(tuple) if tuple.len() == count => Ok(tuple),
        Ok(tuple) => Err(PyTypeError::new_err(format!("a tuple {shape} is wanted, not one of {} items", tuple.len()))),
        Err(error) => {
            let kind = error.into_inner().get_type();
            Err(PyTypeError::new_err(format!("a tuple {shape} is wanted, not {}", kind.name()?)))
        }
    }
}

/// The pair of names that `object` must be.
pub(super) fn pair<'py>(object: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    parts(object, 2, "(namespace, key)")
}

/// The address that a tuple begins with.
#[inline]
pub(super) fn address_in<'a>(parts: &'a Bound<'_, PyTuple>) -> PyResult<(Namespace<'a>, Key<'a>)> {
    let namespace = Namespace::new(part(parts, 0, "namespace")?).or_raise()?;
    Ok((namespace, Key::new(part(parts, 1, "key")?).or_raise()?))
}

/// The str that stands at `index` of a tuple.
#[inline]
fn part<'a>(parts: &'a Bound<'_, PyTuple>, index: usize, name: &str) -> PyResult<&'a str> {
    let object = parts.get_borrowed_item(index)?;
    match object.extract() {
        Ok(text) => Ok(text),
        Err(error) if object.is_instance_of::<PyString>() => Err(error),
        Err(_) => Err(wrong_type(name, "a str", &object)),
    }
}
