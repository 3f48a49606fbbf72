//! The extension module `swarmstate._core`: takes Python types, calls the store, returns.

use pyo3::prelude::*;

mod bytes;
mod codec;
mod fault;

// The codec borrows references from lists and dicts, which only the GIL keeps alive.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use super::bytes::{dumps, loads};
}
