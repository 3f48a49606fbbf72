//! `Threads` and `Checkpoints`: LangGraph's threads, as the saver's Python part calls them.
//!
//! Names come in and go out as they are, values as tuples `(form, bytes)`: Python serializes, and where a record lies and what
//! belongs together is [`checkpoint`](crate::checkpoint)'s.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::argument::{self, Argument};
use super::error::{OrRaise, to_py};
use super::store::{PyStore, run_whole};
use crate::checkpoint::{
    ChannelHistory, ChannelValue, Contents, Found, Listing, NewCheckpoint, NewWrite, Origin, Place, Query, Retention,
    Saved, Stored, Task, ThreadInfo, Threads, Typed, Version, Wanted, Write,
};
use crate::error::{Error, Result};

/// Values of so many bytes are compared, cut and hashed within a fraction of a switch interval of the interpreter.
const MOST_BYTES_ATTACHED: usize = 256 * 1024;

/// LangGraph's threads in a store.
///
/// What `SwarmStateSaver` is made of; values are serialized already, as (form, bytes).
///
/// Args:
///     store: The store that holds them.
///     keep_last: How many checkpoints of each namespace stay; None = all of them.
///     ttl: Seconds after its last put at which a thread is gone; None = it stays.
///
/// Raises:
///     InvalidError: `keep_last` is below 1, or `ttl` not above 0.
#[pyclass(frozen, name = "Threads", module = "swarmstate._core")]
pub(crate) struct PyThreads {
    /// Where the engine waits, calls run detached from the interpreter as a whole, on a handle that waits plainly.
    waits: bool,
    threads: Threads,
}

impl PyThreads {
    fn run<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&Threads) -> Result<R> + Send) -> PyResult<R> {
        run_whole(py, self.waits, || work(&self.threads))
    }

    /// Runs an operation that goes through a whole thread, or more.
    fn run_long<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&Threads) -> Result<R> + Send) -> PyResult<R> {
        run_whole(py, true, || work(&self.threads))
    }
}

#[pymethods]
impl PyThreads {
    #[new]
    #[pyo3(signature = (store, *, keep_last=None, ttl=None))]
    fn new(
        store: PyRef<'_, PyStore>,
        keep_last: Option<Argument<'_, '_>>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<Self> {
        let retention = Retention {
            ttl: ttl.map(|ttl| argument::seconds("ttl", ttl)).transpose()?,
            keep_last: keep_last.map(at_least_one).transpose()?,
        };
        let (engine, waits) = store.whole_engine();
        Ok(Self { waits, threads: Threads::with_retention(engine, retention) })
    }

    /// Store a checkpoint and the values of the channels that have a new version, in one step.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint.
    ///     parent_id: The checkpoint that it follows.
    ///     checkpoint: The checkpoint without the values and versions of its channels.
    ///     metadata: Its metadata.
    ///     origin: What of the metadata decides how long it is kept: the run's id, the parents as (namespace, id), and
    ///         the names of the delta channels.
    ///     versions: The version of every channel.
    ///     values: Channel, version and value, where None stands for an empty channel.
    ///
    /// Raises:
    ///     InvalidError: A name is above the limit, or an int outside 64 bits; nothing is written.
    ///     TooLargeError: A record is above the limit; nothing is written.
    ///     ConflictError: Others change the thread without a pause; nothing is written.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, parent_id, checkpoint, metadata, origin, versions, values, /))]
    #[expect(clippy::too_many_arguments, reason = "one call carries one checkpoint, and positions cost least")]
    fn put<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: &str,
        parent_id: Option<&str>,
        checkpoint: Serialized<'_>,
        metadata: Serialized<'_>,
        origin: OriginRow,
        versions: &Bound<'py, PyDict>,
        values: &Bound<'py, PyList>,
    ) -> PyResult<()> {
        let versions: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> = versions.iter().collect();
        let versions = versions.iter().map(|(channel, version)| {
            let AnyVersion(version) = version.extract()?;
            Ok((channel.extract()?, version))
        });
        let rows: Vec<Bound<'py, PyAny>> = values.iter().collect();
        let values = rows.iter().map(|row| row.extract()).collect::<PyResult<Vec<ValueRow<'_>>>>()?;
        let new = NewCheckpoint {
            checkpoint_id,
            parent_id,
            checkpoint: checkpoint.typed(),
            metadata: metadata.typed(),
            origin: origin_of(&origin),
            versions: versions.collect::<PyResult<_>>()?,
            values: values.iter().map(channel_value).collect(),
        };
        let bytes: usize = new.values.iter().filter_map(|value| Some(value.value?.bytes.len())).sum();
        let is_long = self.waits || bytes > MOST_BYTES_ATTACHED;
        run_whole(py, is_long, || self.threads.put(Place { thread_id, checkpoint_ns }, &new))
    }

    /// Store what a task wrote after a checkpoint, which need not be there yet, in one step.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint.
    ///     task_id: The task.
    ///     task_path: Its place in the graph.
    ///     writes: Index, channel and value; at one index the first write stays, below 0 the last.
    ///
    /// Raises:
    ///     InvalidError: A name is above the limit; nothing is written.
    ///     TooLargeError: A record is above the limit; nothing is written.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, writes, /))]
    #[expect(clippy::too_many_arguments, reason = "one call carries one task's writes, and positions cost least")]
    fn put_writes<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: &str,
        task_id: &str,
        task_path: &str,
        writes: &Bound<'py, PyList>,
    ) -> PyResult<()> {
        let rows: Vec<Bound<'py, PyAny>> = writes.iter().collect();
        let writes = rows.iter().map(|row| row.extract()).collect::<PyResult<Vec<WriteRow<'_>>>>()?;
        let writes =
            writes.iter().map(|(index, channel, value)| NewWrite { index: *index, channel, value: value.typed() });
        let (place, task) = (Place { thread_id, checkpoint_ns }, Task { id: task_id, path: task_path });
        let writes: Vec<NewWrite<'_>> = writes.collect();
        self.run(py, |threads| threads.put_writes(place, checkpoint_id, task, &writes))
    }

    /// Read a checkpoint with the values of its channels and the writes that wait on it, as of one moment.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint; None = the latest.
    ///
    /// Returns:
    ///     Id, parent's id, checkpoint, metadata, versions by channel, values by channel, and in order the writes as
    ///     (task id, channel, value); None when there is no such checkpoint.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.run(py, |threads| threads.get(Place { thread_id, checkpoint_ns }, checkpoint_id))? {
            Some(saved) => to_tuple(py, &saved).map(Some),
            None => Ok(None),
        }
    }

    /// List checkpoints as they stand now, newest id first.
    ///
    /// Args:
    ///     thread_id: Only of this thread; None = of all.
    ///     checkpoint_ns: Only of this namespace; None = of all.
    ///     checkpoint_id: Only this one.
    ///     before: Only those with a smaller id.
    ///
    /// Returns:
    ///     The open listing.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, before, /))]
    fn list(
        &self,
        py: Python<'_>,
        thread_id: Option<&str>,
        checkpoint_ns: Option<&str>,
        checkpoint_id: Option<&str>,
        before: Option<&str>,
    ) -> PyResult<PyCheckpoints> {
        let query = Query { thread_id, checkpoint_ns, checkpoint_id, before };
        let listing = self.run(py, |threads| threads.list(&query))?;
        Ok(PyCheckpoints { waits: self.waits, listing, current: None })
    }

    /// Remove a thread with all that it holds.
    ///
    /// Args:
    ///     thread_id: The thread.
    #[pyo3(signature = (thread_id, /))]
    fn delete(&self, py: Python<'_>, thread_id: &str) -> PyResult<()> {
        self.run(py, |threads| threads.delete(thread_id))
    }

    /// Copy a thread with all that it holds. An absent source, or one that is the target, is nothing to do.
    ///
    /// Args:
    ///     source_id: The thread to copy.
    ///     target_id: The thread to make.
    ///
    /// Raises:
    ///     ConflictError: The target holds anything; nothing is copied.
    #[pyo3(signature = (source_id, target_id, /))]
    fn copy(&self, py: Python<'_>, source_id: &str, target_id: &str) -> PyResult<()> {
        self.run(py, |threads| threads.copy(source_id, target_id))
    }

    /// Remove all but the newest checkpoints of each namespace of a thread, and what only they named.
    ///
    /// Args:
    ///     thread_id: The thread; an absent one is nothing to do.
    ///     keep: How many stay of each namespace.
    ///
    /// Raises:
    ///     ConflictError: Others change the thread without a pause.
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (thread_id, keep, /))]
    fn prune(&self, py: Python<'_>, thread_id: &str, keep: usize) -> PyResult<()> {
        self.run_long(py, |threads| threads.prune(thread_id, keep))
    }

    /// Remove the checkpoints that some runs made, from all threads, and what only they named.
    ///
    /// Args:
    ///     run_ids: The runs.
    ///
    /// Raises:
    ///     ConflictError: Others change a thread without a pause; all other threads are done.
    ///     CorruptError: A record is not what was stored; all other threads are done.
    #[pyo3(signature = (run_ids, /))]
    fn delete_runs(&self, py: Python<'_>, run_ids: Vec<String>) -> PyResult<()> {
        let run_ids: Vec<&str> = run_ids.iter().map(String::as_str).collect();
        self.run_long(py, |threads| threads.delete_runs(&run_ids))
    }

    /// List threads in the order of their ids, without reading a checkpoint.
    ///
    /// Args:
    ///     prefix: What the ids begin with.
    ///     after: Only threads whose id comes after this one, which need not exist.
    ///     limit: The most threads; None = all.
    ///
    /// Returns:
    ///     Thread id, latest checkpoint id of the root graph, when a checkpoint was put last (seconds since 1970), and
    ///     the count of checkpoints.
    ///
    /// Raises:
    ///     CorruptError: The head of a thread is not what was stored.
    #[pyo3(signature = (prefix, after, limit, /))]
    fn overview(
        &self,
        py: Python<'_>,
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> PyResult<Vec<InfoRow>> {
        let found = self.run_long(py, |threads| threads.overview(&Wanted { prefix, after, limit }))?;
        let row =
            |info: ThreadInfo| (info.thread_id, info.latest, info.put_at.as_millis() as f64 / 1000.0, info.checkpoints);
        Ok(found.into_iter().map(row).collect())
    }

    /// Tell how much room a thread takes, as if there were no other.
    ///
    /// Args:
    ///     thread_id: The thread; an absent one takes none.
    ///
    /// Returns:
    ///     Bytes stored, bytes as the serializer made them, checkpoints, and chunks.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (thread_id, /))]
    fn usage(&self, py: Python<'_>, thread_id: &str) -> PyResult<(u64, u64, u64, u64)> {
        let usage = self.run_long(py, |threads| threads.usage(thread_id))?;
        Ok((usage.stored_bytes, usage.serialized_bytes, usage.checkpoints, usage.chunks))
    }

    /// Remove what is left of all threads whose time is over.
    ///
    /// Returns:
    ///     How many threads those were.
    fn remove_expired(&self, py: Python<'_>) -> PyResult<u64> {
        self.run_long(py, Threads::remove_expired)
    }

    /// Read what the ancestors of a checkpoint say about channels whose values are rebuilt from writes.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint; None = the latest.
    ///     channels: The channels, each named once.
    ///
    /// Returns:
    ///     For each channel, in their order: the value at the nearest ancestor that stores one, or None, and the writes
    ///     since as (task id, channel, value), oldest first.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, channels, /))]
    fn history<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: Option<&str>,
        channels: Vec<String>,
    ) -> PyResult<Bound<'py, PyList>> {
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        let place = Place { thread_id, checkpoint_ns };
        let history = self.run(py, |threads| threads.history(place, checkpoint_id, &channels))?;
        let found = PyList::empty(py);
        for ChannelHistory { seed, writes, .. } in history.channels().or_raise()? {
            let seed = seed.map(|seed| stored(py, &seed)).transpose()?;
            found.append((seed, written(py, &writes)?))?;
        }
        Ok(found)
    }
}

/// An open listing of checkpoints; what is written after it was opened does not show.
#[pyclass(name = "Checkpoints", module = "swarmstate._core")]
pub(crate) struct PyCheckpoints {
    waits: bool,
    listing: Listing,
    current: Option<Found>,
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
        let metadata = serialized(py, found.metadata().or_raise()?)?;
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
        to_tuple(py, &run_whole(py, self.waits, || self.listing.load(found.clone()))?).map(Some)
    }
}

/// A count that is not 0.
fn at_least_one(keep_last: Argument<'_, '_>) -> PyResult<NonZeroUsize> {
    let count = argument::count("keep_last", keep_last)?;
    let count = usize::try_from(count).ok().and_then(NonZeroUsize::new);
    count.ok_or_else(|| to_py(Error::invalid("keep_last must be at least 1, or None for no bound")))
}

/// A serialized value as Python hands it over.
struct Serialized<'a>(&'a str, Cow<'a, [u8]>);

impl<'a, 'py> FromPyObject<'a, 'py> for Serialized<'a> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let (form, bytes) = object.extract()?;
        Ok(Self(form, bytes))
    }
}

impl Serialized<'_> {
    fn typed(&self) -> Typed<'_> {
        Typed { form: self.0, bytes: &self.1 }
    }
}

/// Thread, latest checkpoint, when it was put, count of checkpoints.
type InfoRow = (String, Option<String>, f64, u64);
/// The run's id, the parents and the delta channels.
type OriginRow = (Option<String>, Vec<(String, String)>, Vec<String>);
/// Channel, version and value.
type ValueRow<'a> = (&'a str, AnyVersion<'a>, Option<Serialized<'a>>);
/// Index, channel and value.
type WriteRow<'a> = (i64, &'a str, Serialized<'a>);

fn origin_of((run_id, parents, delta_channels): &OriginRow) -> Origin<'_> {
    Origin {
        run_id: run_id.as_deref(),
        parents: parents.iter().map(|(checkpoint_ns, id)| (checkpoint_ns.as_str(), id.as_str())).collect(),
        delta_channels: delta_channels.iter().map(String::as_str).collect(),
    }
}

fn channel_value<'a>((channel, AnyVersion(version), value): &'a ValueRow<'_>) -> ChannelValue<'a> {
    ChannelValue { channel, version: *version, value: value.as_ref().map(Serialized::typed) }
}

/// A channel's version as Python hands it over: a str, an int or a float.
struct AnyVersion<'a>(Version<'a>);

impl<'a, 'py> FromPyObject<'a, 'py> for AnyVersion<'a> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyString>() {
            return object.extract().map(|text| Self(Version::Text(text)));
        }
        if let Ok(float) = object.cast::<PyFloat>() {
            return Ok(Self(Version::Float(float.value())));
        }
        if !object.is_instance_of::<PyInt>() {
            let kind = object.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a channel's version is a str, an int or a float, not {kind}")));
        }
        argument::integer("version", &object).map(|integer| Self(Version::Integer(integer)))
    }
}

fn to_tuple<'py>(py: Python<'py>, saved: &Saved) -> PyResult<Bound<'py, PyTuple>> {
    let Contents { parent_id, checkpoint, metadata, versions, values, writes } = saved.contents().or_raise()?;
    let (versions_by_channel, values_by_channel) = (PyDict::new(py), PyDict::new(py));
    for (channel, version) in versions {
        match version {
            Version::Integer(integer) => versions_by_channel.set_item(channel, integer)?,
            Version::Float(float) => versions_by_channel.set_item(channel, float)?,
            Version::Text(text) => versions_by_channel.set_item(channel, text)?,
        }
    }
    for (channel, value) in values {
        values_by_channel.set_item(channel, stored(py, &value)?)?;
    }
    let tasks_writes = written(py, &writes)?;
    let (checkpoint, metadata) = (serialized(py, checkpoint)?, serialized(py, metadata)?);
    let id = &saved.address().checkpoint_id;
    (id, parent_id, checkpoint, metadata, versions_by_channel, values_by_channel, tasks_writes).into_pyobject(py)
}

fn written<'py>(py: Python<'py>, writes: &[Write<'_>]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for write in writes {
        list.append((&write.task_id, write.channel, serialized(py, write.value)?))?;
    }
    Ok(list)
}

fn serialized<'py>(py: Python<'py>, value: Typed<'_>) -> PyResult<Bound<'py, PyTuple>> {
    (value.form, PyBytes::new(py, value.bytes)).into_pyobject(py)
}

/// A stored value, its parts copied straight into the object that Python gets.
fn stored<'py>(py: Python<'py>, value: &Stored<'_>) -> PyResult<Bound<'py, PyTuple>> {
    let fill = |bytes: &mut [u8]| {
        value.copy_to(bytes);
        Ok(())
    };
    (value.form(), PyBytes::new_with(py, value.size_bytes(), fill)?).into_pyobject(py)
}
