//! What an export holds: a header, a record for each entry, and a trailer that counts them; as msgpack or as lines of JSON.
//!
//! A msgpack record is an array, told by its length: `["swarmstate", 1]` is the header, `[namespace, key, kind, value,
//! revision, created_at, updated_at, expires_at]` an entry, its value a bin with the bytes as they are stored, and `[entries]` the
//! trailer. A line of JSON is an object with the same members by name. A value that JSON cannot hold exactly stands there as
//! `msgpack`, the base64 of its bytes, instead of as `value`. Revision and times are information: an import gives its own. No other file knows these forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::msgpack::{self, Item, MAX_DEPTH, Reader, TooLong};
use crate::store::{Expiry, Operation};
use crate::value::{Entry, Kind, Value};

/// The name in the header, and the version of the form.
const NAME: &str = "swarmstate";
const VERSION: u64 = 1;

/// The longest JSON text of a value; one that would be longer goes as base64, which never is.
const MAX_VALUE_TEXT_BYTES: usize = 384 * 1024 * 1024;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Msgpack, one record behind the other.
    Msgpack,
    /// A line of JSON for each record.
    JsonLines,
}

impl Format {
    /// The format that begins with `byte`; `None` where none does.
    pub(super) fn that_begins_with(byte: u8) -> Option<Self> {
        match byte {
            b'{' => Some(Self::JsonLines),
            0x92 => Some(Self::Msgpack),
            _ => None,
        }
    }
}

/// One record of an export, read and checked as far as it can be without a store.
#[derive(Debug)]
pub(super) enum Record {
    /// The first record.
    Header,
    /// An entry.
    Entry(NewEntry),
    /// The last record: how many entries there are.
    Trailer { entries: u64 },
}

/// What an import takes from an entry's record.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) namespace: Namespace<'static>,
    pub(crate) key: Key<'static>,
    pub(crate) value: Value<'static>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl NewEntry {
    /// The operation that writes it into `namespace`.
    pub(crate) fn set_in<'a>(&'a self, namespace: &'a Namespace<'_>) -> Operation<'a> {
        Operation::Set {
            namespace: namespace.borrow(),
            key: self.key.borrow(),
            value: self.value.clone(),
            expiry: self.expires_at.map_or(Expiry::Never, Expiry::At),
        }
    }
}

/// Appends the header.
pub(super) fn write_header(out: &mut Vec<u8>, format: Format) {
    match format {
        Format::Msgpack => {
            msgpack::write_array_head(out, 2).expect("short");
            msgpack::write_str(out, NAME).expect("short");
            msgpack::write_u64(out, VERSION);
        }
        Format::JsonLines => {
            out.extend_from_slice(format!("{{\"format\":\"{NAME}\",\"version\":{VERSION}}}\n").as_bytes());
        }
    }
}

/// Appends the trailer.
pub(super) fn write_trailer(out: &mut Vec<u8>, format: Format, entries: u64) {
    match format {
        Format::Msgpack => {
            msgpack::write_array_head(out, 1).expect("short");
            msgpack::write_u64(out, entries);
        }
        Format::JsonLines => out.extend_from_slice(format!("{{\"entries\":{entries}}}\n").as_bytes()),
    }
}

/// Appends an entry.
///
/// # Errors
/// `Corrupt` when its value is not msgpack; nothing is appended.
pub(super) fn write_entry(out: &mut Vec<u8>, format: Format, namespace: &str, entry: &Entry) -> Result<()> {
    match format {
        Format::Msgpack => {
            msgpack::check(entry.value()).map_err(|malformed| not_msgpack(namespace, entry, malformed))?;
            write_msgpack_entry(out, namespace, entry).expect("names and values are shorter than 4 GiB");
        }
        Format::JsonLines => {
            write_json_entry(out, namespace, entry)?;
            out.push(b'\n');
        }
    }
    Ok(())
}

fn write_msgpack_entry(out: &mut Vec<u8>, namespace: &str, entry: &Entry) -> Result<(), TooLong> {
    msgpack::write_array_head(out, 8)?;
    msgpack::write_str(out, namespace)?;
    msgpack::write_str(out, entry.key())?;
    msgpack::write_str(out, entry.kind().name())?;
    msgpack::write_bin(out, entry.value())?;
    msgpack::write_u64(out, entry.revision());
    msgpack::write_integer(out, entry.created_at().as_millis());
    msgpack::write_integer(out, entry.updated_at().as_millis());
    match entry.expires_at() {
        Some(at) => msgpack::write_integer(out, at.as_millis()),
        None => msgpack::write_nil(out),
    }
    Ok(())
}

fn write_json_entry(out: &mut Vec<u8>, namespace: &str, entry: &Entry) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(b"{\"namespace\":");
    msgpack::write_json_string(out, namespace);
    out.extend_from_slice(b",\"key\":");
    msgpack::write_json_string(out, entry.key());
    out.extend_from_slice(format!(",\"kind\":\"{}\",", entry.kind()).as_bytes());
    let before_value = out.len();
    out.extend_from_slice(b"\"value\":");
    match msgpack::to_json(entry.value(), out, MAX_VALUE_TEXT_BYTES) {
        Ok(true) => {}
        Ok(false) => {
            out.truncate(before_value);
            out.extend_from_slice(b"\"msgpack\":\"");
            out.extend_from_slice(BASE64.encode(entry.value()).as_bytes());
            out.push(b'"');
        }
        Err(malformed) => {
            out.truncate(start);
            return Err(not_msgpack(namespace, entry, malformed));
        }
    }
    let (created_at, updated_at) = (entry.created_at().as_millis(), entry.updated_at().as_millis());
    let expires_at = entry.expires_at().map_or("null".to_owned(), |at| at.as_millis().to_string());
    let rest = format!(
        ",\"revision\":{},\"created_at\":{created_at},\"updated_at\":{updated_at},\"expires_at\":{expires_at}}}",
        entry.revision()
    );
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// An entry of `namespace` as the line of JSON that an export writes for it, without the end of the line.
///
/// # Errors
/// `Corrupt` when its value is not msgpack.
pub fn entry_to_json(namespace: &str, entry: &Entry) -> Result<String> {
    let mut line = Vec::new();
    write_json_entry(&mut line, namespace, entry)?;
    Ok(String::from_utf8(line).expect("JSON is written from texts"))
}

#[cold]
fn not_msgpack(namespace: &str, entry: &Entry, malformed: msgpack::Malformed) -> Error {
    let key = entry.key();
    Error::corrupt(format!("key {key:?} in namespace {namespace:?} holds no value: {malformed}; delete or rewrite it"))
}

/// Reads a record that stands alone in `frame`.
///
/// # Errors
/// `Invalid` says what is wrong with it; its number is for the caller to name.
pub(super) fn read(format: Format, frame: &[u8]) -> Result<Record> {
    match format {
        Format::Msgpack => read_msgpack(frame),
        Format::JsonLines => {
            // The record itself is one level around the value.
            let object = msgpack::from_json(frame, MAX_DEPTH + 1).map_err(|bad| Error::invalid(bad.to_string()))?;
            read_members(&object)
        }
    }
}

fn read_msgpack(frame: &[u8]) -> Result<Record> {
    let mut fields = Fields(Reader::new(frame, 0));
    match fields.next()? {
        Item::Array(1) => Ok(Record::Trailer { entries: fields.count("entries")? }),
        Item::Array(2) => header(fields.text("format")?, fields.count("version")?),
        Item::Array(8) => {
            let (namespace, key, kind) = (fields.text("namespace")?, fields.text("key")?, fields.text("kind")?);
            let value = match fields.next()? {
                Item::Bin(bytes) => bytes.to_vec(),
                _ => return Err(wrong("value", "a bin")),
            };
            fields.count("revision")?;
            fields.millis("created_at")?;
            fields.millis("updated_at")?;
            let expires_at = fields.millis("expires_at")?;
            entry((namespace, key), kind, value, expires_at)
        }
        _ => Err(Error::invalid("it is an array of 2 items (header), 8 (entry) or 1 (trailer), not this")),
    }
}

/// The items of a msgpack record, one after the other.
struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Item<'a>> {
        self.0.item().map_err(|malformed| Error::invalid(malformed.to_string()))
    }

    fn text(&mut self, name: &str) -> Result<&'a str> {
        text_of(name, self.next()?)
    }

    fn count(&mut self, name: &str) -> Result<u64> {
        count_of(name, self.next()?)
    }

    fn millis(&mut self, name: &str) -> Result<Option<Timestamp>> {
        millis_of(name, self.next()?)
    }
}

fn text_of<'a>(name: &str, item: Item<'a>) -> Result<&'a str> {
    match item {
        Item::Str(text) => std::str::from_utf8(text).map_err(|_| wrong(name, "a text of UTF-8")),
        _ => Err(wrong(name, "a text")),
    }
}

fn count_of(name: &str, item: Item<'_>) -> Result<u64> {
    match item {
        Item::Unsigned(count) => Ok(count),
        _ => Err(wrong(name, "a whole number from 0 up")),
    }
}

/// A moment, or none.
fn millis_of(name: &str, item: Item<'_>) -> Result<Option<Timestamp>> {
    let millis = match item {
        Item::Nil => return Ok(None),
        Item::Signed(millis) => Some(millis),
        Item::Unsigned(millis) => i64::try_from(millis).ok(),
        _ => None,
    };
    let millis = millis.ok_or_else(|| wrong(name, "an integer within 64 bits, or nothing"))?;
    Ok(Some(Timestamp::from_millis(millis)))
}

#[cold]
fn wrong(name: &str, wanted: &str) -> Error {
    Error::invalid(format!("its member {name:?} must be {wanted}"))
}

/// The members of a record that was written as a JSON object.
#[derive(Default)]
struct Members<'a> {
    format: Option<&'a str>,
    version: Option<u64>,
    entries: Option<u64>,
    namespace: Option<&'a str>,
    key: Option<&'a str>,
    kind: Option<&'a str>,
    value: Option<Vec<u8>>,
    expires_at: Option<Timestamp>,
}

fn read_members(object: &[u8]) -> Result<Record> {
    let mut reader = Reader::new(object, 0);
    let Ok(Item::Map(count)) = reader.item() else { return Err(Error::invalid("it is no JSON object")) };
    let mut members = Members::default();
    let mut seen = Vec::new();
    for _ in 0..count {
        let name = text_of("name", reader.item().expect("it was just written"))?;
        let value_at = reader.offset();
        let end = msgpack::skip(object, value_at).expect("it was just written, and nests no deeper than a value may");
        if seen.contains(&name) {
            return Err(Error::invalid(format!("its member {name:?} stands there twice")));
        }
        seen.push(name);
        members.take(name, &object[value_at..end])?;
        reader = Reader::new(object, end);
    }
    members.into_record()
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &str, bytes: &'a [u8]) -> Result<()> {
        let item = Reader::new(bytes, 0).item().expect("it was just written");
        match name {
            "format" => self.format = Some(text_of(name, item)?),
            "version" => self.version = Some(count_of(name, item)?),
            "entries" => self.entries = Some(count_of(name, item)?),
            "namespace" => self.namespace = Some(text_of(name, item)?),
            "key" => self.key = Some(text_of(name, item)?),
            "kind" => self.kind = Some(text_of(name, item)?),
            "value" => self.set_value(bytes.to_vec())?,
            "msgpack" => {
                let bytes = BASE64.decode(text_of(name, item)?).map_err(|_| wrong(name, "base64"))?;
                self.set_value(bytes)?;
            }
            "expires_at" => self.expires_at = millis_of(name, item)?,
            "created_at" | "updated_at" => drop(millis_of(name, item)?),
            "revision" => drop(count_of(name, item)?),
            _ => return Err(Error::invalid(format!("it has a member {name:?}, which this version does not know"))),
        }
        Ok(())
    }

    fn set_value(&mut self, bytes: Vec<u8>) -> Result<()> {
        match self.value.replace(bytes) {
            None => Ok(()),
            Some(_) => Err(Error::invalid("it has both \"value\" and \"msgpack\"")),
        }
    }

    fn into_record(self) -> Result<Record> {
        match self {
            Self { format: Some(name), version: Some(version), .. } => header(name, version),
            Self {
                namespace: Some(namespace),
                key: Some(key),
                kind: Some(kind),
                value: Some(value),
                expires_at,
                ..
            } => entry((namespace, key), kind, value, expires_at),
            Self { entries: Some(entries), format: None, namespace: None, .. } => Ok(Record::Trailer { entries }),
            _ => Err(Error::invalid(
                "an entry has the members \"namespace\", \"key\", \"kind\" and \"value\" or \"msgpack\", but one is missing",
            )),
        }
    }
}

fn header(name: &str, version: u64) -> Result<Record> {
    match (name, version) {
        (NAME, VERSION) => Ok(Record::Header),
        (NAME, _) => {
            Err(Error::invalid(format!("it is version {version} of the export; this program reads {VERSION}")))
        }
        _ => Err(Error::invalid(format!("it names the format {name:?}, not {NAME:?}"))),
    }
}

fn entry((namespace, key): (&str, &str), kind: &str, value: Vec<u8>, expires_at: Option<Timestamp>) -> Result<Record> {
    let kind = Kind::from_name(kind).ok_or_else(|| wrong("kind", "integer, string, bytes or json"))?;
    msgpack::check(&value).map_err(|malformed| Error::invalid(format!("its value is {malformed}")))?;
    Ok(Record::Entry(NewEntry {
        namespace: Namespace::new(namespace.to_owned())?,
        key: Key::new(key.to_owned())?,
        value: Value::shared(kind, value),
        expires_at,
    }))
}
