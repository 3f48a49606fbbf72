//! Which versions of its channels a graph's nodes have seen: LangGraph's `versions_seen`, which grows with every node.
//!
//! What it says is mostly said beside it: its channels are those of the checkpoint, and many a node saw the version that is
//! there still. So it is kept as places in the list of the checkpoint's versions.

use std::cell::Cell;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::fields::Fields;
use super::record::Record;
use super::version::Version;
use crate::msgpack::{self, Item, Reader};

/// The fields of a checkpoint that are kept as one list, in their order; the last ones may be missing. Besides them a checkpoint has its id, the
/// versions and values of its channels, and `versions_seen`.
pub const USUAL_FIELDS: [&str; 4] = ["v", "ts", "updated_channels", "pending_sends"];

/// How many places of the list are looked at for a channel: those behind the one before it, since both are in the order of the graph.
const MOST_TRIED: usize = 16;

/// The longest name, and the longest text of a version, that a place stands for. So a record is never read as more than some 60 times
/// its bytes, whoever wrote it.
const MOST_NAMED_BYTES: usize = 64;

/// What nodes have seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen<'a> {
    /// The nodes, and of how many channels each has seen a version.
    pub nodes: Vec<(&'a str, usize)>,
    /// These channels with the versions, of one node after the other.
    pub channels: Vec<(&'a str, Version<'a>)>,
}

impl<'a> Seen<'a> {
    /// The nodes with what each has seen.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &[(&'a str, Version<'a>)])> {
        let mut rest = &*self.channels;
        self.nodes.iter().map(move |(node, count)| {
            let (own, others) = rest.split_at((*count).min(rest.len()));
            rest = others;
            (*node, own)
        })
    }

    /// Reads what [`Among`] writes.
    pub(super) fn read(fields: &mut Fields<'a>, versions: &[(&'a str, Version<'a>)]) -> Option<Self> {
        let mut channels = Vec::new();
        let nodes = fields.list_of(|fields| {
            let Item::Array(length) = fields.item()? else { return None };
            let (node, count) = (fields.text()?, length.checked_sub(1)? / 2);
            for _ in 0..count {
                channels.push(read_channel(fields, versions)?);
            }
            (length % 2 == 1).then_some((node, count))
        })?;
        Some(Self { nodes, channels })
    }
}

fn read_channel<'a>(fields: &mut Fields<'a>, versions: &[(&'a str, Version<'a>)]) -> Option<(&'a str, Version<'a>)> {
    let (channel, current) = match fields.item()? {
        Item::Unsigned(place) => {
            let (channel, version) = versions.get(usize::try_from(place).ok()?)?;
            let channel = Some(*channel).filter(|channel| channel.len() <= MOST_NAMED_BYTES)?;
            (channel, Some(*version).filter(is_short))
        }
        Item::Str(channel) => (str::from_utf8(channel).ok()?, None),
        _ => return None,
    };
    let version = fields.optional(Version::read)?.or(current)?;
    Some((channel, version))
}

/// Whether a place may stand for a version.
fn is_short(version: &Version<'_>) -> bool {
    !matches!(version, Version::Text(text) if text.len() > MOST_NAMED_BYTES)
}

/// What nodes have seen, to be written behind the versions of the checkpoint: of each node a list of its name, and of channels and versions in
/// turn. A channel is its place among the versions or its name, a version nil if it is the one at that place.
pub(super) struct Among<'s> {
    pub(super) seen: &'s Seen<'s>,
    pub(super) versions: &'s [(&'s str, Version<'s>)],
}

impl Serialize for Among<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let next = Cell::new(0);
        let mut nodes = serializer.serialize_seq(Some(self.seen.nodes.len()))?;
        for (node, channels) in self.seen.iter() {
            nodes.serialize_element(&Node { node, channels, versions: self.versions, next: &next })?;
        }
        nodes.end()
    }
}

struct Node<'s> {
    node: &'s str,
    channels: &'s [(&'s str, Version<'s>)],
    versions: &'s [(&'s str, Version<'s>)],
    /// Where the next channel is looked for first.
    next: &'s Cell<usize>,
}

impl Node<'_> {
    fn place_of(&self, channel: &str) -> Option<usize> {
        if channel.len() > MOST_NAMED_BYTES {
            return None;
        }
        let count = self.versions.len();
        let mut places = (0..count.min(MOST_TRIED)).map(|step| (self.next.get() + step) % count);
        let place = places.find(|place| self.versions[*place].0 == channel)?;
        self.next.set(place + 1);
        Some(place)
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_seq(Some(1 + 2 * self.channels.len()))?;
        parts.serialize_element(self.node)?;
        for (channel, version) in self.channels {
            match self.place_of(channel) {
                Some(place) => {
                    parts.serialize_element(&place)?;
                    let is_there = is_short(version) && version.is_same(&self.versions[place].1);
                    parts.serialize_element(&(!is_there).then_some(version))?;
                }
                None => {
                    parts.serialize_element(channel)?;
                    parts.serialize_element(version)?;
                }
            }
        }
        parts.end()
    }
}

/// The msgpack of a whole checkpoint but for its channels' versions and values: the map that `fields` are kept for.
pub(super) fn whole(fields: &[u8], seen: &Seen<'_>, checkpoint_id: &str) -> Option<Vec<u8>> {
    let mut reader = Reader::new(fields, 0);
    let Ok(Item::Array(count)) = reader.item() else { return None };
    let mut out = Vec::with_capacity(2 * fields.len() + 64 * (2 + seen.channels.len()));
    msgpack::write_map_head(&mut out, count + 2).ok()?;
    let mut start = reader.offset();
    for name in USUAL_FIELDS.get(..count)? {
        let end = msgpack::skip(fields, start).ok()?;
        msgpack::write_str(&mut out, name).ok()?;
        out.extend_from_slice(fields.get(start..end)?);
        start = end;
    }
    msgpack::write_str(&mut out, "id").ok()?;
    msgpack::write_str(&mut out, checkpoint_id).ok()?;
    msgpack::write_str(&mut out, "versions_seen").ok()?;
    msgpack::write_map_head(&mut out, seen.nodes.len()).ok()?;
    for (node, channels) in seen.iter() {
        msgpack::write_str(&mut out, node).ok()?;
        msgpack::write_map_head(&mut out, channels.len()).ok()?;
        for (channel, version) in channels {
            msgpack::write_str(&mut out, channel).ok()?;
            match version {
                Version::Integer(integer) => msgpack::write_integer(&mut out, *integer),
                Version::Float(float) => msgpack::write_f64(&mut out, *float),
                Version::Text(text) => msgpack::write_str(&mut out, text).ok()?,
                Version::Made(made) => msgpack::write_str(&mut out, made.text().as_str()).ok()?,
            }
        }
    }
    Some(out)
}
