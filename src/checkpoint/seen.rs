//! Which versions of its channels a graph's nodes have seen: LangGraph's `versions_seen`, which grows with every node.
//!
//! What it says is mostly said beside it: its channels are those of the checkpoint, and many a node saw the version that is
//! there still. So it is kept as places in the list of the checkpoint's versions: for each node a list of its name, and of channels and
//! versions in turn. A channel is its place or its name, a version nil if it is the one at that place.

use super::fields::Fields;
use super::record::{Record, write};
use super::version::Version;
use crate::msgpack::{self, Item, Reader, TooLong};

/// The fields of a checkpoint that are kept as one list, in their order; the last ones may be missing. Besides them a checkpoint has its id, the
/// versions and values of its channels, and `versions_seen`.
pub const USUAL_FIELDS: [&str; 4] = ["v", "ts", "updated_channels", "pending_sends"];

/// How many of them LangGraph has before the id, behind which it has what nodes have seen.
pub const BEFORE_ID: usize = 2;

/// How many places of the list are looked at for a channel: those behind the one before it, since both are in the order of the graph.
const MOST_TRIED: usize = 16;

/// The longest name, and the longest text of a version, that a place stands for: as msgpack, a record is never more than some 60 times
/// the bytes that it has, whoever wrote it.
const MOST_NAMED_BYTES: usize = 64;

/// What nodes have seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen<'a> {
    /// The nodes, each with where its channels end.
    nodes: Vec<(&'a str, usize)>,
    channels: Vec<(&'a str, Version<'a>)>,
}

impl<'a> Seen<'a> {
    /// Adds a node, which has seen what is added after it.
    pub fn add_node(&mut self, node: &'a str) {
        self.nodes.push((node, self.channels.len()));
    }

    /// Adds a channel that the last node has seen at a version; without a node, nothing.
    pub fn add_channel(&mut self, channel: &'a str, version: Version<'a>) {
        if let Some((_, end)) = self.nodes.last_mut() {
            self.channels.push((channel, version));
            *end = self.channels.len();
        }
    }

    /// The nodes with what each has seen.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &[(&'a str, Version<'a>)])> {
        let mut start = 0;
        self.nodes.iter().map(move |(node, end)| {
            let own = &self.channels[start..*end];
            start = *end;
            (*node, own)
        })
    }

    /// What is stored, beside these versions. There are no bytes where there is no node.
    pub(super) fn to_bytes(&self, versions: &[(&str, Version<'_>)]) -> Vec<u8> {
        if self.nodes.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(32 * self.nodes.len());
        self.write(&mut out, versions).expect("a batch is shorter than 4 GiB");
        out
    }

    fn write(&self, out: &mut Vec<u8>, versions: &[(&str, Version<'_>)]) -> Result<(), TooLong> {
        let mut next = 0;
        msgpack::write_array_head(out, self.nodes.len())?;
        for (node, channels) in self.iter() {
            msgpack::write_array_head(out, 1 + 2 * channels.len())?;
            msgpack::write_str(out, node)?;
            for (channel, version) in channels {
                let Some(place) = place_of(channel, versions, next) else {
                    msgpack::write_str(out, channel)?;
                    write(out, version);
                    continue;
                };
                next = place + 1;
                msgpack::write_u64(out, place as u64);
                if is_short(version) && version.is_same(&versions[place].1) {
                    msgpack::write_nil(out);
                } else {
                    write(out, version);
                }
            }
        }
        Ok(())
    }

    /// Reads what [`Seen::to_bytes`] gave; `None` where it is something else.
    pub(super) fn read(bytes: &'a [u8], versions: &[(&'a str, Version<'a>)]) -> Option<Self> {
        let mut seen = Self::default();
        if bytes.is_empty() {
            return Some(seen);
        }
        let mut fields = Fields::new(bytes);
        let Item::Array(nodes) = fields.item()? else { return None };
        for _ in 0..nodes {
            let Item::Array(length) = fields.item()? else { return None };
            seen.add_node(fields.text()?);
            for _ in 0..length.checked_sub(1)? / 2 {
                let (channel, version) = read_channel(&mut fields, versions)?;
                seen.add_channel(channel, version);
            }
            if length % 2 == 0 {
                return None;
            }
        }
        fields.is_at_end().then_some(seen)
    }
}

/// Where a channel stands, of the places from `next` on.
fn place_of(channel: &str, versions: &[(&str, Version<'_>)], next: usize) -> Option<usize> {
    if channel.len() > MOST_NAMED_BYTES {
        return None;
    }
    let count = versions.len();
    let mut places = (0..count.min(MOST_TRIED)).map(|step| (next + step) % count);
    places.find(|place| versions[*place].0 == channel)
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

/// Whether `fields` begins like the list of a checkpoint's fields.
pub(super) fn is_list_of_fields(fields: &[u8]) -> bool {
    matches!(Reader::new(fields, 0).item(), Ok(Item::Array(count)) if count <= USUAL_FIELDS.len())
}

/// Gives the msgpack of a whole checkpoint, but for its channels' versions and values, part by part: the map that `fields` are
/// kept for, in LangGraph's order. `None` where they are no such list, or `take` says so.
pub(super) fn tell_whole(
    fields: &[u8],
    seen: &Seen<'_>,
    checkpoint_id: &str,
    take: &mut impl FnMut(&[u8]) -> Option<()>,
) -> Option<()> {
    let mut reader = Reader::new(fields, 0);
    let Ok(Item::Array(count)) = reader.item() else { return None };
    let (mut head, mut start) = (Vec::new(), reader.offset());
    msgpack::write_map_head(&mut head, count + 2).ok()?;
    take(&head)?;
    for (place, name) in USUAL_FIELDS.get(..count)?.iter().enumerate() {
        if place == BEFORE_ID {
            tell_id_and_seen(seen, checkpoint_id, take)?;
        }
        let end = msgpack::skip(fields, start).ok()?;
        take_str(name, take)?;
        take(fields.get(start..end)?)?;
        start = end;
    }
    if count <= BEFORE_ID { tell_id_and_seen(seen, checkpoint_id, take) } else { Some(()) }
}

fn tell_id_and_seen(seen: &Seen<'_>, checkpoint_id: &str, take: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    take_str("id", take)?;
    take_str(checkpoint_id, take)?;
    take_str("versions_seen", take)?;
    let mut part = Vec::new();
    msgpack::write_map_head(&mut part, seen.nodes.len()).ok()?;
    for (node, channels) in seen.iter() {
        msgpack::write_str(&mut part, node).ok()?;
        msgpack::write_map_head(&mut part, channels.len()).ok()?;
        for (channel, version) in channels {
            msgpack::write_str(&mut part, channel).ok()?;
            match version {
                Version::Integer(integer) => msgpack::write_integer(&mut part, *integer),
                Version::Float(float) => msgpack::write_f64(&mut part, *float),
                Version::Text(text) => msgpack::write_str(&mut part, text).ok()?,
                Version::Made(made) => msgpack::write_str(&mut part, made.text().as_str()).ok()?,
            }
            take(&part)?;
            part.clear();
        }
    }
    take(&part)
}

fn take_str(text: &str, take: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let mut part = Vec::with_capacity(text.len() + 5);
    msgpack::write_str(&mut part, text).ok()?;
    take(&part)
}
