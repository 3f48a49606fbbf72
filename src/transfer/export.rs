//! Writes what a store, a snapshot or a view holds as an export.
//!
//! Records stand in ascending order of the bytes of namespace and key, which is how an import knows that none comes twice.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::record::{write_entry, write_header, write_trailer};
use super::{BATCH_OPERATIONS, Failure, Format, Progress};
use crate::key::Namespace;
use crate::store::{EntryPages, NamespacePages, Reader};

/// How much is collected before it is written.
const WRITE_BYTES: usize = 256 * 1024;

/// Writes every entry of `source` to `out` and returns how many those were.
///
/// `source` should stand still, as a snapshot and a view do. `progress` is told after every thousand entries, and at the end.
///
/// # Cost
/// O(n) time; a page of entries and the longest record of memory.
///
/// # Errors
/// `Corrupt` for a stored value that is not msgpack, whatever reading answers, and the errors of `out` and `progress`. What was
/// written by then has no trailer, so no import takes it.
pub fn export(
    source: &dyn Reader,
    out: &mut dyn Write,
    format: Format,
    progress: Progress<'_>,
) -> Result<u64, Failure> {
    let total = source.usage()?.entries;
    let mut collected = Vec::new();
    write_header(&mut collected, format);
    let mut written = 0;
    let mut namespaces = NamespacePages::new(source);
    while let Some(name) = namespaces.next()? {
        let namespace = Namespace::new(name)?;
        let mut entries = EntryPages::new(source, &namespace);
        while let Some(entry) = entries.next()? {
            write_entry(&mut collected, format, namespace.as_str(), &entry)?;
            if collected.len() >= WRITE_BYTES {
                out.write_all(&collected)?;
                collected.clear();
            }
            written += 1;
            if written % BATCH_OPERATIONS as u64 == 0 && written < total {
                progress(written, total)?;
            }
        }
    }
    write_trailer(&mut collected, format, written);
    out.write_all(&collected)?;
    out.flush()?;
    progress(written, total)?;
    Ok(written)
}

/// Exports to a file, which takes its place, with mode 0600 and on the disk, only when it is whole.
///
/// A path that leads to something else than a file, such as a pipe or a terminal, is written as it goes.
///
/// # Errors
/// As [`export`]; a file that stood at `path` is then untouched.
pub fn export_to(path: &Path, source: &dyn Reader, format: Format, progress: Progress<'_>) -> Result<u64, Failure> {
    if fs::metadata(path).is_ok_and(|standing| !standing.is_file()) {
        let mut special = OpenOptions::new().write(true).open(path).map_err(|error| at_path(path, &error))?;
        return export(source, &mut special, format, progress);
    }
    // A link stays a link, and what it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(|error| at_path(path, &error))?;
    let written = export(source, &mut file, format, progress)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| at_path(path, &error.error))?;
    Ok(written)
}

/// An error that names the file.
pub(super) fn at_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
