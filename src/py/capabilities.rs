//! `Capabilities`: what the engine behind a store can do, and its limits.

use pyo3::prelude::*;

use crate::store::Capabilities;

/// What the engine behind a store can do, and its limits.
#[pyclass(frozen, name = "Capabilities", module = "swarmstate")]
pub(crate) struct PyCapabilities(pub(super) Capabilities);

#[pymethods]
impl PyCapabilities {
    /// The engine's name, such as "memory".
    #[getter]
    fn engine(&self) -> &str {
        self.0.engine
    }

    /// Whether the state outlives the process.
    #[getter]
    fn persistent(&self) -> bool {
        self.0.persistent
    }

    /// Whether calls wait for a disk or a network, so that async code runs them in a thread.
    #[getter]
    fn waits(&self) -> bool {
        self.0.waits
    }

    /// Whether a batch over several namespaces is one instant.
    #[getter]
    fn atomic_across_namespaces(&self) -> bool {
        self.0.atomic_across_namespaces
    }

    /// Whether snapshot, restore and clear are one instant, rather than one per namespace.
    #[getter]
    fn one_instant(&self) -> bool {
        self.0.one_instant
    }

    /// Whether a snapshot that somebody holds can be read after the history dropped it.
    #[getter]
    fn held_snapshots_outlive_history(&self) -> bool {
        self.0.held_snapshots_outlive_history
    }

    /// Whether copy_namespace keeps revisions and times, rather than giving new ones.
    #[getter]
    fn copies_keep_revisions(&self) -> bool {
        self.0.copies_keep_revisions
    }

    /// The longest namespace or key, in bytes of UTF-8.
    #[getter]
    fn max_name_bytes(&self) -> usize {
        self.0.max_name_bytes
    }

    /// The largest value, in bytes of msgpack.
    #[getter]
    fn max_value_bytes(&self) -> u64 {
        self.0.max_value_bytes
    }

    /// The most operations in a batch, and the most conditions.
    #[getter]
    fn max_batch_operations(&self) -> usize {
        self.0.max_batch_operations
    }

    /// The most bytes of names and values in a batch.
    #[getter]
    fn max_batch_bytes(&self) -> u64 {
        self.0.max_batch_bytes
    }

    fn __repr__(&self) -> String {
        format!("<Capabilities of {}>", self.0.engine)
    }
}
