//! Hands PyO3's interpreter flags (such as `Py_LIMITED_API`) to this crate, so that faster paths can be gated on them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
