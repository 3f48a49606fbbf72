//! `dumps` and `loads`: the store's own codec, offered for itself.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use super::codec;

/// Encode a value to msgpack, as a store does.
///
/// `tuple` comes back as `list`; an instance of a subclass comes back as its base type.
///
/// Args:
///     obj: None, bool, int from -2**63 to 2**64-1, float, str, bytes, or a list, tuple or dict of these, nested up to
///         256 levels. Dict keys are str, int, bytes, bool or None.
///
/// Returns:
///     The value in plain msgpack, integers and lengths in their shortest form.
///
/// Raises:
///     TypeError: A part of the value is of a type that is not storable; the message gives the path to it.
///     ValueError: An int is out of range, or the value nests too deep or contains itself.
///     UnicodeEncodeError: A str contains a lone surrogate.
///     RuntimeError: A list or dict changed size meanwhile.
///
/// Example:
///     >>> dumps({"step": 3})
///     b'\x81\xa4step\x03'
#[pyfunction]
#[pyo3(signature = (obj, /))]
pub(crate) fn dumps<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    codec::encode_to_bytes(obj)
}

/// Decode one msgpack value.
///
/// Args:
///     data: Exactly one value. A bytearray or memoryview is copied first.
///
/// Returns:
///     The value; of equal map keys the last wins.
///
/// Raises:
///     ValueError: The bytes are not exactly one well-formed value, nest deeper than 256 levels, hold an ext type, or a
///         map key that `dumps` would not write. The message names the byte offset.
///     TypeError: `data` is not bytes-like.
///
/// Example:
///     >>> loads(dumps({"step": 3}))
///     {'step': 3}
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(crate) fn loads<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return codec::decode(py, bytes.as_bytes());
    }
    if data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>()
    {
        let copy = py.get_type::<PyBytes>().call1((data,))?.cast_into::<PyBytes>()?;
        return codec::decode(py, copy.as_bytes());
    }
    let name = data.get_type().name()?;
    Err(PyTypeError::new_err(format!("loads takes bytes, bytearray or memoryview, not {}", name.to_string_lossy())))
}
