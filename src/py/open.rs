//! `open` and `copy`: stores by URL, and from one to another.

use std::sync::Arc;

use pyo3::prelude::*;

use super::argument::{self, Argument};
use super::detaching;
use super::error::{OrRaise, to_py};
use super::redis::PyRedisStore;
use super::snapshot::PySnapshot;
use super::sqlite::PySqliteStore;
use super::store::PyStore;
use crate::error::Error;
use crate::store::Reader;
use crate::transfer;
use crate::waiting::Waiting;

/// Open the store that a URL names.
///
/// `memory:` is a new store each time; `sqlite:///state.db` is a file in the current folder, and
/// `sqlite:////var/lib/state.db` one by its absolute path; `redis://host:port/db` is a server, and
/// `redis+cluster://host:port,host:port` a cluster. Names are percent-decoded. The query takes the options of the
/// engine's class by name.
///
/// Args:
///     url: Such as "memory:?max_history=100" or "sqlite:///state.db?durability=normal&timeout=5".
///
/// Returns:
///     The store: a Store for memory, a SqliteStore for a file, a RedisStore for a server or a cluster.
///
/// Raises:
///     InvalidError: The URL names no engine, an option that the engine does not have, or a value that it does not
///         take.
///     Error: Whatever the engine's class raises.
///
/// Example:
///     >>> open("memory:").capabilities.engine
///     'memory'
#[pyfunction]
pub(crate) fn open<'py>(py: Python<'py>, url: Argument<'_, '_>) -> PyResult<Bound<'py, PyAny>> {
    let url = argument::text("url", url)?;
    let store = py.detach(|| crate::open::open(url)).or_raise()?.with_waiting(detaching());
    let engine = store.capabilities().engine;
    let base = PyClassInitializer::from(PyStore::new(store));
    match engine {
        "sqlite" => Ok(Bound::new(py, base.add_subclass(PySqliteStore))?.into_any()),
        "redis" | "redis-cluster" => Ok(Bound::new(py, base.add_subclass(PyRedisStore))?.into_any()),
        _ => Ok(Bound::new(py, base)?.into_any()),
    }
}

/// Copy everything that one store or snapshot holds into another store, of any engine.
///
/// A store is copied as it stands at one moment. Values and expiries stay as they are; revisions and times are the
/// target's own. Other threads run meanwhile.
///
/// Args:
///     source: A Store or a Snapshot.
///     target: The store to write to.
///     progress: Called as progress(done, total) after each batch of entries; an exception from it ends the copy.
///
/// Returns:
///     How many entries were copied.
///
/// Raises:
///     ConflictError: A namespace of the source exists in the target; nothing is written.
///     Exception: Any other error leaves in the target what was copied by then: clear it and repeat.
///
/// Example:
///     >>> source, target = Store(), Store()
///     >>> revision = source.set("n", "k", 1)
///     >>> copy(source, target)
///     1
#[pyfunction]
#[pyo3(signature = (source, target, *, progress=None))]
pub(crate) fn copy(
    py: Python<'_>,
    source: Argument<'_, '_>,
    target: Argument<'_, '_>,
    progress: Option<Argument<'_, '_>>,
) -> PyResult<u64> {
    let source = reader(py, source)?;
    let target = argument::instance::<PyStore>("target", target)?.get().engine().with_waiting(Waiting::plainly());
    let progress = progress.map(|progress| argument::callable("progress", progress)).transpose()?;
    let progress = progress.map(|progress| progress.clone().unbind());
    py.detach(|| {
        let copied = transfer::copy(&*source, &*target, |done, total| tell(progress.as_ref(), done, total));
        copied.map_err(|stop| match stop {
            Stop::Store(error) => to_py(error),
            Stop::Python(error) => error,
        })
    })
}

/// What ends a copy.
enum Stop {
    Store(Error),
    Python(PyErr),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// What a detached thread reads of `source`, which is a Store or a Snapshot.
pub(super) fn reader(py: Python<'_>, source: Argument<'_, '_>) -> PyResult<Arc<dyn Reader>> {
    if let Ok(store) = source.cast::<PyStore>() {
        let store = store.get().engine().with_waiting(Waiting::plainly());
        return py.detach(|| store.view()).or_raise();
    }
    match source.cast::<PySnapshot>() {
        Ok(snapshot) => Ok(snapshot.get().inner().clone()),
        Err(_) => Err(argument::wrong_type("source", "a Store or a Snapshot", source)),
    }
}

fn tell(progress: Option<&Py<PyAny>>, done: u64, total: u64) -> Result<(), Stop> {
    let Some(progress) = progress else { return Ok(()) };
    Python::attach(|py| progress.call1(py, (done, total)).map(drop).map_err(Stop::Python))
}
