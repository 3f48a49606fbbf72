//! `Store`: the class that users hold, over any engine.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use super::argument::{self, Argument, address, condition, expiry, range};
use super::batch::PyBatch;
use super::capabilities::PyCapabilities;
use super::entry::PyEntry;
use super::error::{OrRaise, to_py};
use super::open::reader;
use super::snapshot::{self, PySnapshot};
use super::{clock, codec, detaching};
use crate::engine::memory::{Memory, MemoryOptions};
use crate::error::{Error, Result};
use crate::msgpack::{self, Lead};
use crate::store::{Batch, Capabilities, Condition, Operation, Outcome, Range, Reader, Store, merge_diff};
use crate::value::{Kind, Value};
use crate::waiting::Waiting;

/// A namespaced store of msgpack values, in this process' memory.
///
/// Any number of threads may use one store at once. What is read is a copy: changing it changes nothing in the store.
///
/// Args:
///     backend: Where state lives: "memory".
///     codec: How values are serialized: "msgpack".
///     max_history: The most snapshots to retain; None = unlimited. Cap it in long-running processes to bound memory.
///     clock: What tells the time; None = the system's clock. Tests pass a Clock and move it.
///
/// Raises:
///     InvalidError: `backend` or `codec` is unknown, or `max_history` is 0.
///
/// Example:
///     >>> store = Store()
///     >>> revision = store.set("workflow", "onboarding", {"step": 3})
///     >>> store.get("workflow", "onboarding")
///     {'step': 3}
#[pyclass(frozen, subclass, weakref, name = "Store", module = "swarmstate")]
pub(crate) struct PyStore(Arc<dyn Store>);

impl PyStore {
    /// `store` must be a handle that waits by [`detaching`].
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The engine, for calls from attached threads: it detaches by itself where it waits.
    pub(crate) fn engine(&self) -> &Arc<dyn Store> {
        &self.0
    }

    /// The engine for what runs by [`run_whole`], and whether it waits: then it is a handle that waits plainly.
    pub(crate) fn whole_engine(&self) -> (Arc<dyn Store>, bool) {
        match self.0.capabilities().waits {
            true => (self.0.with_waiting(Waiting::plainly()), true),
            false => (self.0.clone(), false),
        }
    }

    fn reader(&self) -> &dyn Reader {
        &*self.0
    }

    fn apply(&self, operation: Operation<'_>, condition: Option<Condition<'_>>) -> PyResult<Outcome> {
        self.0.apply(operation, condition).or_raise()
    }
}

#[pymethods]
impl PyStore {
    #[new]
    #[pyo3(signature = (backend=None, codec=None, max_history=None, *, clock=None), text_signature = "(backend='memory', codec='msgpack', max_history=None, *, clock=None)")]
    fn open(
        backend: Option<Argument<'_, '_>>,
        codec: Option<Argument<'_, '_>>,
        max_history: Option<Argument<'_, '_>>,
        clock: Option<Argument<'_, '_>>,
    ) -> PyResult<Self> {
        require_known("backend", backend, "memory")?;
        require_known("codec", codec, "msgpack")?;
        let options = MemoryOptions { max_history: history_bound(max_history)?, clock: clock::given(clock)? };
        let memory = Memory::with_options(options).or_raise()?;
        Ok(Self(memory.with_waiting(detaching())))
    }

    /// Write a value, whatever stood there.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Under which key.
    ///     value: None, bool, int from -2**63 to 2**64-1, float, str, bytes, or a list, tuple or dict of these.
    ///     ttl: Seconds until it goes, an int or float above 0; None = it stays, and an expiry is cleared.
    ///     if_revision: Only if the key is at this revision; 0 = only if it is absent.
    ///
    /// Returns:
    ///     The revision of the write: a positive int, higher than any that the namespace gave before.
    ///
    /// Raises:
    ///     TypeError: A part of the value is not storable; the message gives the path to it.
    ///     ValueError: An int is out of range, or the value nests too deep or contains itself.
    ///     ConflictError: The key is at another revision than `if_revision`; read again, decide again.
    ///     TooLargeError: The value is above 256 MiB.
    ///     InvalidError: A name is above 4,096 bytes, or `ttl` is not above 0.
    #[pyo3(signature = (namespace, key, value, *, ttl=None, if_revision=None))]
    fn set(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        value: Argument<'_, '_>,
        ttl: Option<Argument<'_, '_>>,
        if_revision: Option<Argument<'_, '_>>,
    ) -> PyResult<u64> {
        let (namespace, key) = address(namespace, key)?;
        let condition = condition((&namespace, &key), if_revision)?;
        let expiry = expiry(ttl)?;
        with_value(value, |value| Ok(self.apply(Operation::Set { namespace, key, value, expiry }, condition)?.revision))
    }

    /// Read a value.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///     default: What to return when the key is not live.
    ///
    /// Returns:
    ///     A new copy of the value, or `default`.
    #[pyo3(signature = (namespace, key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        get(py, self.reader(), namespace, key, default)
    }

    /// Read a value with everything the store knows about it.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///
    /// Returns:
    ///     The entry, or None when the key is not live.
    fn entry(&self, py: Python<'_>, namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<Option<PyEntry>> {
        entry(py, self.reader(), namespace, key)
    }

    /// Tell whether a key is live.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///
    /// Returns:
    ///     True if it is.
    fn contains(&self, namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<bool> {
        contains(self.reader(), namespace, key)
    }

    /// Remove a key.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///     if_revision: Only if the key is at this revision.
    ///
    /// Returns:
    ///     True if it was live, False if nothing was there.
    ///
    /// Raises:
    ///     ConflictError: The key is at another revision than `if_revision`, or absent.
    #[pyo3(signature = (namespace, key, *, if_revision=None))]
    fn delete(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        if_revision: Option<Argument<'_, '_>>,
    ) -> PyResult<bool> {
        let (namespace, key) = address(namespace, key)?;
        let condition = condition((&namespace, &key), if_revision)?;
        Ok(self.apply(Operation::Delete { namespace, key }, condition)?.written)
    }

    /// Add to an integer, in one step: no increment is ever lost.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key; an absent one counts as 0.
    ///     by: What to add; may be negative.
    ///     ttl: Seconds until it goes, if this creates the key; a live one keeps its own expiry.
    ///
    /// Returns:
    ///     The sum.
    ///
    /// Raises:
    ///     WrongTypeError: The key holds something else than an int within 64 bits.
    ///     InvalidError: The sum is outside the 64-bit integers.
    #[pyo3(signature = (namespace, key, by=None, *, ttl=None), text_signature = "($self, namespace, key, by=1, *, ttl=None)")]
    fn increment(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        by: Option<Argument<'_, '_>>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<Option<i64>> {
        let (namespace, key) = address(namespace, key)?;
        Ok(self.apply(Operation::Add { namespace, key, by: summand(by)?, expiry: expiry(ttl)? }, None)?.integer)
    }

    /// Set or clear the expiry of a live key. The value stays; the revision rises.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///     ttl: Seconds from now until it goes, an int or float above 0; None = it stays.
    ///
    /// Returns:
    ///     True if the key is live, False if nothing was there.
    fn touch(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<bool> {
        let (namespace, key) = address(namespace, key)?;
        Ok(self.apply(Operation::Touch { namespace, key, expiry: expiry(ttl)? }, None)?.written)
    }

    /// List a namespace's keys.
    ///
    /// Args:
    ///     namespace: Which one.
    ///     prefix: Only keys that begin with this.
    ///     after: Only keys behind this one in the order of the list; it need not exist.
    ///     reverse: Greatest key first.
    ///     limit: The most keys; None = all.
    ///
    /// Returns:
    ///     The keys, ordered by their bytes.
    #[pyo3(signature = (namespace, *, prefix=None, after=None, reverse=None, limit=None), text_signature = "($self, namespace, *, prefix='', after=None, reverse=False, limit=None)")]
    fn keys(
        &self,
        namespace: Argument<'_, '_>,
        prefix: Option<Argument<'_, '_>>,
        after: Option<Argument<'_, '_>>,
        reverse: Option<Argument<'_, '_>>,
        limit: Option<Argument<'_, '_>>,
    ) -> PyResult<Vec<String>> {
        let namespace = argument::namespace("namespace", namespace)?;
        self.0.keys(&namespace, &range(prefix, after, reverse, limit)?).or_raise()
    }

    /// List a namespace's entries.
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
        items(py, self.reader(), namespace, &range(prefix, after, reverse, limit)?)
    }

    /// List the namespaces that hold a live key.
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
        self.0.namespaces(&range(prefix, after, reverse, limit)?).or_raise()
    }

    /// Write several values: all of them or, on an error, none.
    ///
    /// Args:
    ///     items: (namespace, key, value) tuples. Of equal addresses the last wins.
    ///     ttl: Seconds until they go; None = they stay.
    ///
    /// Raises:
    ///     TooLargeError: More than the engine takes in one batch (see `capabilities`).
    ///     Exception: As `set`; nothing is written.
    #[pyo3(signature = (items, *, ttl=None))]
    fn set_many(&self, items: &Bound<'_, PyAny>, ttl: Option<Argument<'_, '_>>) -> PyResult<()> {
        let expiry = expiry(ttl)?;
        codec::with_buffer(|buffer| {
            let rows = Rows::read(items, buffer, self.0.capabilities())?;
            let mut batch = Batch::new();
            for row in &rows.0 {
                let (namespace, key) = argument::address_in(&row.parts)?;
                batch.set(namespace, key, value_of(&buffer[row.start..row.end]), expiry);
            }
            batch.keep_last_sets();
            self.0.write(&batch).or_raise()?;
            Ok(())
        })
    }

    /// Read several values. Within one namespace they are of one instant.
    ///
    /// Args:
    ///     pairs: (namespace, key) tuples.
    ///     default: What stands for a key that is not live.
    ///
    /// Returns:
    ///     The values, in the order of the pairs.
    #[pyo3(signature = (pairs, *, default=None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        pairs: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let pairs = argument::iterator("pairs", "(namespace, key) tuples", pairs)?
            .map(|pair| argument::pair(pair?))
            .collect::<PyResult<Vec<_>>>()?;
        let addresses = pairs.iter().map(argument::address_in);
        let found = self.0.get_many(&addresses.collect::<PyResult<Vec<_>>>()?).or_raise()?;
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        let values = found.into_iter().map(|entry| match entry {
            Some(entry) => codec::decode(py, entry.value()),
            None => Ok(default.clone()),
        });
        PyList::new(py, values.collect::<PyResult<Vec<_>>>()?)
    }

    /// Remove a namespace with all its keys.
    ///
    /// Args:
    ///     namespace: Which one.
    ///
    /// Returns:
    ///     True if a key of it was live.
    fn delete_namespace(&self, namespace: Argument<'_, '_>) -> PyResult<bool> {
        let namespace = argument::namespace("namespace", namespace)?;
        Ok(self.apply(Operation::DeleteNamespace { namespace }, None)?.written)
    }

    /// Copy a namespace into one that holds nothing. In memory it costs nothing: both share what neither changes.
    ///
    /// Args:
    ///     source: What to copy, as one consistent cut; times and expiries included.
    ///     target: Where to.
    ///
    /// Returns:
    ///     True if there was something to copy.
    ///
    /// Raises:
    ///     ConflictError: The target holds a live key; nothing is changed.
    fn copy_namespace(&self, source: Argument<'_, '_>, target: Argument<'_, '_>) -> PyResult<bool> {
        let (source, target) = (argument::namespace("source", source)?, argument::namespace("target", target)?);
        Ok(self.apply(Operation::CopyNamespace { source, target }, None)?.written)
    }

    /// Collect changes, and carry them out together or not at all when the with block ends without an error.
    ///
    /// Returns:
    ///     A Batch, to be used in a with statement.
    ///
    /// Example:
    ///     >>> store = Store()
    ///     >>> with store.batch() as batch:
    ///     ...     batch.set("jobs", "a", "done")
    ///     ...     batch.increment("totals", "done")
    ///     >>> store.get("totals", "done")
    ///     1
    fn batch(&self) -> PyBatch {
        PyBatch::new(self.0.clone())
    }

    /// Remove every entry. Snapshots that were taken are kept.
    fn clear(&self) -> PyResult<()> {
        self.0.clear().or_raise()
    }

    /// Take a snapshot of the whole store. What is due by then is removed first.
    ///
    /// In memory it costs the same for ten entries or a million: nothing is copied.
    ///
    /// Returns:
    ///     The snapshot. The store retains it too, as far as `max_history` allows.
    fn snapshot(&self) -> PyResult<PySnapshot> {
        Ok(PySnapshot::new(self.0.snapshot().or_raise()?))
    }

    /// Make the whole store what a snapshot holds: every namespace and key, with the revisions they had.
    ///
    /// Args:
    ///     snapshot: A snapshot of this store, or of another one of the same engine.
    ///
    /// Raises:
    ///     UnsupportedError: It is of another engine; `copy` it into an empty store instead.
    ///     NotFoundError: It was dropped, and its engine keeps no dropped ones.
    fn restore(&self, snapshot: Argument<'_, '_>) -> PyResult<()> {
        let snapshot = argument::instance::<PySnapshot>("snapshot", snapshot)?.get();
        self.0.restore(&**snapshot.inner()).or_raise()
    }

    /// Tell what happened from a snapshot to this moment, without taking another one.
    ///
    /// It reads both sides whole; the `diff` of two snapshots costs what changed.
    ///
    /// Args:
    ///     base: The snapshot to compare with, of any store.
    ///
    /// Returns:
    ///     {"added": [...], "removed": [...], "changed": [...]}, as `Snapshot.diff`.
    ///
    /// Example:
    ///     >>> store = Store()
    ///     >>> base = store.snapshot()
    ///     >>> revision = store.set("n", "k", 1)
    ///     >>> store.diff(base)["added"]
    ///     [('n', 'k')]
    fn diff<'py>(slf: &Bound<'py, Self>, base: Argument<'_, '_>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let base = argument::instance::<PySnapshot>("base", base)?.get().inner().clone();
        let now = reader(py, slf)?;
        let diff = py.detach(|| merge_diff(&*now, &*base)).or_raise()?;
        snapshot::diff_dict(py, diff)
    }

    /// List the snapshots that the store retains.
    ///
    /// Returns:
    ///     The snapshots, oldest first.
    fn history(&self) -> PyResult<Vec<PySnapshot>> {
        Ok(self.0.history().or_raise()?.into_iter().map(PySnapshot::new).collect())
    }

    /// Find a snapshot that the store retains.
    ///
    /// Args:
    ///     id: Its id.
    ///
    /// Returns:
    ///     The snapshot.
    ///
    /// Raises:
    ///     NotFoundError: The store retains none of that id.
    fn snapshot_by_id(&self, id: Argument<'_, '_>) -> PyResult<PySnapshot> {
        Ok(PySnapshot::new(self.0.snapshot_by_id(argument::count("id", id)?).or_raise()?))
    }

    /// Drop a snapshot from the history. In memory, one that somebody holds stays readable.
    ///
    /// Args:
    ///     id: Its id.
    ///
    /// Returns:
    ///     True if the store retained it.
    fn drop_snapshot(&self, id: Argument<'_, '_>) -> PyResult<bool> {
        self.0.drop_snapshot(argument::count("id", id)?).or_raise()
    }

    /// Remove all that is expired and give back what room the engine can.
    fn compact(&self) -> PyResult<()> {
        self.0.compact().or_raise()
    }

    /// End the use of the store, for every handle to it.
    ///
    /// Using it then raises InvalidError; closing it again is nothing.
    fn close(&self) -> PyResult<()> {
        self.0.close().or_raise()
    }

    /// What the engine can do, and its limits.
    #[getter]
    fn capabilities(&self) -> PyCapabilities {
        PyCapabilities(self.0.capabilities().clone())
    }

    /// The lengths of all live values, in bytes of msgpack.
    #[getter]
    fn size_bytes(&self) -> PyResult<u64> {
        Ok(self.0.usage().or_raise()?.size_bytes)
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.0.usage().or_raise()?.entries).unwrap_or(usize::MAX))
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __contains__(&self, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        contains_pair(self.reader(), address)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        exc_type: Option<Bound<'_, PyType>>,
        exc_value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc_type, exc_value, traceback);
        self.close()
    }

    fn __repr__(&self) -> String {
        format!("<Store in {}: {}>", self.0.capabilities().engine, shown_usage(self.reader()))
    }
}

/// How much lives somewhere, or why nobody can tell, as a `repr` shows it.
pub(super) fn shown_usage(reader: &dyn Reader) -> String {
    match reader.usage() {
        Ok(usage) => format!("{} entries, {} bytes", usage.entries, usage.size_bytes),
        Err(error) => error.to_string(),
    }
}

/// The rows of a `set_many`: tuples kept alive, values encoded one behind the other.
struct Rows<'py>(Vec<Row<'py>>);

struct Row<'py> {
    parts: Bound<'py, PyTuple>,
    start: usize,
    end: usize,
}

impl<'py> Rows<'py> {
    /// Reads no further than a batch may be long, however much `items` would give.
    fn read(items: &Bound<'py, PyAny>, buffer: &mut Vec<u8>, capabilities: &Capabilities) -> PyResult<Self> {
        let mut rows = Vec::with_capacity(items.len().unwrap_or(0).min(1024));
        let tuples = argument::iterator("items", "(namespace, key, value) tuples", items)?;
        for (position, item) in tuples.enumerate() {
            let parts = argument::parts(item?, 3, "(namespace, key, value)")?;
            let (start, value) = (buffer.len(), parts.get_borrowed_item(2)?);
            codec::encode(&value, buffer, format_args!("items[{position}][2]"))?;
            rows.push(Row { parts, start, end: buffer.len() });
            capabilities.check_batch_length("a batch in operations", rows.len()).or_raise()?;
        }
        Ok(Self(rows))
    }
}

/// Runs one whole operation, without the interpreter's lock where it waits or takes long.
pub(super) fn run_whole<R: Send>(
    py: Python<'_>,
    is_long: bool,
    work: impl FnOnce() -> Result<R> + Send,
) -> PyResult<R> {
    if is_long { py.detach(work) } else { work() }.or_raise()
}

/// Encodes a value and hands it on; a large one is copied once, into memory that the store may keep.
pub(super) fn with_value<R>(value: &Bound<'_, PyAny>, work: impl FnOnce(Value<'_>) -> PyResult<R>) -> PyResult<R> {
    if let Some(large) = codec::encode_large(value)? {
        let kind = kind_of(&large);
        return work(Value::shared(kind, large));
    }
    codec::with_buffer(|buffer| {
        codec::encode(value, buffer, "value")?;
        work(value_of(buffer))
    })
}

fn value_of(msgpack: &[u8]) -> Value<'_> {
    Value::borrowed(kind_of(msgpack), msgpack)
}

fn kind_of(msgpack: &[u8]) -> Kind {
    match msgpack::kind_of(msgpack) {
        Lead::Integer => Kind::Integer,
        Lead::Str => Kind::String,
        Lead::Bin => Kind::Bytes,
        Lead::Other => Kind::Json,
    }
}

/// The bound that `max_history=` states.
pub(super) fn history_bound(max_history: Option<Argument<'_, '_>>) -> PyResult<Option<usize>> {
    let Some(most) = max_history else { return Ok(None) };
    Ok(Some(usize::try_from(argument::count("max_history", most)?).unwrap_or(usize::MAX)))
}

fn require_known(name: &str, given: Option<Argument<'_, '_>>, known: &str) -> PyResult<()> {
    let Some(given) = given else { return Ok(()) };
    match argument::text(name, given)? {
        given if given == known => Ok(()),
        given => Err(to_py(Error::invalid(format!("{name} {given:?} is unknown; it must be {known:?}")))),
    }
}

/// What `by=` says; 1 when it is not given.
pub(super) fn summand(by: Option<Argument<'_, '_>>) -> PyResult<i64> {
    by.map_or(Ok(1), |by| argument::integer("by", by))
}

pub(super) fn get<'py>(
    py: Python<'py>,
    reader: &dyn Reader,
    namespace: Argument<'_, '_>,
    key: Argument<'_, '_>,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (namespace, key) = address(namespace, key)?;
    match reader.get(&namespace, &key).or_raise()? {
        Some(entry) => codec::decode(py, entry.value()),
        None => Ok(default.unwrap_or_else(|| py.None().into_bound(py))),
    }
}

pub(super) fn entry(
    py: Python<'_>,
    reader: &dyn Reader,
    namespace: Argument<'_, '_>,
    key: Argument<'_, '_>,
) -> PyResult<Option<PyEntry>> {
    let (namespace, key) = address(namespace, key)?;
    let entry = reader.get(&namespace, &key).or_raise()?;
    entry.map(|entry| PyEntry::new(py, namespace.as_str(), entry)).transpose()
}

pub(super) fn contains(reader: &dyn Reader, namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<bool> {
    let (namespace, key) = address(namespace, key)?;
    Ok(reader.get(&namespace, &key).or_raise()?.is_some())
}

pub(super) fn contains_pair(reader: &dyn Reader, pair: &Bound<'_, PyAny>) -> PyResult<bool> {
    let pair = argument::pair(pair.clone())?;
    let (namespace, key) = argument::address_in(&pair)?;
    Ok(reader.get(&namespace, &key).or_raise()?.is_some())
}

pub(super) fn items<'py>(
    py: Python<'py>,
    reader: &dyn Reader,
    namespace: Argument<'_, '_>,
    range: &Range<'_>,
) -> PyResult<Bound<'py, PyList>> {
    let entries = reader.entries(&argument::namespace("namespace", namespace)?, range).or_raise()?;
    let list = PyList::empty(py);
    for entry in entries {
        list.append((entry.key(), codec::decode(py, entry.value())?))?;
    }
    Ok(list)
}
