//! How a channel's value becomes a row, and what else is stored for it.
//!
//! A value stands whole in its row unless it has at least a quarter of its bytes in common with the value before it: then the
//! row names blocks and chunks, and those that the value before does not name are new. Most values have it from the front and
//! from the back, which a comparison tells; for the others some samples tell whether it is worth to cut them and see.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use memchr::memmem;
use serde_bytes::Bytes;

use super::content::{Content, Trust, check_of};
use super::cut::{self, Common};
use super::recent::CutValue;
use super::record::{MSGPACK, Secret, Tree, Typed, ValueRecord, encode};
use super::shape::{Hash, Known, Levels, Shape};
use crate::msgpack;
use crate::value::{Kind, Value};

/// The largest value that is not worth to be cut.
pub(super) const MOST_WHOLE_BYTES: usize = 4096;
/// One part in so many must be in common with the value before.
const LEAST_SHARED_PART: usize = 4;
/// How many places of the value before are looked for, and how many bytes of each.
const SAMPLES: usize = 2;
const SAMPLE_BYTES: usize = 32;

/// The value that a channel held before.
pub(super) enum Previous {
    /// Stands in its row.
    Whole(Content),
    /// Is cut.
    Cut(Arc<CutValue>),
}

/// A value on its way into the store.
pub(super) struct Encoded {
    /// The row; an empty channel has none.
    pub(super) row: Option<Value<'static>>,
    /// The blocks, chunks and nodes that the value before does not name.
    pub(super) pieces: Vec<(Hash, Value<'static>)>,
    /// The value as it was cut, if it was.
    pub(super) cut: Option<CutValue>,
}

/// Encodes a value whole.
pub(super) fn encode_whole(value: Option<Typed<'_>>) -> Encoded {
    let row = value.map(|Typed { form, bytes }| {
        let record = ValueRecord { form, check: check_of(form, bytes), bytes, tree: None };
        encode(&record, bytes.len())
    });
    Encoded { row, pieces: Vec::new(), cut: None }
}

/// Encodes a value that followed another; whole if both have little in common, or more than `most_pieces` would be new.
pub(super) fn encode_after(secret: &Secret, value: Typed<'_>, previous: &Previous, most_pieces: usize) -> Encoded {
    match cut_after(secret, value, previous) {
        Some(encoded) if encoded.pieces.len() <= most_pieces => encoded,
        _ => encode_whole(Some(value)),
    }
}

fn cut_after(secret: &Secret, value: Typed<'_>, previous: &Previous) -> Option<Encoded> {
    let (head, before) = (head_of(value.form, value.bytes), Before::of(previous)?);
    let likeness = likeness(&value.bytes[head..], &before.bytes[before.head..]);
    let shape = match (likeness, before.cut) {
        (Likeness::None, _) => return None,
        (Likeness::Ends(common), Some(CutValue { bytes, shape, .. })) => {
            Shape::like(secret, value.bytes, head, &Known { length: bytes.len(), shape }, common)
        }
        _ => Shape::of(secret, value.bytes, head),
    };
    if matches!(likeness, Likeness::Samples) && !is_shared(secret, value.bytes, &shape, &before) {
        return None;
    }
    let levels = shape.levels(secret);
    let row = encode_row(value, &shape, &levels);
    let pieces = new_pieces(value.bytes, &shape, &levels, before.cut.map(|cut| &cut.names));
    let names = shape.names(&levels);
    Some(Encoded { row: Some(row), pieces, cut: Some(CutValue { bytes: value.bytes.to_vec(), shape, names }) })
}

/// The bytes of the value before.
struct Before<'p> {
    bytes: &'p [u8],
    head: usize,
    cut: Option<&'p CutValue>,
}

impl<'p> Before<'p> {
    fn of(previous: &'p Previous) -> Option<Self> {
        match previous {
            Previous::Cut(cut) => Some(Self { bytes: &cut.bytes, head: cut.shape.head, cut: Some(cut) }),
            Previous::Whole(content) => {
                let stored = content.read(Trust::Memory)?;
                let bytes = stored.whole()?;
                Some(Self { bytes, head: head_of(stored.form(), bytes), cut: None })
            }
        }
    }
}

fn head_of(form: &str, bytes: &[u8]) -> usize {
    if form == MSGPACK { cut::head_length(bytes) } else { 0 }
}

/// What a value seems to have in common with the one before it.
#[derive(Clone, Copy)]
enum Likeness {
    None,
    /// Enough, from both ends.
    Ends(Common),
    /// Some samples.
    Samples,
}

fn likeness(body: &[u8], before: &[u8]) -> Likeness {
    let common = Common::of(body, before);
    if (common.prefix + common.suffix) * LEAST_SHARED_PART >= body.len() {
        return Likeness::Ends(common);
    }
    let mut samples = (0..SAMPLES).map(|at| before.len() * (2 * at + 1) / (2 * SAMPLES));
    let is_found = |start: usize| {
        before.get(start..start + SAMPLE_BYTES).is_some_and(|sample| memmem::find(body, sample).is_some())
    };
    if samples.any(is_found) { Likeness::Samples } else { Likeness::None }
}

/// Whether enough of a value stands in blocks and chunks that the value before has too.
fn is_shared(secret: &Secret, bytes: &[u8], shape: &Shape, before: &Before<'_>) -> bool {
    let fresh;
    let known = match before.cut {
        Some(cut) => &cut.names,
        None => {
            let shape = Shape::of(secret, before.bytes, before.head);
            fresh = shape.names(&Levels::default());
            &fresh
        }
    };
    let shared: usize =
        shape.pieces(bytes).filter(|(hash, _)| known.contains(hash)).map(|(_, piece)| piece.len()).sum();
    shared * LEAST_SHARED_PART >= bytes.len()
}

fn encode_row(value: Typed<'_>, shape: &Shape, levels: &Levels) -> Value<'static> {
    let joined = levels.open.iter().map(|hashes| Cow::Owned(Bytes::new(&hashes.concat()).to_owned()));
    let chunks: Vec<u8> = shape.chunks.iter().flat_map(|chunk| chunk.hash).collect();
    let tree = Tree {
        length: value.bytes.len() as u64,
        head: &value.bytes[..shape.head],
        levels: joined.collect(),
        chunks: &chunks,
    };
    let tail = &value.bytes[shape.head + shape.tail_start()..];
    let check = check_of(value.form, value.bytes);
    let record = ValueRecord { form: value.form, check, bytes: tail, tree: Some(tree) };
    encode(&record, tail.len() + 512)
}

fn new_pieces(
    bytes: &[u8],
    shape: &Shape,
    levels: &Levels,
    known: Option<&HashSet<Hash>>,
) -> Vec<(Hash, Value<'static>)> {
    let nodes = levels.nodes.iter().map(|node| (node.hash, node.children.as_slice()));
    let mut seen = HashSet::new();
    let mut is_new = |hash: &Hash| known.is_none_or(|known| !known.contains(hash)) && seen.insert(*hash);
    let pieces = shape.pieces(bytes).chain(nodes).filter(|(hash, _)| is_new(hash));
    pieces.map(|(hash, bytes)| (hash, chunk_value(bytes))).collect()
}

/// The value of the entry that holds a chunk, a block or a node.
fn chunk_value(bytes: &[u8]) -> Value<'static> {
    let mut msgpack = Vec::with_capacity(bytes.len() + 5);
    msgpack::write_bin_head(&mut msgpack, bytes.len()).expect("a chunk is short");
    msgpack.extend_from_slice(bytes);
    Value::shared(Kind::Bytes, msgpack)
}
