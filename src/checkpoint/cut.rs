//! Where a value's bytes are cut.
//!
//! A cut depends on nothing but the bytes before it since the last end of a block, so bytes that follow an edit are cut as they
//! were as soon as one block ends where one ended before, and an append moves no cut. Chunks are small, so that little is
//! written with each change; a run of them makes a block, so that little is looked up to read a value.
//!
//! Cuts are where a gear hash of the bytes before has zeros in its top bits (Xia et al., "FastCDC", USENIX ATC 2016).

/// The least and the most bytes of a chunk; in between, one cut in [`CUT_BITS`] bits.
pub(super) const LEAST_CHUNK: usize = 128;
const MOST_CHUNK: usize = 2048;
const CUT_BITS: u32 = 9;
/// Of the cuts, one in so many bits ends a block, if that has at least and at most so many bytes.
const BLOCK_BITS: u32 = 3;
const LEAST_BLOCK: usize = 1024;
const MOST_BLOCK: usize = 16 * 1024;

/// The end of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The chunk's length.
    pub(super) length: usize,
    pub(super) ends_block: bool,
}

/// The first chunk of `bytes`, of whose block `block_so_far` bytes came before; `None` where the bytes end before it does.
pub(super) fn next(bytes: &[u8], block_so_far: usize) -> Option<Cut> {
    let mut hash = 0_u64;
    let scanned = bytes.get(LEAST_CHUNK..bytes.len().min(MOST_CHUNK))?;
    let is_cut = |hash: u64| hash >> (u64::BITS - CUT_BITS) == 0;
    let found = scanned.iter().position(|byte| {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        is_cut(hash)
    });
    let length = match found {
        Some(at) => LEAST_CHUNK + at + 1,
        None if bytes.len() >= MOST_CHUNK => MOST_CHUNK,
        None => return None,
    };
    let block = block_so_far + length;
    let is_end = (hash << CUT_BITS) >> (u64::BITS - BLOCK_BITS) == 0;
    Some(Cut { length, ends_block: (is_end && block >= LEAST_BLOCK) || block + MOST_CHUNK > MOST_BLOCK })
}

/// A number of 64 bits for each byte, from the generator `splitmix64`; changing one changes where everything is cut.
static GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state = 0_u64;
    let mut at = 0;
    while at < table.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// How many bytes the msgpack head of a list or map takes; 0 for anything else.
///
/// It counts the items, so an append changes it: it stays out of the chunks.
pub(super) fn head_length(msgpack: &[u8]) -> usize {
    let length = match msgpack.first() {
        Some(0x80..=0x9f) => 1,
        Some(0xdc | 0xde) => 3,
        Some(0xdd | 0xdf) => 5,
        _ => 0,
    };
    length.min(msgpack.len())
}

/// How many bytes are compared at a time.
const STRIDE: usize = 512;

/// How many bytes two values begin and end alike with, which never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Common {
    pub(super) prefix: usize,
    pub(super) suffix: usize,
}

impl Common {
    pub(super) fn of(a: &[u8], b: &[u8]) -> Self {
        let prefix = common_prefix(a, b);
        Self { prefix, suffix: common_suffix(&a[prefix..], &b[prefix..]) }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE)).take_while(|(a, b)| a == b).count();
    let start = strides * STRIDE;
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let strides = a.rchunks_exact(STRIDE).zip(b.rchunks_exact(STRIDE)).take_while(|(a, b)| a == b).count();
    let end = strides * STRIDE;
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    end + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}
