//! `Entry`: a value with everything the store knows about it.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::codec;
use super::error::OrRaise;
use crate::transfer;
use crate::value::Entry;

/// One key with its value and everything the store knows about it.
///
/// It is a copy: changing its value changes nothing in the store.
#[pyclass(frozen, name = "Entry", module = "swarmstate")]
pub(crate) struct PyEntry {
    entry: Entry,
    namespace: Py<PyString>,
    value: Py<PyAny>,
}

impl PyEntry {
    pub(super) fn new(py: Python<'_>, namespace: &str, entry: Entry) -> PyResult<Self> {
        let value = codec::decode(py, entry.value())?.unbind();
        Ok(Self { entry, namespace: PyString::new(py, namespace).unbind(), value })
    }
}

#[pymethods]
impl PyEntry {
    /// The namespace that it stands in.
    #[getter]
    fn namespace<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.namespace.bind(py)
    }

    /// Its key.
    #[getter]
    fn key(&self) -> &str {
        self.entry.key()
    }

    /// The value, decoded when the entry was read.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.value.bind(py)
    }

    /// What the value is: "integer", "string", "bytes" or "json".
    #[getter]
    fn kind(&self) -> &str {
        self.entry.kind().name()
    }

    /// The revision that wrote it: a positive int that rises with every change.
    #[getter]
    fn revision(&self) -> u64 {
        self.entry.revision()
    }

    /// When the key came to live, in Unix milliseconds.
    #[getter]
    fn created_at(&self) -> i64 {
        self.entry.created_at().as_millis()
    }

    /// When this revision was written, in Unix milliseconds.
    #[getter]
    fn updated_at(&self) -> i64 {
        self.entry.updated_at().as_millis()
    }

    /// When it goes, in Unix milliseconds; None = never.
    #[getter]
    fn expires_at(&self) -> Option<i64> {
        self.entry.expires_at().map(|at| at.as_millis())
    }

    /// The length of the value, in bytes of msgpack.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.entry.value().len()
    }

    /// Show the entry as one line of JSON, the way an export writes it.
    ///
    /// Returns:
    ///     An object with namespace, key, kind, value, revision, created_at, updated_at and expires_at. A value that
    ///     JSON cannot hold exactly stands there as "msgpack", the base64 of its bytes, instead of as "value".
    ///
    /// Example:
    ///     >>> store = Store()
    ///     >>> revision = store.set("n", "k", b"\xff")
    ///     >>> store.entry("n", "k").to_json()[:58]
    ///     '{"namespace":"n","key":"k","kind":"bytes","msgpack":"xAH/"'
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        transfer::entry_to_json(self.namespace.to_str(py)?, &self.entry).or_raise()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let namespace = self.namespace.bind(py).repr()?;
        let key = PyString::new(py, self.entry.key()).repr()?;
        let value = self.value.bind(py).repr()?;
        Ok(format!("Entry({namespace}, {key}, {value}, kind='{}', revision={})", self.kind(), self.revision()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}
