//! What goes wrong around a SQLite store: each fault is an error that names the file, and the file stays as it was.
//!
//! Where a fault needs another user or a disk of its own, the test program starts itself again as a child that has them; the child
//! asserts, and the test fails with it.

#![cfg(all(feature = "sqlite", unix))]

mod damage;
mod opening;
mod place;
mod room;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use swarmstate::{Error, Namespace, Range, Reader, Result, Sqlite, SqliteOptions, Timestamp};

/// Where a child of this program finds the folder that it works in; its presence makes a program one.
const FOLDER: &str = "SWARMSTATE_FAULTS_FOLDER";
const NOBODY: u32 = 65_534;

fn open(path: &Path) -> Result<Sqlite> {
    Sqlite::open(path, SqliteOptions::default())
}

/// The folder of the child that this process is.
fn given_folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// Runs this test once more, in a child whose folder this is.
fn run_child(mut child: Command, folder: &Path) {
    let status = child.env(FOLDER, folder).status().expect("it can be started again");
    assert!(status.success(), "the child found what it says above");
}

/// This program with only that test in it.
fn arguments(test: &str) -> Vec<OsString> {
    let program = env::current_exe().expect("it runs").into_os_string();
    vec![program, "--exact".into(), test.into(), "--nocapture".into()]
}

/// The program as a user who is not root, as whom permissions count.
fn as_nobody(test: &str) -> Command {
    let arguments = arguments(test);
    let mut child = Command::new(&arguments[0]);
    child.args(&arguments[1..]);
    if is_root() {
        child.uid(NOBODY).gid(NOBODY);
    }
    child
}

/// The program where it may mount what it likes, and nobody else sees it.
fn with_own_mounts(test: &str) -> Command {
    let mut child = Command::new("unshare");
    if !is_root() {
        child.args(["--user", "--map-root-user"]);
    }
    child.arg("--mount").args(arguments(test));
    child
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("it is Linux").uid() == 0
}

/// Every file of a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = folder.read_dir().expect("the folder is there").map(|entry| entry.expect("it can be read"));
    entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).expect("it can be read"))).collect()
}

/// An entry as far as it can be compared.
#[derive(Debug, PartialEq)]
struct Shown {
    namespace: String,
    key: String,
    value: Vec<u8>,
    revision: u64,
    expires_at: Option<Timestamp>,
}

/// Every entry that a reader shows.
fn everything(reader: &dyn Reader) -> Result<Vec<Shown>> {
    let mut all = Vec::new();
    for name in reader.namespaces(&Range::default())? {
        let entries = reader.entries(&Namespace::new(&name)?, &Range::default())?;
        all.extend(entries.into_iter().map(|entry| Shown {
            namespace: name.clone(),
            key: entry.key().to_owned(),
            value: entry.value().to_vec(),
            revision: entry.revision(),
            expires_at: entry.expires_at(),
        }));
    }
    Ok(all)
}

/// Asserts that the error is of this variant and that its message names the file and holds this text.
#[track_caller]
fn assert_named(error: Option<Error>, variant: &str, path: &Path, text: &str) {
    let error = error.expect("it is an error");
    let debug = format!("{error:?}");
    assert!(debug.starts_with(variant), "{debug} is not {variant}");
    let message = error.to_string();
    assert!(message.contains(&format!("{path:?}")), "{message} does not name {path:?}");
    assert!(message.contains(text), "{message} does not say {text:?}");
}
