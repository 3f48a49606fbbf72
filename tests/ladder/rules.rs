//! The rules of the ladder, on small sources that keep or break them.

use std::collections::BTreeMap;

use super::violations;

const GROUND: &[(&str, &str)] = &[
    (
        "lib.rs",
        "pub mod error; pub mod store; pub use error::Error; pub use store::batch::{Batch, Outcome as Result_};",
    ),
    ("error.rs", ""),
    ("clock.rs", ""),
    ("map/mod.rs", "mod node;"),
    ("map/node.rs", ""),
    ("store/mod.rs", "pub mod batch;"),
    ("store/batch.rs", ""),
    ("engine/mod.rs", "pub mod memory; pub mod redis;"),
    ("engine/memory.rs", ""),
    ("engine/redis/mod.rs", ""),
    ("engine/redis/layout.rs", ""),
    ("open.rs", ""),
    ("service/ops.rs", ""),
    ("service/rest.rs", ""),
    ("py/codec.rs", ""),
];

/// The breaches of a crate in which `path` holds `text` and every other file keeps the rules.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let mut sources: BTreeMap<String, String> =
        GROUND.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    sources.insert(path.to_owned(), text.to_owned());
    violations(&sources)
}

#[track_caller]
fn assert_kept(path: &str, text: &str) {
    assert_eq!(breaches(path, text), Vec::<String>::new());
}

#[track_caller]
fn assert_broken(path: &str, text: &str, message: &str) {
    let found = breaches(path, text);
    assert!(found.len() == 1 && found[0].contains(message), "expected one breach with {message:?}, found {found:#?}");
}

#[test]
fn a_file_names_lower_rungs_and_its_own_folder() {
    assert_kept(
        "store/batch.rs",
        "use crate::map::{Map, node::Node}; use super::Store; fn f() -> crate::error::Error {}",
    );
    assert_kept("engine/redis/layout.rs", "use super::script; use crate::engine::redis::Redis; use crate::store;");
    assert_kept("open.rs", "use crate::engine::{memory, redis}; fn f() { redis::connect() }");
    assert_kept("error.rs", "use crate::clock::Clock;");
}

#[test]
fn a_higher_rung_is_a_breach_in_every_spelling() {
    for text in [
        "use crate::store::Batch;",
        "use crate::{error::Error, store::{self}};",
        "use super::store as other;",
        "pub use crate::store::*;",
        "fn f(batch: &crate::store::batch::Batch) {}",
        "fn f() { super::store::open() }",
        "macro_rules! m { () => { $crate::store::open() } }",
        "#[cfg(test)] mod tests { use super::super::store::Store; }",
        "#[cfg(test)] mod tests { mod deeper { use crate::store; } }",
        "use std::fmt; use crate::{\n    error::Error,\n    store::batch,\n};",
    ] {
        assert_broken("clock.rs", text, "not a lower rung");
    }
}

#[test]
fn a_neighbour_on_the_same_rung_is_a_breach() {
    assert_broken("engine/memory.rs", "use crate::engine::redis::Redis;", "engine/redis/mod.rs");
    assert_broken("engine/memory.rs", "use super::redis::layout;", "engine/redis/layout.rs");
    assert_broken("service/ops.rs", "use super::rest::Router;", "service/rest.rs");
    assert_kept("service/rest.rs", "use super::ops::list;");
}

#[test]
fn a_name_from_the_root_counts_as_the_file_it_comes_from() {
    assert_kept("clock.rs", "use crate::Error;");
    assert_broken("clock.rs", "use crate::Batch;", "store/batch.rs");
    assert_broken("clock.rs", "use crate::Result_;", "store/batch.rs");
    assert_broken("clock.rs", "use crate::Nowhere;", "does not re-export");
}

#[test]
fn super_in_an_inline_module_means_the_file_itself() {
    assert_kept(
        "map/node.rs",
        "mod tests { use std::collections::BTreeMap;

use super::violations; fn f() { super::grow() } } fn g() { super::root() }",
    );
    assert_kept("map/node.rs", "pub(in crate::map) fn f() {} mod a { mod b { use super::super::Node; } }");
}

#[test]
fn comments_and_literals_name_nothing() {
    assert_kept("clock.rs", "//! [`crate::store`]\n/* unsafe /* use crate::py; */ */ fn f() {}");
    assert_kept("clock.rs", "const A: &str = \"use crate::store;\"; const B: &str = r#\"\" crate::store::x\"#;");
    assert_kept("clock.rs", "fn f<'a>(a: &'a str) -> char { '\"' }\n// crate::store::x\nconst C: char = '\\'';");
    assert_broken("clock.rs", "const A: char = '\"'; use crate::store; const B: char = '\"';", "not a lower rung");
}

#[test]
fn an_outside_crate_stays_at_home() {
    assert_kept("engine/redis/layout.rs", "use redis::Client;");
    assert_kept("py/codec.rs", "use pyo3::prelude::*;");
    assert_broken("open.rs", "use redis::Client;", "the crate redis");
    assert_broken("open.rs", "fn f(client: ::redis::Client) {}", "the crate redis");
    assert_broken("engine/memory.rs", "#[pyo3::pyclass] struct S;", "the crate pyo3");
    assert_broken("open.rs", "use {std::fmt, rusqlite as sql};", "the crate rusqlite");
    assert_broken("open.rs", "extern crate axum;", "the crate axum");
}

#[test]
fn unsafe_stays_in_the_codec_and_says_why_it_is_safe() {
    assert_kept("py/codec.rs", "// SAFETY: the pointer is live.\nunsafe { f() }");
    assert_broken("py/codec.rs", "fn f() {\n    unsafe { g() }\n}", "without a SAFETY: comment");
    assert_broken("py/codec.rs", "// SAFETY: far away.\n\n\n\n\n\n\nunsafe { f() }", "without a SAFETY: comment");
    assert_broken("map/mod.rs", "// SAFETY: no.\nunsafe { f() }", "only src/py/codec.rs");
}

#[test]
fn the_root_holds_no_function() {
    assert_broken("lib.rs", "pub use store::batch::Batch; pub fn open() {}", "holds a function");
}

#[test]
fn a_file_without_a_rung_is_named() {
    assert_broken("helpers.rs", "", "src/helpers.rs has no rung");
}
