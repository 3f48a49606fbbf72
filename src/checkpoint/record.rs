//! What a thread's records are made of, as plain msgpack.
//!
//! Reading borrows from the stored bytes. What is small is verified whenever it is read; a channel's value has a hash of its own. A value stays what its serializer made of it: a type's name and bytes, which nothing
//! here looks into.
//!
//! A thread of small states is made of little else than the names and numbers in these records, so what most of them would repeat is left out:
//! the form [`MSGPACK`], the digits of an id, an origin that says nothing, and what a checkpoint's nodes have seen, as far as it stands in the
//! same record already.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::fields::Fields;
use super::id::Id;
use super::seen::{Seen, is_list_of_fields};
use super::version::Version;
use crate::msgpack::Item;
use crate::value::{Kind, Value};

/// The form of most values, which is not written.
pub const MSGPACK: &str = "msgpack";

/// A value as its serializer wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed<'a> {
    /// What the serializer calls the form of the bytes, such as `msgpack`.
    pub form: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A checkpoint without the values of its channels, which lie beside it by their versions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CheckpointRecord<'a> {
    pub(super) parent_id: Option<Id<'a>>,
    pub(super) checkpoint: Typed<'a>,
    pub(super) metadata: Typed<'a>,
    pub(super) versions: Cow<'a, [(&'a str, Version<'a>)]>,
    pub(super) origin: Cow<'a, Origin<'a>>,
    /// What nodes have seen, if it is kept beside the checkpoint, which is then the list of its fields.
    pub(super) seen: Option<&'a [u8]>,
}

impl<'a> CheckpointRecord<'a> {
    /// What nodes have seen, if it is kept beside the checkpoint; `None` where something else stands.
    pub(super) fn seen(&self) -> Option<Option<Seen<'a>>> {
        match self.seen {
            Some(bytes) => Seen::read(bytes, &self.versions).map(Some),
            None => Some(None),
        }
    }
}

/// What a checkpoint's metadata says that decides how long it, and others, are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin<'a> {
    /// The run that made it.
    pub run_id: Option<&'a str>,
    /// The checkpoints that the graphs around its own stood at: namespace and id.
    pub parents: Vec<(&'a str, &'a str)>,
    /// The channels whose value is to be rebuilt from the writes of its ancestors.
    pub delta_channels: Vec<&'a str>,
}

/// Bytes that nobody outside knows; they key the hashes of a thread's chunks.
pub(super) type Secret = serde_bytes::ByteArray<32>;

/// What a thread knows about itself; every put writes it, so its revision names one state of the thread's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct HeadRecord {
    pub(super) secret: Secret,
    /// The greatest checkpoint id of the root graph.
    pub(super) latest: Option<String>,
    /// How many checkpoints there are, in all namespaces.
    pub(super) checkpoints: u64,
    /// Puts since old checkpoints were last removed.
    pub(super) puts_since_sweep: u64,
    /// When a checkpoint was put last, in milliseconds, if the head was written since.
    pub(super) put_at: Option<i64>,
}

/// A channel's value at a version, of which an empty one has no record: whole, or what behind its chunks is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ValueRecord<'a> {
    #[serde(serialize_with = "write_form")]
    pub(super) form: &'a str,
    /// The xxh3-64 of the whole value, seeded with that of the form.
    pub(super) check: u64,
    /// The whole value, or its tail.
    #[serde(with = "serde_bytes")]
    pub(super) bytes: &'a [u8],
    pub(super) tree: Option<Tree<'a>>,
}

/// What of a value stands in chunks, and how to find them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Tree<'a> {
    /// The bytes of the whole value.
    pub(super) length: u64,
    /// The bytes before the first block.
    #[serde(with = "serde_bytes")]
    pub(super) head: &'a [u8],
    /// For each level, blocks first, the hashes that no node above has, one behind the other.
    pub(super) levels: Vec<Cow<'a, Bytes>>,
    /// The hashes of the chunks behind the last block.
    #[serde(with = "serde_bytes")]
    pub(super) chunks: &'a [u8],
}

/// What a task wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WriteRecord<'a> {
    pub(super) task_path: &'a str,
    pub(super) channel: &'a str,
    pub(super) value: Typed<'a>,
}

/// Nil for the form that most values have.
fn write_form<S: Serializer>(form: &str, serializer: S) -> Result<S::Ok, S::Error> {
    (form != MSGPACK).then_some(form).serialize(serializer)
}

/// The bytes alone in the form that most values have, else a list of both.
impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = Bytes::new(self.bytes);
        if self.form == MSGPACK { bytes.serialize(serializer) } else { (self.form, bytes).serialize(serializer) }
    }
}

impl Serialize for CheckpointRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { parent_id, checkpoint, metadata, versions, origin, seen } = self;
        let origin = (**origin != Origin::default()).then_some(&**origin);
        (parent_id, checkpoint, metadata, &**versions, origin, seen.map(Bytes::new)).serialize(serializer)
    }
}

/// What can be read again as it was written, its fields in their order.
pub(super) trait Record<'a>: Sized {
    /// `None` where something else stands.
    fn read(fields: &mut Fields<'a>) -> Option<Self>;
}

impl<'a> Record<'a> for Typed<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        match fields.item()? {
            Item::Bin(bytes) => Some(Self { form: MSGPACK, bytes }),
            Item::Array(2) => Some(Self { form: fields.text()?, bytes: fields.bytes()? }),
            _ => None,
        }
    }
}

impl<'a> Record<'a> for CheckpointRecord<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        fields.list(6)?;
        let (parent_id, checkpoint) = (fields.optional(Id::read)?, Typed::read(fields)?);
        let metadata = Typed::read(fields)?;
        let versions = fields.list_of(|fields| {
            fields.list(2)?;
            Some((fields.text()?, Version::read(fields)?))
        })?;
        let origin = fields.optional(Origin::read)?.unwrap_or_default();
        let seen = fields.optional(Fields::bytes)?;
        if seen.is_some() && (checkpoint.form != MSGPACK || !is_list_of_fields(checkpoint.bytes)) {
            return None;
        }
        Some(Self { parent_id, checkpoint, metadata, versions: Cow::Owned(versions), origin: Cow::Owned(origin), seen })
    }
}

impl<'a> Record<'a> for Origin<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        fields.list(3)?;
        Some(Self {
            run_id: fields.optional(Fields::text)?,
            parents: fields.list_of(|fields| {
                fields.list(2)?;
                Some((fields.text()?, fields.text()?))
            })?,
            delta_channels: fields.list_of(Fields::text)?,
        })
    }
}

impl Record<'_> for HeadRecord {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.list(5)?;
        Some(Self {
            secret: Secret::new(fields.bytes()?.try_into().ok()?),
            latest: fields.optional(Fields::text)?.map(str::to_owned),
            checkpoints: fields.count()?,
            puts_since_sweep: fields.count()?,
            put_at: fields.optional(Fields::integer)?,
        })
    }
}

impl<'a> Record<'a> for ValueRecord<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        fields.list(4)?;
        Some(Self {
            form: fields.optional(Fields::text)?.unwrap_or(MSGPACK),
            check: fields.count()?,
            bytes: fields.bytes()?,
            tree: fields.optional(Tree::read)?,
        })
    }
}

impl<'a> Record<'a> for Tree<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        fields.list(4)?;
        Some(Self {
            length: fields.count()?,
            head: fields.bytes()?,
            levels: fields.list_of(|fields| Some(Cow::Borrowed(Bytes::new(fields.bytes()?))))?,
            chunks: fields.bytes()?,
        })
    }
}

impl<'a> Record<'a> for WriteRecord<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        fields.list(3)?;
        Some(Self { task_path: fields.text()?, channel: fields.text()?, value: Typed::read(fields)? })
    }
}

/// The record in the form that a store keeps; `size_hint` is about the bytes that it will take.
pub(super) fn encode(record: &impl Serialize, size_hint: usize) -> Value<'static> {
    let mut bytes = Vec::with_capacity(size_hint + 128);
    write(&mut bytes, record);
    Value::shared(Kind::Json, bytes)
}

/// The record that `bytes` hold; `None` when they hold no such record.
pub(super) fn decode<'a, R: Record<'a>>(bytes: &'a [u8]) -> Option<R> {
    let mut fields = Fields::new(bytes);
    R::read(&mut fields).filter(|_| fields.is_at_end())
}

/// A list of the record and the xxh3-64 of its bytes, so that other bytes than those that were stored are never taken for it.
pub(super) fn encode_checked(record: &impl Serialize, size_hint: usize) -> Value<'static> {
    let mut bytes = Vec::with_capacity(size_hint + 128);
    bytes.push(LIST_OF_TWO);
    write(&mut bytes, record);
    let check = check(&bytes[1..]);
    bytes.extend(check);
    Value::shared(Kind::Json, bytes)
}

/// The record that [`encode_checked`] wrote; `None` when these are not the bytes that it wrote.
pub(super) fn decode_checked<'a, R: Record<'a>>(bytes: &'a [u8]) -> Option<R> {
    let (record, found) = bytes.strip_prefix(&[LIST_OF_TWO])?.split_last_chunk()?;
    if *found == check(record) { decode(record) } else { None }
}

/// The heads of a list of two and of a 64-bit number (<https://github.com/msgpack/msgpack/blob/master/spec.md>).
const LIST_OF_TWO: u8 = 0x92;
const UINT_64: u8 = 0xcf;

/// The msgpack of a record's xxh3-64, always in nine bytes.
fn check(record: &[u8]) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = xxh3_64(record).to_be_bytes();
    [UINT_64, a, b, c, d, e, f, g, h]
}

/// Writes a record, or a part of one.
pub(super) fn write(out: &mut Vec<u8>, record: &impl Serialize) {
    rmp_serde::encode::write(out, record).expect("a Vec takes all that is written");
}
