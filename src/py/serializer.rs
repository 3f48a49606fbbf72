//! LangGraph's serializer at work on values: object to (form, bytes) and back.
//!
//! What is plain goes past Python: the serializer that a saver has by default writes it as any other does, and a call of it costs
//! more than a small one does. All else, and every value under another serializer, is that serializer's own.

use std::ops::Range;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use super::codec;
use crate::checkpoint::{MSGPACK, Stored, Typed};

/// The form that LangGraph's own serializer gives None, which has no bytes.
const NULL: &str = "null";

/// So many parts take the serializer a millisecond or so: a message takes it some 3 us.
const MOST_PARTS: usize = 250;
/// Text is copied faster than objects are walked.
const BYTES_OF_A_PART: usize = 1024;
/// A list of messages in an input, in the list of a task's writes with their indexes and channels.
const LEVELS: u32 = 4;

/// A serializer, and whether plain values go past it.
pub(super) struct Serializer<'a, 'py> {
    serde: &'a Bound<'py, PyAny>,
    writes_plain: bool,
}

/// A value that is serialized.
pub(super) enum Dumped {
    /// Stands in the buffer.
    Plain(&'static str, Range<usize>),
    /// What the serializer gave.
    Given(PyBackedStr, PyBackedBytes),
}

impl Dumped {
    pub(super) fn typed<'a>(&'a self, buffer: &'a [u8]) -> Typed<'a> {
        match self {
            Self::Plain(form, range) => Typed { form, bytes: &buffer[range.clone()] },
            Self::Given(form, bytes) => Typed { form, bytes },
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Plain(_, range) => range.len(),
            Self::Given(_, bytes) => bytes.len(),
        }
    }
}

impl<'a, 'py> Serializer<'a, 'py> {
    /// `plain` is the class whose own instances write plain values as plain msgpack.
    pub(super) fn new(serde: &'a Bound<'py, PyAny>, plain: Option<&Py<PyType>>) -> Self {
        Self { serde, writes_plain: plain.is_some_and(|plain| serde.get_type().is(plain)) && !is_patched(serde) }
    }

    /// Whether it is LangGraph's own: quick for its length, as one of somebody else's need not be.
    pub(super) fn is_own(&self) -> bool {
        self.writes_plain
    }

    /// Serializes a value; one that is plain at the end of `buffer`.
    ///
    /// # Errors
    /// Whatever the serializer raises; `TypeError` when it gives no (form, bytes).
    pub(super) fn dump(&self, value: &Bound<'py, PyAny>, buffer: &mut Vec<u8>) -> PyResult<Dumped> {
        if self.writes_plain {
            let start = buffer.len();
            if value.is_none() {
                return Ok(Dumped::Plain(NULL, start..start));
            }
            // Bytes have a form of their own.
            if !value.is_exact_instance_of::<PyBytes>() && codec::encode_plain(value, buffer) {
                return Ok(Dumped::Plain(MSGPACK, start..buffer.len()));
            }
        }
        let dumped = self.serde.call_method1(intern!(value.py(), "dumps_typed"), (value,))?;
        let (form, bytes) = dumped.extract()?;
        Ok(Dumped::Given(form, bytes))
    }

    /// Makes the object again.
    ///
    /// # Errors
    /// Whatever the serializer raises.
    pub(super) fn load(&self, value: Typed<'_>) -> PyResult<Bound<'py, PyAny>> {
        match self.load_plain(value) {
            Some(object) => Ok(object),
            None => self.load_by_call(value.form, PyBytes::new(self.serde.py(), value.bytes)),
        }
    }

    /// Makes an object of a stored value; its parts are copied straight into what the serializer gets.
    ///
    /// # Errors
    /// As [`Serializer::load`].
    pub(super) fn load_stored(&self, value: &Stored<'_>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(bytes) = value.whole() {
            return self.load(Typed { form: value.form(), bytes });
        }
        let fill = |bytes: &mut [u8]| {
            value.copy_to(bytes);
            Ok(())
        };
        let bytes = PyBytes::new_with(self.serde.py(), value.size_bytes(), fill)?;
        match self.load_plain(Typed { form: value.form(), bytes: bytes.as_bytes() }) {
            Some(object) => Ok(object),
            None => self.load_by_call(value.form(), bytes),
        }
    }

    fn load_plain(&self, value: Typed<'_>) -> Option<Bound<'py, PyAny>> {
        let py = self.serde.py();
        match value.form {
            MSGPACK if self.writes_plain => codec::decode_plain(py, value.bytes),
            NULL if self.writes_plain => Some(py.None().into_bound(py)),
            _ => None,
        }
    }

    fn load_by_call(&self, form: &str, bytes: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.serde.py();
        let form = if form == MSGPACK { intern!(py, MSGPACK).clone() } else { PyString::new(py, form) };
        self.serde.call_method1(intern!(py, "loads_typed"), ((form, bytes),))
    }
}

/// How much the serializer may still be given on an event loop, as far as the first levels of lists, tuples and dicts tell. What lies
/// deeper, or within other objects, is not looked at.
pub(super) struct Allowance {
    parts: usize,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { parts: MOST_PARTS }
    }

    /// Takes a value off, and tells whether it was covered. It looks at no more than the allowance, and calls no code of Python's.
    pub(super) fn covers(&mut self, value: &Bound<'_, PyAny>) -> bool {
        self.covers_levels(value, LEVELS)
    }

    fn covers_levels(&mut self, value: &Bound<'_, PyAny>, levels: u32) -> bool {
        if let Ok(text) = value.cast_exact::<PyString>() {
            return self.take(1 + text.len().unwrap_or(0) / BYTES_OF_A_PART);
        }
        if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            return self.take(1 + bytes.len().unwrap_or(0) / BYTES_OF_A_PART);
        }
        if let Ok(list) = value.cast_exact::<PyList>() {
            return self.covers_all(list.len(), levels, || list.iter());
        }
        if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            return self.covers_all(tuple.len(), levels, || tuple.iter());
        }
        match value.cast_exact::<PyDict>() {
            Ok(dict) => self.covers_all(dict.len(), levels, || dict.values().into_iter()),
            Err(_) => self.take(1),
        }
    }

    fn covers_all<'py, I: Iterator<Item = Bound<'py, PyAny>>>(
        &mut self,
        count: usize,
        levels: u32,
        parts: impl FnOnce() -> I,
    ) -> bool {
        if levels == 0 || count > self.parts {
            return self.take(1 + count);
        }
        self.take(1) && parts().all(|part| self.covers_levels(&part, levels - 1))
    }

    fn take(&mut self, parts: usize) -> bool {
        let left = self.parts.checked_sub(parts);
        self.parts = left.unwrap_or(0);
        left.is_some()
    }
}

/// Whether an object has methods of a serializer of its own, in the place of those of its class.
fn is_patched(serde: &Bound<'_, PyAny>) -> bool {
    let py = serde.py();
    let has = |own: &Bound<'_, PyDict>, name| own.contains(name).unwrap_or(true);
    let own = serde.getattr(intern!(py, "__dict__")).ok().and_then(|own| own.cast_into::<PyDict>().ok());
    own.is_none_or(|own| has(&own, intern!(py, "dumps_typed")) || has(&own, intern!(py, "loads_typed")))
}
