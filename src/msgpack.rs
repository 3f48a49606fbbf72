//! Msgpack bytes: what is well formed, what stands where, and how short forms are written.
//!
//! The format is <https://github.com/msgpack/msgpack/blob/master/spec.md>; [`marker`] and [`Reader::item`] are the only place that
//! knows its marker bytes. Nothing here recurses, and nothing is allocated by what a header promises: an array or a map whose
//! count exceeds the bytes that remain is malformed at its header. Knows nothing of Python; `py/codec.rs` builds on it. JSON is
//! `msgpack/json.rs`'s.

mod json;

pub use json::{BadJson, from_json, to_json, write_json_string};

/// The deepest nesting that a value may have; a list inside a list is two levels.
pub const MAX_DEPTH: usize = 256;

/// The first bytes of items, as the format names them.
#[allow(missing_docs)]
pub mod marker {
    pub const POSITIVE_FIXINT_MAX: u8 = 0x7f;
    pub const FIXMAP: u8 = 0x80;
    pub const FIXMAP_MAX: u8 = 0x8f;
    pub const FIXARRAY: u8 = 0x90;
    pub const FIXARRAY_MAX: u8 = 0x9f;
    pub const FIXSTR: u8 = 0xa0;
    pub const FIXSTR_MAX: u8 = 0xbf;
    pub const NIL: u8 = 0xc0;
    pub const RESERVED: u8 = 0xc1;
    pub const FALSE: u8 = 0xc2;
    pub const TRUE: u8 = 0xc3;
    pub const BIN8: u8 = 0xc4;
    pub const BIN16: u8 = 0xc5;
    pub const BIN32: u8 = 0xc6;
    pub const EXT8: u8 = 0xc7;
    pub const EXT16: u8 = 0xc8;
    pub const EXT32: u8 = 0xc9;
    pub const FLOAT32: u8 = 0xca;
    pub const FLOAT64: u8 = 0xcb;
    pub const UINT8: u8 = 0xcc;
    pub const UINT16: u8 = 0xcd;
    pub const UINT32: u8 = 0xce;
    pub const UINT64: u8 = 0xcf;
    pub const INT8: u8 = 0xd0;
    pub const INT16: u8 = 0xd1;
    pub const INT32: u8 = 0xd2;
    pub const INT64: u8 = 0xd3;
    pub const FIXEXT1: u8 = 0xd4;
    pub const FIXEXT16: u8 = 0xd8;
    pub const STR8: u8 = 0xd9;
    pub const STR16: u8 = 0xda;
    pub const STR32: u8 = 0xdb;
    pub const ARRAY16: u8 = 0xdc;
    pub const ARRAY32: u8 = 0xdd;
    pub const MAP16: u8 = 0xde;
    pub const MAP32: u8 = 0xdf;
    pub const NEGATIVE_FIXINT: u8 = 0xe0;
}

/// Bytes that are not one msgpack value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed msgpack at byte {offset}: {what}")]
pub struct Malformed {
    /// Where the offending item starts.
    pub offset: usize,
    /// What is wrong with it, one clause.
    pub what: &'static str,
}

impl Malformed {
    /// Whether the bytes only end too early, so that more of them might be well formed.
    pub fn is_cut_off(&self) -> bool {
        self.what == ENDS_EARLY || self.what == PROMISES_MORE
    }
}

/// A well-formed item that Python's codec does not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Where the item starts.
    pub offset: usize,
    /// What it is, one clause.
    pub what: &'static str,
}

/// A str, bin, array or map with more than 2³²−1 bytes or items, which the format cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("longer than msgpack can say")]
pub struct TooLong;

/// What the first bytes of a value tell about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// An integer within `i64`.
    Integer,
    /// A str.
    Str,
    /// A bin.
    Bin,
    /// Anything else, integers above `i64::MAX` included.
    Other,
}

/// One item: a scalar with its content, or the header of a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// Nil.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer of one of the unsigned forms.
    Unsigned(u64),
    /// An integer of one of the signed forms.
    Signed(i64),
    /// A float; the 32-bit form is widened.
    Float(f64),
    /// The bytes of a str; whether they are UTF-8 is for the caller to check.
    Str(&'a [u8]),
    /// The bytes of a bin.
    Bin(&'a [u8]),
    /// The header of an array of so many items.
    Array(usize),
    /// The header of a map of so many pairs.
    Map(usize),
    /// An extension: its type and its bytes.
    Ext(i8, &'a [u8]),
}

/// The part that an item plays in what encloses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The value as a whole.
    Root,
    /// An item of an array.
    Element,
    /// A key of a map.
    Key,
    /// A value of a map.
    Value,
}

/// One step of a [`Walk`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// Where the item starts.
    pub offset: usize,
    /// How many containers enclose the item.
    pub depth: usize,
    /// The part that it plays in the innermost of them.
    pub role: Role,
    /// The item.
    pub item: Item<'a>,
}

/// Checks that `bytes` are exactly one well-formed value, and tells the first item in it that Python's codec refuses.
///
/// Well formed means: markers and lengths agree with the bytes, every str is UTF-8, no more than [`MAX_DEPTH`] levels, nothing
/// follows. Refused are ext items, and map keys other than str, integer, bin, boolean and nil.
///
/// # Cost
/// O(n) time; 24 bytes for each open container beyond the innermost.
///
/// # Errors
/// [`Malformed`] names the first offending item.
pub fn check(bytes: &[u8]) -> Result<Option<Foreign>, Malformed> {
    let mut walk = Walk::new(bytes, 0);
    let mut foreign = None;
    while let Some(step) = walk.advance()? {
        if let Item::Str(text) = step.item
            && std::str::from_utf8(text).is_err()
        {
            return Err(Malformed { offset: step.offset, what: NOT_UTF8 });
        }
        if foreign.is_none() {
            foreign = refusal(&step).map(|what| Foreign { offset: step.offset, what });
        }
    }
    match walk.offset() {
        end if end == bytes.len() => Ok(foreign),
        end => Err(Malformed { offset: end, what: TRAILING }),
    }
}

/// Returns where the value that starts at `from` ends, without looking into strings.
///
/// # Cost
/// O(items) time.
///
/// # Errors
/// [`Malformed`] when no well-formed value starts there.
pub fn skip(bytes: &[u8], from: usize) -> Result<usize, Malformed> {
    let mut walk = Walk::new(bytes, from);
    while walk.advance()?.is_some() {}
    Ok(walk.offset())
}

/// Tells what kind of value starts with these bytes; looks at no more than two.
pub fn kind_of(bytes: &[u8]) -> Lead {
    use marker::*;
    match (bytes.first(), bytes.get(1)) {
        (Some(&UINT64), Some(0x80..)) => Lead::Other,
        (Some(0..=POSITIVE_FIXINT_MAX | UINT8..=INT64 | NEGATIVE_FIXINT..), _) => Lead::Integer,
        (Some(FIXSTR..=FIXSTR_MAX | STR8..=STR32), _) => Lead::Str,
        (Some(BIN8..=BIN32), _) => Lead::Bin,
        _ => Lead::Other,
    }
}

/// Reads a value that is one integer within `i64`, of any form; `None` for everything else.
pub fn read_integer(bytes: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(bytes, 0);
    let integer = match reader.item().ok()? {
        Item::Unsigned(integer) => i64::try_from(integer).ok()?,
        Item::Signed(integer) => integer,
        _ => return None,
    };
    reader.is_at_end().then_some(integer)
}

/// Writes nil.
#[inline]
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(marker::NIL);
}

/// Writes a boolean.
#[inline]
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { marker::TRUE } else { marker::FALSE });
}

/// Writes an integer in its shortest form; what is not negative takes an unsigned one.
#[inline(always)]
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    match value {
        0.. => write_u64(out, value as u64),
        -32..=-1 => out.push(value as u8),
        -0x80..=-33 => out.extend_from_slice(&[marker::INT8, value as u8]),
        -0x8000..=-0x81 => write_marked(out, marker::INT16, (value as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => write_marked(out, marker::INT32, (value as i32).to_be_bytes()),
        _ => write_marked(out, marker::INT64, value.to_be_bytes()),
    }
}

/// Writes an unsigned integer in its shortest form.
#[inline(always)]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[marker::UINT8, value as u8]),
        0x100..=0xffff => write_marked(out, marker::UINT16, (value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => write_marked(out, marker::UINT32, (value as u32).to_be_bytes()),
        _ => write_marked(out, marker::UINT64, value.to_be_bytes()),
    }
}

/// Writes a float in the 64-bit form.
#[inline(always)]
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    write_marked(out, marker::FLOAT64, value.to_be_bytes());
}

/// Writes a str.
///
/// # Errors
/// [`TooLong`] from 4 GiB up; nothing is written.
pub fn write_str(out: &mut Vec<u8>, text: &str) -> Result<(), TooLong> {
    write_str_head(out, text.len())?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Writes a bin.
///
/// # Errors
/// [`TooLong`] from 4 GiB up; nothing is written.
pub fn write_bin(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLong> {
    write_bin_head(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes the header of a str of so many bytes, which the caller appends.
///
/// # Errors
/// [`TooLong`] from 4 GiB up; nothing is written.
#[inline(always)]
pub fn write_str_head(out: &mut Vec<u8>, length: usize) -> Result<(), TooLong> {
    match u32::try_from(length).map_err(|_| TooLong)? {
        length @ 0..=31 => out.push(marker::FIXSTR | length as u8),
        length @ 32..=0xff => out.extend_from_slice(&[marker::STR8, length as u8]),
        length => write_long_head(out, marker::STR16, marker::STR32, length),
    }
    Ok(())
}

/// Writes the header of a bin of so many bytes, which the caller appends.
///
/// # Errors
/// [`TooLong`] from 4 GiB up; nothing is written.
#[inline(always)]
pub fn write_bin_head(out: &mut Vec<u8>, length: usize) -> Result<(), TooLong> {
    match u32::try_from(length).map_err(|_| TooLong)? {
        length @ 0..=0xff => out.extend_from_slice(&[marker::BIN8, length as u8]),
        length => write_long_head(out, marker::BIN16, marker::BIN32, length),
    }
    Ok(())
}

/// Writes the header of an array of so many items, which the caller appends.
///
/// # Errors
/// [`TooLong`] from 2³² items up; nothing is written.
#[inline(always)]
pub fn write_array_head(out: &mut Vec<u8>, count: usize) -> Result<(), TooLong> {
    match u32::try_from(count).map_err(|_| TooLong)? {
        count @ 0..=15 => out.push(marker::FIXARRAY | count as u8),
        count => write_long_head(out, marker::ARRAY16, marker::ARRAY32, count),
    }
    Ok(())
}

/// Writes the header of a map of so many pairs, which the caller appends.
///
/// # Errors
/// [`TooLong`] from 2³² pairs up; nothing is written.
#[inline(always)]
pub fn write_map_head(out: &mut Vec<u8>, count: usize) -> Result<(), TooLong> {
    match u32::try_from(count).map_err(|_| TooLong)? {
        count @ 0..=15 => out.push(marker::FIXMAP | count as u8),
        count => write_long_head(out, marker::MAP16, marker::MAP32, count),
    }
    Ok(())
}

/// Reads items one after the other; does not follow nesting.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the byte `from`.
    pub fn new(bytes: &'a [u8], from: usize) -> Self {
        Reader { bytes, offset: from }
    }

    /// Where the next item starts.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.offset >= self.bytes.len()
    }

    /// Reads one scalar with its content, or one container's header.
    ///
    /// A count never exceeds the bytes that remain, so memory may be reserved by it.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes end inside the item, promise more than they hold, or start with the reserved marker. The
    /// position is then unspecified.
    #[inline]
    pub fn item(&mut self) -> Result<Item<'a>, Malformed> {
        let offset = self.offset;
        let Some(&first) = self.bytes.get(offset) else { return Err(Malformed { offset, what: ENDS_EARLY }) };
        self.offset = offset + 1;
        match self.body(first) {
            Some(item) => Ok(item),
            None if first == marker::RESERVED => Err(Malformed { offset, what: NOT_A_MARKER }),
            None => Err(Malformed { offset, what: PROMISES_MORE }),
        }
    }

    /// Reads what belongs to the marker `first`; `None` when the bytes do not hold it.
    #[inline(always)]
    fn body(&mut self, first: u8) -> Option<Item<'a>> {
        use marker::*;
        Some(match first {
            0..=POSITIVE_FIXINT_MAX => Item::Unsigned(u64::from(first)),
            FIXMAP..=FIXMAP_MAX => Item::Map(self.count(usize::from(first & 0x0f), 2)?),
            FIXARRAY..=FIXARRAY_MAX => Item::Array(self.count(usize::from(first & 0x0f), 1)?),
            FIXSTR..=FIXSTR_MAX => Item::Str(self.take(usize::from(first & 0x1f))?),
            NIL => Item::Nil,
            RESERVED => return None,
            FALSE => Item::Bool(false),
            TRUE => Item::Bool(true),
            BIN8..=BIN32 => Item::Bin(self.sized(first - BIN8)?),
            EXT8..=EXT32 => {
                let length = self.length(first - EXT8)?;
                self.ext(length)?
            }
            FLOAT32 => Item::Float(f64::from(f32::from_be_bytes(self.fixed()?))),
            FLOAT64 => Item::Float(f64::from_be_bytes(self.fixed()?)),
            UINT8 => Item::Unsigned(u64::from(u8::from_be_bytes(self.fixed()?))),
            UINT16 => Item::Unsigned(u64::from(u16::from_be_bytes(self.fixed()?))),
            UINT32 => Item::Unsigned(u64::from(u32::from_be_bytes(self.fixed()?))),
            UINT64 => Item::Unsigned(u64::from_be_bytes(self.fixed()?)),
            INT8 => Item::Signed(i64::from(i8::from_be_bytes(self.fixed()?))),
            INT16 => Item::Signed(i64::from(i16::from_be_bytes(self.fixed()?))),
            INT32 => Item::Signed(i64::from(i32::from_be_bytes(self.fixed()?))),
            INT64 => Item::Signed(i64::from_be_bytes(self.fixed()?)),
            FIXEXT1..=FIXEXT16 => self.ext(1 << (first - FIXEXT1))?,
            STR8..=STR32 => Item::Str(self.sized(first - STR8)?),
            ARRAY16..=ARRAY32 => {
                let count = self.length(first - ARRAY16 + 1)?;
                Item::Array(self.count(count, 1)?)
            }
            MAP16..=MAP32 => {
                let count = self.length(first - MAP16 + 1)?;
                Item::Map(self.count(count, 2)?)
            }
            NEGATIVE_FIXINT.. => Item::Signed(i64::from(first as i8)),
        })
    }

    #[inline]
    fn ext(&mut self, length: usize) -> Option<Item<'a>> {
        let [kind] = self.fixed()?;
        Some(Item::Ext(kind as i8, self.take(length)?))
    }

    #[inline]
    fn sized(&mut self, form: u8) -> Option<&'a [u8]> {
        let length = self.length(form)?;
        self.take(length)
    }

    /// Reads a length of 1, 2 or 4 bytes: the forms that the format orders so behind each other.
    #[inline]
    fn length(&mut self, form: u8) -> Option<usize> {
        Some(match form {
            0 => usize::from(u8::from_be_bytes(self.fixed()?)),
            1 => usize::from(u16::from_be_bytes(self.fixed()?)),
            _ => u32::from_be_bytes(self.fixed()?) as usize,
        })
    }

    /// Lets a count pass that the remaining bytes can hold, at one byte an item at least.
    #[inline]
    fn count(&self, count: usize, items_each: usize) -> Option<usize> {
        (count <= (self.bytes.len() - self.offset) / items_each).then_some(count)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.offset..)?.get(..length)?;
        self.offset += length;
        Some(taken)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.offset..)?.first_chunk::<N>()?;
        self.offset += N;
        Some(taken)
    }
}

/// Steps through every item of one value in the order of the bytes, keeping track of nesting.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    reader: Reader<'a>,
    /// The innermost open container, or the root.
    innermost: Frame,
    enclosing: Vec<Frame>,
    max_depth: usize,
}

/// A container whose items are being read, and how many of them are still to come.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: usize,
    kind: FrameKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Root,
    Array,
    Map,
}

impl<'a> Walk<'a> {
    /// Walks the value that starts at the byte `from`.
    pub fn new(bytes: &'a [u8], from: usize) -> Self {
        Self::to_depth(bytes, from, MAX_DEPTH)
    }

    /// Walks what may nest to `max_depth` levels, such as an envelope with a value in it.
    pub fn to_depth(bytes: &'a [u8], from: usize, max_depth: usize) -> Self {
        let root = Frame { left: 1, kind: FrameKind::Root };
        Walk { reader: Reader::new(bytes, from), innermost: root, enclosing: Vec::new(), max_depth }
    }

    /// Where the next item starts; after the last one, where the value ends.
    pub fn offset(&self) -> usize {
        self.reader.offset()
    }

    /// Reads the next item; `None` after the last.
    ///
    /// # Errors
    /// [`Malformed`] when no item stands there, or one is nested too deep. The walk is then over.
    pub fn advance(&mut self) -> Result<Option<Step<'a>>, Malformed> {
        while self.innermost.left == 0 {
            let Some(frame) = self.enclosing.pop() else { return Ok(None) };
            self.innermost = frame;
        }
        let role = self.innermost.next_role();
        let depth = self.enclosing.len();
        let offset = self.reader.offset();
        let item = self.reader.item()?;
        self.innermost.left -= 1;
        match item {
            Item::Array(count) => self.enter(Frame { left: count, kind: FrameKind::Array }, offset)?,
            Item::Map(pairs) => self.enter(Frame { left: 2 * pairs, kind: FrameKind::Map }, offset)?,
            _ => {}
        }
        Ok(Some(Step { offset, depth, role, item }))
    }

    fn enter(&mut self, frame: Frame, offset: usize) -> Result<(), Malformed> {
        if self.enclosing.len() == self.max_depth {
            return Err(Malformed { offset, what: TOO_DEEP });
        }
        self.enclosing.push(std::mem::replace(&mut self.innermost, frame));
        Ok(())
    }
}

impl Frame {
    fn next_role(self) -> Role {
        match self.kind {
            FrameKind::Root => Role::Root,
            FrameKind::Array => Role::Element,
            FrameKind::Map if self.left.is_multiple_of(2) => Role::Key,
            FrameKind::Map => Role::Value,
        }
    }
}

/// Why an item cannot pass Python's codec; `None` for one that can.
fn refusal(step: &Step<'_>) -> Option<&'static str> {
    match step {
        Step { item: Item::Ext(..), .. } => Some(EXT),
        Step { role: Role::Key, item, .. } => refused_key(item),
        _ => None,
    }
}

/// Why an item is no key in Python's codec; `None` for one that is.
pub(crate) fn refused_key(item: &Item<'_>) -> Option<&'static str> {
    match item {
        Item::Ext(..) => Some(EXT),
        Item::Float(_) => Some("a float is not a map key"),
        Item::Array(_) => Some("an array is not a map key"),
        Item::Map(_) => Some("a map is not a map key"),
        _ => None,
    }
}

/// The clause for an extension.
pub(crate) const EXT: &str = "ext types are not supported";
const _: () = assert!(MAX_DEPTH == 256, "the next clause names the number");
/// The clause for a value that nests too deep.
pub(crate) const TOO_DEEP: &str = "nested deeper than 256 levels";
/// The clause for a str whose bytes are not UTF-8.
pub(crate) const NOT_UTF8: &str = "str is not utf-8";
/// The clause for bytes behind a complete value.
pub(crate) const TRAILING: &str = "more bytes follow the value";
const ENDS_EARLY: &str = "the value ends early";
const PROMISES_MORE: &str = "the item promises more than remains";
const NOT_A_MARKER: &str = "0xc1 is not a marker";

#[inline(always)]
fn write_marked<const N: usize>(out: &mut Vec<u8>, first: u8, payload: [u8; N]) {
    out.reserve(1 + N);
    out.push(first);
    out.extend_from_slice(&payload);
}

#[inline(always)]
fn write_long_head(out: &mut Vec<u8>, short: u8, long: u8, length: u32) {
    match u16::try_from(length) {
        Ok(length) => write_marked(out, short, length.to_be_bytes()),
        Err(_) => write_marked(out, long, length.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmpv::Value;

    use super::*;

    fn written(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        rmpv::encode::write_value(&mut out, value).expect("a Vec takes every byte");
        out
    }

    /// Rmpv's verdict: the value, where `bytes` are exactly one.
    fn read_by_rmpv(bytes: &[u8]) -> Option<Value> {
        let mut rest = bytes;
        let value = rmpv::decode::read_value(&mut rest).ok()?;
        rest.is_empty().then_some(value)
    }

    /// Rmpv carries text that is not UTF-8; the format, and `check`, do not.
    fn is_utf8_throughout(value: &Value) -> bool {
        match value {
            Value::String(text) => text.is_str(),
            Value::Array(items) => items.iter().all(is_utf8_throughout),
            Value::Map(pairs) => pairs.iter().all(|(key, value)| is_utf8_throughout(key) && is_utf8_throughout(value)),
            _ => true,
        }
    }

    /// Our verdict, with nil for the reserved marker, which rmpv takes for that.
    fn is_well_formed_to_rmpv(bytes: &[u8]) -> bool {
        let mut bytes = bytes.to_vec();
        loop {
            match check(&bytes) {
                Err(malformed) if bytes.get(malformed.offset) == Some(&marker::RESERVED) => {
                    bytes[malformed.offset] = marker::NIL;
                }
                verdict => return verdict.is_ok(),
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-200i64..300).prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::from),
            (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| Value::Ext(kind, data)),
        ];
        scalar.prop_recursive(5, 64, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
                prop::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_rmpv_writes_is_well_formed(value in any_value()) {
            let bytes = written(&value);
            prop_assert!(check(&bytes).is_ok());
            prop_assert_eq!(skip(&bytes, 0), Ok(bytes.len()));
        }

        #[test]
        fn no_prefix_of_a_value_is_well_formed(value in any_value(), cut in any::<prop::sample::Index>()) {
            let bytes = written(&value);
            prop_assert!(check(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn mutated_bytes_are_judged_as_rmpv_judges_them(
            value in any_value(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = written(&value);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let accepted = read_by_rmpv(&bytes).is_some_and(|value| is_utf8_throughout(&value));
            prop_assert_eq!(is_well_formed_to_rmpv(&bytes), accepted);
        }

        #[test]
        fn arbitrary_bytes_are_judged_as_rmpv_judges_them(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let accepted = read_by_rmpv(&bytes).is_some_and(|value| is_utf8_throughout(&value));
            prop_assert_eq!(is_well_formed_to_rmpv(&bytes), accepted);
        }

        #[test]
        fn integers_are_read_back_from_the_form_that_rmpv_writes(integer in prop_oneof![any::<i64>(), -70_000i64..70_000]) {
            let mut out = Vec::new();
            write_integer(&mut out, integer);
            prop_assert_eq!(&out, &written(&Value::from(integer)));
            prop_assert_eq!(read_integer(&out), Some(integer));
            prop_assert_eq!(kind_of(&out), Lead::Integer);
        }

        #[test]
        fn scalars_are_written_as_rmpv_writes_them(number in any::<u64>(), float in any::<f64>(), flag in any::<bool>()) {
            let mut out = Vec::new();
            write_u64(&mut out, number);
            write_f64(&mut out, float);
            write_bool(&mut out, flag);
            write_nil(&mut out);
            let values = [Value::from(number), Value::from(float), Value::from(flag), Value::Nil];
            prop_assert_eq!(out, values.iter().flat_map(written).collect::<Vec<_>>());
        }
    }

    /// One value for each length at which a header changes its form.
    #[test]
    fn lengths_take_the_header_that_rmpv_gives_them() {
        for length in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let mut out = Vec::new();
            write_str(&mut out, &"x".repeat(length)).unwrap();
            assert_eq!(out, written(&Value::from("x".repeat(length))), "str of {length}");
            assert_eq!(kind_of(&out), Lead::Str);
            out.clear();
            write_bin(&mut out, &vec![7; length]).unwrap();
            assert_eq!(out, written(&Value::from(vec![7; length])), "bin of {length}");
            assert_eq!(kind_of(&out), Lead::Bin);
            out.clear();
            write_array_head(&mut out, length).unwrap();
            assert!(written(&Value::Array(vec![Value::Nil; length])).starts_with(&out), "array of {length}");
            out.clear();
            write_map_head(&mut out, length).unwrap();
            assert!(written(&Value::Map(vec![(Value::Nil, Value::Nil); length])).starts_with(&out), "map of {length}");
        }
    }

    #[test]
    fn what_the_format_cannot_say_is_too_long_and_writes_nothing() {
        let mut out = Vec::new();
        for write in [write_str_head, write_bin_head, write_array_head, write_map_head] {
            assert_eq!(write(&mut out, 1 << 32), Err(TooLong));
        }
        assert!(out.is_empty());
    }

    #[test]
    fn an_integer_of_any_form_is_read_and_nothing_else_is() {
        assert_eq!(read_integer(&[marker::UINT64, 0, 0, 0, 0, 0, 0, 0, 5]), Some(5));
        assert_eq!(read_integer(&[marker::INT64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Some(-1));
        for other in
            [&[][..], &[5, 5], &[marker::NIL], &[marker::INT16, 1], &[marker::UINT64, 0x80, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(read_integer(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_lead_of_a_value_is_told_by_its_first_bytes() {
        assert_eq!(kind_of(&[marker::UINT64, 0x7f]), Lead::Integer);
        for other in [
            &[][..],
            &[marker::UINT64, 0x80],
            &[marker::UINT64, 0xff],
            &[marker::NIL],
            &[marker::TRUE],
            &[0x90],
            &[0x80],
        ] {
            assert_eq!(kind_of(other), Lead::Other, "{other:?}");
        }
        for first in 0..=u8::MAX {
            let mut bytes = vec![first];
            bytes.extend([0; 70_000]);
            let expected = match rmpv::decode::read_value_ref(&mut &bytes[..]) {
                Ok(rmpv::ValueRef::Integer(_)) => Lead::Integer,
                Ok(rmpv::ValueRef::String(_)) => Lead::Str,
                Ok(rmpv::ValueRef::Binary(_)) => Lead::Bin,
                _ => Lead::Other,
            };
            assert_eq!(kind_of(&bytes), if first == marker::RESERVED { Lead::Other } else { expected }, "{first:#x}");
        }
    }

    #[test]
    fn nesting_of_256_levels_is_well_formed_and_257_is_not() {
        for prefix in [&[0x91][..], &[0x81, 0xa1, b'a']] {
            let nested = |levels| [prefix.repeat(levels), vec![marker::NIL]].concat();
            assert_eq!(check(&nested(MAX_DEPTH)), Ok(None));
            let offset = prefix.len() * MAX_DEPTH;
            assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(Malformed { offset, what: TOO_DEEP }));
            assert_eq!(check(&nested(1_000_000)), Err(Malformed { offset, what: TOO_DEEP }));
        }
    }

    #[test]
    fn malformed_bytes_are_told_with_their_offset() {
        let cases: [(&[u8], usize, &str); 9] = [
            (&[], 0, ENDS_EARLY),
            (&[0x92, 1], 0, PROMISES_MORE),
            (&[0x93, 0x91, 1, 1], 4, ENDS_EARLY),
            (&[0x91, marker::RESERVED], 1, NOT_A_MARKER),
            (&[1, 1], 1, TRAILING),
            (&[0x91, 0xa1, 0xff], 1, NOT_UTF8),
            (&[marker::STR32, 0xff, 0xff, 0xff, 0xff], 0, PROMISES_MORE),
            (&[marker::ARRAY32, 0xff, 0xff, 0xff, 0xff, 1], 0, PROMISES_MORE),
            (&[marker::MAP32, 0, 0, 0, 2, 1, 1, 1], 0, PROMISES_MORE),
        ];
        for (bytes, offset, what) in cases {
            assert_eq!(check(bytes), Err(Malformed { offset, what }), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_pythons_codec_refuses_is_told_with_its_offset() {
        let cases: [(&[u8], Option<usize>); 7] = [
            (&[0x92, 1, 0xd4, 1, 0], Some(2)),
            (&[0x81, 0xd4, 1, 0, 1], Some(1)),
            (&[0x82, 1, 1, 0x90, 1], Some(3)),
            (&[0x81, 0x80, 1], Some(1)),
            (&[0x81, marker::FLOAT32, 0, 0, 0, 0, 1], Some(1)),
            (&[0x81, 1, marker::FLOAT32, 0, 0, 0, 0], None),
            (&[0x83, marker::NIL, 1, marker::TRUE, 0x90, 0xc4, 0, 0x80], None),
        ];
        for (bytes, offset) in cases {
            assert_eq!(check(bytes).map(|foreign| foreign.map(|foreign| foreign.offset)), Ok(offset), "{bytes:02x?}");
        }
    }

    #[test]
    fn skip_stops_behind_one_value_and_leaves_the_rest_alone() {
        let bytes = [0x92, 0x81, 1, 0xa1, b'x', 0x90, marker::RESERVED];
        assert_eq!(skip(&bytes, 0), Ok(6));
        assert_eq!(skip(&bytes, 1), Ok(5));
        assert_eq!(skip(&bytes, 5), Ok(6));
        assert!(skip(&bytes, 6).is_err());
        assert!(skip(&bytes, 7).is_err());
        assert!(skip(&bytes, 100).is_err());
    }

    #[test]
    fn a_walk_tells_the_place_of_every_item() {
        let bytes = [0x92, 0x81, 1, 0x91, 0xc0, 0x90];
        let mut walk = Walk::new(&bytes, 0);
        let mut steps = Vec::new();
        while let Some(Step { offset, depth, role, .. }) = walk.advance().unwrap() {
            steps.push((offset, depth, role));
        }
        use Role::*;
        assert_eq!(
            steps,
            [(0, 0, Root), (1, 1, Element), (2, 2, Key), (3, 2, Value), (4, 3, Element), (5, 1, Element)]
        );
    }
}
