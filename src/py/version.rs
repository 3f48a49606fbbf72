//! The version of a channel, as Python hands it over and gets it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyFloat, PyInt, PyString};

use super::argument;
use crate::checkpoint::{Made, Version};

/// A channel's version as Python hands it over: a str, an int or a float.
pub(super) enum HeldVersion {
    Text(PyBackedStr),
    Integer(i64),
    Float(f64),
}

impl HeldVersion {
    /// Takes a version.
    ///
    /// # Errors
    /// `TypeError` for another type, `InvalidError` for an int outside 64 bits.
    pub(super) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return text.clone().try_into().map(Self::Text);
        }
        if let Ok(float) = object.cast::<PyFloat>() {
            return Ok(Self::Float(float.value()));
        }
        if !object.is_instance_of::<PyInt>() {
            let kind = object.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a channel's version is a str, an int or a float, not {kind}")));
        }
        argument::integer("version", object).map(Self::Integer)
    }

    /// Takes a version that comes back as the very same object; `None` for anything else.
    pub(super) fn of_exactly(object: &Bound<'_, PyAny>) -> Option<Self> {
        let is_exact = object.is_exact_instance_of::<PyString>()
            || object.is_exact_instance_of::<PyInt>()
            || object.is_exact_instance_of::<PyFloat>();
        if is_exact { Self::of(object).ok() } else { None }
    }

    pub(super) fn get(&self) -> Version<'_> {
        match self {
            Self::Text(text) => Version::Text(text),
            Self::Integer(integer) => Version::Integer(*integer),
            Self::Float(float) => Version::Float(*float),
        }
    }
}

/// Makes Python's objects of versions. Channels that changed in one step have one version, and share its str.
#[derive(Default)]
pub(super) struct VersionObjects<'py> {
    last: Option<(Made, Bound<'py, PyAny>)>,
}

impl<'py> VersionObjects<'py> {
    pub(super) fn make(&mut self, py: Python<'py>, version: Version<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match version {
            Version::Integer(integer) => integer.into_pyobject(py)?.into_any(),
            Version::Float(float) => float.into_pyobject(py)?.into_any(),
            Version::Text(text) => PyString::new(py, text).into_any(),
            Version::Made(made) => match &self.last {
                Some((last, text)) if *last == made => text.clone(),
                _ => {
                    let text = PyString::new(py, made.text().as_str()).into_any();
                    self.last = Some((made, text.clone()));
                    text
                }
            },
        })
    }
}
