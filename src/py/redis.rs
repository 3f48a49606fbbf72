//! `RedisStore`: a store on a Redis server or cluster.

use std::any::Any;
use std::path::PathBuf;

use pyo3::prelude::*;

use super::argument::{self, Argument};
use super::error::{OrRaise, to_py};
use super::store::{PyStore, history_bound, shown_usage};
use super::{clock, detaching};
use crate::engine::redis::{Redis, RedisOptions};
use crate::error::Error;
use crate::store::Store;

/// A store on a Redis or Valkey server, or on a Redis Cluster, shared by any number of processes and machines.
///
/// It has everything that Store has. What is written survives as the server's own persistence says; snapshots do too.
/// All threads share one connection to each server, and calls let other threads run while they wait for it. A child
/// that was forked connects anew.
///
/// Args:
///     url: "redis://[user:password@]host[:port][/db]", "rediss://..." for TLS, "unix:///path?db=n", or for a cluster
///         "redis+cluster://host:port,host:port" and "rediss+cluster://...". What its query says goes before the
///         keywords.
///     prefix: What the names of all keys begin with. Stores with other prefixes on the same server are strangers.
///     timeout: Seconds that each request of a call may take in all, connecting included; above 0, at most 600.
///     max_history: The most snapshots that are left when this store takes one; None = unlimited.
///     ca: A file with the certificates, in PEM, that TLS trusts, a str or a path; None = those of the system.
///     clock: What tells the time; None = the system's clock, corrected by the server's. Tests pass a Clock and move
///         it.
///
/// Raises:
///     InvalidError: The URL or an option is wrong, or the server is older than 7.0, refuses the user, or is a cluster
///         where none was named.
///     UnavailableError: No server answers.
///
/// Example:
///     store = RedisStore("redis://localhost:6379/0", prefix="tour", max_history=100)
#[pyclass(frozen, extends = PyStore, subclass, weakref, name = "RedisStore", module = "swarmstate")]
pub(crate) struct PyRedisStore;

impl PyRedisStore {
    /// The engine of a store that was opened as this class.
    fn engine<'a>(slf: &'a PyRef<'_, Self>) -> PyResult<&'a Redis> {
        let engine: &dyn Any = &**slf.as_super().engine();
        engine.downcast_ref().ok_or_else(|| to_py(Error::invalid("no Redis server is behind this store")))
    }
}

#[pymethods]
impl PyRedisStore {
    #[new]
    #[pyo3(signature = (url, *, prefix=None, timeout=None, max_history=None, ca=None, clock=None), text_signature = "(url, *, prefix='swarmstate', timeout=5.0, max_history=None, ca=None, clock=None)")]
    fn open(
        url: Argument<'_, '_>,
        prefix: Option<Argument<'_, '_>>,
        timeout: Option<Argument<'_, '_>>,
        max_history: Option<Argument<'_, '_>>,
        ca: Option<Argument<'_, '_>>,
        clock: Option<Argument<'_, '_>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let mut options = RedisOptions { max_history: history_bound(max_history)?, ..RedisOptions::default() };
        if let Some(prefix) = prefix {
            options.prefix = argument::text("prefix", prefix)?.to_owned();
        }
        if let Some(timeout) = timeout {
            options.timeout = argument::seconds("timeout", timeout)?;
        }
        if let Some(ca) = ca {
            let file: PathBuf = ca.extract().map_err(|_| argument::wrong_type("ca", "a str or a path", ca))?;
            options.ca = Some(file);
        }
        options.clock = clock::given(clock)?;
        let address = argument::text("url", url)?;
        let store = url.py().detach(|| Redis::open(address, options)).or_raise()?;
        Ok(PyClassInitializer::from(PyStore::new(store.with_waiting(detaching()))).add_subclass(Self))
    }

    /// Where the store is, without user and password, and its prefix.
    #[getter]
    fn address(slf: PyRef<'_, Self>) -> PyResult<String> {
        Self::engine(&slf).map(Redis::address)
    }

    fn __repr__(slf: PyRef<'_, Self>) -> PyResult<String> {
        let engine = Self::engine(&slf)?;
        Ok(format!("<RedisStore on {}: {}>", engine.address(), shown_usage(engine)))
    }
}
