//! The state layer under AI agents: one namespaced store of msgpack values, with snapshots that cost nothing, rollbacks, and
//! diffs that cost what changed.
//!
//! # A tour
//! ```
//! use swarmstate::{Memory, Reader, Snapshot, Store, StoreExt};
//!
//! // A store maps (namespace, key) to an entry. Each write answers a revision, which only ever rises.
//! let store = Memory::new();
//! let first = store.set("agents", "researcher", "running")?;
//! store.increment("agents", "tokens", 1200)?;
//!
//! // A snapshot holds the whole store as it is now, for nothing.
//! let before = store.snapshot()?;
//!
//! // A write can insist on what it has read: nobody's update is lost.
//! store.replace("agents", "researcher", "done", first)?;
//! assert!(store.replace("agents", "researcher", "failed", first).is_err());
//!
//! // What changed costs what changed, however much there is.
//! let after = store.snapshot()?;
//! assert_eq!(after.diff(&*before)?.changed, [("agents".to_owned(), "researcher".to_owned())]);
//!
//! // And back.
//! store.restore(&*before)?;
//! assert_eq!(store.usage()?.entries, 2);
//! # Ok::<(), swarmstate::Error>(())
//! ```
//!
//! # The house
//! [`store`] holds the contract that every engine keeps, [`engine`] the engines, [`key`] and [`value`] what goes in and comes
//! out, [`map`] the persistent map under the memory engine, [`msgpack`] what is known about the bytes, [`checkpoint`],
//! [`items`] and [`cache`] LangGraph's threads, long-term memory and cache as operations on any store.

pub mod cache;
pub mod checkpoint;
pub mod clock;
pub mod engine;
pub mod error;
pub mod items;
pub mod key;
pub mod map;
pub mod msgpack;
pub mod open;
#[cfg(feature = "service")]
pub mod service;
pub mod store;
pub mod thread_import;
pub mod transfer;
pub mod value;
pub mod waiting;

#[cfg(feature = "python")]
mod py;

pub use clock::{Clock, Timestamp};
pub use engine::memory::{Memory, MemoryOptions};
#[cfg(feature = "redis")]
pub use engine::redis::{Redis, RedisOptions};
#[cfg(feature = "sqlite")]
pub use engine::sqlite::{Durability, Sqlite, SqliteOptions};
pub use error::{Conflict, Error, Expected, Result};
pub use key::{Key, Namespace, Prefix};
pub use open::open;
pub use store::{
    Batch, Capabilities, Condition, Diff, Expiry, NamespaceInfo, Operation, Order, Outcome, Range, Reader, Snapshot,
    SnapshotId, SnapshotInfo, Store, StoreExt, Usage,
};
pub use value::{Entry, Kind, Revision, Value};
