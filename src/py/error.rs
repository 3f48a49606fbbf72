//! Errors of a store as the exceptions of `swarmstate.exceptions`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::error::Error;

/// The exception for `error`, with its facts as attributes.
///
/// Needs an attached thread.
pub(crate) fn to_py(error: Error) -> PyErr {
    Python::attach(|py| build(py, &error).unwrap_or_else(|failure| failure))
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = match error {
        Error::NotFound { .. } => class!(py, "NotFoundError"),
        Error::Conflict(_) => class!(py, "ConflictError"),
        Error::WrongType { .. } => class!(py, "WrongTypeError"),
        Error::Invalid { .. } => class!(py, "InvalidError"),
        Error::TooLarge { .. } => class!(py, "TooLargeError"),
        Error::Unsupported { .. } => class!(py, "UnsupportedError"),
        Error::Corrupt { .. } => class!(py, "CorruptError"),
        Error::Unavailable { .. } => class!(py, "UnavailableError"),
    }?;
    let exception = class.call1((error.to_string(),))?;
    match error {
        Error::Conflict(conflict) => {
            exception.setattr("namespace", &conflict.namespace)?;
            exception.setattr("key", &conflict.key)?;
            exception.setattr("revision", conflict.actual)?;
            exception.setattr("position", conflict.position)?;
        }
        Error::WrongType { namespace, key, kind } => {
            exception.setattr("namespace", namespace)?;
            exception.setattr("key", key)?;
            exception.setattr("kind", kind.name())?;
        }
        Error::TooLarge { size, limit, .. } => {
            exception.setattr("size", size)?;
            exception.setattr("limit", limit)?;
        }
        Error::NotFound { .. }
        | Error::Invalid { .. }
        | Error::Unsupported { .. }
        | Error::Corrupt { .. }
        | Error::Unavailable { .. } => {}
    }
    Ok(PyErr::from_value(exception))
}

macro_rules! class {
    ($py:expr, $name:literal) => {{
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import($py, "swarmstate.exceptions", $name)
    }};
}
use class;

/// What a store answered, or its error as an exception.
pub(crate) trait OrRaise<T> {
    /// Turns an error into the exception that Python sees.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for crate::error::Result<T> {
    #[inline]
    fn or_raise(self) -> PyResult<T> {
        self.map_err(to_py)
    }
}
