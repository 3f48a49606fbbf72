//! Why a Python object is not storable, where in the value it lies, and how that reads.
//!
//! A fault is built on the way out of the encoder: the reason first, then one step of the path at each level. A step is made from
//! bytes already written, so that it needs no object that may be gone by then. Only [`Fault::into_error`], when the encoder holds
//! nothing any more, asks Python for names.

use std::fmt::Display;

use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::msgpack::{Item, MAX_DEPTH, Reader, TooLong};

/// The longest key and the longest type name that a message shows, in characters.
const SHOWN_CHARACTERS: usize = 60;
/// The steps that a message shows at each end of a long path.
const SHOWN_STEPS: usize = 8;

/// Why a value could not be encoded, and where; the innermost step comes first.
pub(super) struct Fault {
    reason: Reason,
    path: Vec<String>,
}

/// What is wrong with the innermost part.
pub(super) enum Reason {
    NotStorable(Py<PyAny>),
    NotAKey(Py<PyAny>),
    OutOfRange,
    TooDeep,
    TooLong,
    NoMemory,
    Changed(&'static str),
    Raised(PyErr),
}

impl From<TooLong> for Box<Fault> {
    fn from(_: TooLong) -> Self {
        Fault::new(Reason::TooLong)
    }
}

impl Fault {
    #[cold]
    pub(super) fn new(reason: Reason) -> Box<Self> {
        Box::new(Fault { reason, path: Vec::new() })
    }

    #[cold]
    pub(super) fn raised(error: PyErr) -> Box<Self> {
        Fault::new(Reason::Raised(error))
    }

    #[cold]
    pub(super) fn inside_list(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.path.push(format!("[{index}]"));
        self
    }

    /// Records the key under which the fault lies, as it was written.
    #[cold]
    pub(super) fn inside_dict(mut self: Box<Self>, key: &[u8]) -> Box<Self> {
        self.path.push(key_step(key));
        self
    }

    #[cold]
    pub(super) fn into_error(self, py: Python<'_>, name: impl Display) -> PyErr {
        let path = shown_path(name.to_string(), &self.path);
        match self.reason {
            Reason::NotStorable(value) => {
                let kind = type_name(value.bind(py));
                PyTypeError::new_err(format!("{path}: {kind} is not storable{}", advice(&kind)))
            }
            Reason::NotAKey(key) => PyTypeError::new_err(format!(
                "{path}: {} is not storable as a dict key; use str, int, bytes, bool or None",
                type_name(key.bind(py))
            )),
            Reason::OutOfRange => PyValueError::new_err(format!("{path}: int is outside -2**63 to 2**64-1")),
            Reason::TooDeep => {
                PyValueError::new_err(format!("{path}: nested deeper than {MAX_DEPTH} levels, or contains itself"))
            }
            Reason::TooLong => PyValueError::new_err(format!("{path}: {TooLong}")),
            Reason::NoMemory => PyMemoryError::new_err(()),
            Reason::Changed(what) => PyRuntimeError::new_err(format!("{path}: {what}")),
            Reason::Raised(error) => error,
        }
    }
}

/// One step of a path, from the msgpack of its key.
fn key_step(key: &[u8]) -> String {
    match Reader::new(key, 0).item() {
        Ok(Item::Str(text)) => format!("[{:?}]", shortened(&String::from_utf8_lossy(text))),
        Ok(Item::Bin(bytes)) => format!("[b\"{}\"]", shortened(&bytes.escape_ascii().to_string())),
        Ok(Item::Unsigned(number)) => format!("[{number}]"),
        Ok(Item::Signed(number)) => format!("[{number}]"),
        Ok(Item::Bool(true)) => "[True]".into(),
        Ok(Item::Bool(false)) => "[False]".into(),
        _ => "[None]".into(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shown_path(name: String, innermost_first: &[String]) -> String {
    let mut steps = innermost_first.iter().rev().map(String::as_str);
    let hidden = innermost_first.len().saturating_sub(2 * SHOWN_STEPS);
    let mut path = name;
    path.extend(steps.by_ref().take(if hidden > 0 { SHOWN_STEPS } else { usize::MAX }));
    if hidden > 0 {
        path.push('…');
        path.extend(steps.skip(hidden));
    }
    path
}

/// The type's name with its module, as Python's own messages give it; asking may run the code of a metaclass.
fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().fully_qualified_name();
    name.map_or_else(|_| "object".to_owned(), |name| shortened(&name.to_string_lossy()))
}

/// What to store instead, where one clause tells.
fn advice(type_name: &str) -> &'static str {
    match type_name {
        "bytearray" | "memoryview" => "; convert it with bytes()",
        "set" | "frozenset" | "collections.deque" | "range" => "; convert it with list()",
        "datetime.datetime" => "; store isoformat() or a timestamp",
        "datetime.date" | "datetime.time" => "; store isoformat()",
        "datetime.timedelta" => "; store total_seconds()",
        "decimal.Decimal" | "fractions.Fraction" | "uuid.UUID" => "; convert it with str()",
        "numpy.ndarray" => "; use tolist()",
        name if name.starts_with("numpy.") => "; use item()",
        _ => "",
    }
}
