//! The id of a checkpoint.
//!
//! LangGraph's are the texts of UUIDs (<https://www.rfc-editor.org/rfc/rfc9562>), which are kept as the numbers that they say.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_bytes::Bytes;
use uuid::Uuid;

use super::fields::Fields;
use super::record::Record;
use crate::msgpack::Item;

/// The id of a checkpoint, in the one form in which it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id<'a> {
    /// Any text but that of a UUID.
    Text(&'a str),
    /// A UUID, whose text has lower-case digits with hyphens between them.
    Uuid(Uuid),
}

impl<'a> Id<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let uuid = Uuid::try_parse(text)
            .ok()
            .filter(|uuid| uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text);
        uuid.map_or(Self::Text(text), Self::Uuid)
    }

    pub(super) fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Uuid(uuid) => Cow::Owned(uuid.hyphenated().to_string()),
        }
    }
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Uuid(uuid) => Bytes::new(uuid.as_bytes()).serialize(serializer),
        }
    }
}

impl<'a> Record<'a> for Id<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        match fields.item()? {
            Item::Str(text) => str::from_utf8(text).ok().map(Self::Text),
            Item::Bin(bytes) => Uuid::from_slice(bytes).ok().map(Self::Uuid),
            _ => None,
        }
    }
}
