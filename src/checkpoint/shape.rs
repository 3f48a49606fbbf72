//! A value's bytes, cut into blocks and chunks that are known by their hashes, and the nodes above the blocks.
//!
//! The shape depends on the bytes and the thread's secret alone: made from another value's shape, it is the one that it would be
//! made from nothing. What an append would change (chunks of a block that has not ended, and the tail behind the last of them)
//! stays apart; a block or a node that ended only because the bytes do is never taken for one that is complete.

use std::collections::HashSet;

use super::cut::{self, Common};
use super::record::Secret;

/// What a block, a chunk or a node is known by: the first half of its keyed BLAKE3.
pub(super) type Hash = [u8; HASH_BYTES];
pub(super) const HASH_BYTES: usize = 16;

/// Hashes that end a node have zeros in so many low bits of their first byte: one in eight.
const NODE_MASK: u8 = 0b111;
const LEAST_CHILDREN: usize = 2;
const MOST_CHILDREN: usize = 64;

/// A value's bytes as they are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many bytes the head takes, which is in no chunk.
    pub(super) head: usize,
    pub(super) blocks: Vec<Piece>,
    /// The chunks behind the last block.
    pub(super) chunks: Vec<Piece>,
}

/// A block or a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it ends, counted from the end of the head.
    pub(super) end: usize,
    pub(super) hash: Hash,
}

/// A node: the hashes of its children, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) hash: Hash,
    pub(super) children: Vec<u8>,
}

/// What stands above the blocks of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    /// For each level the hashes that no node of the level above has yet, blocks first.
    pub(super) open: Vec<Vec<Hash>>,
    pub(super) nodes: Vec<Node>,
}

/// Another value, whose shape is known.
pub(super) struct Known<'k> {
    /// Its bytes, the head included.
    pub(super) length: usize,
    pub(super) shape: &'k Shape,
}

impl Shape {
    /// Cuts `bytes`, of which the first `head` stay out of it.
    pub(super) fn of(secret: &Secret, bytes: &[u8], head: usize) -> Self {
        Cutting { secret, body: &bytes[head..], blocks: Vec::new(), chunks: Vec::new() }.finish(head, None)
    }

    /// The same, where another value has `common` bytes with it.
    ///
    /// # Cost
    /// Cutting and hashing what differs.
    pub(super) fn like(secret: &Secret, bytes: &[u8], head: usize, known: &Known<'_>, common: Common) -> Self {
        let mut cutting = Cutting { secret, body: &bytes[head..], blocks: Vec::new(), chunks: Vec::new() };
        let within = |pieces: &[Piece]| pieces.partition_point(|piece| piece.end <= common.prefix);
        let Known { length, shape } = *known;
        let blocks = within(&shape.blocks);
        cutting.blocks.extend(shape.blocks[..blocks].iter().map(Part::known));
        if blocks == shape.blocks.len() {
            cutting.chunks.extend(shape.chunks[..within(&shape.chunks)].iter().map(Part::known));
        }
        cutting.finish(head, Some(Rest { shape, length: length - shape.head, suffix: common.suffix }))
    }

    /// Where the tail begins, counted from the end of the head.
    pub(super) fn tail_start(&self) -> usize {
        self.chunks.last().or(self.blocks.last()).map_or(0, |piece| piece.end)
    }

    /// The blocks and chunks with the bytes that they are made of.
    pub(super) fn pieces<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = (Hash, &'b [u8])> {
        let body = &bytes[self.head..];
        let mut start = 0;
        self.blocks.iter().chain(&self.chunks).map(move |piece| {
            let here = &body[start..piece.end];
            start = piece.end;
            (piece.hash, here)
        })
    }

    /// The nodes above the blocks.
    pub(super) fn levels(&self, secret: &Secret) -> Levels {
        let mut levels = Levels::default();
        let mut hashes: Vec<Hash> = self.blocks.iter().map(|block| block.hash).collect();
        while !hashes.is_empty() {
            let above = levels.nodes.len();
            let open = group(secret, &hashes, &mut levels.nodes);
            levels.open.push(open);
            hashes = levels.nodes[above..].iter().map(|node| node.hash).collect();
        }
        levels
    }

    /// Everything that a value of this shape names.
    pub(super) fn names(&self, levels: &Levels) -> HashSet<Hash> {
        let pieces = self.blocks.iter().chain(&self.chunks).map(|piece| piece.hash);
        pieces.chain(levels.nodes.iter().map(|node| node.hash)).collect()
    }
}

/// Makes nodes of runs that have ended, and answers the hashes behind the last of them.
fn group(secret: &Secret, hashes: &[Hash], nodes: &mut Vec<Node>) -> Vec<Hash> {
    let mut start = 0;
    for (at, hash) in hashes.iter().enumerate() {
        let length = at + 1 - start;
        let is_end = hash[0] & NODE_MASK == 0 && length >= LEAST_CHILDREN;
        if is_end || length == MOST_CHILDREN {
            let children = hashes[start..=at].concat();
            nodes.push(Node { hash: hash_of(secret, &children), children });
            start = at + 1;
        }
    }
    hashes[start..].to_vec()
}

/// What bytes are known by in their thread.
fn hash_of(secret: &Secret, bytes: &[u8]) -> Hash {
    let whole = blake3::keyed_hash(secret, bytes);
    *whole.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// A block or chunk whose hash may not be known yet.
struct Part {
    end: usize,
    hash: Option<Hash>,
}

impl Part {
    fn known(piece: &Piece) -> Self {
        Self { end: piece.end, hash: Some(piece.hash) }
    }
}

/// A value that is being cut; what is cut so far ends with its last chunk, or block.
struct Cutting<'a> {
    secret: &'a Secret,
    body: &'a [u8],
    blocks: Vec<Part>,
    chunks: Vec<Part>,
}

/// What another value looks like where both end alike.
struct Rest<'k> {
    shape: &'k Shape,
    /// The other value's length without its head.
    length: usize,
    suffix: usize,
}

impl Cutting<'_> {
    fn finish(mut self, head: usize, rest: Option<Rest<'_>>) -> Shape {
        loop {
            if self.chunks.is_empty() && rest.as_ref().is_some_and(|rest| self.take_rest(rest)) {
                break;
            }
            if !self.cut() {
                break;
            }
        }
        let body = self.body;
        let blocks = hashed(self.secret, body, 0, self.blocks);
        let start = blocks.last().map_or(0, |block| block.end);
        let chunks = hashed(self.secret, body, start, self.chunks);
        Shape { head, blocks, chunks }
    }

    /// Cuts one chunk; `false` where the bytes end first.
    fn cut(&mut self) -> bool {
        let block_start = self.blocks.last().map_or(0, |block| block.end);
        let start = self.chunks.last().map_or(block_start, |chunk| chunk.end);
        let Some(cut) = cut::next(&self.body[start..], start - block_start) else { return false };
        let part = Part { end: start + cut.length, hash: None };
        if cut.ends_block {
            self.chunks.clear();
            self.blocks.push(part);
        } else {
            self.chunks.push(part);
        }
        true
    }

    /// Takes the cuts of the other value, if both have the same bytes from here to the end and a block ended here in both.
    fn take_rest(&mut self, rest: &Rest<'_>) -> bool {
        let here = self.blocks.last().map_or(0, |block| block.end);
        let remaining = self.body.len() - here;
        if remaining > rest.suffix {
            return false;
        }
        let there = rest.length - remaining;
        let blocks = &rest.shape.blocks;
        let next = blocks.partition_point(|block| block.end <= there);
        let is_boundary = if next == 0 { there == 0 } else { blocks[next - 1].end == there };
        if is_boundary {
            let moved = |piece: &Piece| Part { end: piece.end - there + here, hash: Some(piece.hash) };
            self.blocks.extend(blocks[next..].iter().map(moved));
            self.chunks.extend(rest.shape.chunks.iter().map(moved));
        }
        is_boundary
    }
}

fn hashed(secret: &Secret, body: &[u8], mut start: usize, parts: Vec<Part>) -> Vec<Piece> {
    let hashed = parts.into_iter().map(|Part { end, hash }| {
        let here = &body[start..end];
        start = end;
        Piece { end, hash: hash.unwrap_or_else(|| hash_of(secret, here)) }
    });
    hashed.collect()
}
