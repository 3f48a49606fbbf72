//! `Snapshot`: a whole store, standing still.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::argument::{self, Argument};
use super::detaching;
use super::entry::PyEntry;
use super::error::OrRaise;
use super::store::{self, PyStore};
use crate::key::Namespace;
use crate::store::{Diff, Range, Reader, Snapshot};
use crate::transfer;

/// A frozen, read-only copy of a whole store at a moment in time, taken by Store.snapshot.
///
/// It shares what later writes do not change, so it costs nothing to take. Time stands still in it: nothing expires.
#[pyclass(frozen, weakref, name = "Snapshot", module = "swarmstate")]
pub(crate) struct PySnapshot(Arc<dyn Snapshot>);

impl PySnapshot {
    pub(super) fn new(snapshot: Arc<dyn Snapshot>) -> Self {
        Self(snapshot)
    }

    pub(super) fn inner(&self) -> &Arc<dyn Snapshot> {
        &self.0
    }

    fn reader(&self) -> &dyn Reader {
        &*self.0
    }
}

#[pymethods]
impl PySnapshot {
    /// Its number in its store: rising for ever, over restores too.
    #[getter]
    fn id(&self) -> u64 {
        self.0.info().id
    }

    /// When it was taken, in seconds since the Unix epoch.
    #[getter]
    fn timestamp(&self) -> f64 {
        self.0.info().taken_at_micros as f64 / 1e6
    }

    /// The id of the snapshot taken before it in the same store; None for the first.
    ///
    /// It stays when that one is dropped, and a restore does not change it.
    #[getter]
    fn parent(&self) -> Option<u64> {
        self.0.info().parent
    }

    /// The lengths of all values at that moment, in bytes of msgpack.
    #[getter]
    fn size_bytes(&self) -> u64 {
        self.0.info().usage.size_bytes
    }

    /// The (namespace, key) pairs that it contains, sorted by their bytes. Costs O(n): a new list each time.
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let pairs = PyList::empty(py);
        let all = Range::default();
        for namespace in self.0.namespaces(&all).or_raise()? {
            let name = PyString::new(py, &namespace);
            for key in self.0.keys(&Namespace::new(namespace).or_raise()?, &all).or_raise()? {
                pairs.append((&name, key))?;
            }
        }
        Ok(pairs)
    }

    /// Read a value as it was.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///     default: What to return when the key was not live.
    ///
    /// Returns:
    ///     A new copy of the value, or `default`.
    ///
    /// Raises:
    ///     NotFoundError: The snapshot was dropped, and its engine keeps no dropped ones.
    #[pyo3(signature = (namespace, key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        store::get(py, self.reader(), namespace, key, default)
    }

    /// Read a value as it was, with everything the store knew about it.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///
    /// Returns:
    ///     The entry, or None when the key was not live.
    fn entry(&self, py: Python<'_>, namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<Option<PyEntry>> {
        store::entry(py, self.reader(), namespace, key)
    }

    /// List a namespace's entries as they were.
    ///
    /// Args:
    ///     namespace: Which one.
    ///     prefix: Only keys that begin with this.
    ///     after: Only keys behind this one in the order of the list; it need not exist.
    ///     reverse: Greatest key first.
    ///     limit: The most entries; None = all.
    ///
    /// Returns:
    ///     (key, value) pairs, ordered by the bytes of the keys.
    #[pyo3(signature = (namespace, *, prefix=None, after=None, reverse=None, limit=None), text_signature = "($self, namespace, *, prefix='', after=None, reverse=False, limit=None)")]
    fn items<'py>(
        &self,
        py: Python<'py>,
        namespace: Argument<'_, '_>,
        prefix: Option<Argument<'_, '_>>,
        after: Option<Argument<'_, '_>>,
        reverse: Option<Argument<'_, '_>>,
        limit: Option<Argument<'_, '_>>,
    ) -> PyResult<Bound<'py, PyList>> {
        store::items(py, self.reader(), namespace, &argument::range(prefix, after, reverse, limit)?)
    }

    /// List the namespaces that held a live key.
    ///
    /// Args:
    ///     prefix: Only namespaces that begin with this.
    ///     after: Only namespaces behind this one in the order of the list.
    ///     reverse: Greatest first.
    ///     limit: The most namespaces; None = all.
    ///
    /// Returns:
    ///     Their names, ordered by their bytes.
    #[pyo3(signature = (*, prefix=None, after=None, reverse=None, limit=None), text_signature = "($self, *, prefix='', after=None, reverse=False, limit=None)")]
    fn namespaces(
        &self,
        prefix: Option<Argument<'_, '_>>,
        after: Option<Argument<'_, '_>>,
        reverse: Option<Argument<'_, '_>>,
        limit: Option<Argument<'_, '_>>,
    ) -> PyResult<Vec<String>> {
        self.0.namespaces(&argument::range(prefix, after, reverse, limit)?).or_raise()
    }

    /// Tell what happened to get from `base` to this snapshot. Either may be the older.
    ///
    /// Between snapshots of one store, or of any memory stores, it costs what changed, however much there is.
    ///
    /// Args:
    ///     base: The snapshot to compare with.
    ///
    /// Returns:
    ///     {"added": [...], "removed": [...], "changed": [...]}, each a sorted list of (namespace, key). What was
    ///     written with equal bytes, or differs only in its times, did not change.
    ///
    /// Example:
    ///     >>> store = Store()
    ///     >>> base = store.snapshot()
    ///     >>> revision = store.set("n", "k", 1)
    ///     >>> store.snapshot().diff(base)
    ///     {'added': [('n', 'k')], 'removed': [], 'changed': []}
    fn diff<'py>(&self, py: Python<'py>, base: Argument<'_, '_>) -> PyResult<Bound<'py, PyDict>> {
        let base = argument::instance::<PySnapshot>("base", base)?.get();
        diff_dict(py, self.0.diff(&*base.0).or_raise()?)
    }

    /// Make a memory store of its own that begins as this snapshot is. Neither sees the other's writes.
    ///
    /// From a memory store it costs nothing and keeps revisions; else it copies, and gives new ones.
    ///
    /// Args:
    ///     max_history: The most snapshots that the new store retains; None = all.
    ///
    /// Returns:
    ///     The new store.
    #[pyo3(signature = (*, max_history=None))]
    fn fork(&self, py: Python<'_>, max_history: Option<Argument<'_, '_>>) -> PyResult<PyStore> {
        let most = store::history_bound(max_history)?;
        let store = py.detach(|| transfer::fork(&*self.0, most)).or_raise()?;
        Ok(PyStore::new(store.with_waiting(detaching())))
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.info().usage.entries).unwrap_or(usize::MAX)
    }

    fn __contains__(&self, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        store::contains_pair(self.reader(), address)
    }

    fn __repr__(&self) -> String {
        let info = self.0.info();
        format!("<Snapshot {}: {} entries, {} bytes>", info.id, info.usage.entries, info.usage.size_bytes)
    }
}

/// A diff as Python sees it.
pub(super) fn diff_dict(py: Python<'_>, diff: Diff) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("added", diff.added)?;
    dict.set_item("removed", diff.removed)?;
    dict.set_item("changed", diff.changed)?;
    Ok(dict)
}
