//! `Cache`: LangGraph's cache, as its Python part calls it.
//!
//! Values come in and go out as tuples `(form, bytes)`: Python serializes, and where a value lies is [`cache`](crate::cache)'s.

use std::borrow::Cow;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::argument;
use super::error::OrRaise;
use super::store::{PyStore, run_whole};
use crate::cache::{Cache, NewCached, Place};
use crate::error::Result;

/// LangGraph's cache in a store.
///
/// What `SwarmStateCache` is made of; values are serialized already, as (form, bytes).
///
/// Args:
///     store: The store that holds it.
#[pyclass(frozen, name = "Cache", module = "swarmstate._core")]
pub(crate) struct PyCache {
    /// Where the engine waits, calls run detached from the interpreter as a whole, on a handle that waits plainly.
    waits: bool,
    cache: Cache,
}

impl PyCache {
    fn run<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&Cache) -> Result<R> + Send) -> PyResult<R> {
        run_whole(py, self.waits, || work(&self.cache))
    }
}

#[pymethods]
impl PyCache {
    #[new]
    fn new(store: PyRef<'_, PyStore>) -> Self {
        let (engine, waits) = store.whole_engine();
        Self { waits, cache: Cache::new(engine) }
    }

    /// Read what is cached.
    ///
    /// Args:
    ///     places: (labels, key).
    ///
    /// Returns:
    ///     For each place what is cached there, or None.
    ///
    /// Raises:
    ///     InvalidError: A place is above the limit of a name.
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (places, /))]
    fn get<'py>(&self, py: Python<'py>, places: Vec<(Vec<String>, String)>) -> PyResult<Bound<'py, PyList>> {
        let places: Vec<Place> = places.into_iter().map(|(labels, key)| Place { labels, key }).collect();
        let list = PyList::empty(py);
        for cached in self.run(py, |cache| cache.get(&places))? {
            let Some(cached) = cached else {
                list.append(py.None())?;
                continue;
            };
            let (form, bytes) = cached.typed().or_raise()?;
            list.append((form, PyBytes::new(py, bytes)))?;
        }
        Ok(list)
    }

    /// Cache values, in the place of what is there.
    ///
    /// Args:
    ///     values: (labels, key, value, ttl in seconds); None = until it is cleared, 0 or less = it is gone at once.
    ///
    /// Raises:
    ///     InvalidError: A place is above the limit of a name, or a ttl not finite; nothing is written.
    ///     TooLargeError: A value is above the limit of the store.
    #[pyo3(signature = (values, /))]
    fn set(&self, py: Python<'_>, values: &Bound<'_, PyList>) -> PyResult<()> {
        let rows: Vec<Bound<'_, PyAny>> = values.iter().collect();
        let rows = rows.iter().map(|row| row.extract()).collect::<PyResult<Vec<Row<'_, '_>>>>()?;
        let values = rows.iter().map(|(labels, key, (form, bytes), ttl)| {
            let ttl = ttl.as_ref().map(|ttl| duration(ttl)).transpose()?;
            Ok(NewCached { place: Place { labels: labels.clone(), key: key.clone() }, form, bytes, ttl })
        });
        let values = values.collect::<PyResult<Vec<_>>>()?;
        self.run(py, |cache| cache.set(&values))
    }

    /// Remove what is cached.
    ///
    /// Args:
    ///     namespaces: Labels, each for just that namespace; None = everything.
    #[pyo3(signature = (namespaces, /))]
    fn clear(&self, py: Python<'_>, namespaces: Option<Vec<Vec<String>>>) -> PyResult<()> {
        self.run(py, |cache| cache.clear(namespaces.as_deref()))
    }
}

/// Labels, key, value and ttl.
type Row<'a, 'py> = (Vec<String>, String, (&'a str, Cow<'a, [u8]>), Option<Bound<'py, PyAny>>);

fn duration(ttl: &Bound<'_, PyAny>) -> PyResult<Duration> {
    match argument::number("ttl", ttl)? {
        seconds if seconds > 0.0 => argument::seconds("ttl", ttl),
        _ => Ok(Duration::ZERO),
    }
}
