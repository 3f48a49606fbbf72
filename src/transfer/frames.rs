//! Cuts the bytes of an export into records, without knowing what they mean.
//!
//! What is read ahead is at most a record and as much again, and a record is at most [`MAX_RECORD_BYTES`] long, so a length that a
//! file only promises never becomes memory.

use std::io::Read;

use super::Failure;
use super::record::Format;
use crate::error::Error;
use crate::msgpack;

/// The longest record: a value of 256 MiB in base64, with its names, and room to spare.
pub(super) const MAX_RECORD_BYTES: usize = 512 * 1024 * 1024;

/// The least that is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) struct Frames<R> {
    source: R,
    format: Format,
    /// The bytes from `start` on are not cut yet.
    buffer: Vec<u8>,
    start: usize,
    is_at_end: bool,
    /// How many records were cut.
    number: u64,
    max_record_bytes: usize,
}

impl<R: Read> Frames<R> {
    /// Begins with the first record, whose first byte tells the format.
    ///
    /// # Errors
    /// `Invalid` when it is no export.
    pub(super) fn new(source: R) -> Result<Self, Failure> {
        Self::with_limit(source, MAX_RECORD_BYTES)
    }

    fn with_limit(source: R, max_record_bytes: usize) -> Result<Self, Failure> {
        let format = Format::Msgpack;
        let mut frames =
            Self { source, format, buffer: Vec::new(), start: 0, is_at_end: false, number: 0, max_record_bytes };
        frames.fill()?;
        let first = frames.buffer.first().ok_or_else(|| Error::invalid("the export is empty"))?;
        frames.format = Format::that_begins_with(*first).ok_or_else(|| {
            Error::invalid("this is no export of a store: it begins neither as msgpack nor as JSON lines")
        })?;
        Ok(frames)
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether the last record is a line without an end, behind which nothing comes.
    pub(super) fn lacks_its_end(&self) -> bool {
        let is_last = self.is_at_end && self.start == self.buffer.len();
        self.format == Format::JsonLines && is_last && self.buffer.last() != Some(&b'\n')
    }

    /// The number of the last record, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// `Invalid` when the bytes end inside it or cannot be one, `TooLarge` above the limit.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        let mut searched = 0;
        loop {
            let rest = &self.buffer[self.start..];
            if rest.is_empty() && self.is_at_end {
                return Ok(None);
            }
            if let Some(length) = self.cut(searched)? {
                self.require_within_limit(length)?;
                let begin = self.start;
                self.start += length;
                self.number += 1;
                return Ok(Some(&self.buffer[begin..begin + length]));
            }
            searched = rest.len();
            self.require_within_limit(searched)?;
            if self.is_at_end {
                let number = self.number + 1;
                return Err(Error::invalid(format!("the export ends inside record {number}: it was cut off")).into());
            }
            self.fill()?;
        }
    }

    /// The length of the record that begins at `start`; `None` where it does not end in what was read.
    fn cut(&self, searched: usize) -> Result<Option<usize>, Failure> {
        let rest = &self.buffer[self.start..];
        match self.format {
            Format::JsonLines => {
                let end = rest[searched..].iter().position(|byte| *byte == b'\n').map(|at| searched + at + 1);
                Ok(end.or((self.is_at_end).then_some(rest.len())))
            }
            Format::Msgpack => match msgpack::skip(rest, 0) {
                Ok(end) => Ok(Some(end)),
                Err(malformed) if malformed.is_cut_off() => Ok(None),
                Err(malformed) => Err(Error::invalid(format!("record {} is {malformed}", self.number + 1)).into()),
            },
        }
    }

    fn require_within_limit(&self, length: usize) -> Result<(), Failure> {
        if length <= self.max_record_bytes {
            return Ok(());
        }
        let (what, limit) = (format!("record {} in bytes", self.number + 1), self.max_record_bytes as u64);
        Err(Error::TooLarge { what, size: length as u64, limit }.into())
    }

    /// Reads as much again as is held.
    fn fill(&mut self) -> Result<(), Failure> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let wanted = self.buffer.len().max(CHUNK_BYTES);
        let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.buffer)?;
        self.is_at_end = read < wanted;
        Ok(())
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(bytes: &[u8], limit: usize) -> Result<Vec<usize>, Failure> {
        let mut frames = Frames::with_limit(bytes, limit)?;
        let mut found = Vec::new();
        while let Some(frame) = frames.next()? {
            found.push(frame.len());
        }
        Ok(found)
    }

    #[test]
    fn records_are_cut_wherever_the_chunks_end() {
        let long =
            [b"{".repeat(CHUNK_BYTES - 1), b"\n".to_vec(), b"{".repeat(3 * CHUNK_BYTES), b"\n{".to_vec()].concat();

        let found = lengths(&long, MAX_RECORD_BYTES).expect("lines");

        assert_eq!(found, [CHUNK_BYTES, 3 * CHUNK_BYTES + 1, 1]);
    }

    #[test]
    fn a_record_above_the_limit_is_too_large_before_it_is_read_whole() {
        let endless = std::io::repeat(b'{');

        let refused = Frames::with_limit(endless, 100_000).expect("it begins as JSON").next().map(|_| ());

        assert!(matches!(
            refused,
            Err(Failure::Store(Error::TooLarge { what, size: ..=300_000, limit: 100_000 })) if what == "record 1 in bytes"
        ));
    }

    #[test]
    fn a_record_above_the_limit_is_too_large_also_where_its_end_was_read_ahead() {
        let line = [b"{".repeat(1000), b"\n".to_vec()].concat();

        assert_eq!(lengths(&line, 1001).expect("it is within the limit"), [1001]);
        assert!(matches!(lengths(&line, 1000), Err(Failure::Store(Error::TooLarge { size: 1001, limit: 1000, .. }))));
    }

    #[test]
    fn a_length_that_is_only_promised_takes_no_memory() {
        let promising = [0x92, msgpack::marker::STR32, 0xff, 0xff, 0xff, 0xff, b'x'];

        let refused = lengths(&promising, MAX_RECORD_BYTES);

        assert!(matches!(refused, Err(Failure::Store(Error::Invalid { what })) if what.contains("inside record 1")));
    }
}
