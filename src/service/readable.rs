//! Any msgpack as JSON for a person to read: what JSON cannot hold is told, never lost in silence, and nothing is executed.
//!
//! Members that begin with `$` are this file's own, and a `$` in front of a stored one is doubled: `{"$bytes": n}` for bytes,
//! `{"$type": "module.Name", "$fields": …}` for an object of LangGraph's serializer, `$more` for what a limit cut off. The text
//! is bounded by the limit, whatever the value is.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::json::Document;
use crate::msgpack::{self, Item, Malformed, Reader, write_json_string};

/// Levels that are shown, those inside extensions included.
const DEEPEST: usize = 96;

/// The bytes of a key that is no text.
const KEY_BYTES: usize = 256;

/// The bytes of a bin that are shown.
const SHOWN_BYTES: usize = 24;

/// The value as JSON text of about `limit` bytes at the most, and whether it is the value exactly.
pub(super) fn readable(bytes: &[u8], limit: usize) -> (Vec<u8>, bool) {
    let mut exact = Vec::new();
    // An exact text is at least half as long as its bytes: what is longer need not be tried.
    if bytes.len() <= 2 * limit && msgpack::to_json(bytes, &mut exact, limit) == Ok(true) {
        return (exact, true);
    }
    let mut writer = Writer { out: Vec::new(), limit };
    match writer.value(bytes, 0, 0) {
        Ok(_) => (writer.out, false),
        Err(malformed) => (Document::object().text("$malformed", &malformed.to_string()).finish(), false),
    }
}

/// The beginning of a value as one line of text.
pub(super) fn preview(bytes: &[u8], characters: usize) -> String {
    let (text, _) = readable(bytes, 4 * characters);
    String::from_utf8_lossy(&text).chars().take(characters).collect()
}

/// What a serializer made, by what it calls the form; what is neither msgpack nor JSON is told by its size.
pub(super) fn serialized(form: &str, bytes: &[u8], limit: usize) -> (Vec<u8>, bool) {
    match form {
        "msgpack" => readable(bytes, limit),
        "null" => (b"null".to_vec(), true),
        "json" => match msgpack::from_json(bytes, msgpack::MAX_DEPTH) {
            Ok(value) => readable(&value, limit),
            Err(error) => (Document::object().text("$malformed", &error.to_string()).finish(), false),
        },
        _ => (opaque(bytes), false),
    }
}

/// Bytes by their number and the first of them.
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let start = BASE64_STANDARD.encode(&bytes[..bytes.len().min(SHOWN_BYTES)]);
    Document::object().number("$bytes", bytes.len() as u64).text("$start", &start).finish()
}

struct Writer {
    out: Vec<u8>,
    limit: usize,
}

impl Writer {
    fn is_full(&self) -> bool {
        self.out.len() >= self.limit
    }

    /// Writes the value that starts at `from`, and tells where it ends; past the limit, where it stopped.
    fn value(&mut self, bytes: &[u8], from: usize, depth: usize) -> Result<usize, Malformed> {
        let mut reader = Reader::new(bytes, from);
        let item = reader.item()?;
        let end = reader.offset();
        match item {
            Item::Array(_) | Item::Map(_) | Item::Ext(..) if depth >= DEEPEST => {
                self.out.extend(Document::object().flag("$deep", true).finish());
                return msgpack::skip(bytes, from);
            }
            Item::Array(count) => return self.array(bytes, end, count, depth + 1),
            Item::Map(pairs) => return self.map(bytes, end, pairs, depth + 1),
            Item::Ext(code, payload) => self.extension(code, payload, depth + 1)?,
            Item::Nil => self.out.extend_from_slice(b"null"),
            Item::Bool(flag) => self.out.extend_from_slice(if flag { b"true" } else { b"false" }),
            Item::Unsigned(integer) => self.out.extend_from_slice(integer.to_string().as_bytes()),
            Item::Signed(integer) => self.out.extend_from_slice(integer.to_string().as_bytes()),
            Item::Float(float) if float.is_finite() => self.out.extend_from_slice(format!("{float:?}").as_bytes()),
            Item::Float(float) => self.out.extend(Document::object().text("$float", &float.to_string()).finish()),
            Item::Str(text) => self.text(text),
            Item::Bin(raw) => self.out.extend(opaque(raw)),
        }
        Ok(end)
    }

    fn text(&mut self, text: &[u8]) {
        let left = self.limit.saturating_sub(self.out.len());
        match std::str::from_utf8(text) {
            Ok(whole) if whole.len() <= left => write_json_string(&mut self.out, whole),
            Ok(whole) => {
                let cut = &whole[..whole.floor_char_boundary(left)];
                let length = whole.len() as u64;
                self.out.extend(Document::object().text("$text", cut).number("$length", length).finish());
            }
            Err(_) => self.out.extend(opaque(text)),
        }
    }

    fn array(&mut self, bytes: &[u8], from: usize, count: usize, depth: usize) -> Result<usize, Malformed> {
        let mut at = from;
        self.out.push(b'[');
        for place in 0..count {
            self.separate(place);
            // Whatever encloses this is full too, so nobody asks where it ends.
            if self.is_full() {
                self.out.extend(Document::object().number("$more", (count - place) as u64).finish());
                break;
            }
            at = self.value(bytes, at, depth)?;
        }
        self.out.push(b']');
        Ok(at)
    }

    fn map(&mut self, bytes: &[u8], from: usize, pairs: usize, depth: usize) -> Result<usize, Malformed> {
        let mut at = from;
        self.out.push(b'{');
        for place in 0..pairs {
            self.separate(place);
            if self.is_full() {
                self.out.extend_from_slice(format!("\"$more\":{}", pairs - place).as_bytes());
                break;
            }
            at = self.key(bytes, at, depth)?;
            self.out.push(b':');
            at = self.value(bytes, at, depth)?;
        }
        self.out.push(b'}');
        Ok(at)
    }

    /// Writes a key: a text as it is, another value as `$key:` and its text.
    fn key(&mut self, bytes: &[u8], from: usize, depth: usize) -> Result<usize, Malformed> {
        let mut reader = Reader::new(bytes, from);
        if let Item::Str(text) = reader.item()?
            && let Ok(text) = std::str::from_utf8(text)
        {
            let text = &text[..text.floor_char_boundary(self.limit)];
            match text.strip_prefix('$') {
                Some(rest) => write_json_string(&mut self.out, &format!("$${rest}")),
                None => write_json_string(&mut self.out, text),
            }
            return Ok(reader.offset());
        }
        let mut writer = Self { out: Vec::new(), limit: KEY_BYTES };
        // A key that fills its own room stops early, and what follows it is still wanted.
        let end = msgpack::skip(bytes, from)?;
        writer.value(bytes, from, depth)?;
        // Each level of keys within keys escapes the quotes of the one inside it, so a text that is not cut would double.
        writer.out.truncate(KEY_BYTES);
        write_json_string(&mut self.out, &format!("$key:{}", String::from_utf8_lossy(&writer.out)));
        Ok(end)
    }

    fn separate(&mut self, place: usize) {
        if place > 0 {
            self.out.push(b',');
        }
    }

    /// Writes an extension of LangGraph's serializer: the type that it names, and what it would be made of.
    fn extension(&mut self, code: i8, payload: &[u8], depth: usize) -> Result<(), Malformed> {
        let part = match code {
            0 | 3 => "$value",
            1 => "$args",
            2 | 4 | 5 => "$fields",
            6 => return self.named("numpy.ndarray", "$args", payload, 0, depth),
            7 => return self.named("langgraph.DeltaSnapshot", "$value", payload, 0, depth),
            _ => {
                let shown = Document::object().number("$ext", code).number("$bytes", payload.len() as u64);
                self.out.extend(shown.finish());
                return Ok(());
            }
        };
        match read_type(payload) {
            Some((name, from)) => self.named(&name, part, payload, from, depth),
            None => self.named("", "$value", payload, 0, depth),
        }
    }

    fn named(&mut self, name: &str, part: &str, payload: &[u8], from: usize, depth: usize) -> Result<(), Malformed> {
        self.out.extend_from_slice(b"{\"$type\":");
        write_json_string(&mut self.out, name);
        self.out.push(b',');
        write_json_string(&mut self.out, part);
        self.out.push(b':');
        self.value(payload, from, depth)?;
        self.out.push(b'}');
        Ok(())
    }
}

/// Module and name of `[module, name, …]`, and where the rest begins.
fn read_type(payload: &[u8]) -> Option<(String, usize)> {
    let mut reader = Reader::new(payload, 0);
    let Ok(Item::Array(3..)) = reader.item() else { return None };
    let (Ok(Item::Str(module)), Ok(Item::Str(name))) = (reader.item(), reader.item()) else { return None };
    Some((format!("{}.{}", String::from_utf8_lossy(module), String::from_utf8_lossy(name)), reader.offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], limit: usize) -> String {
        String::from_utf8(readable(bytes, limit).0).expect("JSON is UTF-8")
    }

    #[test]
    fn what_json_holds_is_exact_and_what_it_does_not_hold_is_told() {
        assert_eq!(readable(b"\x81\xa1a\x01", 100), (br#"{"a":1}"#.to_vec(), true));
        // A map with a bin, a member that begins with $, an integer key, an infinity and a foreign extension.
        let mut bytes = b"\x85\xa1b\xc4\x02\x00\x01\xa2$x\x01\x07\xc0\xa1f\xcb".to_vec();
        bytes.extend(f64::INFINITY.to_be_bytes());
        bytes.extend(b"\xa1e\xd4\x63\x00");

        assert_eq!(
            shown(&bytes, 1000),
            r#"{"b":{"$bytes":2,"$start":"AAE="},"$$x":1,"$key:7":null,"f":{"$float":"inf"},"e":{"$ext":99,"$bytes":1}}"#
        );
    }

    #[test]
    fn an_object_of_the_serializer_is_shown_by_its_type_and_fields() {
        // Extension 5 of ["m", "Point", {"x": 1}, "model_validate_json"].
        let payload = b"\x94\xa1m\xa5Point\x81\xa1x\x01\xa1v";
        let mut bytes = vec![0xc7, payload.len() as u8, 5];
        bytes.extend(payload);

        assert_eq!(shown(&bytes, 100), r#"{"$type":"m.Point","$fields":{"x":1}}"#);
    }

    #[test]
    fn a_limit_cuts_lists_maps_and_texts_and_tells_what_is_missing() {
        let list: Vec<u8> = [0xdc, 0x10, 0x00].into_iter().chain([7; 4096]).collect();
        let text: Vec<u8> = [0xda, 0x10, 0x00].into_iter().chain([b'x'; 4096]).collect();

        assert_eq!(shown(&list, 6), r#"[7,7,7,{"$more":4093}]"#);
        assert_eq!(shown(&text, 3), r#"{"$text":"xxx","$length":4096}"#);
    }

    #[test]
    fn hostile_bytes_are_malformed_or_cut_but_never_a_crash() {
        // Extensions inside extensions go as deep as lists do.
        let mut nested = vec![0xc0];
        for _ in 0..5000 {
            let mut outer = vec![0xc9];
            outer.extend((nested.len() as u32).to_be_bytes());
            outer.push(7);
            outer.extend(nested);
            nested = outer;
        }

        assert!(shown(&[0xdd, 0xff, 0xff, 0xff, 0xff], 100).contains("$malformed"));
        assert!(shown(&[0x91; 200], 1000).contains("$malformed"));
        assert!(shown(&nested, 1 << 20).contains("$deep"));
        // Maps whose keys are maps.
        let keys: Vec<u8> = [0x81; 90].into_iter().chain([0xc0; 91]).collect();
        assert!(shown(&keys, 1 << 20).len() < 2048);
    }
}
