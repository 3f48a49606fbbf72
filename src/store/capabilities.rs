//! What an engine can do, and its limits.
//!
//! An engine that claims an ability must pass its contract cases; one that does not must answer `Unsupported`.

use crate::error::{Error, Result};

/// The largest value that any engine accepts.
const MAX_VALUE_BYTES: u64 = 256 * 1024 * 1024;

/// What an engine can do, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The engine's name: `memory`, `sqlite`, `redis` or `redis-cluster`.
    pub engine: &'static str,
    /// Whether the state outlives the process.
    pub persistent: bool,
    /// Whether calls wait for a disk or a network.
    pub waits: bool,
    /// Whether even reading one entry waits for a network, rather than for microseconds.
    pub reads_wait: bool,
    /// Whether a batch, and a `get_many`, over several namespaces is one instant.
    pub atomic_across_namespaces: bool,
    /// Whether `snapshot`, `restore` and `clear` are one instant, rather than one per namespace.
    pub one_instant: bool,
    /// Whether a snapshot that somebody holds can be read after the history dropped it.
    pub held_snapshots_outlive_history: bool,
    /// Whether `copy_namespace` keeps revisions and times, rather than giving new ones.
    pub copies_keep_revisions: bool,
    /// The longest namespace or key, in bytes of UTF-8.
    pub max_name_bytes: usize,
    /// The largest value, in bytes of msgpack.
    pub max_value_bytes: u64,
    /// The most operations in a batch, and the most conditions.
    pub max_batch_operations: usize,
    /// The most bytes of names and values in a batch.
    pub max_batch_bytes: u64,
}

impl Capabilities {
    /// Checks a count against [`Capabilities::max_batch_operations`], where it may be taken before a batch is made.
    ///
    /// # Errors
    /// `TooLarge` above it; the message begins with `what`.
    pub fn check_batch_length(&self, what: &str, count: usize) -> Result<()> {
        match self.max_batch_operations {
            most if count > most => {
                Err(Error::TooLarge { what: what.to_owned(), size: count as u64, limit: most as u64 })
            }
            _ => Ok(()),
        }
    }

    /// What the memory engine can do; other engines start from it.
    pub const fn memory() -> Self {
        Self {
            engine: "memory",
            persistent: false,
            waits: false,
            reads_wait: false,
            atomic_across_namespaces: true,
            one_instant: true,
            held_snapshots_outlive_history: true,
            copies_keep_revisions: true,
            max_name_bytes: crate::key::MAX_NAME_BYTES,
            max_value_bytes: MAX_VALUE_BYTES,
            max_batch_operations: 1_000_000,
            max_batch_bytes: 1024 * 1024 * 1024,
        }
    }
}
