//! `export` and `import_`: a store's state through a file, named by its path or opened by Python.
//!
//! Everything runs detached; only a call to Python's file or to `progress` attaches for as long as it takes.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::argument::{self, Argument};
use super::error::to_py;
use super::open::reader;
use super::store::PyStore;
use crate::error::{Error, Result};
use crate::store::Reader;
use crate::transfer::{self, Failure, Format, Imported, Progress};
use crate::waiting::Waiting;

/// Write everything that a store or a snapshot holds to a file, as it stands at one moment.
///
/// A path is written whole or not at all: the new file takes its place, with mode 0600, when it is complete. Other
/// threads run meanwhile.
///
/// Args:
///     source: A Store or a Snapshot.
///     file: A path, or a file that is open for writing bytes.
///     format: "msgpack", or "jsonl" for lines of JSON.
///     progress: Called as progress(done, total) after every thousand entries and at the end; an exception from it ends
///         the export.
///
/// Returns:
///     How many entries were written.
///
/// Raises:
///     InvalidError: `format` is unknown.
///     CorruptError: A value that another program stored is not msgpack.
///     OSError: The file cannot be written.
///
/// Example:
///     >>> import io
///     >>> store, file = Store(), io.BytesIO()
///     >>> revision = store.set("n", "k", 1)
///     >>> export(store, file, format="jsonl")
///     1
///     >>> file.getvalue().splitlines()[-1]
///     b'{"entries":1}'
#[pyfunction]
#[pyo3(signature = (source, file, *, format=None, progress=None), text_signature = "(source, file, *, format='msgpack', progress=None)")]
pub(crate) fn export(
    py: Python<'_>,
    source: Argument<'_, '_>,
    file: Argument<'_, '_>,
    format: Option<Argument<'_, '_>>,
    progress: Option<Argument<'_, '_>>,
) -> PyResult<u64> {
    let source = reader(py, source)?;
    write_out(py, (file, format, progress), || Ok(source))
}

/// Where an export goes, and in which form: the arguments `file`, `format` and `progress`.
pub(super) type Destination<'a, 'py> = (Argument<'a, 'py>, Option<Argument<'a, 'py>>, Option<Argument<'a, 'py>>);

/// Exports what `open` answers.
pub(super) fn write_out(
    py: Python<'_>,
    (file, format, progress): Destination<'_, '_>,
    open: impl FnOnce() -> Result<Arc<dyn Reader>> + Send,
) -> PyResult<u64> {
    let format = parse_format(format)?;
    let place = Place::of(file, "write")?;
    let progress = callable(progress)?;
    py.detach(|| {
        let source = open()?;
        let progress = &mut |done, total| tell(progress.as_ref(), done, total);
        match place {
            Place::Path(path) => transfer::export_to(&path, &*source, format, progress),
            Place::File(file) => transfer::export(&*source, &mut PyFile(file), format, progress),
        }
    })
    .map_err(raise)
}

/// Write everything that an export holds into a store, into namespaces that do not exist there yet.
///
/// The file is read to its end before anything is written, so a bad one changes nothing. Values, kinds and expiries
/// stay as they are; revisions and times are the store's own. Other threads run meanwhile.
///
/// Args:
///     file: A path, or a file that is open for reading bytes; what comes from the latter is kept in a
///         temporary file meanwhile.
///     target: The store to write to.
///     progress: Called as progress(done, total) after each batch of entries; an exception from it ends the import.
///
/// Returns:
///     {"entries": how many were written, "expired": how many were left out, since their time had come}.
///
/// Raises:
///     InvalidError: It is no whole export; the message names the record that is wrong. Nothing is written.
///     TooLargeError: A record or a value is above the limit; nothing is written.
///     ConflictError: A namespace of the export exists in the target; nothing is written.
///     OSError: The file cannot be read; nothing is written.
///     Exception: Any other error leaves in the target what was written by then: delete that and repeat. So does
///         ConflictError where another writer makes one of the namespaces meanwhile, whose entries stay.
///
/// Example:
///     >>> import io
///     >>> source, target, file = Store(), Store(), io.BytesIO()
///     >>> revision = source.set("n", "k", 1)
///     >>> written = export(source, file)
///     >>> position = file.seek(0)
///     >>> import_(file, target)
///     {'entries': 1, 'expired': 0}
#[pyfunction]
#[pyo3(signature = (file, target, *, progress=None))]
pub(crate) fn import_<'py>(
    py: Python<'py>,
    file: Argument<'_, 'py>,
    target: Argument<'_, 'py>,
    progress: Option<Argument<'_, 'py>>,
) -> PyResult<Bound<'py, PyDict>> {
    let target = argument::instance::<PyStore>("target", target)?.get().engine().with_waiting(Waiting::plainly());
    let Imported { entries, expired } = read_in(py, file, progress, |source, progress| match source {
        Source::Path(path) => transfer::import_from(path, &*target, progress),
        Source::File(file) => transfer::import(file, &*target, progress),
    })?;
    let dict = PyDict::new(py);
    dict.set_item("entries", entries)?;
    dict.set_item("expired", expired)?;
    Ok(dict)
}

/// Where an export comes from.
pub(super) enum Source<'a> {
    Path(&'a Path),
    File(&'a mut dyn Read),
}

/// Gives `take` the export that the arguments `file` and `progress` name.
pub(super) fn read_in<R: Send>(
    py: Python<'_>,
    file: Argument<'_, '_>,
    progress: Option<Argument<'_, '_>>,
    take: impl FnOnce(Source<'_>, Progress<'_>) -> Result<R, Failure> + Send,
) -> PyResult<R> {
    let place = Place::of(file, "read")?;
    let progress = callable(progress)?;
    py.detach(|| {
        let progress = &mut |done, total| tell(progress.as_ref(), done, total);
        match place {
            Place::Path(path) => take(Source::Path(&path), progress),
            Place::File(file) => take(Source::File(&mut PyFile(file)), progress),
        }
    })
    .map_err(raise)
}

fn parse_format(format: Option<Argument<'_, '_>>) -> PyResult<Format> {
    match format.map(|format| argument::text("format", format)).transpose()? {
        None | Some("msgpack") => Ok(Format::Msgpack),
        Some("jsonl") => Ok(Format::JsonLines),
        Some(other) => Err(to_py(Error::invalid(format!("format must be \"msgpack\" or \"jsonl\", not {other:?}")))),
    }
}

fn callable(progress: Option<Argument<'_, '_>>) -> PyResult<Option<Py<PyAny>>> {
    let progress = progress.map(|progress| argument::callable("progress", progress)).transpose()?;
    Ok(progress.map(|progress| progress.clone().unbind()))
}

fn tell(progress: Option<&Py<PyAny>>, done: u64, total: u64) -> io::Result<()> {
    let Some(progress) = progress else { return Ok(()) };
    Python::attach(|py| progress.call1(py, (done, total)).map(drop)).map_err(io::Error::other)
}

/// The exception for a failure: what Python itself raised comes back as it was.
fn raise(failure: Failure) -> PyErr {
    match failure {
        Failure::Store(error) => to_py(error),
        Failure::File(error) => error.into(),
    }
}

/// Where an export lies.
enum Place {
    Path(PathBuf),
    File(Py<PyAny>),
}

impl Place {
    /// A path, or an object that has `method`.
    fn of(file: Argument<'_, '_>, method: &str) -> PyResult<Self> {
        if file.hasattr(method)? {
            return Ok(Self::File(file.clone().unbind()));
        }
        file.extract().map(Self::Path).map_err(|_| {
            let wanted = format!("a path or a file with a method `{method}`");
            argument::wrong_type("file", &wanted, file)
        })
    }
}

/// A file that Python opened for bytes. What it raises travels inside the error.
struct PyFile(Py<PyAny>);

impl Read for PyFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let read = self.0.bind(py).call_method1("read", (buffer.len(),))?;
            let Ok(bytes) = read.cast::<PyBytes>() else {
                return Err(wrong_answer("read", "bytes", "open the file for reading bytes, \"rb\"", &read));
            };
            let bytes = bytes.as_bytes();
            let Some(room) = buffer.get_mut(..bytes.len()) else {
                return Err(PyTypeError::new_err("the file's read() returned more bytes than it was asked for"));
            };
            room.copy_from_slice(bytes);
            Ok(bytes.len())
        })
        .map_err(io::Error::other)
    }
}

impl Write for PyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let written = self.0.bind(py).call_method1("write", (PyBytes::new(py, bytes),))?;
            match written.extract::<usize>() {
                Ok(count) if count <= bytes.len() => Ok(count),
                _ => Err(wrong_answer(
                    "write",
                    "how many bytes it took",
                    "open the file for writing bytes, \"wb\"",
                    &written,
                )),
            }
        })
        .map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Python::attach(|py| {
            let file = self.0.bind(py);
            if file.hasattr("flush")? { file.call_method0("flush").map(drop) } else { Ok(()) }
        })
        .map_err(io::Error::other)
    }
}

#[cold]
fn wrong_answer(method: &str, wanted: &str, advice: &str, answer: &Bound<'_, PyAny>) -> PyErr {
    match answer.get_type().name() {
        Ok(kind) => PyTypeError::new_err(format!("the file's {method}() returned {kind}, not {wanted}; {advice}")),
        Err(error) => error,
    }
}
