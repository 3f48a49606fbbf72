//! The extension module `swarmstate._core`: takes Python types, calls the store, returns.

use pyo3::prelude::*;

#[pymodule]
mod _core {}
