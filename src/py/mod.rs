//! The extension module `swarmstate._core`: takes Python types, calls the store, returns.
//!
//! One class per file. A handle to a store that Python holds lets go of the interpreter by itself where its engine waits (see
//! [`detaching`]), so nothing here detaches around a call to it.

mod argument;
mod batch;
mod bytes;
mod cache;
mod capabilities;
mod checkpoint;
mod checkpoint_row;
mod clock;
mod codec;
mod completion;
mod entry;
mod error;
mod fault;
mod items;
mod listing;
mod open;
mod redis;
mod serializer;
mod service;
mod snapshot;
mod sqlite;
mod store;
mod transfer;
mod usual;
mod version;
mod worker;

use pyo3::prelude::*;

use crate::waiting::Waiting;

/// How an attached thread waits: detached from the interpreter.
const fn detaching() -> Waiting {
    Waiting::around(|work| Python::attach(|py| py.detach(work)))
}

// The codec borrows references from lists and dicts, which only the GIL keeps alive.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use super::batch::{PyBatch, PyOutcome};
    #[pymodule_export]
    use super::bytes::{dumps, loads};
    #[pymodule_export]
    use super::cache::PyCache;
    #[pymodule_export]
    use super::capabilities::PyCapabilities;
    #[pymodule_export]
    use super::checkpoint::PyThreads;
    #[pymodule_export]
    use super::clock::PyClock;
    #[pymodule_export]
    use super::completion::{PyCompletions, finish_handed_over};
    #[pymodule_export]
    use super::entry::PyEntry;
    #[pymodule_export]
    use super::items::PyItems;
    #[pymodule_export]
    use super::listing::{PyCheckpoints, PyFetched};
    #[pymodule_export]
    use super::open::{copy, open};
    #[pymodule_export]
    use super::redis::PyRedisStore;
    #[pymodule_export]
    use super::service::{PyServer, context_key, serve, serve_stdio};
    #[pymodule_export]
    use super::snapshot::PySnapshot;
    #[pymodule_export]
    use super::sqlite::PySqliteStore;
    #[pymodule_export]
    use super::store::PyStore;
    #[pymodule_export]
    use super::transfer::{export, import_};
}
