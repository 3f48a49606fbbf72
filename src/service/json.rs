//! What the service answers, as JSON text.
//!
//! A value is written exactly: as JSON where JSON holds it, else as base64 with the member `encoding`. So reading never fails.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::msgpack::{Item, Reader, to_json, write_json_string};
use crate::value::{Entry, Kind};

/// A JSON object, or a list, that is being written.
#[derive(Debug)]
pub(super) struct Document(Vec<u8>);

impl Document {
    /// An empty object.
    pub(super) fn object() -> Self {
        Self(vec![b'{'])
    }

    fn name(&mut self, name: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        write_json_string(&mut self.0, name);
        self.0.push(b':');
    }

    /// Adds a member that is a text.
    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        write_json_string(&mut self.0, text);
        self
    }

    /// Adds a member that is a number.
    pub(super) fn number(mut self, name: &str, number: impl Into<i128>) -> Self {
        let number: i128 = number.into();
        self.name(name);
        // Nearly all fit, and are written several times as fast; writing to memory does not fail.
        let _ = match i64::try_from(number) {
            Ok(number) => write!(self.0, "{number}"),
            Err(_) => write!(self.0, "{number}"),
        };
        self
    }

    /// Adds a member that is true or false.
    pub(super) fn flag(self, name: &str, flag: bool) -> Self {
        self.raw(name, if flag { b"true" } else { b"false" })
    }

    /// Adds a member that is already JSON.
    pub(super) fn raw(mut self, name: &str, json: &[u8]) -> Self {
        self.name(name);
        self.0.extend_from_slice(json);
        self
    }

    /// Adds a member that is a number, or null.
    pub(super) fn optional_number(self, name: &str, number: Option<impl Into<i128>>) -> Self {
        match number {
            Some(number) => self.number(name, number),
            None => self.raw(name, b"null"),
        }
    }

    /// Adds a member that is a text, or null.
    pub(super) fn optional_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, b"null"),
        }
    }

    /// Adds a member that is a list, each item as `write` writes it.
    pub(super) fn list<T>(
        mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Vec<u8>, T),
    ) -> Self {
        self.name(name);
        self.0.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.0.push(b',');
            }
            write(&mut self.0, item);
        }
        self.0.push(b']');
        self
    }

    /// The text.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// Writes an item of a list that is a text.
pub(super) fn write_text(out: &mut Vec<u8>, text: impl AsRef<str>) {
    write_json_string(out, text.as_ref());
}

/// The entry `{namespace, key, value, valueType, revision, expiresAt, createdAt, updatedAt}`.
pub(super) fn entry(namespace: &str, entry: &Entry) -> Vec<u8> {
    let (value, encoding) = value(entry);
    let document = Document::object().text("namespace", namespace).text("key", entry.key()).raw("value", &value);
    let document = match encoding {
        Some(encoding) => document.text("encoding", encoding),
        None => document,
    };
    document
        .text("valueType", entry.kind().name())
        .number("revision", entry.revision())
        .optional_number("expiresAt", entry.expires_at().map(|at| at.as_millis()))
        .number("createdAt", entry.created_at().as_millis())
        .number("updatedAt", entry.updated_at().as_millis())
        .finish()
}

/// The value as JSON text, and how it is encoded where it is not itself.
pub(super) fn value(entry: &Entry) -> (Vec<u8>, Option<&'static str>) {
    let mut text = Vec::with_capacity(entry.value().len() + 16);
    if let (Kind::Bytes, Ok(Item::Bin(raw))) = (entry.kind(), Reader::new(entry.value(), 0).item()) {
        write_json_string(&mut text, &BASE64_STANDARD.encode(raw));
        return (text, Some("base64"));
    }
    if to_json(entry.value(), &mut text, usize::MAX) == Ok(true) {
        return (text, None);
    }
    write_json_string(&mut text, &BASE64_STANDARD.encode(entry.value()));
    (text, Some("msgpack+base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_their_order_with_commas_between() {
        let document = Document::object()
            .text("a", "\"")
            .optional_number("b", None::<i64>)
            .list("c", [1, 2], |out, item: i32| out.extend_from_slice(item.to_string().as_bytes()))
            .flag("d", true)
            .finish();

        assert_eq!(String::from_utf8(document).as_deref(), Ok(r#"{"a":"\"","b":null,"c":[1,2],"d":true}"#));
    }
}
