//! Python objects <-> msgpack, straight from object to bytes and back; the only file with `unsafe`.
//!
//! Invariants that the `unsafe` blocks rest on, all under the GIL (the module declares `gil_used = true`):
//! - A borrowed reference out of a list or a dict lives until Python code can run. Reading a scalar runs none; a container takes
//!   its own reference before it reads its first item.
//! - A list or dict that changes while it is encoded gives `RuntimeError` or a consistent value: each item is fetched with a
//!   bounds check at its turn, and the count in the header is compared at the end.
//! - No list is reachable from Python before all its items are set: decoded items wait on a stack of our own.
//!
//! Errors record their path while they unwind, from the bytes already written, so that the good path pays nothing for them.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::ffi::c_int;
use std::fmt::Display;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyMemoryError, PyUnicodeDecodeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyList, PyString};

use super::fault::{Fault, Reason};
use crate::msgpack::{self, Item, MAX_DEPTH, Malformed, Reader};

/// A str or bytes above this length is copied once, into memory of its own, instead of through the reused buffer.
const LARGE_BYTES: usize = 32 * 1024;
/// The capacity above which a thread does not keep its buffer.
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with the thread's reused buffer, empty.
///
/// The buffer is taken out of its cell meanwhile, so that a finaliser that encodes again gets one of its own.
pub(crate) fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // A finaliser may run after the thread's locals are gone; it works in a buffer that nobody keeps.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let result = work(&mut buffer);
    if buffer.capacity() <= KEPT_BUFFER_BYTES {
        let _ = BUFFER.try_with(|cell| cell.set(buffer));
    }
    result
}

/// Encodes `value` at the end of `out`; `name` is the root of the path in messages, and made only for one.
///
/// On an error `out` is as it was.
///
/// # Errors
/// `TypeError` for what is not storable, `ValueError` for integers out of range and for nesting over [`MAX_DEPTH`] (a cycle
/// included), both with the path; `UnicodeEncodeError` for lone surrogates; `RuntimeError` when a container changes meanwhile;
/// whatever the `items()` of a dict subclass raises.
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, name: impl Display) -> PyResult<()> {
    let start = out.len();
    let nesting = Nesting { depth: 0, subclasses: Subclasses::AsTheirBase };
    encode_value(value, out, nesting).map_err(|fault| {
        out.truncate(start);
        fault.into_error(value.py(), name)
    })
}

/// Encodes `value` at the end of `out` if it is plain: made of None and of exactly bool, int, float, str, bytes, list, tuple and
/// dict, which every serializer of msgpack writes alike, and nested in less than [`MAX_DEPTH`] levels, which ormsgpack takes. Runs
/// no Python code.
///
/// On `false`, `out` is as it was, and no exception is set; [`encode`] may or may not take the value.
pub(crate) fn encode_plain(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let nesting = Nesting { depth: 1, subclasses: Subclasses::Refused };
    let result = encode_value(value, out, nesting);
    if result.is_err() {
        out.truncate(start);
    }
    result.is_ok()
}

/// Encodes a large `bytes` or `str` with one copy; `None` when `value` is anything else.
///
/// # Errors
/// As [`encode`], and `MemoryError`.
#[inline(always)]
pub(crate) fn encode_large(value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    let kind = value.get_type_ptr();
    if kind != &raw mut ffi::PyBytes_Type && kind != &raw mut ffi::PyUnicode_Type {
        return Ok(None);
    }
    encode_if_large(value)
}

#[inline(never)]
fn encode_if_large(value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    let Some((head, payload)) = large_parts(value)? else { return Ok(None) };
    let mut whole = Vec::new();
    whole.try_reserve_exact(head.len() + payload.len()).map_err(|_| PyMemoryError::new_err(()))?;
    whole.extend_from_slice(&head);
    whole.extend_from_slice(payload);
    Ok(Some(whole))
}

/// Encodes `value` into new `bytes`; large `bytes` and `str` are copied once.
///
/// # Errors
/// As [`encode`], and `MemoryError`.
pub(crate) fn encode_to_bytes<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Some((head, payload)) = large_parts(value)? {
        return concatenated(value.py(), &head, payload);
    }
    with_buffer(|buffer| {
        encode(value, buffer, "value")?;
        concatenated(value.py(), &[], buffer)
    })
}

/// Decodes exactly one value.
///
/// # Errors
/// `ValueError` with the byte offset for malformed input, ext types, and map keys that [`encode`] would not write.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder::new(py, bytes);
    match decoder.value(0) {
        Some(value) if decoder.reader.is_at_end() => Ok(value),
        Some(_) => Err(malformed(Malformed { offset: decoder.reader.offset(), what: msgpack::TRAILING })),
        None => Err(match decoder.fault {
            Undecodable::Malformed(fault) => malformed(fault),
            Undecodable::Raised => PyErr::fetch(py),
        }),
    }
}

/// Decodes exactly one value, if [`decode`] takes it; `None` otherwise, and no exception is set.
pub(crate) fn decode_plain<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    let mut decoder = Decoder::new(py, bytes);
    let value = decoder.value(0);
    if value.is_none() && matches!(decoder.fault, Undecodable::Raised) {
        drop(PyErr::take(py));
    }
    value.filter(|_| decoder.reader.is_at_end())
}

/// Makes the str of a name; a short one is shared with the dict keys that were decoded.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn key<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    if name.len() > CACHED_KEY_BYTES {
        return Ok(PyString::new(py, name).into_any());
    }
    Decoder::new(py, &[]).short_key(name.as_bytes(), 0).ok_or_else(|| PyErr::fetch(py))
}

type Encoded = Result<(), Box<Fault>>;

/// How deep a value lies, and what goes for it there.
#[derive(Clone, Copy)]
struct Nesting {
    depth: u32,
    subclasses: Subclasses,
}

/// What becomes of an instance of a subclass of a built-in type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subclasses {
    AsTheirBase,
    Refused,
}

impl Nesting {
    /// What goes for the items of a container.
    #[inline]
    fn inside(self) -> Result<Self, Box<Fault>> {
        if self.depth as usize >= MAX_DEPTH {
            return Err(Fault::new(Reason::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

#[inline(always)]
fn encode_value(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let kind = value.get_type_ptr();
    if kind == &raw mut ffi::PyUnicode_Type {
        encode_str(value, out)
    } else if kind == &raw mut ffi::PyLong_Type {
        encode_int(value, out)
    } else {
        encode_other(value, out, nesting)
    }
}

/// The part of [`encode_value`] that is a call of its own, which keeps the frame of each level small.
#[inline(never)]
fn encode_other(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let kind = value.get_type_ptr();
    if kind == &raw mut ffi::PyDict_Type {
        encode_dict(value, out, nesting)
    } else if kind == &raw mut ffi::PyList_Type {
        encode_list(value, out, nesting)
    } else if kind == &raw mut ffi::PyFloat_Type {
        encode_float(value, out)
    } else if value.is_none() {
        msgpack::write_nil(out);
        Ok(())
    } else if kind == &raw mut ffi::PyBool_Type {
        encode_bool(value, out)
    } else if kind == &raw mut ffi::PyTuple_Type {
        encode_tuple(value, out, nesting)
    } else if kind == &raw mut ffi::PyBytes_Type {
        encode_bytes(value, out)
    } else {
        encode_subclass(value, out, nesting)
    }
}

/// Encodes an instance of a subclass as its base; anything else is refused.
#[cold]
#[inline(never)]
fn encode_subclass(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    match base_of(value).filter(|_| nesting.subclasses == Subclasses::AsTheirBase) {
        Some(Base::Str) => encode_str(value, out),
        Some(Base::Int) => encode_int(value, out),
        Some(Base::Dict) => encode_items(value, out, nesting),
        Some(Base::List) => encode_list(value, out, nesting),
        Some(Base::Tuple) => encode_tuple(value, out, nesting),
        Some(Base::Bytes) => encode_bytes(value, out),
        Some(Base::Float) => encode_float(value, out),
        None => Err(Fault::new(Reason::NotStorable(value.clone().unbind()))),
    }
}

/// Encodes a dict key: str, int, bytes, their subclasses, bool or None.
#[inline(always)]
fn encode_key(key: &Bound<'_, PyAny>, out: &mut Vec<u8>, subclasses: Subclasses) -> Encoded {
    if key.get_type_ptr() == &raw mut ffi::PyUnicode_Type {
        encode_str(key, out)
    } else {
        encode_other_key(key, out, subclasses)
    }
}

#[inline(never)]
fn encode_other_key(key: &Bound<'_, PyAny>, out: &mut Vec<u8>, subclasses: Subclasses) -> Encoded {
    if key.is_none() {
        msgpack::write_nil(out);
        return Ok(());
    }
    let kind = key.get_type_ptr();
    if kind == &raw mut ffi::PyBool_Type {
        return encode_bool(key, out);
    }
    let is_exact = kind == &raw mut ffi::PyLong_Type || kind == &raw mut ffi::PyBytes_Type;
    match base_of(key).filter(|_| is_exact || subclasses == Subclasses::AsTheirBase) {
        Some(Base::Str) => encode_str(key, out),
        Some(Base::Int) => encode_int(key, out),
        Some(Base::Bytes) => encode_bytes(key, out),
        _ => Err(Fault::new(Reason::NotAKey(key.clone().unbind()))),
    }
}

enum Base {
    Str,
    Int,
    Dict,
    List,
    Tuple,
    Bytes,
    Float,
}

/// The built-in type that `value` is an instance of; runs no Python code (`__instancecheck__` is not asked).
fn base_of(value: &Bound<'_, PyAny>) -> Option<Base> {
    // SAFETY: the type of a live object is a live type; both calls only read it.
    let (flags, is_float) = unsafe {
        let kind = value.get_type_ptr();
        (ffi::PyType_GetFlags(kind), ffi::PyType_IsSubtype(kind, &raw mut ffi::PyFloat_Type) != 0)
    };
    [
        (ffi::Py_TPFLAGS_UNICODE_SUBCLASS, Base::Str),
        (ffi::Py_TPFLAGS_LONG_SUBCLASS, Base::Int),
        (ffi::Py_TPFLAGS_DICT_SUBCLASS, Base::Dict),
        (ffi::Py_TPFLAGS_LIST_SUBCLASS, Base::List),
        (ffi::Py_TPFLAGS_TUPLE_SUBCLASS, Base::Tuple),
        (ffi::Py_TPFLAGS_BYTES_SUBCLASS, Base::Bytes),
    ]
    .into_iter()
    .find_map(|(flag, base)| (flags & flag != 0).then_some(base))
    .or(is_float.then_some(Base::Float))
}

#[inline]
fn encode_bool(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Encoded {
    // SAFETY: `Py_True` is an immortal singleton; its address is only compared.
    msgpack::write_bool(out, value.as_ptr() == unsafe { ffi::Py_True() });
    Ok(())
}

#[inline]
fn encode_float(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Encoded {
    // SAFETY: `value` is a float or a subclass, for which the call reads the stored number and cannot fail.
    msgpack::write_f64(out, unsafe { ffi::PyFloat_AsDouble(value.as_ptr()) });
    Ok(())
}

#[inline(never)]
fn encode_int(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Encoded {
    let mut overflow: c_int = 0;
    // SAFETY: `value` is an int or a subclass, for which the call reads the stored number and raises nothing.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &mut overflow) };
    if overflow != 0 {
        return encode_big_int(value, out);
    }
    msgpack::write_integer(out, number);
    Ok(())
}

#[cold]
fn encode_big_int(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Encoded {
    // SAFETY: as in `encode_int`; out of range, negative included, raises OverflowError, which is cleared here.
    let number = unsafe { ffi::PyLong_AsUnsignedLongLong(value.as_ptr()) };
    if PyErr::take(value.py()).is_some() {
        return Err(Fault::new(Reason::OutOfRange));
    }
    msgpack::write_u64(out, number);
    Ok(())
}

#[inline(never)]
fn encode_str(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Encoded {
    let Some(text) = utf8(value) else { return Err(Fault::raised(PyErr::fetch(value.py()))) };
    make_room(out, text.len())?;
    msgpack::write_str_head(out, text.len())?;
    out.extend_from_slice(text);
    Ok(())
}

/// Makes room for a header and `length` bytes.
#[inline(always)]
fn make_room(out: &mut Vec<u8>, length: usize) -> Encoded {
    let needed = length + 5;
    if out.capacity() - out.len() < needed {
        grow(out, needed)?;
    }
    // SAFETY: there was room, or `grow` has made it.
    unsafe { std::hint::assert_unchecked(out.capacity() - out.len() >= needed) };
    Ok(())
}

#[cold]
#[inline(never)]
fn grow(out: &mut Vec<u8>, needed: usize) -> Encoded {
    out.try_reserve(needed).map_err(|_| Fault::new(Reason::NoMemory))
}

#[inline]
fn encode_bytes(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Encoded {
    let bytes = payload(value);
    make_room(out, bytes.len())?;
    msgpack::write_bin_head(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// The UTF-8 of a str or a subclass; `None` says that an exception is set.
///
/// A str that is not ASCII keeps its UTF-8 from then on. Asking for a copy instead would cost every ASCII str an allocation,
/// since the limited API does not tell the two apart.
#[inline(always)]
fn utf8<'a>(text: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    let mut length = 0;
    // SAFETY: `text` is a str, and `length` outlives the call.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut length) };
    // SAFETY: on success the call gives `length` bytes that belong to the immutable str and live as long as it.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), length as usize) })
}

/// The content of a bytes or a subclass.
#[inline]
fn payload<'a>(bytes: &'a Bound<'_, PyAny>) -> &'a [u8] {
    // SAFETY: `bytes` is a bytes object, so that both calls succeed; its content is immutable and lives as long as it.
    unsafe {
        let data = ffi::PyBytes_AsString(bytes.as_ptr());
        std::slice::from_raw_parts(data.cast(), ffi::PyBytes_Size(bytes.as_ptr()) as usize)
    }
}

#[inline(never)]
fn encode_list(list: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let list = list.clone();
    let inside = nesting.inside()?;
    // SAFETY: `list` is a list or a subclass, here and below.
    let count = unsafe { ffi::PyList_Size(list.as_ptr()) };
    msgpack::write_array_head(out, count as usize)?;
    for index in 0..count {
        // SAFETY: the call checks `index` against the present size; the reference is borrowed, see the head of the file.
        let item = unsafe { Borrowed::from_ptr_or_opt(list.py(), ffi::PyList_GetItem(list.as_ptr(), index)) };
        let Some(item) = item else { return Err(changed(list.py(), LIST_CHANGED)) };
        if let Err(fault) = encode_value(&item, out, inside) {
            return Err(fault.inside_list(index as usize));
        }
    }
    // SAFETY: as above.
    if unsafe { ffi::PyList_Size(list.as_ptr()) } != count {
        return Err(changed(list.py(), LIST_CHANGED));
    }
    Ok(())
}

#[inline(never)]
fn encode_tuple(tuple: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let tuple = tuple.clone();
    let inside = nesting.inside()?;
    // SAFETY: `tuple` is a tuple or a subclass.
    let count = unsafe { ffi::PyTuple_Size(tuple.as_ptr()) };
    msgpack::write_array_head(out, count as usize)?;
    for index in 0..count {
        // SAFETY: `index` is below the size, and a tuple keeps its items.
        let item = unsafe { Borrowed::from_ptr_or_opt(tuple.py(), ffi::PyTuple_GetItem(tuple.as_ptr(), index)) };
        let Some(item) = item else { return Err(changed(tuple.py(), TUPLE_UNFINISHED)) };
        if let Err(fault) = encode_value(&item, out, inside) {
            return Err(fault.inside_list(index as usize));
        }
    }
    Ok(())
}

#[inline(never)]
fn encode_dict(dict: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let dict = dict.clone();
    let inside = nesting.inside()?;
    // SAFETY: `dict` is a dict, here and below.
    let count = unsafe { ffi::PyDict_Size(dict.as_ptr()) };
    msgpack::write_map_head(out, count as usize)?;
    let mut left = count;
    let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: the call checks `position` against the present table, so a change in between cannot lead it astray.
    while unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut position, &mut key, &mut value) } != 0 {
        // SAFETY: both are borrowed references to live objects, see the head of the file; encoding a key runs no Python code.
        let (key, value) = unsafe { (Borrowed::from_ptr(dict.py(), key), Borrowed::from_ptr(dict.py(), value)) };
        if left == 0 {
            return Err(Fault::new(Reason::Changed(DICT_CHANGED)));
        }
        left -= 1;
        encode_pair(&key, &value, out, inside)?;
    }
    // SAFETY: as above.
    if left != 0 || unsafe { ffi::PyDict_Size(dict.as_ptr()) } != count {
        return Err(Fault::new(Reason::Changed(DICT_CHANGED)));
    }
    Ok(())
}

/// Encodes a dict subclass by its `items()`, which may order or compute them in its own way.
fn encode_items(mapping: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let inside = nesting.inside()?;
    let items = items_of(mapping)?;
    let count = items.len();
    msgpack::write_map_head(out, count)?;
    for index in 0..count {
        let (key, value) = pair_at(&items, index)?;
        encode_pair(&key, &value, out, inside)?;
    }
    Ok(())
}

#[inline(never)]
fn items_of<'py>(mapping: &Bound<'py, PyAny>) -> Result<Bound<'py, PyList>, Box<Fault>> {
    let mapping = mapping.clone();
    // SAFETY: `mapping` is a live object; the call gives a new list, or null with an exception set.
    let items = unsafe { Bound::from_owned_ptr_or_err(mapping.py(), ffi::PyMapping_Items(mapping.as_ptr())) };
    items.and_then(|items| Ok(items.cast_into()?)).map_err(Fault::raised)
}

#[inline(never)]
fn pair_at<'py>(
    items: &Bound<'py, PyList>,
    index: usize,
) -> Result<(Bound<'py, PyAny>, Bound<'py, PyAny>), Box<Fault>> {
    items.get_item(index).and_then(|pair| pair.extract()).map_err(Fault::raised)
}

#[inline(always)]
fn encode_pair(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, out: &mut Vec<u8>, nesting: Nesting) -> Encoded {
    let key_at = out.len();
    encode_key(key, out, nesting.subclasses)?;
    let value_at = out.len();
    match encode_value(value, out, nesting) {
        Ok(()) => Ok(()),
        Err(fault) => Err(fault.inside_dict(&out[key_at..value_at])),
    }
}

/// The fault of a container that changed; takes back the `IndexError` that told so.
#[cold]
fn changed(py: Python<'_>, what: &'static str) -> Box<Fault> {
    drop(PyErr::take(py));
    Fault::new(Reason::Changed(what))
}

const LIST_CHANGED: &str = "list changed size during encoding";
const TUPLE_UNFINISHED: &str = "tuple has an item that is not set yet";
const DICT_CHANGED: &str = "dictionary changed size during iteration";

/// Header and content of a `bytes` or `str` above [`LARGE_BYTES`]; exact types only.
fn large_parts<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Option<(Vec<u8>, &'a [u8])>> {
    let mut head = Vec::new();
    let (written, payload) = if value.is_exact_instance_of::<PyBytes>() {
        let bytes = payload(value);
        if bytes.len() <= LARGE_BYTES {
            return Ok(None);
        }
        (msgpack::write_bin_head(&mut head, bytes.len()), bytes)
    } else if value.is_exact_instance_of::<PyString>() {
        let Some(text) = utf8(value) else { return Err(PyErr::fetch(value.py())) };
        if text.len() <= LARGE_BYTES {
            return Ok(None);
        }
        (msgpack::write_str_head(&mut head, text.len()), text)
    } else {
        return Ok(None);
    };
    written.map_err(|_| Fault::new(Reason::TooLong).into_error(value.py(), "value"))?;
    Ok(Some((head, payload)))
}

/// New `bytes` of `head` followed by `payload`.
fn concatenated<'py>(py: Python<'py>, head: &[u8], payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let length = head.len() + payload.len();
    // SAFETY: the call gives new bytes of `length`, not yet filled, or null with an exception set. Nobody else sees them before
    // they are filled, and the two ranges lie within them.
    unsafe {
        let raw = ffi::PyBytes_FromStringAndSize(ptr::null(), length as ffi::Py_ssize_t);
        let bytes = Bound::from_owned_ptr_or_err(py, raw)?;
        let start: *mut u8 = ffi::PyBytes_AsString(raw).cast();
        ptr::copy_nonoverlapping(head.as_ptr(), start, head.len());
        ptr::copy_nonoverlapping(payload.as_ptr(), start.add(head.len()), payload.len());
        Ok(bytes.cast_into_unchecked())
    }
}

/// Reads one value; `None` says that `fault` tells why not.
struct Decoder<'a, 'py> {
    py: Python<'py>,
    reader: Reader<'a>,
    /// The items of the lists that are being read; each list owns the top from where it started.
    items: Vec<Bound<'py, PyAny>>,
    /// The shared keys; `None` while another decode, a finaliser's included, has them.
    keys: Option<KeysTaken>,
    fault: Undecodable,
}

enum Undecodable {
    Malformed(Malformed),
    /// The interpreter holds the exception.
    Raised,
}

impl<'a, 'py> Decoder<'a, 'py> {
    fn new(py: Python<'py>, bytes: &'a [u8]) -> Self {
        Self {
            py,
            reader: Reader::new(bytes, 0),
            items: Vec::new(),
            keys: KeysTaken::take(),
            fault: Undecodable::Raised,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        let offset = self.reader.offset();
        match self.reader.item() {
            Ok(Item::Str(text)) => self.str(text, offset),
            Ok(Item::Unsigned(number)) => self.unsigned(number),
            Ok(Item::Map(count)) => self.map(count, depth, offset),
            Ok(Item::Array(count)) => self.list(count, depth, offset),
            Ok(Item::Float(number)) => self.float(number),
            Ok(Item::Nil) => Some(self.py.None().into_bound(self.py)),
            Ok(Item::Bool(value)) => Some(PyBool::new(self.py, value).to_owned().into_any()),
            Ok(Item::Signed(number)) => self.signed(number),
            Ok(Item::Bin(bytes)) => self.bytes(bytes),
            Ok(Item::Ext(..)) => self.malformed(offset, msgpack::EXT),
            Err(fault) => self.malformed(fault.offset, fault.what),
        }
    }

    #[inline(never)]
    fn list(&mut self, count: usize, depth: usize, offset: usize) -> Option<Bound<'py, PyAny>> {
        if depth >= MAX_DEPTH {
            return self.malformed(offset, msgpack::TOO_DEEP);
        }
        let start = self.items.len();
        for _ in 0..count {
            let item = self.value(depth + 1)?;
            self.items.push(item);
        }
        // SAFETY: the call gives a new list of `count` empty places, or null with an exception set.
        let list = self.owned(unsafe { ffi::PyList_New(count as ffi::Py_ssize_t) })?;
        for (index, item) in self.items.drain(start..).enumerate() {
            // SAFETY: `index` is below `count`, the call takes over the reference, and nothing in this loop runs Python code, so
            // that nobody meets an empty place.
            unsafe { ffi::PyList_SetItem(list.as_ptr(), index as ffi::Py_ssize_t, item.into_ptr()) };
        }
        Some(list)
    }

    #[inline(never)]
    fn map(&mut self, count: usize, depth: usize, offset: usize) -> Option<Bound<'py, PyAny>> {
        if depth >= MAX_DEPTH {
            return self.malformed(offset, msgpack::TOO_DEEP);
        }
        // SAFETY: the call gives a new dict, or null with an exception set.
        let dict = self.owned(unsafe { ffi::PyDict_New() })?;
        for _ in 0..count {
            let key = self.key()?;
            let value = self.value(depth + 1)?;
            // SAFETY: all three are live; the call takes references of its own. The keys are built-in scalars, so that hashing
            // and comparing them runs no Python code.
            if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
                return self.raised();
            }
        }
        Some(dict)
    }

    #[inline]
    fn key(&mut self) -> Option<Bound<'py, PyAny>> {
        let offset = self.reader.offset();
        match self.reader.item() {
            Ok(Item::Str(text)) if text.len() <= CACHED_KEY_BYTES => self.short_key(text, offset),
            Ok(Item::Str(text)) => self.str(text, offset),
            other => self.other_key(other, offset),
        }
    }

    #[inline(never)]
    fn other_key(&mut self, key: Result<Item<'_>, Malformed>, offset: usize) -> Option<Bound<'py, PyAny>> {
        let key = match key {
            Ok(key) => key,
            Err(fault) => return self.malformed(fault.offset, fault.what),
        };
        if let Some(what) = msgpack::refused_key(&key) {
            return self.malformed(offset, what);
        }
        match key {
            Item::Unsigned(number) => self.unsigned(number),
            Item::Signed(number) => self.signed(number),
            Item::Bin(bytes) => self.bytes(bytes),
            Item::Bool(value) => Some(PyBool::new(self.py, value).to_owned().into_any()),
            _ => Some(self.py.None().into_bound(self.py)),
        }
    }

    /// A short key: the str that an earlier decode made of the same bytes, where one is still known.
    #[inline]
    fn short_key(&mut self, text: &[u8], offset: usize) -> Option<Bound<'py, PyAny>> {
        let print = KeyPrint::new(text);
        let index = print.slot();
        if let Some(keys) = &mut self.keys
            && let KeySlot { print: known, text: Some(text) } = keys.slot(index)
            && *known == print
        {
            return Some(text.bind(self.py).clone());
        }
        let key = self.str(text, offset)?;
        if let Some(keys) = &mut self.keys {
            *keys.slot(index) = KeySlot { print, text: Some(key.clone().unbind()) };
        }
        Some(key)
    }

    #[inline]
    fn str(&mut self, text: &[u8], offset: usize) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the pointer and the length are those of a slice; the call checks the UTF-8 and gives a new str, or null with
        // an exception set.
        let raw =
            unsafe { ffi::PyUnicode_DecodeUTF8(text.as_ptr().cast(), text.len() as ffi::Py_ssize_t, ptr::null()) };
        if raw.is_null() { self.not_text(offset) } else { self.owned(raw) }
    }

    /// Turns Python's `UnicodeDecodeError` into one that names the offset in the whole input; leaves `MemoryError` alone.
    #[cold]
    fn not_text(&mut self, offset: usize) -> Option<Bound<'py, PyAny>> {
        let error = PyErr::fetch(self.py);
        if error.is_instance_of::<PyUnicodeDecodeError>(self.py) {
            return self.malformed(offset, msgpack::NOT_UTF8);
        }
        error.restore(self.py);
        self.raised()
    }

    #[inline]
    fn unsigned(&mut self, number: u64) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the call gives a new int, or null with an exception set.
        self.owned(unsafe { ffi::PyLong_FromUnsignedLongLong(number) })
    }

    #[inline]
    fn signed(&mut self, number: i64) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the call gives a new int, or null with an exception set.
        self.owned(unsafe { ffi::PyLong_FromLongLong(number) })
    }

    #[inline]
    fn float(&mut self, number: f64) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the call gives a new float, or null with an exception set.
        self.owned(unsafe { ffi::PyFloat_FromDouble(number) })
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the pointer and the length are those of a slice; the call copies it, or gives null with an exception set.
        self.owned(unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as ffi::Py_ssize_t) })
    }

    /// Takes over a new reference; null says that an exception is set.
    #[inline]
    fn owned(&mut self, raw: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
        // SAFETY: every caller passes what a call that gives new references gave.
        let object = unsafe { Bound::from_owned_ptr_or_opt(self.py, raw) };
        if object.is_none() { self.raised() } else { object }
    }

    #[cold]
    fn raised<T>(&mut self) -> Option<T> {
        self.fault = Undecodable::Raised;
        None
    }

    #[cold]
    fn malformed<T>(&mut self, offset: usize, what: &'static str) -> Option<T> {
        self.fault = Undecodable::Malformed(Malformed { offset, what });
        None
    }
}

fn malformed(fault: Malformed) -> PyErr {
    PyValueError::new_err(fault.to_string())
}

/// The longest dict key that is kept, in UTF-8.
const CACHED_KEY_BYTES: usize = 32;
const KEY_SLOTS: usize = 1024;

static KEYS: SharedKeys = SharedKeys {
    taken: AtomicBool::new(false),
    cache: UnsafeCell::new(KeyCache { slots: [const { KeySlot::EMPTY }; KEY_SLOTS] }),
};

/// The one cache, which one decode has at a time.
///
/// Nobody waits for it: a decode that finds it taken makes its keys anew. So it may be held while Python code runs. Its strs are
/// never released; there are no more than [`KEY_SLOTS`].
struct SharedKeys {
    taken: AtomicBool,
    cache: UnsafeCell<KeyCache>,
}

// SAFETY: `cache` is reached only through a `KeysTaken`, of which `taken` lets no second one exist: it is read and written under
// the GIL, which also makes one thread's writes visible to the next; the strs in it may be sent between threads.
unsafe impl Sync for SharedKeys {}

/// The right to use the cache, given back on drop.
struct KeysTaken {
    _only_by_take: (),
}

impl KeysTaken {
    #[inline]
    fn take() -> Option<Self> {
        // One thread at a time comes here, under the GIL, and lets go of it neither between the look nor the mark: so no
        // exchange is needed, which costs as much as a third of a small decode.
        if KEYS.taken.load(Ordering::Relaxed) {
            return None;
        }
        KEYS.taken.store(true, Ordering::Relaxed);
        Some(KeysTaken { _only_by_take: () })
    }

    #[inline]
    fn slot(&mut self, index: usize) -> &mut KeySlot {
        // SAFETY: this is the only `KeysTaken`, and the borrow of it lasts as long as the one that is given.
        unsafe { &mut (*KEYS.cache.get()).slots[index] }
    }
}

impl Drop for KeysTaken {
    #[inline]
    fn drop(&mut self) {
        KEYS.taken.store(false, Ordering::Relaxed);
    }
}

/// Strs of short dict keys, each in the one slot that its bytes lead to; the newest wins.
struct KeyCache {
    slots: [KeySlot; KEY_SLOTS],
}

struct KeySlot {
    print: KeyPrint,
    text: Option<Py<PyAny>>,
}

/// All bytes of a short key in words of fixed number, so that two keys compare without a loop.
///
/// One to one: of each length, the words cover every byte, overlapping where the length is not a power of two.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KeyPrint {
    words: [u64; 4],
    length: usize,
}

impl KeySlot {
    const EMPTY: Self = KeySlot { print: KeyPrint { words: [0; 4], length: 0 }, text: None };
}

impl KeyPrint {
    #[inline(always)]
    fn new(key: &[u8]) -> Self {
        let words = if let (Some(first), Some(last)) = (key.first_chunk::<16>(), key.last_chunk::<16>()) {
            let (first, last) = (u128::from_le_bytes(*first), u128::from_le_bytes(*last));
            [first as u64, (first >> 64) as u64, last as u64, (last >> 64) as u64]
        } else if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
            [u64::from_le_bytes(*first), u64::from_le_bytes(*last), 0, 0]
        } else if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
            [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into(), 0, 0]
        } else if let (Some(first), Some(last)) = (key.first(), key.last()) {
            [(*first).into(), key[key.len() / 2].into(), (*last).into(), 0]
        } else {
            [0; 4]
        };
        KeyPrint { words, length: key.len() }
    }

    #[inline(always)]
    fn slot(&self) -> usize {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = self.length as u64;
        for word in self.words {
            hash = (hash.rotate_left(23) ^ word).wrapping_mul(MIX);
        }
        (hash >> (u64::BITS - KEY_SLOTS.ilog2())) as usize
    }
}
