//! What an item's records are made of, as plain msgpack: `[ttl, written_at, value]` and `[dimensions, vectors]`.
//!
//! The value stays as the codec wrote it. An entry's own time of change moves when its expiry is put off, so the record keeps when
//! the value was written, from the first time that happens. Vectors are of length 1, or 0 where they had none, so a cosine is a
//! product of two.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::msgpack::{self, Item, Reader};
use crate::value::{Kind, Value};

/// An item as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemRecord<'a> {
    /// How long it lives after a write, and after a read that puts its end off.
    pub(super) ttl: Option<Duration>,
    /// When the value was written; `None` = when the entry was.
    pub(super) written_at: Option<Timestamp>,
    pub(super) value: &'a [u8],
}

const ENDLESS: &str = "a Vec takes all that is written";

impl<'a> ItemRecord<'a> {
    pub(super) fn encode(&self) -> Value<'static> {
        let mut bytes = Vec::with_capacity(self.value.len() + 20);
        msgpack::write_array_head(&mut bytes, 3).expect(ENDLESS);
        match self.ttl {
            Some(ttl) => msgpack::write_u64(&mut bytes, u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
            None => msgpack::write_nil(&mut bytes),
        }
        match self.written_at {
            Some(at) => msgpack::write_integer(&mut bytes, at.as_millis()),
            None => msgpack::write_nil(&mut bytes),
        }
        bytes.extend_from_slice(self.value);
        Value::shared(Kind::Json, bytes)
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, 0);
        let Ok(Item::Array(3)) = reader.item() else { return None };
        let ttl = match reader.item().ok()? {
            Item::Nil => None,
            Item::Unsigned(millis) => Some(Duration::from_millis(millis)),
            _ => return None,
        };
        let written_at = match reader.item().ok()? {
            Item::Nil => None,
            Item::Unsigned(millis) => Some(Timestamp::from_millis(i64::try_from(millis).ok()?)),
            Item::Signed(millis) => Some(Timestamp::from_millis(millis)),
            _ => return None,
        };
        let value = &bytes[reader.offset()..];
        Some(Self { ttl, written_at, value }).filter(|_| !value.is_empty())
    }
}

/// The vectors of an item, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VectorsRecord<'a> {
    pub(super) dimensions: usize,
    numbers: &'a [u8],
}

const NUMBER_BYTES: usize = size_of::<f32>();

impl<'a> VectorsRecord<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, 0);
        let Ok(Item::Array(2)) = reader.item() else { return None };
        let Ok(Item::Unsigned(dimensions)) = reader.item() else { return None };
        let Ok(Item::Bin(numbers)) = reader.item() else { return None };
        let dimensions = usize::try_from(dimensions).ok().filter(|dimensions| *dimensions > 0)?;
        let vector_bytes = dimensions.checked_mul(NUMBER_BYTES)?;
        let is_whole = reader.is_at_end() && numbers.len().is_multiple_of(vector_bytes);
        is_whole.then_some(Self { dimensions, numbers })
    }

    /// The greatest cosine between one of the vectors and `query`, which has length 1 and as many dimensions.
    pub(super) fn best(&self, query: &[f32]) -> Option<f32> {
        self.numbers.chunks_exact(self.dimensions * NUMBER_BYTES).map(|vector| product(vector, query)).reduce(f32::max)
    }
}

/// Writes vectors of as many dimensions as the first, each scaled to length 1.
///
/// # Errors
/// `Invalid` for a vector of another number of dimensions, of none, or with a number that is not finite.
pub(super) fn encode_vectors(vectors: &[Vec<f32>]) -> Result<Value<'static>> {
    let dimensions = vectors.first().map_or(0, Vec::len);
    let mut numbers = Vec::with_capacity(vectors.len() * dimensions * NUMBER_BYTES);
    for vector in vectors {
        for number in unit(vector, dimensions)? {
            numbers.extend_from_slice(&number.to_le_bytes());
        }
    }
    let mut bytes = Vec::with_capacity(numbers.len() + 16);
    msgpack::write_array_head(&mut bytes, 2).expect(ENDLESS);
    msgpack::write_u64(&mut bytes, dimensions as u64);
    msgpack::write_bin(&mut bytes, &numbers).map_err(|_| Error::TooLarge {
        what: "the vectors of an item in bytes".to_owned(),
        size: numbers.len() as u64,
        limit: u64::from(u32::MAX),
    })?;
    Ok(Value::shared(Kind::Json, bytes))
}

/// The vector of length 1 that points as `vector` does; one of length 0 stays.
///
/// # Errors
/// As [`encode_vectors`].
pub(super) fn unit(vector: &[f32], dimensions: usize) -> Result<Vec<f32>> {
    if vector.len() != dimensions || dimensions == 0 {
        let found = vector.len();
        return Err(Error::invalid(format!(
            "an embedding has {found} dimensions, and {} are wanted",
            dimensions.max(1)
        )));
    }
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() {
        return Err(Error::invalid("an embedding holds a number that is not finite as a 32-bit float".to_owned()));
    }
    let scale = if length > 0.0 { length.recip() } else { 0.0 };
    Ok(vector.iter().map(|number| (f64::from(*number) * scale) as f32).collect())
}

/// Sums kept side by side, so that the compiler adds them side by side too.
const LANES: usize = 16;

/// The product of a stored vector with `query`, which is as long.
fn product(stored: &[u8], query: &[f32]) -> f32 {
    let (stored, _) = stored.as_chunks::<NUMBER_BYTES>();
    let (rows, rest) = stored.as_chunks::<LANES>();
    let (query_rows, query_rest) = query.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (row, query_row) in rows.iter().zip(query_rows) {
        for lane in 0..LANES {
            sums[lane] += f32::from_le_bytes(row[lane]) * query_row[lane];
        }
    }
    let rest = rest.iter().zip(query_rest).map(|(number, other)| f32::from_le_bytes(*number) * other).sum::<f32>();
    sums.iter().sum::<f32>() + rest
}
