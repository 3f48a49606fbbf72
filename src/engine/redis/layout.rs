//! Names and bytes: what a namespace's keys are called, what stands in them, and what a script is told.
//!
//! A namespace `n` under the prefix `p` is two keys of one slot: `{p:n}h`, a hash of its entries, and `{p:n}z`, a sorted set that
//! orders them. Two more keys, `{p}c` and `{p}i`, are the catalogue of namespaces and snapshots. What would end a part of a name is
//! escaped, so that no prefix meets another one's keys. An entry is a msgpack array of seven with a head of fixed width, which any
//! client reads and a script cuts by position. The scripts in `lua/` hold the other half of this file.

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::msgpack;
use crate::store::{Order, Range};
use crate::value::{Entry, Kind, Stamp, Value};

/// The longest prefix, in bytes of UTF-8.
const MAX_PREFIX_BYTES: usize = 256;
/// The head of a stored entry: all but its value.
const HEAD_BYTES: usize = 47;
/// Numbers in a script are exact below this; revisions stay there.
const MOST_EXACT: i64 = 1 << 53;

/// How the keys of one store are named.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    prefix: String,
}

/// The two keys of a namespace, or of the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) hash: Vec<u8>,
    pub(super) index: Vec<u8>,
}

impl Layout {
    /// The layout of the store under `prefix`.
    ///
    /// # Errors
    /// `Invalid` for an empty prefix or one above 256 bytes.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        match prefix.len() {
            0 => Err(Error::invalid("a prefix must not be empty")),
            1..=MAX_PREFIX_BYTES => Ok(Self { prefix: escape(prefix, &['%', ':', '{', '}']) }),
            length => Err(Error::invalid(format!("a prefix of {length} bytes is longer than {MAX_PREFIX_BYTES}"))),
        }
    }

    /// The prefix as it stands in the names of keys.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The keys of a namespace.
    pub(super) fn namespace(&self, namespace: &str) -> Keys {
        let tag = format!("{{{}:{}}}", self.prefix, escape(namespace, &['%', '}']));
        Keys { hash: format!("{tag}h").into_bytes(), index: format!("{tag}z").into_bytes() }
    }

    /// The keys of the catalogue.
    pub(super) fn catalogue(&self) -> Keys {
        Keys { hash: format!("{{{}}}c", self.prefix).into_bytes(), index: format!("{{{}}}i", self.prefix).into_bytes() }
    }
}

fn escape(text: &str, escaped: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match escaped.contains(&character) {
            true => out.push_str(&format!("%{:02X}", u32::from(character))),
            false => out.push(character),
        }
    }
    out
}

/// A moment as a script is told it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) at: Timestamp,
    pub(super) micros: i64,
}

impl Now {
    /// The moment in eight bytes, as an entry's head holds times.
    pub(super) fn time(self) -> [u8; 8] {
        self.at.as_millis().to_be_bytes()
    }

    /// The moment in microseconds, in eight bytes.
    pub(super) fn micros_bytes(self) -> [u8; 8] {
        self.micros.to_be_bytes()
    }

    /// The moment in microseconds, as far as a revision may be one.
    pub(super) fn revision_floor(self) -> i64 {
        self.micros.clamp(0, MOST_EXACT / 2)
    }

    /// The first member of the expiry index that is not due.
    pub(super) fn due(self) -> Vec<u8> {
        let next = self.at.as_millis().saturating_add(1).cast_unsigned() ^ (1 << 63);
        [b"x".as_slice(), &next.to_be_bytes()].concat()
    }
}

/// An expiry in eight bytes, as an entry's head holds it.
pub(super) fn expiry_bytes(expires_at: Option<Timestamp>) -> [u8; 8] {
    expires_at.unwrap_or(Timestamp::MAX).as_millis().to_be_bytes()
}

/// A kind as one byte of an entry's head.
pub(super) fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Integer => 0,
        Kind::String => 1,
        Kind::Bytes => 2,
        Kind::Json => 3,
    }
}

/// The kind that a byte of an entry's head stands for.
pub(super) fn kind_of_code(code: u8) -> Option<Kind> {
    match code {
        0 => Some(Kind::Integer),
        1 => Some(Kind::String),
        2 => Some(Kind::Bytes),
        3 => Some(Kind::Json),
        _ => None,
    }
}

/// Kind and value as a script takes them: the kind's byte, then the value; an integer always in nine bytes.
pub(super) fn value_bytes(value: &Value<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.as_bytes().len() + 10);
    bytes.push(kind_code(value.kind()));
    match (value.kind(), msgpack::read_integer(value.as_bytes())) {
        (Kind::Integer, Some(integer)) => {
            bytes.push(0xd3);
            bytes.extend_from_slice(&integer.to_be_bytes());
        }
        _ => bytes.extend_from_slice(value.as_bytes()),
    }
    bytes
}

/// Reads a stored entry.
///
/// # Errors
/// `Corrupt` when the bytes are not what a store writes.
pub(super) fn read_entry(key: &[u8], stored: &[u8]) -> Result<Entry> {
    parse(key, stored).ok_or_else(|| {
        Error::corrupt(format!("what stands under key {:?} on the server is no entry", String::from_utf8_lossy(key)))
    })
}

fn parse(key: &[u8], stored: &[u8]) -> Option<Entry> {
    let (head, value) = stored.split_at_checked(HEAD_BYTES)?;
    let marks = [head[0], head[2], head[11], head[20], head[29], head[38]];
    if marks != [0x97, 0xcf, 0xcf, 0xd3, 0xd3, 0xd3] {
        return None;
    }
    let key = Key::new(std::str::from_utf8(key).ok()?).ok()?;
    let kind = kind_of_code(head[1])?;
    let time = |at: usize| Some(Timestamp::from_millis(i64::from_be_bytes(head[at..at + 8].try_into().ok()?)));
    let stamp = Stamp {
        revision: u64::from_be_bytes(head[3..11].try_into().ok()?),
        created_at: time(21)?,
        updated_at: time(30)?,
        expires_at: time(39).filter(|at| *at != Timestamp::MAX),
    };
    if kind != Kind::Integer {
        return Some(Entry::new(&key, &Value::borrowed(kind, value), stamp));
    }
    let integer = i64::from_be_bytes(value.strip_prefix(&[0xd3])?.try_into().ok()?);
    Some(Entry::new(&key, &Value::from(integer), stamp))
}

/// Whether a field of a namespace's hash is a user's key; the store's own fields are no UTF-8.
pub(super) fn is_key(field: &[u8]) -> bool {
    field.first().is_none_or(|byte| *byte < 0xfe)
}

/// The bounds of a range among members that begin with `head`, each behind the sign that says whether it belongs.
pub(super) fn bounds(head: &[u8], range: &Range<'_>) -> (Vec<u8>, Vec<u8>) {
    let prefix = range.prefix.as_bytes();
    let after = range.after.as_ref().map(Key::as_bytes);
    // No name holds the byte 255, so all that begin with the prefix sort before it.
    let end = [prefix, b"\xff"].concat();
    let (low, high) = match (after, range.order) {
        (Some(after), Order::Ascending) if after >= prefix => ([b"(", head, after].concat(), end),
        (Some(after), Order::Descending) if after < end.as_slice() => ([b"[", head, prefix].concat(), after.to_vec()),
        _ => ([b"[", head, prefix].concat(), end),
    };
    (low, [b"(", head, &high].concat())
}

/// The word that a script takes for an order.
pub(super) fn order_word(order: Order) -> &'static str {
    match order {
        Order::Ascending => "up",
        Order::Descending => "down",
    }
}

/// The name of a listed member, behind its head.
///
/// # Errors
/// `Corrupt` when it is no text.
pub(super) fn read_name(name: &[u8]) -> Result<String> {
    String::from_utf8(name.to_vec()).map_err(|_| Error::corrupt("a name on the server is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_prefixes_never_meet_whatever_characters_they_hold() {
        let texts = ["x", "x:y", "x:", ":", "{", "}", "x}", "{x}", "%", "%3A", "x%3Ay", "y:z", "z", "y", "é"];
        let mut seen = std::collections::BTreeMap::new();
        for prefix in texts {
            let layout = Layout::new(prefix).expect("it is short");
            let mut all = vec![("the catalogue", layout.catalogue())];
            all.extend(texts.iter().chain(&[""]).map(|name| (*name, layout.namespace(name))));
            for (name, keys) in all {
                for key in [keys.hash, keys.index] {
                    let other = seen.insert(key, (prefix, name));
                    assert_eq!(other, None, "{prefix:?} {name:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_entry_is_corrupt() {
        for stored in [&b""[..], b"\x97", &[0x97; 60], &[0; HEAD_BYTES]] {
            assert!(matches!(read_entry(b"k", stored), Err(Error::Corrupt { .. })));
        }
    }

    #[test]
    fn a_prefix_has_at_least_one_byte_and_at_most_256() {
        assert!(Layout::new("").is_err() && Layout::new(&"x".repeat(257)).is_err());
        assert!(Layout::new(&"x".repeat(256)).is_ok());
    }
}
