//! What SQLite answers, as errors of a store.
//!
//! Every message names the file and says what to do. Nothing of SQLite's own types leaves the engine.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rusqlite::ffi::ErrorCode;

use crate::error::{Error, Result};

/// The file, as errors name it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a>(pub(super) &'a Path);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Place<'_> {
    /// The length of the file, without opening it: closing it again would take SQLite's locks away.
    pub(super) fn bytes(self) -> Result<u64> {
        match std::fs::metadata(self.0) {
            Ok(found) => Ok(found.len()),
            Err(error) => Err(unavailable(format!("{self} cannot be looked at: {error}"))),
        }
    }

    /// The length of the write-ahead log beside it; 0 where there is none. It lies beside the file itself, not beside a link to it.
    pub(super) fn log_bytes(self) -> u64 {
        let file = std::fs::canonicalize(self.0);
        let mut log = file.as_deref().unwrap_or(self.0).as_os_str().to_owned();
        log.push("-wal");
        std::fs::metadata(log).map_or(0, |found| found.len())
    }
}

/// Whether another connection was in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether there was no room left, so that less may still fit.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory))
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// The error of a read or write of an open store.
#[cold]
pub(super) fn named(error: &rusqlite::Error, place: Place<'_>) -> Error {
    if is_damage(error) {
        return Error::corrupt(format!("{place} is damaged ({error}); bring back a backup"));
    }
    unavailable(match code(error) {
        Some(ErrorCode::DiskFull) => format!("the disk, or the quota, of {place} is full; make room and repeat"),
        Some(ErrorCode::ReadOnly) => format!("{place} is read-only; make the file and its folder writable"),
        Some(ErrorCode::CannotOpen) => format!("{place} cannot be opened; look whether its folder is still there"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{place} is held by another process ({error}); repeat")
        }
        _ => format!("{place} does not answer: {error}"),
    })
}

/// The error of opening a file.
#[cold]
pub(super) fn opening(error: rusqlite::Error, place: Place<'_>) -> Error {
    match code(&error) {
        Some(ErrorCode::NotADatabase) => {
            Error::invalid(format!("{place} is no SQLite file, so no store; name another file"))
        }
        Some(ErrorCode::ReadOnly) => Error::invalid(format!(
            "{place} is read-only; make the file and its folder writable for this user, or open a copy"
        )),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            Error::invalid(format!("{place} cannot be opened by this user ({error}); name another file"))
        }
        _ => named(&error, place),
    }
}

/// What is stored is not what was written.
fn is_damage(error: &rusqlite::Error) -> bool {
    let is_misread = matches!(
        error,
        rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::SqlInputError { .. }
    );
    // The statements are ours, so one that SQLite cannot prepare has met tables that are not.
    let is_misfit = error.sqlite_error().is_some_and(|failure| failure.extended_code == rusqlite::ffi::SQLITE_ERROR);
    is_misread
        || is_misfit
        || matches!(
            code(error),
            Some(
                ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::TypeMismatch
                    | ErrorCode::SchemaChanged
            )
        )
}

/// The error of a write that waited for so long in vain, for what `who` says.
#[cold]
pub(super) fn late(place: Place<'_>, timeout: Duration, who: &str) -> Error {
    unavailable(format!("{place} could not be written within {timeout:?}: {who}; repeat, or give a longer timeout"))
}

pub(super) fn unavailable(what: String) -> Error {
    Error::Unavailable { what }
}
