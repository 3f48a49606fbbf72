//! `Checkpoints`: an open listing of LangGraph's checkpoints, as the saver's Python part moves through it.
//!
//! It compares metadata after it was read back, so each checkpoint is looked at first and read as a whole only where it is wanted.

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::checkpoint_row::to_tuple;
use super::error::OrRaise;
use super::serializer::Serializer;
use super::store::run_whole;
use crate::checkpoint::{Found, Listing, Saved};

/// Some 250 messages of 200 bytes of text, each of which takes LangGraph's serializer 5 to 10 us.
const MOST_BYTES_OF_A_SHORT_ONE: usize = 64 * 1024;

/// An open listing of checkpoints; what is written after it was opened does not show.
#[pyclass(name = "Checkpoints", module = "swarmstate._core")]
pub(crate) struct PyCheckpoints {
    waits: bool,
    listing: Listing,
    current: Option<Found>,
    serde: Py<PyAny>,
    plain: Option<Py<PyType>>,
}

impl PyCheckpoints {
    pub(super) fn new(waits: bool, listing: Listing, serde: Py<PyAny>, plain: Option<Py<PyType>>) -> Self {
        Self { waits, listing, current: None, serde, plain }
    }

    fn serializer<'a, 'py>(&'a self, py: Python<'py>) -> Serializer<'a, 'py> {
        Serializer::new(self.serde.bind(py), self.plain.as_ref())
    }
}

#[pymethods]
impl PyCheckpoints {
    /// Move on to the next checkpoint.
    ///
    /// Returns:
    ///     Thread, namespace and metadata; None at the end.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    fn next<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.current = run_whole(py, self.waits, || self.listing.next())?;
        let Some(found) = &self.current else { return Ok(None) };
        let metadata = self.serializer(py).load(found.metadata().or_raise()?)?;
        (&found.thread_id, &found.checkpoint_ns, metadata).into_pyobject(py).map(Some)
    }

    /// Read the checkpoint that `next` moved to.
    ///
    /// Returns:
    ///     As `Threads.get`; None before the first and after the last.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    fn load<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(found) = &self.current else { return Ok(None) };
        let saved = run_whole(py, self.waits, || self.listing.load(found.clone()))?;
        to_tuple(py, &saved, &self.serializer(py)).map(Some)
    }
}

/// A checkpoint that was read and is not made an object yet.
#[pyclass(frozen, name = "Fetched", module = "swarmstate._core")]
pub(crate) struct PyFetched {
    pub(super) saved: Saved,
    pub(super) serde: Py<PyAny>,
    pub(super) plain: Option<Py<PyType>>,
}

impl PyFetched {
    fn serializer<'a, 'py>(&'a self, py: Python<'py>) -> Serializer<'a, 'py> {
        Serializer::new(self.serde.bind(py), self.plain.as_ref())
    }
}

#[pymethods]
impl PyFetched {
    /// Whether an event loop may call `load`: LangGraph's own serializer is quick with a small state.
    #[getter]
    fn is_short(&self, py: Python<'_>) -> bool {
        self.saved.size_bytes() <= MOST_BYTES_OF_A_SHORT_ONE && self.serializer(py).is_own()
    }

    /// Make the objects.
    ///
    /// Returns:
    ///     As `Threads.get`.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    fn load<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        to_tuple(py, &self.saved, &self.serializer(py))
    }
}
