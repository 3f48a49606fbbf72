//! What happens to an open store whose file is moved, removed or replaced.

use std::fs;
use std::path::PathBuf;

use swarmstate::{Reader, Sqlite, Store, StoreExt};

use super::{assert_named, everything, open};

/// A store with one entry in a folder of its own inside a folder.
fn store_in_folder() -> (tempfile::TempDir, PathBuf, Sqlite) {
    let outside = tempfile::tempdir().expect("there is room for a folder");
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).expect("there is room");
    let path = folder.join("state.db");
    let store = open(&path).expect("the folder is there");
    store.set("n", "k", 1).expect("valid");
    (outside, path, store)
}

#[test]
fn no_write_is_acknowledged_into_a_folder_that_was_removed() {
    let (_outside, path, store) = store_in_folder();
    fs::remove_dir_all(path.parent().expect("it has one")).expect("it is ours");

    for refused in [store.set("n", "k", 2).err(), store.snapshot().err(), store.clear().err(), store.compact().err()] {
        assert_named(refused, "Unavailable", &path, "put it back");
    }
    store.close().expect("it ends nevertheless");
}

#[test]
fn no_write_is_acknowledged_into_a_file_that_was_replaced() {
    let (_outside, path, store) = store_in_folder();
    fs::rename(&path, path.with_extension("old")).expect("it is ours");
    let other = open(&path).expect("nothing is there");
    other.set("other", "k", 7).expect("valid");

    let refused = store.set("n", "k", 2).err();

    assert_named(refused, "Unavailable", &path, "close it and open it again");
    drop(store);
    other.set("other", "l", 8).expect("the end of the old store harms nothing");
    drop(other);
    let entries = everything(&open(&path).expect("it is a store")).expect("it is whole");
    assert_eq!(entries.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["k", "l"]);
}

#[test]
fn no_reader_mixes_a_file_with_the_one_that_replaced_it() {
    let (_outside, path, store) = store_in_folder();
    let views: Vec<_> = (0..3).map(|_| store.view().expect("it can be read")).collect();
    fs::rename(&path, path.with_extension("old")).expect("it is ours");
    let other = open(&path).expect("nothing is there");
    other.set("other", "k", 7).expect("valid");

    // The connections that wait are used up, so that the last view needs a new one.
    let more: Vec<_> = (0..3).map(|_| store.view()).collect();

    assert_named(more.into_iter().find_map(Result::err), "Unavailable", &path, "close it and open it again");
    for view in views {
        assert_eq!(everything(&*view).expect("it holds its own file").len(), 1);
    }
}

#[test]
fn a_store_whose_file_was_put_back_goes_on() {
    let (_outside, path, store) = store_in_folder();
    let away = path.with_extension("away");
    fs::rename(&path, &away).expect("it is ours");
    store.set("n", "k", 2).expect_err("the file is gone");

    fs::rename(&away, &path).expect("it is ours");

    store.set("n", "k", 3).expect("it is back");
    drop(store);
    let reopened = open(&path).expect("it is a store");
    assert_eq!(reopened.increment("n", "k", 1), Ok(4));
}

#[test]
fn what_was_moved_while_a_writer_waited_is_not_written() {
    let (_outside, path, store) = store_in_folder();
    let holder = rusqlite::Connection::open(&path).expect("it is there");
    holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");

    let refused = std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.set("n", "k", 2));
        // A reader's answer leaves the writer time to reach the lock; it may come later, which changes nothing.
        (0..200).for_each(|_| drop(everything(&store)));
        fs::rename(&path, path.with_extension("away")).expect("it is ours");
        holder.execute_batch("ROLLBACK").expect("it is open");
        writer.join().expect("it ends").err()
    });

    assert_named(refused, "Unavailable", &path, "put it back");
    assert_eq!(store.usage().expect("what is open can be read").entries, 1);
}
