//! A checkpoint with the fields that LangGraph gives it, which is kept without their names.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::version::{HeldVersion, VersionObjects};
use crate::checkpoint::{Seen, USUAL_FIELDS};

/// The fields besides [`USUAL_FIELDS`]: id, versions and values of the channels, and what nodes have seen.
const OTHER_FIELDS: usize = 4;

/// `versions_seen`, as Python hands it over.
pub(super) struct SeenParts {
    nodes: Vec<(PyBackedStr, usize)>,
    channels: Vec<(PyBackedStr, HeldVersion)>,
}

impl SeenParts {
    /// `None` where it is anything but dicts of dicts of versions by exact strs: that is the serializer's.
    fn of(seen: &Bound<'_, PyAny>) -> Option<Self> {
        let seen = seen.cast_exact::<PyDict>().ok()?;
        let mut parts = Self { nodes: Vec::with_capacity(seen.len()), channels: Vec::with_capacity(seen.len()) };
        for (node, channels) in seen {
            let channels = channels.cast_into_exact::<PyDict>().ok()?;
            parts.nodes.push((exact_text(node)?, channels.len()));
            for (channel, version) in channels {
                parts.channels.push((exact_text(channel)?, HeldVersion::of_exactly(&version)?));
            }
        }
        Some(parts)
    }

    pub(super) fn to_seen(&self) -> Seen<'_> {
        Seen {
            nodes: self.nodes.iter().map(|(node, count)| (&**node, *count)).collect(),
            channels: self.channels.iter().map(|(channel, version)| (&**channel, version.get())).collect(),
        }
    }
}

fn exact_text(text: Bound<'_, PyAny>) -> Option<PyBackedStr> {
    text.cast_into_exact::<PyString>().ok()?.try_into().ok()
}

/// The fields of a checkpoint as they are kept; `None` where it has others, or other things in them. Runs no Python code.
pub(super) fn usual_fields<'py>(
    checkpoint: &Bound<'py, PyDict>,
    checkpoint_id: &str,
) -> PyResult<Option<(Bound<'py, PyTuple>, SeenParts)>> {
    let py = checkpoint.py();
    let mut fields = Vec::with_capacity(USUAL_FIELDS.len());
    for name in names(py) {
        match checkpoint.get_item(name)? {
            Some(field) => fields.push(field),
            None => break,
        }
    }
    let id = checkpoint.get_item(intern!(py, "id"))?;
    let is_its_id = id.is_some_and(|id| {
        id.cast_into_exact::<PyString>().is_ok_and(|id| id.to_str().is_ok_and(|id| id == checkpoint_id))
    });
    let seen = checkpoint.get_item(intern!(py, "versions_seen"))?.as_ref().and_then(SeenParts::of);
    match seen {
        Some(seen) if is_its_id && fields.len() + OTHER_FIELDS == checkpoint.len() => {
            Ok(Some((PyTuple::new(py, fields)?, seen)))
        }
        _ => Ok(None),
    }
}

/// The checkpoint of its fields, without the versions and values of its channels.
pub(super) fn usual_checkpoint<'py>(
    fields: &Bound<'py, PyAny>,
    checkpoint_id: &str,
    seen: &Seen<'_>,
    versions: &mut VersionObjects<'py>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = fields.py();
    let checkpoint = PyDict::new(py);
    for (name, field) in names(py).into_iter().zip(fields.try_iter()?) {
        checkpoint.set_item(name, field?)?;
    }
    let versions_seen = PyDict::new(py);
    for (node, channels) in seen.iter() {
        let seen_by_node = PyDict::new(py);
        for (channel, version) in channels {
            seen_by_node.set_item(*channel, versions.make(py, *version)?)?;
        }
        versions_seen.set_item(node, seen_by_node)?;
    }
    checkpoint.set_item(intern!(py, "id"), checkpoint_id)?;
    checkpoint.set_item(intern!(py, "versions_seen"), versions_seen)?;
    Ok(checkpoint)
}

fn names(py: Python<'_>) -> [&Bound<'_, PyString>; USUAL_FIELDS.len()] {
    let names = [intern!(py, "v"), intern!(py, "ts"), intern!(py, "updated_channels"), intern!(py, "pending_sends")];
    debug_assert!(names.iter().zip(USUAL_FIELDS).all(|(name, field)| **name == field));
    names
}
