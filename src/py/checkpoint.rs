//! `Threads` and `Checkpoints`: LangGraph's threads, as the saver's Python part calls them.
//!
//! Names come in and go out as they are, and values through the saver's [serializer](super::serializer); where a record lies and
//! what belongs together is [`checkpoint`](crate::checkpoint)'s.

use std::num::NonZeroUsize;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use super::argument::{self, Argument};
use super::checkpoint_row::{CheckpointParts, InfoRow, WriteParts, is_put_short, to_tuple, written};
use super::codec::with_buffer;
use super::completion::PyCompletions;
use super::error::{OrRaise, to_py};
use super::listing::{PyCheckpoints, PyFetched};
use super::serializer::{Allowance, Serializer};
use super::store::{PyStore, run_whole};
use super::transfer::{Source, read_in, write_out};
use super::worker::Workers;
use crate::checkpoint::{ChannelHistory, Place, Query, Retention, Task, ThreadInfo, Threads, Wanted};
use crate::error::{Error, Result};
use crate::thread_import::{import_thread, import_thread_from};

/// Values of so many bytes are compared, cut and hashed within a fraction of a switch interval of the interpreter.
const MOST_BYTES_ATTACHED: usize = 256 * 1024;
/// A small state fits into it.
const FIRST_BUFFER_BYTES: usize = 1024;

/// LangGraph's threads in a store.
///
/// What `SwarmStateSaver` is made of. A serializer is whatever has LangGraph's `dumps_typed` and `loads_typed`.
///
/// Args:
///     store: The store that holds them.
///     plain: The class whose own instances write plain values as plain msgpack, so that those need not reach them;
///         None = there is none.
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
    plain: Option<Py<PyType>>,
    /// Who writes for event loops, where writes follow one another.
    line: Option<Arc<Workers>>,
}

impl PyThreads {
    fn serializer<'a, 'py>(&self, serde: &'a Bound<'py, PyAny>) -> Serializer<'a, 'py> {
        Serializer::new(serde, self.plain.as_ref())
    }

    fn writers(&self) -> Arc<Workers> {
        self.line.as_ref().filter(|line| line.is_of_this_process()).cloned().unwrap_or_else(Workers::at_once)
    }

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
    #[pyo3(signature = (store, *, plain=None, keep_last=None, ttl=None))]
    fn new(
        store: PyRef<'_, PyStore>,
        plain: Option<Py<PyType>>,
        keep_last: Option<Argument<'_, '_>>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<Self> {
        let retention = Retention {
            ttl: ttl.map(|ttl| argument::seconds("ttl", ttl)).transpose()?,
            keep_last: keep_last.map(at_least_one).transpose()?,
        };
        let (engine, waits) = store.whole_engine();
        let line = (engine.capabilities().engine == "sqlite").then(Workers::in_line);
        Ok(Self { waits, threads: Threads::with_retention(engine, retention), plain, line })
    }

    /// Store a checkpoint and the values of the channels that have a new version, in one step.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint.
    ///     parent_id: The checkpoint that it follows.
    ///     checkpoint: What is stored under that id.
    ///     metadata: Its metadata.
    ///     new_versions: The channels whose value is stored, by their versions; one without a value is stored as empty.
    ///     serde: The serializer.
    ///
    /// Raises:
    ///     InvalidError: A name is above the limit, or an int outside 64 bits; nothing is written.
    ///     TooLargeError: A record is above the limit; nothing is written.
    ///     ConflictError: Others change the thread without a pause; nothing is written.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, parent_id, checkpoint, metadata, new_versions, serde, /))]
    #[expect(clippy::too_many_arguments, reason = "one call carries one checkpoint, and positions cost least")]
    fn put<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: &str,
        parent_id: Option<&str>,
        checkpoint: &Bound<'py, PyAny>,
        metadata: &Bound<'py, PyDict>,
        new_versions: &Bound<'py, PyAny>,
        serde: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        with_buffer(|buffer| {
            let parts = CheckpointParts::new(
                checkpoint_id,
                checkpoint,
                metadata,
                new_versions,
                &self.serializer(serde),
                buffer,
            )?;
            let new = parts.to_new(checkpoint_id, parent_id, buffer);
            let is_long = self.waits || parts.value_bytes() > MOST_BYTES_ATTACHED;
            run_whole(py, is_long, || self.threads.put(Place { thread_id, checkpoint_ns }, &new))
        })
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
    ///     serde: The serializer.
    ///
    /// Raises:
    ///     InvalidError: A name is above the limit; nothing is written.
    ///     TooLargeError: A record is above the limit; nothing is written.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, writes, serde, /))]
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
        serde: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        with_buffer(|buffer| {
            let parts = WriteParts::new(writes, &self.serializer(serde), buffer)?;
            let writes = parts.to_new(buffer);
            let (place, task) = (Place { thread_id, checkpoint_ns }, Task { id: task_id, path: task_path });
            self.run(py, |threads| threads.put_writes(place, checkpoint_id, task, &writes))
        })
    }

    /// Read a checkpoint with the values of its channels and the writes that wait on it, as of one moment.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint; None = the latest.
    ///     serde: The serializer.
    ///
    /// Returns:
    ///     Id, parent's id, checkpoint, metadata, and in order the writes as (task id, channel, value); None when there
    ///     is no such checkpoint.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, serde, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: Option<&str>,
        serde: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.run(py, |threads| threads.get(Place { thread_id, checkpoint_ns }, checkpoint_id))? {
            Some(saved) => to_tuple(py, &saved, &self.serializer(serde)).map(Some),
            None => Ok(None),
        }
    }

    /// Do as `put`, on another thread; all arguments are taken before this returns.
    ///
    /// Args:
    ///     completions: Where it is left when it is done.
    ///     future: A future of the loop that `completions` delivers to; the result is None.
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint.
    ///     parent_id: The checkpoint that it follows.
    ///     checkpoint: What is stored under that id.
    ///     metadata: Its metadata.
    ///     new_versions: The channels whose value is stored, by their versions.
    ///     serde: The serializer.
    ///
    /// Returns:
    ///     Whether it was begun; False = the serializer may take long, so that a thread should run `put`.
    ///
    /// Raises:
    ///     TypeError: A name is no str. The future has the errors of `put`.
    #[pyo3(signature = (completions, future, thread_id, checkpoint_ns, checkpoint_id, parent_id, checkpoint, metadata, new_versions, serde, /))]
    #[expect(clippy::too_many_arguments, reason = "one call carries one checkpoint, and positions cost least")]
    fn aput<'py>(
        &self,
        completions: &PyCompletions,
        future: Py<PyAny>,
        thread_id: PyBackedStr,
        checkpoint_ns: PyBackedStr,
        checkpoint_id: PyBackedStr,
        parent_id: Option<PyBackedStr>,
        checkpoint: &Bound<'py, PyAny>,
        metadata: &Bound<'py, PyDict>,
        new_versions: &Bound<'py, PyAny>,
        serde: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let serializer = self.serializer(serde);
        if !serializer.is_own() || !is_put_short(checkpoint, metadata, new_versions)? {
            return Ok(false);
        }
        let mut buffer = Vec::with_capacity(FIRST_BUFFER_BYTES);
        let parts = CheckpointParts::new(&checkpoint_id, checkpoint, metadata, new_versions, &serializer, &mut buffer)?;
        let threads = self.threads.clone();
        completions.run(&self.writers(), future, move || {
            let new = parts.to_new(&checkpoint_id, parent_id.as_deref(), &buffer);
            let result = threads.put(Place { thread_id: &thread_id, checkpoint_ns: &checkpoint_ns }, &new);
            move |py| {
                drop((thread_id, checkpoint_ns, checkpoint_id, parent_id, parts));
                result.or_raise().map(|()| py.None())
            }
        })?;
        Ok(true)
    }

    /// Do as `put_writes`, on another thread; all arguments are taken before this returns.
    ///
    /// Args:
    ///     completions: Where it is left when it is done.
    ///     future: A future of the loop that `completions` delivers to; the result is None.
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint.
    ///     task_id: The task.
    ///     task_path: Its place in the graph.
    ///     writes: Index, channel and value.
    ///     serde: The serializer.
    ///
    /// Returns:
    ///     Whether it was begun; False = the serializer may take long, so that a thread should run `put_writes`.
    ///
    /// Raises:
    ///     TypeError: A name is no str. The future has the errors of `put_writes`.
    #[pyo3(signature = (completions, future, thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, writes, serde, /))]
    #[expect(clippy::too_many_arguments, reason = "one call carries one task's writes, and positions cost least")]
    fn aput_writes<'py>(
        &self,
        completions: &PyCompletions,
        future: Py<PyAny>,
        thread_id: PyBackedStr,
        checkpoint_ns: PyBackedStr,
        checkpoint_id: PyBackedStr,
        task_id: PyBackedStr,
        task_path: PyBackedStr,
        writes: &Bound<'py, PyList>,
        serde: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let serializer = self.serializer(serde);
        if !serializer.is_own() || !Allowance::new().covers(writes) {
            return Ok(false);
        }
        let mut buffer = Vec::with_capacity(FIRST_BUFFER_BYTES);
        let parts = WriteParts::new(writes, &serializer, &mut buffer)?;
        let threads = self.threads.clone();
        completions.run(&self.writers(), future, move || {
            let place = Place { thread_id: &thread_id, checkpoint_ns: &checkpoint_ns };
            let task = Task { id: &task_id, path: &task_path };
            let result = threads.put_writes(place, &checkpoint_id, task, &parts.to_new(&buffer));
            move |py| {
                drop((thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, parts));
                result.or_raise().map(|()| py.None())
            }
        })?;
        Ok(true)
    }

    /// Do as `get`, on another thread, but for the objects, which are left to be made.
    ///
    /// Args:
    ///     completions: Where it is left when it is done.
    ///     future: A future of the loop that `completions` delivers to; the result is a `Fetched`, or None when there
    ///         is no such checkpoint.
    ///     thread_id: The thread.
    ///     checkpoint_ns: The namespace of the graph in it.
    ///     checkpoint_id: The checkpoint; None = the latest.
    ///     serde: The serializer.
    ///
    /// Raises:
    ///     TypeError: A name is no str. The future has the errors of `get`.
    #[pyo3(signature = (completions, future, thread_id, checkpoint_ns, checkpoint_id, serde, /))]
    #[expect(clippy::too_many_arguments, reason = "as those of `get`, and two for the loop")]
    fn aget(
        &self,
        py: Python<'_>,
        completions: &PyCompletions,
        future: Py<PyAny>,
        thread_id: PyBackedStr,
        checkpoint_ns: PyBackedStr,
        checkpoint_id: Option<PyBackedStr>,
        serde: Py<PyAny>,
    ) -> PyResult<()> {
        let (threads, plain) = (self.threads.clone(), self.plain.as_ref().map(|plain| plain.clone_ref(py)));
        completions.run(&Workers::at_once(), future, move || {
            let place = Place { thread_id: &thread_id, checkpoint_ns: &checkpoint_ns };
            let result = threads.get(place, checkpoint_id.as_deref());
            move |py| {
                drop((thread_id, checkpoint_ns, checkpoint_id));
                let fetched = result.or_raise()?.map(|saved| PyFetched { saved, serde, plain });
                Ok(fetched.into_pyobject(py)?.unbind())
            }
        })
    }

    /// List checkpoints as they stand now, newest id first.
    ///
    /// Args:
    ///     thread_id: Only of this thread; None = of all.
    ///     checkpoint_ns: Only of this namespace; None = of all.
    ///     checkpoint_id: Only this one.
    ///     before: Only those with a smaller id.
    ///     serde: The serializer.
    ///
    /// Returns:
    ///     The open listing.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, before, serde, /))]
    fn list(
        &self,
        py: Python<'_>,
        thread_id: Option<&str>,
        checkpoint_ns: Option<&str>,
        checkpoint_id: Option<&str>,
        before: Option<&str>,
        serde: Py<PyAny>,
    ) -> PyResult<PyCheckpoints> {
        let query = Query { thread_id, checkpoint_ns, checkpoint_id, before };
        let listing = self.run(py, |threads| threads.list(&query))?;
        let plain = self.plain.as_ref().map(|plain| plain.clone_ref(py));
        Ok(PyCheckpoints::new(self.waits, listing, serde, plain))
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

    /// Write a thread with all that it holds to a file, as it stands at one moment.
    ///
    /// Args:
    ///     thread_id: The thread.
    ///     file: A path, or a file that is open for writing bytes.
    ///     format: "msgpack" or "jsonl".
    ///     progress: Called as progress(done, total), or None.
    ///
    /// Returns:
    ///     How many records were written.
    ///
    /// Raises:
    ///     NotFoundError: There is no such thread; nothing is written.
    ///     InvalidError: `format` is unknown.
    ///     OSError: The file cannot be written.
    #[pyo3(signature = (thread_id, file, format, progress, /))]
    fn export(
        &self,
        py: Python<'_>,
        thread_id: &str,
        file: Argument<'_, '_>,
        format: Argument<'_, '_>,
        progress: Option<Argument<'_, '_>>,
    ) -> PyResult<u64> {
        write_out(py, (file, Some(format), progress), || Ok(Arc::new(self.threads.records(thread_id)?)))
    }

    /// Make the thread that a file holds.
    ///
    /// Args:
    ///     file: A path, or a file that is open for reading bytes.
    ///     thread_id: The id that it gets; None = its own.
    ///     progress: Called as progress(done, total), or None.
    ///
    /// Returns:
    ///     Its id.
    ///
    /// Raises:
    ///     InvalidError: It is no whole export of one thread, or of one whose time is over; nothing is written.
    ///     TooLargeError: A record is above the limit; nothing is written.
    ///     ConflictError: There is such a thread, or somebody makes it meanwhile; nothing is written.
    ///     OSError: The file cannot be read; nothing is written.
    #[pyo3(signature = (file, thread_id, progress, /))]
    fn import_(
        &self,
        py: Python<'_>,
        file: Argument<'_, '_>,
        thread_id: Option<&str>,
        progress: Option<Argument<'_, '_>>,
    ) -> PyResult<String> {
        read_in(py, file, progress, |source, progress| match source {
            Source::Path(path) => import_thread_from(path, &self.threads, thread_id, progress),
            Source::File(file) => import_thread(file, &self.threads, thread_id, progress),
        })
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
    ///     serde: The serializer.
    ///
    /// Returns:
    ///     For each channel, in their order: the writes since the nearest ancestor that stores a value, as (task id,
    ///     channel, value), oldest first, and behind them that value, if there is one.
    ///
    /// Raises:
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (thread_id, checkpoint_ns, checkpoint_id, channels, serde, /))]
    fn history<'py>(
        &self,
        py: Python<'py>,
        thread_id: &str,
        checkpoint_ns: &str,
        checkpoint_id: Option<&str>,
        channels: Vec<String>,
        serde: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        let (place, serializer) = (Place { thread_id, checkpoint_ns }, self.serializer(serde));
        let history = self.run(py, |threads| threads.history(place, checkpoint_id, &channels))?;
        let found = PyList::empty(py);
        for ChannelHistory { seed, writes, .. } in history.channels().or_raise()? {
            let writes = written(py, &writes, &serializer)?;
            match seed {
                Some(seed) => found.append((writes, serializer.load_stored(&seed)?))?,
                None => found.append((writes,))?,
            }
        }
        Ok(found)
    }
}

/// A count that is not 0.
fn at_least_one(keep_last: Argument<'_, '_>) -> PyResult<NonZeroUsize> {
    let count = argument::count("keep_last", keep_last)?;
    let count = usize::try_from(count).ok().and_then(NonZeroUsize::new);
    count.ok_or_else(|| to_py(Error::invalid("keep_last must be at least 1, or None for no bound")))
}
