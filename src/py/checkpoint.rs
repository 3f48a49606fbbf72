//! `Threads` and `Checkpoints`: LangGraph's threads, as the saver's Python part calls them.
//!
//! Names come in and go out as they are, values as tuples `(form, bytes)`: Python serializes, and where a record lies and what
//! belongs together is [`checkpoint`](crate::checkpoint)'s.

use std::borrow::Cow;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::argument;
use super::error::OrRaise;
use super::store::PyStore;
use crate::checkpoint::{
    ChannelValue, Contents, Found, Listing, NewCheckpoint, NewWrite, Place, Query, Saved, Task, Threads, Typed, Version,
};

/// LangGraph's threads in a store.
///
/// What `SwarmStateSaver` is made of; values are serialized already, as (form, bytes).
///
/// Args:
///     store: The store that holds them.
#[pyclass(frozen, name = "Threads", module = "swarmstate._core")]
pub(crate) struct PyThreads(Threads);

#[pymethods]
impl PyThreads {
    #[new]
    fn new(store: PyRef<'_, PyStore>) -> Self {
        Self(Threads::new(store.engine().clone()))
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
    ///     versions: The version of every channel.
    ///     values: Channel, version and value, where None stands for an empty channel.
    ///
    /// Raises:
    ///     InvalidError: A name is above the limit, or an int outside 64 bits; nothing is written.
    ///     TooLargeError: A record is above the limit; nothing is written.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, parent_id, checkpoint, metadata, versions, values, /))]
    #[expect(clippy::too_many_arguments, reason = "one call carries one checkpoint, and positions cost least")]
    fn put<'py>(
        &self,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: &str,
        parent_id: Option<&str>,
        checkpoint: Serialized<'_>,
        metadata: Serialized<'_>,
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
            versions: versions.collect::<PyResult<_>>()?,
            values: values.iter().map(channel_value).collect(),
        };
        self.0.put(Place { thread_id, checkpoint_ns }, &new).or_raise()
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
    fn put_writes<'py>(
        &self,
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
        self.0.put_writes(place, checkpoint_id, task, &writes.collect::<Vec<_>>()).or_raise()
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
        match self.0.get(Place { thread_id, checkpoint_ns }, checkpoint_id).or_raise()? {
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
        thread_id: Option<&str>,
        checkpoint_ns: Option<&str>,
        checkpoint_id: Option<&str>,
        before: Option<&str>,
    ) -> PyResult<PyCheckpoints> {
        let listing = self.0.list(&Query { thread_id, checkpoint_ns, checkpoint_id, before }).or_raise()?;
        Ok(PyCheckpoints { listing, current: None })
    }

    /// Remove a thread with all that it holds.
    ///
    /// Args:
    ///     thread_id: The thread.
    #[pyo3(signature = (thread_id, /))]
    fn delete(&self, thread_id: &str) -> PyResult<()> {
        self.0.delete(thread_id).or_raise()
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
    fn copy(&self, source_id: &str, target_id: &str) -> PyResult<()> {
        self.0.copy(source_id, target_id).or_raise()
    }
}

/// An open listing of checkpoints; what is written after it was opened does not show.
#[pyclass(name = "Checkpoints", module = "swarmstate._core")]
pub(crate) struct PyCheckpoints {
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
        self.current = self.listing.next().or_raise()?;
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
        to_tuple(py, &self.listing.load(found.clone()).or_raise()?).map(Some)
    }
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

/// Channel, version and value.
type ValueRow<'a> = (&'a str, AnyVersion<'a>, Option<Serialized<'a>>);
/// Index, channel and value.
type WriteRow<'a> = (i64, &'a str, Serialized<'a>);

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
        values_by_channel.set_item(channel, serialized(py, value)?)?;
    }
    let tasks_writes = PyList::empty(py);
    for write in writes {
        tasks_writes.append((write.task_id, write.channel, serialized(py, write.value)?))?;
    }
    let (checkpoint, metadata) = (serialized(py, checkpoint)?, serialized(py, metadata)?);
    let id = &saved.address().checkpoint_id;
    (id, parent_id, checkpoint, metadata, versions_by_channel, values_by_channel, tasks_writes).into_pyobject(py)
}

fn serialized<'py>(py: Python<'py>, value: Typed<'_>) -> PyResult<Bound<'py, PyTuple>> {
    (value.form, PyBytes::new(py, value.bytes)).into_pyobject(py)
}
