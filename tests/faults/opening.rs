//! What may not be opened, and what a name may be.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use swarmstate::{Reader, Sqlite, SqliteOptions, Store, StoreExt};

use super::{as_nobody, assert_named, everything, files, given_folder, open, run_child, with_own_mounts};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for a folder")
}

/// A store with one entry, closed.
fn make_store(path: &Path) {
    let store = open(path).expect("the folder is there");
    store.set("n", "k", 1).expect("valid");
    store.close().expect("it is open");
}

/// Opening fails so, and the whole folder stays as it was.
#[track_caller]
fn assert_refused(path: &Path, variant: &str, text: &str) {
    let before = files(path.parent().expect("it is in a folder"));

    let error = open(path).err();

    assert_named(error, variant, path, text);
    assert_eq!(files(path.parent().expect("it is in a folder")), before);
}

#[test]
fn a_file_that_is_not_sqlites_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("state.db");

    for content in
        [&b"x"[..], b"hello", &[0; 100], &[b'x'; 99], &[0; 4096], &[0xff; 100_000], b"SQLite format 2\0 and more"]
    {
        fs::write(&path, content).expect("there is room");
        assert_refused(&path, "Invalid", "is no SQLite file");
    }
}

#[test]
fn a_sqlite_file_of_somebody_else_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let other = Connection::open(&path).expect("the folder is there");

    for statement in
        ["CREATE TABLE entry (key)", "DROP TABLE entry; PRAGMA user_version = 1", "PRAGMA application_id = 7"]
    {
        other.execute_batch(statement).expect("it is valid");
        assert_refused(&path, "Invalid", "no store of swarmstate");
    }
}

#[test]
fn a_layout_of_a_newer_release_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("state.db");
    make_store(&path);
    let file = Connection::open(&path).expect("it is there");

    for (version, variant, text) in
        [(2, "Unsupported", "upgrade"), (i32::MAX, "Unsupported", "upgrade"), (-1, "Corrupt", "-1")]
    {
        file.pragma_update(None, "user_version", version).expect("it can be written");
        let _: i64 = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("nobody reads");
        let error = open(&path).err();
        assert_named(error, variant, &path, text);
        assert_eq!(file.pragma_query_value(None, "user_version", |row| row.get(0)), Ok(version));
    }
}

#[test]
fn a_file_of_a_newer_sqlite_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("state.db");
    make_store(&path);
    let mut file = fs::read(&path).expect("it is there");
    file[18] = 3;
    fs::write(&path, file).expect("there is room");

    assert_refused(&path, "Unsupported", "newer SQLite");
}

#[test]
fn a_folder_that_is_not_there_is_not_found() {
    let folder = folder();
    let path = folder.path().join("nowhere").join("state.db");

    assert_named(open(&path).err(), "NotFound", path.parent().expect("it has one"), "does not exist");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_file_that_is_not_to_be_made_is_not_found() {
    let folder = folder();
    let path = folder.path().join("state.db");

    let error = Sqlite::open(&path, SqliteOptions { create: false, ..SqliteOptions::default() }).err();

    assert_named(error, "NotFound", &path, "does not exist");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn what_names_no_file_is_invalid() {
    let folder = folder();
    let with_nul = folder.path().join(OsStr::from_bytes(b"a\0b"));

    for path in [Path::new(""), Path::new(":memory:"), folder.path(), &with_nul, Path::new("/dev/null")] {
        assert_named(open(path).err(), "Invalid", path, "");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_name_may_hold_every_other_byte() {
    let folder = folder();
    let names: [&[u8]; 8] =
        [b"a?b", b"a#b", b"100%", b"%41", b"file:a?mode=memory", b"new\nline", b"\xff\xfe", b"-wal"];

    for name in names {
        let path = folder.path().join(OsStr::from_bytes(name));
        make_store(&path);
        let url: String = path.as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02x}")).collect();
        let by_url = swarmstate::open(&format!("sqlite:///{url}")).expect("it is the same file");
        assert_eq!(by_url.increment("n", "k", 1), Ok(2));
        by_url.close().expect("it is open");
    }

    let found: Vec<_> = files(folder.path()).into_keys().collect();
    let mut expected: Vec<_> = names.iter().map(|name| OsStr::from_bytes(name).to_owned()).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_new_file_and_its_log_belong_to_their_owner_alone() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = open(&path).expect("the folder is there");
    store.set("n", "k", 1).expect("valid");

    let mode = |name: &str| {
        let found = fs::metadata(folder.path().join(name)).expect("it is there while the store is open");
        found.permissions().mode() & 0o777
    };

    assert_eq!(["state.db", "state.db-wal", "state.db-shm"].map(mode), [0o600; 3]);
}

#[test]
fn a_store_behind_a_symbolic_link_is_read_while_its_log_holds_all_of_it() {
    let folder = folder();
    let link = folder.path().join("link.db");
    fs::create_dir(folder.path().join("real")).expect("there is room");
    let path = folder.path().join("real").join("state.db");
    make_store(&path);
    symlink(&path, &link).expect("there is room");
    let writer = open(&link).expect("it leads to a store");
    writer.set("n", "large", &*vec![7; 500_000]).expect("valid");

    let reader = open(&link).expect("it leads to a store");

    assert_eq!(everything(&reader), everything(&writer));
    assert_eq!(everything(&open(&path).expect("it is a store")), everything(&writer));
}

#[test]
fn any_timeout_is_taken() {
    let folder = folder();

    for timeout in [Duration::MAX, Duration::from_secs(u64::from(u32::MAX)), Duration::from_nanos(1)] {
        let options = SqliteOptions { timeout, ..SqliteOptions::default() };
        let store = Sqlite::open(&folder.path().join("state.db"), options).expect("nobody is in the way");
        store.set("n", "k", 1).expect("valid");
        assert_eq!(store.usage().expect("it can be read").entries, 1);
    }
}

/// A child that may not write answers so, and leaves everything as it is.
fn assert_refused_in_child(test: &str, child: impl FnOnce(&str) -> Command, prepare: impl FnOnce(&Path)) {
    if let Some(folder) = given_folder() {
        let path = folder.join("state.db");
        let error = open(&path).err();
        println!("{error:?}");
        assert_named(error, "Invalid", &path, "");
        return;
    }
    let folder = folder();
    make_store(&folder.path().join("state.db"));
    prepare(folder.path());
    let before = files(folder.path());

    run_child(child(test), folder.path());

    let after = files(folder.path());
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).expect("it is ours");
    assert_eq!(after, before);
}

fn set_mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_file_that_this_user_may_only_read_is_invalid() {
    assert_refused_in_child("opening::a_file_that_this_user_may_only_read_is_invalid", as_nobody, |folder| {
        set_mode(folder.join("state.db"), 0o444);
        set_mode(folder.to_owned(), 0o777);
    });
}

#[test]
fn a_file_that_this_user_may_not_read_is_invalid() {
    assert_refused_in_child("opening::a_file_that_this_user_may_not_read_is_invalid", as_nobody, |folder| {
        set_mode(folder.join("state.db"), 0);
        set_mode(folder.to_owned(), 0o777);
    });
}

#[test]
fn a_folder_that_this_user_may_only_read_is_invalid() {
    assert_refused_in_child("opening::a_folder_that_this_user_may_only_read_is_invalid", as_nobody, |folder| {
        set_mode(folder.join("state.db"), 0o666);
        set_mode(folder.to_owned(), 0o555);
    });
}

#[test]
fn a_folder_where_this_user_may_make_no_file_is_invalid() {
    assert_refused_in_child("opening::a_folder_where_this_user_may_make_no_file_is_invalid", as_nobody, |folder| {
        fs::remove_file(folder.join("state.db")).expect("it is ours");
        set_mode(folder.to_owned(), 0o555);
    });
}

#[test]
fn a_disk_that_is_mounted_to_be_read_only_is_invalid() {
    let test = "opening::a_disk_that_is_mounted_to_be_read_only_is_invalid";
    if let Some(folder) = given_folder() {
        let mount = |options| Command::new("mount").args(["-o", options]).arg(&folder).arg(&folder).status();
        for options in ["bind", "remount,bind,ro"] {
            assert!(mount(options).expect("mount is there").success());
        }
    }
    assert_refused_in_child(test, with_own_mounts, |_| {});
}

#[test]
fn threads_that_make_one_file_at_once_get_the_same_store() {
    let folder = folder();

    for turn in 0..40 {
        let path = folder.path().join(format!("{turn}.db"));
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let store = open(&path).expect("all but one wait for the one that makes it");
                    store.increment("n", "k", 1).expect("valid");
                });
            }
        });
        assert_eq!(open(&path).expect("it is a store").increment("n", "k", 0), Ok(8));
    }
}
