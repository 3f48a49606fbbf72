//! A checkpoint with the fields that LangGraph gives it, which is kept without their names.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::codec;
use super::version::{HeldVersion, VersionObjects};
use crate::checkpoint::{BEFORE_ID, Seen, USUAL_FIELDS, Version};

/// A checkpoint taken apart, that has the usual fields and no others.
pub(super) struct Usual<'py> {
    /// [`USUAL_FIELDS`].
    pub(super) fields: Bound<'py, PyTuple>,
    pub(super) seen: SeenParts,
    versions_seen: Bound<'py, PyAny>,
    id: Bound<'py, PyAny>,
    pub(super) channel_values: Bound<'py, PyAny>,
    pub(super) channel_versions: Bound<'py, PyAny>,
}

impl<'py> Usual<'py> {
    /// `None` where it has other fields, or other things in them. Runs no Python code.
    pub(super) fn of(checkpoint: &Bound<'py, PyDict>, checkpoint_id: &str) -> PyResult<Option<Self>> {
        let mut fields = [const { None }; USUAL_FIELDS.len()];
        let (mut id, mut versions_seen, mut channel_values, mut channel_versions) = (None, None, None, None);
        for (name, field) in checkpoint {
            let Some(name) = exact_text(name) else { return Ok(None) };
            let place = match &*name {
                "id" => &mut id,
                "versions_seen" => &mut versions_seen,
                "channel_values" => &mut channel_values,
                "channel_versions" => &mut channel_versions,
                name => match USUAL_FIELDS.iter().position(|usual| *usual == name) {
                    Some(place) => &mut fields[place],
                    None => return Ok(None),
                },
            };
            *place = Some(field);
        }
        let count = fields.iter().take_while(|field| field.is_some()).count();
        let (Some(id), Some(versions_seen), Some(channel_values), Some(channel_versions), true) =
            (id, versions_seen, channel_values, channel_versions, fields[count..].iter().all(Option::is_none))
        else {
            return Ok(None);
        };
        let is_its_id = exact_text(id.clone()).is_some_and(|id| *id == *checkpoint_id);
        let Some(seen) = SeenParts::of(&versions_seen).filter(|_| is_its_id) else { return Ok(None) };
        let fields: Vec<_> = fields.into_iter().flatten().collect();
        let fields = PyTuple::new(checkpoint.py(), fields)?;
        Ok(Some(Self { fields, seen, versions_seen, id, channel_values, channel_versions }))
    }

    /// The checkpoint without the versions and values of its channels.
    pub(super) fn to_dict(&self) -> PyResult<Bound<'py, PyDict>> {
        let py = self.fields.py();
        let checkpoint = PyDict::new(py);
        for (name, field) in names(py).into_iter().zip(&self.fields) {
            checkpoint.set_item(name, field)?;
        }
        checkpoint.set_item(intern!(py, "id"), &self.id)?;
        checkpoint.set_item(intern!(py, "versions_seen"), &self.versions_seen)?;
        Ok(checkpoint)
    }
}

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
        let (mut seen, mut channels) = (Seen::default(), self.channels.iter());
        for (node, count) in &self.nodes {
            seen.add_node(node);
            for (channel, version) in channels.by_ref().take(*count) {
                seen.add_channel(channel, version.get());
            }
        }
        seen
    }
}

fn exact_text(text: Bound<'_, PyAny>) -> Option<PyBackedStr> {
    text.cast_into_exact::<PyString>().ok()?.try_into().ok()
}

/// The channels of a checkpoint that is read, with the objects that were made of their names and versions.
pub(super) struct ChannelObjects<'a, 'py> {
    channels: Vec<(&'a str, Version<'a>, Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    /// Where the next one is expected: those that nodes have seen mostly come in the same order.
    next: usize,
    versions: VersionObjects<'py>,
}

impl<'a, 'py> ChannelObjects<'a, 'py> {
    pub(super) fn new(count: usize) -> Self {
        Self { channels: Vec::with_capacity(count), next: 0, versions: VersionObjects::default() }
    }

    /// Makes the name and the version of a channel.
    pub(super) fn make(
        &mut self,
        py: Python<'py>,
        channel: &'a str,
        version: Version<'a>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let made = self.make_unkept(py, channel, version)?;
        self.channels.push((channel, version, made.0.clone(), made.1.clone()));
        Ok(made)
    }

    /// The name and the version of a channel that a node has seen: those made before, where they are the same.
    fn of_seen(
        &mut self,
        py: Python<'py>,
        channel: &str,
        version: Version<'_>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let count = self.channels.len();
        let is_it = |place: &usize| self.channels[*place].0 == channel;
        match [self.next, self.next + 1].into_iter().filter(|place| *place < count).find(is_it) {
            Some(place) => {
                self.next = place + 1;
                let (_, current, name, object) = &self.channels[place];
                let is_current =
                    matches!((current, version), (Version::Made(current), Version::Made(seen)) if *current == seen);
                let version = if is_current { object.clone() } else { self.versions.make(py, version)? };
                Ok((name.clone(), version))
            }
            None => self.make_unkept(py, channel, version),
        }
    }

    fn make_unkept(
        &mut self,
        py: Python<'py>,
        channel: &str,
        version: Version<'_>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        Ok((codec::key(py, channel)?, self.versions.make(py, version)?))
    }
}

/// The checkpoint of its fields, in LangGraph's order, without the versions and values of its channels.
pub(super) fn usual_checkpoint<'py>(
    fields: &Bound<'py, PyList>,
    checkpoint_id: &str,
    seen: &Seen<'_>,
    channels: &mut ChannelObjects<'_, 'py>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = fields.py();
    let versions_seen = PyDict::new(py);
    for (node, seen) in seen.iter() {
        let seen_by_node = PyDict::new(py);
        for (channel, version) in seen {
            let (channel, version) = channels.of_seen(py, channel, *version)?;
            seen_by_node.set_item(channel, version)?;
        }
        versions_seen.set_item(codec::key(py, node)?, seen_by_node)?;
    }
    let checkpoint = PyDict::new(py);
    let mut fields = names(py).into_iter().zip(fields);
    for (name, field) in fields.by_ref().take(BEFORE_ID) {
        checkpoint.set_item(name, field)?;
    }
    checkpoint.set_item(intern!(py, "id"), checkpoint_id)?;
    checkpoint.set_item(intern!(py, "versions_seen"), versions_seen)?;
    for (name, field) in fields {
        checkpoint.set_item(name, field)?;
    }
    Ok(checkpoint)
}

fn names(py: Python<'_>) -> [&Bound<'_, PyString>; USUAL_FIELDS.len()] {
    let names = [intern!(py, "v"), intern!(py, "ts"), intern!(py, "updated_channels"), intern!(py, "pending_sends")];
    debug_assert!(names.iter().zip(USUAL_FIELDS).all(|(name, field)| **name == field));
    names
}
