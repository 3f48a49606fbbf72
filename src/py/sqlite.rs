//! `SqliteStore`: a store in one file.

use std::any::Any;
use std::path::PathBuf;

use pyo3::prelude::*;

use super::argument::{self, Argument};
use super::error::{OrRaise, to_py};
use super::store::{PyStore, history_bound, shown_usage};
use super::{clock, detaching};
use crate::engine::sqlite::{Sqlite, SqliteOptions};
use crate::error::Error;
use crate::open::parse_durability;
use crate::store::Store;

/// A store in one SQLite file, shared by any number of threads and processes of one machine.
///
/// It has everything that Store has. What is written survives the process; snapshots do too. Calls let other threads
/// run while they wait for the disk or for other writers. Start processes by spawn or forkserver: in a child that was
/// forked while the file was open every use of it raises InvalidError.
///
/// Args:
///     path: The file, a str or a path; it is made if it is not there, readable by its owner alone.
///     durability: What a write that returned survives: "full" = loss of power, "normal" = the end of the process.
///     timeout: Seconds that a call waits for other processes and threads.
///     max_history: The most snapshots that are left when this store takes one; None = unlimited.
///     create: False = a file that is not there is an error.
///     clock: What tells the time; None = the system's clock. Tests pass a Clock and move it.
///
/// Raises:
///     NotFoundError: The folder is not there, or without `create` the file.
///     InvalidError: An option has no such value, the file is no store or cannot be written, or it was open when this
///         process was forked.
///     UnsupportedError: The file was made by a newer release.
///     CorruptError: The file is damaged.
///     UnavailableError: Other processes held the file for the whole timeout.
///
/// Example:
///     >>> import tempfile
///     >>> with tempfile.TemporaryDirectory() as folder:
///     ...     with SqliteStore(f"{folder}/state.db") as store:
///     ...         revision = store.set("workflow", "onboarding", {"step": 3})
///     ...     with SqliteStore(f"{folder}/state.db") as store:
///     ...         store.get("workflow", "onboarding")
///     {'step': 3}
#[pyclass(frozen, extends = PyStore, subclass, weakref, name = "SqliteStore", module = "swarmstate")]
pub(crate) struct PySqliteStore;

impl PySqliteStore {
    /// The engine of a store that was opened as this class.
    fn engine<'a>(slf: &'a PyRef<'_, Self>) -> PyResult<&'a Sqlite> {
        let engine: &dyn Any = &**slf.as_super().engine();
        engine.downcast_ref().ok_or_else(|| to_py(Error::invalid("no SQLite file is behind this store")))
    }
}

#[pymethods]
impl PySqliteStore {
    #[new]
    #[pyo3(signature = (path, *, durability=None, timeout=None, max_history=None, create=None, clock=None), text_signature = "(path, *, durability='full', timeout=30.0, max_history=None, create=True, clock=None)")]
    fn open(
        path: Argument<'_, '_>,
        durability: Option<Argument<'_, '_>>,
        timeout: Option<Argument<'_, '_>>,
        max_history: Option<Argument<'_, '_>>,
        create: Option<Argument<'_, '_>>,
        clock: Option<Argument<'_, '_>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let mut options = SqliteOptions { max_history: history_bound(max_history)?, ..SqliteOptions::default() };
        if let Some(durability) = durability {
            options.durability = parse_durability(argument::text("durability", durability)?).or_raise()?;
        }
        if let Some(timeout) = timeout {
            options.timeout = argument::seconds("timeout", timeout)?;
        }
        if let Some(create) = create {
            options.create = argument::flag("create", create)?;
        }
        options.clock = clock::given(clock)?;
        let file: PathBuf = path.extract().map_err(|_| argument::wrong_type("path", "a str or a path", path))?;
        let store = path.py().detach(|| Sqlite::open(&file, options)).or_raise()?;
        Ok(PyClassInitializer::from(PyStore::new(store.with_waiting(detaching()))).add_subclass(Self))
    }

    /// The file's absolute path.
    #[getter]
    fn path(slf: PyRef<'_, Self>) -> PyResult<PathBuf> {
        Self::engine(&slf).map(|engine| engine.path().to_owned())
    }

    fn __repr__(slf: PyRef<'_, Self>) -> PyResult<String> {
        let engine = Self::engine(&slf)?;
        Ok(format!("<SqliteStore {:?}: {}>", engine.path(), shown_usage(engine)))
    }
}
