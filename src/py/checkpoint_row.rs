//! What a checkpoint, its channels and its writes are made of, as Python hands it over and gets it.

use std::fmt::Display;

use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::error::OrRaise;
use super::serializer::{Allowance, Dumped, Serializer};
use super::usual::{ChannelObjects, SeenParts, Usual, usual_checkpoint};
use super::version::HeldVersion;
use crate::checkpoint::{ChannelValue, Contents, MSGPACK, NewCheckpoint, NewWrite, Origin, Saved, Typed, Write};

/// Thread, latest checkpoint, when it was put, count of checkpoints.
pub(super) type InfoRow = (String, Option<String>, f64, u64);

/// A name that Python keeps, to be read without the interpreter.
type Name = PyBackedStr;

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A checkpoint as it is put, taken apart and serialized. Another thread may read it, detached; it should be dropped attached.
pub(super) struct CheckpointParts {
    checkpoint: Dumped,
    seen: Option<SeenParts>,
    metadata: Dumped,
    origin: OriginParts,
    versions: Vec<(Name, HeldVersion)>,
    values: Vec<(Name, HeldVersion, Option<Dumped>)>,
}

impl CheckpointParts {
    /// Takes a checkpoint apart and serializes its parts; the arguments stay as they are.
    pub(super) fn new<'py>(
        checkpoint_id: &str,
        checkpoint: &Bound<'py, PyAny>,
        metadata: &Bound<'py, PyDict>,
        new_versions: &Bound<'py, PyAny>,
        serializer: &Serializer<'_, 'py>,
        buffer: &mut Vec<u8>,
    ) -> PyResult<Self> {
        let py = checkpoint.py();
        let checkpoint = dict_of(checkpoint, "checkpoint")?;
        let (values_name, versions_name) = (intern!(py, "channel_values"), intern!(py, "channel_versions"));
        let usual = if serializer.is_own() { Usual::of(&checkpoint, checkpoint_id)? } else { None };
        let (rest, channels, versions) = match usual {
            Some(usual) => {
                let channels = dict_of(&usual.channel_values, values_name)?;
                let versions = dict_of(&usual.channel_versions, versions_name)?;
                (Rest::Usual(usual), channels, versions)
            }
            None => {
                let rest = checkpoint.copy()?;
                let (channels, versions) = (taken(&rest, values_name)?, taken(&rest, versions_name)?);
                (Rest::Other(rest), channels, versions)
            }
        };
        // Serializing runs Python code, which may change the dicts.
        let versions: Vec<Pair<'py>> = versions.iter().collect();
        let new_versions: Vec<Pair<'py>> = dict_of(new_versions, "new_versions")?.iter().collect();
        let mut values = Vec::with_capacity(new_versions.len());
        for (channel, version) in new_versions {
            let value = channels.get_item(&channel)?.map(|value| serializer.dump(&value, buffer)).transpose()?;
            values.push((channel_name(channel)?, HeldVersion::of(&version)?, value));
        }
        let versions =
            versions.into_iter().map(|(channel, version)| Ok((channel_name(channel)?, HeldVersion::of(&version)?)));
        let (checkpoint, seen) = rest.dump(serializer, buffer)?;
        Ok(Self {
            checkpoint,
            seen,
            metadata: serializer.dump(metadata, buffer)?,
            origin: OriginParts::of(metadata)?,
            versions: versions.collect::<PyResult<_>>()?,
            values,
        })
    }

    /// The bytes of the channels' values.
    pub(super) fn value_bytes(&self) -> usize {
        self.values.iter().filter_map(|(_, _, value)| value.as_ref()).map(Dumped::size_bytes).sum()
    }

    /// What is to be stored; `buffer` is the one that the parts were serialized into.
    pub(super) fn to_new<'a>(
        &'a self,
        checkpoint_id: &'a str,
        parent_id: Option<&'a str>,
        buffer: &'a [u8],
    ) -> NewCheckpoint<'a> {
        let values = self.values.iter().map(|(channel, version, value)| ChannelValue {
            channel,
            version: version.get(),
            value: value.as_ref().map(|value| value.typed(buffer)),
        });
        NewCheckpoint {
            checkpoint_id,
            parent_id,
            checkpoint: self.checkpoint.typed(buffer),
            seen: self.seen.as_ref().map(SeenParts::to_seen),
            metadata: self.metadata.typed(buffer),
            origin: self.origin.to_origin(),
            versions: self.versions.iter().map(|(channel, version)| (&**channel, version.get())).collect(),
            values: values.collect(),
        }
    }
}

/// Whether an event loop may have the serializer write what a put stores.
pub(super) fn is_put_short(
    checkpoint: &Bound<'_, PyAny>,
    metadata: &Bound<'_, PyDict>,
    new_versions: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let (Ok(checkpoint), Ok(new_versions)) = (checkpoint.cast_exact::<PyDict>(), new_versions.cast_exact::<PyDict>())
    else {
        return Ok(false);
    };
    let channels = checkpoint.get_item(intern!(checkpoint.py(), "channel_values"))?;
    let Some(Ok(channels)) = channels.map(|channels| channels.cast_into_exact::<PyDict>()) else { return Ok(false) };
    let mut allowance = Allowance::new();
    for (channel, _) in new_versions {
        if channels.get_item(channel)?.is_some_and(|value| !allowance.covers(&value)) {
            return Ok(false);
        }
    }
    Ok(allowance.covers(metadata))
}

/// What of a checkpoint's metadata decides how long it, and others, are kept.
struct OriginParts {
    run_id: Option<Name>,
    parents: Vec<(Name, Name)>,
    delta_channels: Vec<Name>,
}

impl OriginParts {
    fn of(metadata: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = metadata.py();
        let run_id = metadata.get_item(intern!(py, "run_id"))?.filter(|run_id| !run_id.is_none());
        let parents = pairs(metadata, intern!(py, "parents"))?;
        let delta_channels = pairs(metadata, intern!(py, "counters_since_delta_snapshot"))?;
        Ok(Self {
            run_id: run_id.map(|run_id| run_id.str()?.try_into()).transpose()?,
            parents: parents
                .iter()
                .map(|(place, id)| Ok((place.extract()?, id.extract()?)))
                .collect::<PyResult<_>>()?,
            delta_channels: delta_channels.iter().map(|(name, _)| name.extract()).collect::<PyResult<_>>()?,
        })
    }

    fn to_origin(&self) -> Origin<'_> {
        Origin {
            run_id: self.run_id.as_deref(),
            parents: self.parents.iter().map(|(checkpoint_ns, id)| (&**checkpoint_ns, &**id)).collect(),
            delta_channels: self.delta_channels.iter().map(|name| &**name).collect(),
        }
    }
}

fn channel_name(name: Bound<'_, PyAny>) -> PyResult<Name> {
    let text = name.cast_into::<PyString>().map_err(|error| {
        let name = error.into_inner();
        let kind = name.get_type().name().map(|kind| kind.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("a channel's name is a str, not {kind}"))
    })?;
    text.try_into()
}

/// The items of a dict in the metadata; none where something else stands there, which is not LangGraph's.
fn pairs<'py>(metadata: &Bound<'py, PyDict>, name: &Bound<'py, PyString>) -> PyResult<Vec<Pair<'py>>> {
    let found = metadata.get_item(name)?;
    let dict = found.as_ref().and_then(|found| found.cast::<PyDict>().ok());
    Ok(dict.map(|dict| dict.iter().collect()).unwrap_or_default())
}

/// A dict as it is, and of any other mapping, a subclass of dict included, the dict of what its `items()` say.
fn dict_of<'py>(mapping: &Bound<'py, PyAny>, name: impl Display) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dict) = mapping.cast_exact::<PyDict>() {
        return Ok(dict.clone());
    }
    let Some(items) = mapping.getattr_opt(intern!(mapping.py(), "items"))? else {
        let kind = mapping.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{name} must be a mapping, not {kind}")));
    };
    PyDict::from_sequence(&items.call0()?)
}

/// Takes a mapping out of `rest`.
fn taken<'py>(rest: &Bound<'py, PyDict>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyDict>> {
    let found = rest.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.clone().unbind()))?;
    rest.del_item(name)?;
    dict_of(&found, name)
}

/// A checkpoint without the versions and values of its channels.
enum Rest<'py> {
    Usual(Usual<'py>),
    Other(Bound<'py, PyDict>),
}

impl<'py> Rest<'py> {
    /// Serializes it, and tells what nodes have seen, if that is kept beside it.
    fn dump(self, serializer: &Serializer<'_, 'py>, buffer: &mut Vec<u8>) -> PyResult<(Dumped, Option<SeenParts>)> {
        let usual = match self {
            Self::Usual(usual) => usual,
            Self::Other(rest) => return Ok((serializer.dump(&rest, buffer)?, None)),
        };
        let fields = serializer.dump(&usual.fields, buffer)?;
        // Where msgpack cannot hold a field, the serializer may have another form, of which nothing is known.
        if fields.typed(buffer).form == MSGPACK {
            return Ok((fields, Some(usual.seen)));
        }
        Ok((serializer.dump(usual.to_dict()?.as_any(), buffer)?, None))
    }
}

/// What a task wrote, serialized. Another thread may read it, detached; it should be dropped attached.
pub(super) struct WriteParts(Vec<(i64, Name, Dumped)>);

impl WriteParts {
    /// Serializes each write of `rows`: index, channel and value.
    pub(super) fn new<'py>(
        rows: &Bound<'py, PyList>,
        serializer: &Serializer<'_, 'py>,
        buffer: &mut Vec<u8>,
    ) -> PyResult<Self> {
        let parts = rows.iter().map(|row| {
            let (index, channel, value): (i64, Bound<'py, PyAny>, Bound<'py, PyAny>) = row.extract()?;
            Ok((index, channel_name(channel)?, serializer.dump(&value, buffer)?))
        });
        parts.collect::<PyResult<_>>().map(Self)
    }

    /// What is to be stored; `buffer` is the one that the parts were serialized into.
    pub(super) fn to_new<'a>(&'a self, buffer: &'a [u8]) -> Vec<NewWrite<'a>> {
        let write = |(index, channel, value): &'a (i64, Name, Dumped)| NewWrite {
            index: *index,
            channel,
            value: value.typed(buffer),
        };
        self.0.iter().map(write).collect()
    }
}

/// A checkpoint as Python gets it: id, parent's id, the checkpoint, its metadata, and its writes.
pub(super) fn to_tuple<'py>(
    py: Python<'py>,
    saved: &Saved,
    serializer: &Serializer<'_, 'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let Contents { parent_id, checkpoint, seen, metadata, versions, values, writes } = saved.contents().or_raise()?;
    let (address, mut channels) = (saved.address(), ChannelObjects::new(versions.len()));
    let (versions_by_channel, values_by_channel) = (PyDict::new(py), PyDict::new(py));
    let mut values = values.into_iter().peekable();
    for (channel, version) in versions {
        let (name, version) = channels.make(py, channel, version)?;
        versions_by_channel.set_item(&name, version)?;
        // Values come in the order of the versions.
        if let Some((_, value)) = values.next_if(|(held, _)| *held == channel) {
            values_by_channel.set_item(name, serializer.load_stored(&value)?)?;
        }
    }
    let whole = match seen {
        Some(seen) if serializer.is_own() => {
            let fields = serializer.load(checkpoint)?.cast_into()?;
            usual_checkpoint(&fields, &address.checkpoint_id, &seen, &mut channels)?.into_any()
        }
        // Another serializer is given what LangGraph's own would have made.
        Some(_) => {
            let (form, bytes) = address.checkpoint(usize::MAX).or_raise()?;
            serializer.load(Typed { form, bytes: &bytes })?
        }
        None => serializer.load(checkpoint)?,
    };
    whole.set_item(intern!(py, "channel_versions"), versions_by_channel)?;
    whole.set_item(intern!(py, "channel_values"), values_by_channel)?;
    let (metadata, writes) = (serializer.load(metadata)?, written(py, &writes, serializer)?);
    (&address.checkpoint_id, parent_id, whole, metadata, writes).into_pyobject(py)
}

/// Writes as Python gets them: task id, channel and value.
pub(super) fn written<'py>(
    py: Python<'py>,
    writes: &[Write<'_>],
    serializer: &Serializer<'_, 'py>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for write in writes {
        list.append((&write.task_id, write.channel, serializer.load(write.value)?))?;
    }
    Ok(list)
}
