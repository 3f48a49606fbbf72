//! What a checkpoint, its channels and its writes are made of, as tuples that Python hands over and gets.
//!
//! A value is `(form, bytes)` both ways; its bytes are looked at by neither side.

use std::borrow::Cow;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::argument;
use super::error::OrRaise;
use crate::checkpoint::{ChannelValue, Contents, Origin, Saved, Stored, Typed, Version, Write};

/// A serialized value as Python hands it over.
pub(super) struct Serialized<'a>(&'a str, Cow<'a, [u8]>);

impl<'a, 'py> FromPyObject<'a, 'py> for Serialized<'a> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let (form, bytes) = object.extract()?;
        Ok(Self(form, bytes))
    }
}

impl Serialized<'_> {
    pub(super) fn typed(&self) -> Typed<'_> {
        Typed { form: self.0, bytes: &self.1 }
    }
}

/// Thread, latest checkpoint, when it was put, count of checkpoints.
pub(super) type InfoRow = (String, Option<String>, f64, u64);
/// The run's id, the parents and the delta channels.
pub(super) type OriginRow = (Option<String>, Vec<(String, String)>, Vec<String>);
/// Channel, version and value.
pub(super) type ValueRow<'a> = (&'a str, AnyVersion<'a>, Option<Serialized<'a>>);
/// Index, channel and value.
pub(super) type WriteRow<'a> = (i64, &'a str, Serialized<'a>);

pub(super) fn origin_of((run_id, parents, delta_channels): &OriginRow) -> Origin<'_> {
    Origin {
        run_id: run_id.as_deref(),
        parents: parents.iter().map(|(checkpoint_ns, id)| (checkpoint_ns.as_str(), id.as_str())).collect(),
        delta_channels: delta_channels.iter().map(String::as_str).collect(),
    }
}

pub(super) fn channel_value<'a>((channel, AnyVersion(version), value): &'a ValueRow<'_>) -> ChannelValue<'a> {
    ChannelValue { channel, version: *version, value: value.as_ref().map(Serialized::typed) }
}

/// A channel's version as Python hands it over: a str, an int or a float.
pub(super) struct AnyVersion<'a>(pub(super) Version<'a>);

impl<'a, 'py> FromPyObject<'a, 'py> for AnyVersion<'a> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyString>() {
            return object.extract().map(|text| Self(Version::Text(text)));
        }
        if let Ok(float) = object.cast::<PyFloat>() {
            return Ok(Self(Version::Float(float.value())));
        }
        if !object.is_instance_of::<PyInt>() {
            let kind = object.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a channel's version is a str, an int or a float, not {kind}")));
        }
        argument::integer("version", &object).map(|integer| Self(Version::Integer(integer)))
    }
}

pub(super) fn to_tuple<'py>(py: Python<'py>, saved: &Saved) -> PyResult<Bound<'py, PyTuple>> {
    let Contents { parent_id, checkpoint, metadata, versions, values, writes } = saved.contents().or_raise()?;
    let (versions_by_channel, values_by_channel) = (PyDict::new(py), PyDict::new(py));
    let mut values = values.into_iter().peekable();
    for (channel, version) in versions {
        let name = PyString::new(py, channel);
        match version {
            Version::Integer(integer) => versions_by_channel.set_item(&name, integer)?,
            Version::Float(float) => versions_by_channel.set_item(&name, float)?,
            Version::Text(text) => versions_by_channel.set_item(&name, text)?,
        }
        // Values come in the order of the versions.
        if let Some((_, value)) = values.next_if(|(held, _)| *held == channel) {
            values_by_channel.set_item(name, stored(py, &value)?)?;
        }
    }
    let tasks_writes = written(py, &writes)?;
    let (checkpoint, metadata) = (serialized(py, checkpoint)?, serialized(py, metadata)?);
    let id = &saved.address().checkpoint_id;
    (id, parent_id, checkpoint, metadata, versions_by_channel, values_by_channel, tasks_writes).into_pyobject(py)
}

pub(super) fn written<'py>(py: Python<'py>, writes: &[Write<'_>]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for write in writes {
        list.append((&write.task_id, write.channel, serialized(py, write.value)?))?;
    }
    Ok(list)
}

pub(super) fn serialized<'py>(py: Python<'py>, value: Typed<'_>) -> PyResult<Bound<'py, PyTuple>> {
    (form(py, value.form), PyBytes::new(py, value.bytes)).into_pyobject(py)
}

/// A stored value, its parts copied straight into the object that Python gets.
pub(super) fn stored<'py>(py: Python<'py>, value: &Stored<'_>) -> PyResult<Bound<'py, PyTuple>> {
    let fill = |bytes: &mut [u8]| {
        value.copy_to(bytes);
        Ok(())
    };
    (form(py, value.form()), PyBytes::new_with(py, value.size_bytes(), fill)?).into_pyobject(py)
}

/// A form's name; of the usual one there is one object.
fn form<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    if name == "msgpack" { intern!(py, "msgpack").clone() } else { PyString::new(py, name) }
}
