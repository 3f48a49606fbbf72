//! Values and entries: msgpack bytes with what the store knows about them.
//!
//! Bytes that two hold are never changed. An [`Entry`] is one allocation that holds header, key and value together; a value
//! above [`INLINE_VALUE_BYTES`] stands apart, so that changing an entry's expiry, or writing it again, never copies it. This
//! file does not look inside the bytes.

use std::fmt;

use triomphe::{Arc, ThinArc};

use crate::clock::Timestamp;
use crate::key::Key;

/// A positive number that rises with every change of a namespace; 0 stands for "nothing there".
pub type Revision = u64;

/// The largest value that an [`Entry`] holds inside its own allocation.
pub const INLINE_VALUE_BYTES: usize = 4096;

/// What an entry holds, as its writer declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An integer within `i64`, in its shortest msgpack form; the only kind that can be incremented.
    Integer,
    /// A text.
    String,
    /// Raw bytes.
    Bytes,
    /// Any other value.
    Json,
}

impl Kind {
    /// The kind's name at every door.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Json => "json",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Integer, Self::String, Self::Bytes, Self::Json].into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The bytes of one well-formed msgpack value on their way into a store, borrowed or shared.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    kind: Kind,
    bytes: Bytes<'a>,
}

#[derive(Clone, Debug)]
enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Shared(Arc<Vec<u8>>),
}

impl<'a> Value<'a> {
    /// A value that stays where it is; a store copies it once.
    pub const fn borrowed(kind: Kind, msgpack: &'a [u8]) -> Self {
        Self { kind, bytes: Bytes::Borrowed(msgpack) }
    }

    /// A value that a store may keep without copying it.
    pub fn shared(kind: Kind, msgpack: Vec<u8>) -> Value<'static> {
        Value { kind, bytes: Bytes::Shared(Arc::new(msgpack)) }
    }

    /// What the value is declared to be.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The msgpack bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }

    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self.bytes {
            Bytes::Borrowed(bytes) => Value::shared(self.kind, bytes.to_vec()),
            Bytes::Shared(bytes) => Value { kind: self.kind, bytes: Bytes::Shared(bytes) },
        }
    }
}

/// One key with its value and everything the store knows about it. Cloning shares it.
#[derive(Clone)]
pub struct Entry(ThinArc<Header, u8>);

/// What an entry is besides its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The entry's revision.
    pub revision: Revision,
    /// When the key came to live.
    pub created_at: Timestamp,
    /// When this revision was written.
    pub updated_at: Timestamp,
    /// When the entry goes; `None` = never.
    pub expires_at: Option<Timestamp>,
}

struct Header {
    revision: Revision,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// `NEVER` stands for none, so that the header stays 48 bytes.
    expires_at: Timestamp,
    /// A value that is too large to stand behind the key.
    apart: Option<Arc<Vec<u8>>>,
    key_bytes: u16,
    kind: Kind,
}

const NEVER: Timestamp = Timestamp::MAX;

impl Header {
    #[inline]
    fn restamp(&mut self, kind: Kind, stamp: Stamp) {
        self.revision = stamp.revision;
        self.created_at = stamp.created_at;
        self.updated_at = stamp.updated_at;
        self.expires_at = stamp.expires_at.unwrap_or(NEVER);
        self.kind = kind;
    }
}

impl Entry {
    /// Makes the entry of `key`.
    ///
    /// # Cost
    /// One allocation; copies the key, and the value unless it is shared and above [`INLINE_VALUE_BYTES`].
    pub fn new(key: &Key<'_>, value: &Value<'_>, stamp: Stamp) -> Self {
        let bytes = value.as_bytes();
        if bytes.len() <= INLINE_VALUE_BYTES {
            return Self::build(key.as_bytes(), bytes, None, value.kind, stamp);
        }
        let apart = match &value.bytes {
            Bytes::Borrowed(bytes) => Arc::new(bytes.to_vec()),
            Bytes::Shared(bytes) => bytes.clone(),
        };
        Self::build(key.as_bytes(), &[], Some(apart), value.kind, stamp)
    }

    /// The same key and value under another stamp; a large value is shared, not copied.
    pub fn restamped(&self, stamp: Stamp) -> Self {
        let (key, inline) = self.0.slice.split_at(self.key_length());
        Self::build(key, inline, self.head().apart.clone(), self.kind(), stamp)
    }

    /// Gives the entry another value and stamp in its place, where nobody else holds it and the value is as long as the one that it
    /// has inside; else answers `false` and leaves it as it is.
    ///
    /// # Cost
    /// Copies the value; allocates nothing.
    #[inline]
    pub(crate) fn rewrite(&mut self, value: &Value<'_>, stamp: Stamp) -> bool {
        let bytes = value.as_bytes();
        self.0.with_arc_mut(|shared| {
            let Some(own) = Arc::get_mut(shared) else { return false };
            let key_length = usize::from(own.header().key_bytes);
            let is_apart = own.header().apart.is_some();
            match own.slice_mut().get_mut(key_length..) {
                Some(room) if room.len() == bytes.len() && !is_apart => room.copy_from_slice(bytes),
                _ => return false,
            }
            own.header_mut().restamp(value.kind, stamp);
            true
        })
    }

    fn build(key: &[u8], inline: &[u8], apart: Option<Arc<Vec<u8>>>, kind: Kind, stamp: Stamp) -> Self {
        let head = Header {
            revision: stamp.revision,
            created_at: stamp.created_at,
            updated_at: stamp.updated_at,
            expires_at: stamp.expires_at.unwrap_or(NEVER),
            apart,
            key_bytes: u16::try_from(key.len()).expect("a name is at most 4,096 bytes long"),
            kind,
        };
        Self(match key.len() + inline.len() {
            ..=128 => ThinArc::from_header_and_slice(head, join::<128>(key, inline, &mut [0; 128])),
            129..=1024 => ThinArc::from_header_and_slice(head, join::<1024>(key, inline, &mut [0; 1024])),
            _ => ThinArc::from_header_and_slice(head, &[key, inline].concat()),
        })
    }

    fn head(&self) -> &Header {
        &self.0.header.header
    }

    fn key_length(&self) -> usize {
        usize::from(self.head().key_bytes)
    }

    /// The key.
    ///
    /// # Cost
    /// O(length): the text is checked again; [`Entry::key_bytes`] costs nothing.
    pub fn key(&self) -> &str {
        std::str::from_utf8(self.key_bytes()).expect("an entry is made from a text key")
    }

    /// The key's UTF-8.
    pub fn key_bytes(&self) -> &[u8] {
        &self.0.slice[..self.key_length()]
    }

    /// The value: one well-formed msgpack value, if its writer kept to the contract.
    pub fn value(&self) -> &[u8] {
        match &self.head().apart {
            Some(bytes) => bytes,
            None => &self.0.slice[self.key_length()..],
        }
    }

    /// Kind and bytes, ready to be written elsewhere.
    pub fn to_value(&self) -> Value<'_> {
        let bytes = match &self.head().apart {
            Some(apart) => Bytes::Shared(apart.clone()),
            None => Bytes::Borrowed(self.value()),
        };
        Value { kind: self.kind(), bytes }
    }

    /// What the value was declared to be.
    pub fn kind(&self) -> Kind {
        self.head().kind
    }

    /// The revision that wrote this entry.
    pub fn revision(&self) -> Revision {
        self.head().revision
    }

    /// When the key came to live; kept while it lives.
    pub fn created_at(&self) -> Timestamp {
        self.head().created_at
    }

    /// When this revision was written.
    pub fn updated_at(&self) -> Timestamp {
        self.head().updated_at
    }

    /// When the entry goes; `None` = never.
    pub fn expires_at(&self) -> Option<Timestamp> {
        Some(self.head().expires_at).filter(|at| *at != NEVER)
    }

    /// Whether the entry is gone at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|at| at <= now)
    }

    /// Whether both are one allocation.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.head(), other.head())
    }
}

/// Key and value side by side in `room`, without an allocation.
fn join<'a, const ROOM: usize>(key: &[u8], value: &[u8], room: &'a mut [u8; ROOM]) -> &'a [u8] {
    room[..key.len()].copy_from_slice(key);
    room[key.len()..][..value.len()].copy_from_slice(value);
    &room[..key.len() + value.len()]
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key())
            .field("kind", &self.kind())
            .field("revision", &self.revision())
            .field("value_bytes", &self.value().len())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Stamp = stamp(1);
    const SECOND: Stamp = stamp(2);

    const fn stamp(revision: Revision) -> Stamp {
        let at = Timestamp::from_millis(revision as i64);
        Stamp { revision, created_at: at, updated_at: at, expires_at: None }
    }

    fn value(bytes: &[u8]) -> Value<'_> {
        Value::borrowed(Kind::Json, bytes)
    }

    fn entry(bytes: &[u8]) -> Entry {
        Entry::new(&Key::new("key").expect("short"), &value(bytes), FIRST)
    }

    #[test]
    fn an_entry_that_one_holds_takes_a_value_of_the_same_length_in_its_place() {
        let mut entry = entry(b"\x91\x01");

        assert!(entry.rewrite(&Value::borrowed(Kind::Bytes, b"\xc4\x00"), SECOND));

        assert_eq!((entry.key(), entry.value(), entry.kind()), ("key", b"\xc4\x00".as_slice(), Kind::Bytes));
        assert_eq!((entry.revision(), entry.updated_at()), (2, SECOND.updated_at));
    }

    #[test]
    fn an_entry_that_two_hold_is_not_rewritten() {
        let mut entry = entry(b"\x01");
        let seen = entry.clone();

        assert!(!entry.rewrite(&value(b"\x02"), SECOND));

        assert_eq!((seen.value(), seen.revision(), entry.revision()), (b"\x01".as_slice(), 1, 1));
    }

    #[test]
    fn a_value_of_another_length_does_not_fit() {
        let mut entry = entry(b"\x01");

        assert!(!entry.rewrite(&value(b"\x91\x01"), SECOND) && !entry.rewrite(&value(b""), SECOND));

        assert_eq!((entry.value(), entry.revision()), (b"\x01".as_slice(), 1));
    }

    #[test]
    fn a_value_that_stands_apart_is_not_rewritten() {
        let large = vec![0; INLINE_VALUE_BYTES + 1];
        let mut entry = entry(&large);

        assert!(!entry.rewrite(&value(&large), SECOND) && !entry.rewrite(&value(b""), SECOND));

        assert_eq!((entry.value().len(), entry.revision()), (large.len(), 1));
    }
}
