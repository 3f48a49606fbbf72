//! What a channel held at a version, as it is read: the row, and what the row names.

use super::record::{self, ChannelRecord};
use crate::value::Entry;

/// The row of a channel's version, and what it names.
#[derive(Clone, Debug)]
pub(super) struct Content {
    row: Entry,
}

/// A value as its serializer wrote it, in one part or in several that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    form: &'a str,
    length: usize,
    parts: Vec<&'a [u8]>,
}

impl Content {
    pub(super) fn new(row: Entry) -> Self {
        Self { row }
    }

    /// The value, or `Some(None)` where the channel was empty; `None` when it is not what was stored.
    pub(super) fn read(&self) -> Option<Option<Stored<'_>>> {
        let record: ChannelRecord<'_> = record::decode(self.row.value())?;
        Some(record.map(|value| Stored { form: value.form, length: value.bytes.len(), parts: vec![value.bytes] }))
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

    /// The bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }
}
