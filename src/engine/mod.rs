//! The engines: each keeps the contract of [`Store`](crate::store::Store) in its own way, and none knows another.

pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
