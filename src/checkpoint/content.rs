//! What a channel held at a version, as it is read: the row, and the blocks and chunks that it names.
//!
//! A row knows its length, so nothing is made room for before the parts are known to fit it; and it ends in a hash of the whole
//! value, so other bytes than those that were stored are never handed out.

use std::collections::HashSet;

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use super::cut::LEAST_CHUNK;
use super::layout;
use super::record::{self, ValueRecord};
use super::shape::{HASH_BYTES, Hash, Piece, Shape};
use crate::error::Result;
use crate::key::Namespace;
use crate::msgpack::{self, Item};
use crate::store::{Reader, Store};
use crate::value::Entry;

/// More levels of nodes than any value of a store needs.
const MOST_LEVELS: usize = 32;

/// Whether bytes can have changed since they were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// They never left this process' memory.
    Memory,
    /// They come from a disk or a network.
    Nothing,
}

impl Trust {
    pub(super) fn of(store: &dyn Store) -> Self {
        if store.capabilities().persistent { Self::Nothing } else { Self::Memory }
    }
}

/// The row of a channel's version, and what it names.
#[derive(Clone, Debug)]
pub(super) struct Content {
    row: Entry,
    /// The blocks, then the chunks; empty for a value that is stored whole, or where something is missing.
    pieces: Vec<(Hash, Entry)>,
}

/// A value as its serializer wrote it, in one part or in several that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    form: &'a str,
    length: usize,
    parts: Vec<&'a [u8]>,
}

impl Content {
    /// Reads what rows name, for all of them together: one batch of reads for each level of nodes.
    pub(super) fn load_all(
        view: &dyn Reader,
        thread: &Namespace<'_>,
        rows: Vec<Option<Entry>>,
    ) -> Result<Vec<Option<Self>>> {
        let mut outlines: Vec<Option<Outline>> = rows.iter().map(|row| row.as_ref().and_then(Outline::of)).collect();
        while outlines.iter().flatten().any(|outline| outline.top > 0) {
            let nodes = outlines.iter().flatten().filter(|outline| outline.top > 0).flat_map(Outline::topmost);
            let mut found = fetch(view, thread, nodes)?.into_iter();
            for outline in &mut outlines {
                *outline = outline.take().and_then(|outline| outline.expanded(&mut found));
            }
        }
        let mut found = fetch(view, thread, outlines.iter().flatten().flat_map(Outline::topmost))?.into_iter();
        let mut pieces_of = |outline: Option<Outline>| outline.and_then(|outline| outline.pieces(&mut found));
        let contents = rows.into_iter().zip(outlines).map(|(row, outline)| {
            let pieces = pieces_of(outline).unwrap_or_default();
            row.map(|row| Self { row, pieces })
        });
        Ok(contents.collect())
    }

    /// Reads what one row names.
    pub(super) fn load(view: &dyn Reader, thread: &Namespace<'_>, row: Entry) -> Result<Option<Self>> {
        Ok(Self::load_all(view, thread, vec![Some(row)])?.pop().flatten())
    }

    /// The bytes of the row and of what it names.
    pub(super) fn size_bytes(&self) -> usize {
        self.row.value().len() + self.pieces.iter().map(|(_, entry)| entry.value().len()).sum::<usize>()
    }

    /// The value; `None` when it is not what was stored.
    ///
    /// What comes from a disk or a network is verified byte by byte; of other values only the lengths are.
    pub(super) fn read(&self, trust: Trust) -> Option<Stored<'_>> {
        let record: ValueRecord<'_> = record::decode(self.row.value())?;
        let length = record.tree.as_ref().map_or(record.bytes.len() as u64, |tree| tree.length);
        let mut parts = Vec::with_capacity(self.pieces.len() + 2);
        parts.extend(record.tree.as_ref().map(|tree| tree.head));
        for (_, piece) in &self.pieces {
            parts.push(chunk_bytes(piece)?);
        }
        parts.push(record.bytes);
        let stored = Stored { form: record.form, length: usize::try_from(length).ok()?, parts };
        stored.is_what_was_stored(record.check, trust).then_some(stored)
    }

    /// How a value that was read is cut, without cutting it; `None` where it is stored whole.
    pub(super) fn shape(&self) -> Option<Shape> {
        let tree = record::decode::<ValueRecord<'_>>(self.row.value())?.tree?;
        let mut end = 0;
        let piece = |(hash, entry): &(Hash, Entry)| {
            end += chunk_bytes(entry)?.len();
            Some(Piece { end, hash: *hash })
        };
        let mut blocks = self.pieces.iter().map(piece).collect::<Option<Vec<Piece>>>()?;
        let chunks = blocks.split_off(blocks.len().checked_sub(tree.chunks.len() / HASH_BYTES)?);
        Some(Shape { head: tree.head.len(), blocks, chunks })
    }
}

impl<'a> Stored<'a> {
    /// What the serializer calls the form of the bytes.
    pub fn form(&self) -> &'a str {
        self.form
    }

    /// How many bytes there are.
    pub fn size_bytes(&self) -> usize {
        self.length
    }

    /// Writes the bytes to `out`, which is [`Stored::size_bytes`] long.
    pub fn copy_to(&self, out: &mut [u8]) {
        let mut rest = out;
        for part in &self.parts {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = behind;
        }
    }

    /// The bytes, if they stand in one part.
    pub fn whole(&self) -> Option<&'a [u8]> {
        if let [whole] = *self.parts { Some(whole) } else { None }
    }

    /// The bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }

    fn is_what_was_stored(&self, check: u64, trust: Trust) -> bool {
        let length: usize = self.parts.iter().map(|part| part.len()).sum();
        length == self.length && (trust == Trust::Memory || self.hash() == check)
    }

    fn hash(&self) -> u64 {
        if let Some(whole) = self.whole() {
            return check_of(self.form, whole);
        }
        let mut hash = Xxh3::with_seed(xxh3_64(self.form.as_bytes()));
        self.parts.iter().for_each(|part| hash.update(part));
        hash.digest()
    }
}

/// The hash of a value that the form goes into too.
pub(super) fn check_of(form: &str, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, xxh3_64(form.as_bytes()))
}

/// What a row names, in the order of the bytes: hashes with their levels, of which 0 are blocks and chunks.
struct Outline {
    items: Vec<(usize, Hash)>,
    /// The highest level among them.
    top: usize,
    /// More blocks and chunks than the value has room for.
    most: usize,
}

impl Outline {
    /// What the row says; `None` where the value stands in the row, or cannot be read.
    fn of(row: &Entry) -> Option<Self> {
        let tree = record::decode::<ValueRecord<'_>>(row.value())?.tree?;
        let top = tree.levels.len().saturating_sub(1);
        let mut items = Vec::new();
        for (level, hashes) in tree.levels.iter().enumerate().rev() {
            items.extend(read_hashes(hashes)?.map(|hash| (level, hash)));
        }
        items.extend(read_hashes(tree.chunks)?.map(|hash| (0, hash)));
        let most = usize::try_from(tree.length).ok()? / LEAST_CHUNK + 1;
        (top < MOST_LEVELS).then_some(Self { items, top, most })
    }

    /// The hashes of its highest level.
    fn topmost(&self) -> impl Iterator<Item = &Hash> {
        self.items.iter().filter(|(level, _)| *level == self.top).map(|(_, hash)| hash)
    }

    /// The nodes of the highest level replaced by their children; `found` has their entries, and goes on behind them.
    fn expanded(self, found: &mut impl Iterator<Item = Option<Entry>>) -> Option<Self> {
        if self.top == 0 {
            return Some(self);
        }
        let nodes: Vec<Option<Entry>> = found.take(self.topmost().count()).collect();
        let mut nodes = nodes.iter();
        let mut items = Vec::new();
        for (level, hash) in self.items {
            if level < self.top {
                items.push((level, hash));
                continue;
            }
            let children = chunk_bytes(nodes.next()?.as_ref()?)?;
            items.extend(read_hashes(children)?.map(|hash| (level - 1, hash)));
            if items.len() > self.most {
                return None;
            }
        }
        Some(Self { items, top: self.top - 1, most: self.most })
    }

    /// The blocks and chunks with their entries, which `found` has; `None` where one is missing.
    fn pieces(self, found: &mut impl Iterator<Item = Option<Entry>>) -> Option<Vec<(Hash, Entry)>> {
        let entries: Vec<Option<Entry>> = found.take(self.items.len()).collect();
        self.items.into_iter().zip(entries).map(|((_, hash), entry)| Some((hash, entry?))).collect()
    }
}

/// Everything that rows name, the children of nodes included; `None` when one of them cannot be read.
pub(super) fn named_by(
    view: &dyn Reader,
    thread: &Namespace<'_>,
    rows: impl Iterator<Item = Entry>,
) -> Result<Option<HashSet<Hash>>> {
    let mut named = HashSet::new();
    let mut nodes: HashSet<(usize, Hash)> = HashSet::new();
    for row in rows {
        let Some(record) = record::decode::<ValueRecord<'_>>(row.value()) else { return Ok(None) };
        let Some(tree) = record.tree else { continue };
        for (level, hashes) in tree.levels.iter().map(|hashes| &***hashes).chain([tree.chunks]).enumerate() {
            let Some(hashes) = read_hashes(hashes) else { return Ok(None) };
            nodes.extend(hashes.map(|hash| (if level == tree.levels.len() { 0 } else { level }, hash)));
        }
    }
    while !nodes.is_empty() {
        named.extend(nodes.iter().map(|(_, hash)| *hash));
        let above: Vec<(usize, Hash)> = nodes.into_iter().filter(|(level, _)| *level > 0).collect();
        let entries = fetch(view, thread, above.iter().map(|(_, hash)| hash))?;
        nodes = HashSet::new();
        for ((level, _), entry) in above.iter().zip(&entries) {
            let children = entry.as_ref().and_then(chunk_bytes).and_then(read_hashes);
            let Some(children) = children else { return Ok(None) };
            nodes.extend(children.map(|hash| (level - 1, hash)));
        }
    }
    Ok(Some(named))
}

/// How many bytes the value of a row has; `None` when it cannot be read.
pub(super) fn recorded_length(row: &Entry) -> Option<u64> {
    let record: ValueRecord<'_> = record::decode(row.value())?;
    Some(record.tree.map_or(record.bytes.len() as u64, |tree| tree.length))
}

/// The entries of chunks, blocks or nodes.
fn fetch<'h>(
    view: &dyn Reader,
    thread: &Namespace<'_>,
    hashes: impl Iterator<Item = &'h Hash>,
) -> Result<Vec<Option<Entry>>> {
    let pairs: Vec<_> = hashes.map(|hash| (thread.borrow(), layout::chunk(hash))).collect();
    if pairs.is_empty() { Ok(Vec::new()) } else { view.get_many(&pairs) }
}

/// Hashes that stand one behind the other; `None` where the last is cut short.
pub(super) fn read_hashes(bytes: &[u8]) -> Option<impl Iterator<Item = Hash>> {
    let (hashes, []) = bytes.as_chunks::<HASH_BYTES>() else { return None };
    Some(hashes.iter().copied())
}

/// The bytes of a chunk, a block or a node; `None` when its entry holds something else.
pub(super) fn chunk_bytes(entry: &Entry) -> Option<&[u8]> {
    let mut reader = msgpack::Reader::new(entry.value(), 0);
    match reader.item() {
        Ok(Item::Bin(bytes)) if reader.is_at_end() => Some(bytes),
        _ => None,
    }
}
