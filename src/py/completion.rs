//! `Completions`: work that an event loop awaits, done on threads of the core and answered on the loop's own.
//!
//! A thread that works never attaches to the interpreter. It leaves what came out in the loop's queue, and one byte in a pipe that
//! the loop watches: a loop that computes is not stopped for it, and one that waits wakes up at once.

use std::any::Any;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::panic::PanicException;
use pyo3::prelude::*;

use super::worker::Workers;

/// What becomes of an awaited call on the loop's thread.
type Ending = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Where threads of the core leave what an event loop awaits.
///
/// The loop watches `fileno()` for reading, which must not block, and calls `deliver`.
///
/// Raises:
///     OSError: There is no pipe to be had.
#[pyclass(frozen, weakref, name = "Completions", module = "swarmstate._core")]
pub(crate) struct PyCompletions(Arc<Queue>);

struct Queue {
    /// What is done and not delivered yet. Taken for moments, by threads that wait for no other lock meanwhile.
    done: Mutex<Vec<Done>>,
    /// Holds one byte for each time that `done` was empty and is no more. Both ends stay open as long as anybody works.
    pipe: (PipeReader, PipeWriter),
}

struct Done {
    future: Py<PyAny>,
    ending: Ending,
}

#[pymethods]
impl PyCompletions {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Arc::new(Queue { done: Mutex::default(), pipe: pipe()? })))
    }

    /// The end of the pipe that becomes readable when there is something to deliver.
    ///
    /// Returns:
    ///     Its file descriptor, open as long as this object.
    ///
    /// Raises:
    ///     NotImplementedError: There are no file descriptors here.
    fn fileno(&self) -> PyResult<i32> {
        #[cfg(unix)]
        return Ok(std::os::fd::AsRawFd::as_raw_fd(&self.0.pipe.0));
        #[cfg(not(unix))]
        Err(pyo3::exceptions::PyNotImplementedError::new_err("a pipe has no file descriptor here"))
    }

    /// Resolve the futures of what is done, on the loop's thread: when `fileno()` is readable, or at any time.
    fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        match (&self.0.pipe.0).read(&mut [0]) {
            // A loop that is run within itself may have delivered this already.
            Err(error) if ![ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind()) => {
                return Err(error.into());
            }
            _ => {}
        }
        let done = mem::take(&mut *self.0.done.lock());
        // One that fails leaves none of the others unresolved.
        let mut failed = Ok(());
        for done in done {
            failed = done.settle(py).and(failed);
        }
        failed
    }
}

/// Wait until nothing is left to do that event loops handed over, whether anybody awaits it or not.
#[pyfunction]
pub(crate) fn finish_handed_over(py: Python<'_>) {
    let all = Workers::all();
    py.detach(|| all.iter().for_each(|workers| workers.finish()));
}

impl Done {
    fn settle(self, py: Python<'_>) -> PyResult<()> {
        let (future, ended) = (self.future.bind(py), (self.ending)(py));
        // Whoever awaited it may have been cancelled.
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        match ended {
            Ok(result) => future.call_method1(intern!(py, "set_result"), (result,)),
            Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),)),
        }
        .map(drop)
    }
}

impl PyCompletions {
    /// Has one of `workers` do `work`, detached from the interpreter, and resolves `future` with what its ending gives.
    ///
    /// The ending runs on the loop's thread, and what holds a Python object should be dropped there. Work goes on when its future is
    /// cancelled, or its loop closed.
    pub(super) fn run<E>(
        &self,
        workers: &Arc<Workers>,
        future: Py<PyAny>,
        work: impl FnOnce() -> E + Send + 'static,
    ) -> PyResult<()>
    where
        E: FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let queue = self.0.clone();
        let job = move || {
            let ending: Ending = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(ending) => Box::new(ending),
                Err(panic) => Box::new(move |_| Err(PanicException::new_err(told(&*panic)))),
            };
            queue.push(Done { future, ending });
        };
        Ok(workers.submit(Box::new(job))?)
    }
}

impl Queue {
    fn push(&self, done: Done) {
        let was_empty = {
            let mut queue = self.done.lock();
            queue.push(done);
            queue.len() == 1
        };
        if was_empty {
            // The pipe has room: it holds no more bytes than there are deliveries that have not begun.
            let _ = (&self.pipe.1).write_all(&[0]);
        }
    }
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a thread of the core panicked".to_owned())
}
