//! Where items lie: all in one namespace of the store, each under one key, and its vectors under a second one beside it.
//!
//! One namespace, so that a batch is atomic on every engine, a cluster too. Labels and keys hold any character, and keys sort as
//! the pair (labels, key) does: a prefix of labels is a range, and never meets a label that only begins like it.

use super::Address;
use crate::error::Result;
use crate::key::{Key, KeyReader, KeyWriter, Namespace, Prefix};

/// U+001F keeps it apart from a user's own.
const ITEMS: &str = "\u{1f}items";
/// What stands before a label, and before the key. The key's sorts first, so a namespace comes before those below it.
const LABEL: &str = ">";
const KEY: &str = "=";

/// Which of the records of an item a key is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record {
    Item,
    Vectors,
}

impl Record {
    fn tag(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Vectors => "vectors",
        }
    }
}

/// The namespace of all items.
pub(super) fn items() -> Namespace<'static> {
    Namespace::new(ITEMS).expect("the name is short")
}

fn below(record: Record, labels: &[String]) -> KeyWriter {
    labels.iter().fold(KeyWriter::new().tag(record.tag()), |key, label| key.tag(LABEL).text(label))
}

/// What the keys of the items under `labels` begin with, in the namespaces below too.
pub(super) fn under(record: Record, labels: &[String]) -> Result<Prefix<'static>> {
    Prefix::new(below(record, labels).finish())
}

/// The key of a record of the item at `address`.
pub(super) fn key(record: Record, address: &Address) -> Result<Key<'static>> {
    Key::new(below(record, &address.labels).tag(KEY).text(&address.key).finish())
}

/// A cursor behind the items of the namespace `labels`, before those below it.
///
/// An item whose key begins with the greatest character may still lie behind it.
pub(super) fn behind(labels: &[String]) -> Result<Key<'static>> {
    Key::new(below(Record::Item, labels).tag(KEY).tag("\u{10ffff}").finish())
}

/// A cursor behind the items of the namespace `labels` and of all those below it.
pub(super) fn behind_below(labels: &[String]) -> Result<Key<'static>> {
    Key::new(below(Record::Item, labels).tag("\u{10ffff}").finish())
}

/// The key of the item whose vectors lie at `key`.
pub(super) fn item_of_vectors(key: &str) -> Option<String> {
    let rest = key.strip_prefix(Record::Vectors.tag())?;
    Some([Record::Item.tag(), rest].concat())
}

/// The address that the key of a record is for.
pub(super) fn read(record: Record, key: &str) -> Option<Address> {
    let mut parts = KeyReader::new(key);
    parts.tag(record.tag())?;
    let mut labels = Vec::new();
    while parts.tag(LABEL).is_some() {
        labels.push(parts.text()?.into_owned());
    }
    parts.tag(KEY)?;
    let key = parts.text()?.into_owned();
    parts.is_at_end().then_some(Address { labels, key })
}
