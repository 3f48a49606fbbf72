//! Reading a record field by field, each of the type that was written.
//!
//! Every read of a checkpoint does this for the checkpoint, its metadata and each of its channels, so nothing is looked up by name or
//! guessed by type; `None` says that something else stands there.

use crate::msgpack::{Item, Reader};

/// How many items of a list are made room for before they are read.
const MOST_ROOM: usize = 64;

/// A record that is being read.
pub(super) struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    pub(super) fn new(msgpack: &'a [u8]) -> Self {
        Self(Reader::new(msgpack, 0))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_at_end()
    }

    pub(super) fn item(&mut self) -> Option<Item<'a>> {
        self.0.item().ok()
    }

    /// Passes the head of a list of so many fields.
    pub(super) fn list(&mut self, length: usize) -> Option<()> {
        (self.item()? == Item::Array(length)).then_some(())
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let Item::Str(text) = self.item()? else { return None };
        str::from_utf8(text).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let Item::Bin(bytes) = self.item()? else { return None };
        Some(bytes)
    }

    pub(super) fn count(&mut self) -> Option<u64> {
        let Item::Unsigned(count) = self.item()? else { return None };
        Some(count)
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        match self.item()? {
            Item::Unsigned(integer) => i64::try_from(integer).ok(),
            Item::Signed(integer) => Some(integer),
            _ => None,
        }
    }

    /// Nil, or what `read` reads.
    pub(super) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let here = self.0.clone();
        if self.item()? == Item::Nil {
            return Some(None);
        }
        self.0 = here;
        read(self).map(Some)
    }

    /// A list of what `read` reads.
    pub(super) fn list_of<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let Item::Array(length) = self.item()? else { return None };
        let mut items = Vec::with_capacity(length.min(MOST_ROOM));
        for _ in 0..length {
            items.push(read(self)?);
        }
        Some(items)
    }
}
