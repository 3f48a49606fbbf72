//! State on the move: from one store to another, into a file and back.
//!
//! Everything here works on any engine, holds a page of entries or one record at a time, and asks the target's
//! [`Capabilities`](crate::store::Capabilities) how much a batch may carry. `copy` goes from store to store; `export` and `import`
//! go through a file, whose form `record` knows and whose reading in pieces `frames` does.

mod copy;
mod export;
mod frames;
mod import;
mod record;

use std::io;

pub use copy::{copy, fork};
pub use export::{export, export_to};
pub(crate) use import::{Arrivals, Pending, read_twice, read_twice_from};
pub use import::{Imported, import, import_from};
pub(crate) use record::NewEntry;
pub use record::{Format, entry_to_json};

use crate::error::Error;

/// The most operations, and about the most bytes, of one batch.
const BATCH_OPERATIONS: usize = 1000;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Is told how many entries are done, of how many; what it answers with an error ends the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> io::Result<()>;

/// Why an export or an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A store's answer, or what is wrong with what the file holds.
    #[error(transparent)]
    Store(#[from] Error),
    /// The file could not be read or written, or the progress was answered with an error.
    #[error(transparent)]
    File(#[from] io::Error),
}
