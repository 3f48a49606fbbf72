//! The state layer under AI agents.

pub mod map;
pub mod msgpack;

#[cfg(feature = "python")]
mod py;
