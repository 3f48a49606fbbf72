//! A disk without room: what does not fit is refused whole, and the store goes on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use rusqlite::Connection;
use swarmstate::{Batch, Error, Key, Namespace, Sqlite, Store, StoreExt};

use super::{assert_named, everything, given_folder, open, run_child, with_own_mounts};

const MIB: usize = 1024 * 1024;

/// Runs the body in a child whose folder is a disk of 4 MiB.
fn on_a_small_disk(test: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = given_folder() {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(&folder)
            .status()
            .expect("it is there");
        assert!(mounted.success());
        body(&folder);
        return;
    }
    let folder = tempfile::tempdir().expect("there is room for a folder");
    run_child(with_own_mounts(test), folder.path());
}

/// Leaves about so many bytes free.
fn fill(folder: &Path, free: usize) {
    let mut size = 4 * MIB;
    let ballast = folder.join("ballast");
    while fs::write(&ballast, vec![1; size]).is_err() {
        size -= 64 * 1024;
    }
    fs::write(&ballast, vec![1; size.saturating_sub(free)]).expect("it is smaller");
}

fn assert_full(result: Result<u64, Error>, path: &Path) {
    assert_named(result.err(), "Unavailable", path, "is full; make room and repeat");
}

#[test]
fn a_store_on_a_full_disk_refuses_what_does_not_fit_and_goes_on_after_room_was_made() {
    on_a_small_disk(
        "room::a_store_on_a_full_disk_refuses_what_does_not_fit_and_goes_on_after_room_was_made",
        |folder| {
            let path = folder.join("state.db");
            let store = open(&path).expect("there is room");
            store.set("n", "small", 1).expect("there is room");
            store.snapshot().expect("there is room");
            fill(folder, 256 * 1024);

            let mut written = Vec::new();
            let refused = loop {
                let key = format!("k{}", written.len());
                match store.set("n", &key, &*vec![7; 20_000]) {
                    Ok(revision) => written.push((key, revision)),
                    Err(error) => break error,
                }
            };

            assert_full(Err(refused), &path);
            assert_full(store.set("n", "large", &*vec![7; MIB]), &path);
            assert_eq!(everything(&store).expect("it can be read").len(), written.len() + 1);
            fs::remove_file(folder.join("ballast")).expect("it is there");
            let next = store.set("n", "large", &*vec![7; MIB]).expect("there is room again");
            assert!(written.iter().all(|(_, revision)| *revision < next));
            drop(store);
            assert_eq!(
                everything(&open(&path).expect("it is whole")).expect("it can be read").len(),
                written.len() + 2
            );
        },
    );
}

#[test]
fn of_a_group_only_what_does_not_fit_is_refused() {
    on_a_small_disk("room::of_a_group_only_what_does_not_fit_is_refused", |folder| {
        let path = folder.join("state.db");
        let store = open(&path).expect("there is room");
        store.set("n", "first", 1).expect("there is room");
        fill(folder, MIB);
        let holder = Connection::open(&path).expect("it is there");
        holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");

        let store = &store;
        let (large, small) = thread::scope(|scope| {
            let large = scope.spawn(|| write_two(store, "large", 2 * MIB));
            let small: Vec<_> = (0..6).map(|i| format!("small {i}")).collect();
            let small: Vec<_> =
                small.into_iter().map(|name| scope.spawn(move || write_two(store, &name, 100))).collect();
            (0..100).for_each(|_| drop(everything(store)));
            holder.execute_batch("ROLLBACK").expect("it is open");
            (
                large.join().expect("it ends"),
                small.into_iter().map(|writer| writer.join().expect("it ends")).collect::<Vec<_>>(),
            )
        });

        assert_full(large.map(|()| 0), &path);
        assert!(small.iter().all(Result::is_ok), "{small:?}");
        let keys: Vec<_> =
            everything(store).expect("it can be read").into_iter().map(|entry| entry.namespace).collect();
        assert_eq!(keys.iter().filter(|name| name.starts_with("small")).count(), 12);
        assert!(!keys.iter().any(|name| name == "large"));
    });
}

/// Writes a batch of two entries into a namespace.
fn write_two(store: &Sqlite, namespace: &str, bytes: usize) -> Result<(), Error> {
    let mut batch = Batch::new();
    for key in ["a", "b"] {
        let value = vec![7; bytes / 2];
        batch.set(Namespace::new(namespace)?, Key::new(key)?, (&*value).into(), swarmstate::Expiry::Never);
    }
    store.write(&batch).map(drop)
}

#[test]
fn a_store_that_finds_no_room_to_be_made_is_made_later() {
    on_a_small_disk("room::a_store_that_finds_no_room_to_be_made_is_made_later", |folder| {
        let path = folder.join("state.db");
        fill(folder, 0);

        let refused = open(&path).err();

        assert_named(refused, "Unavailable", &path, "is full; make room and repeat");
        fs::remove_file(folder.join("ballast")).expect("it is there");
        open(&path).expect("there is room").set("n", "k", 1).expect("there is room");
    });
}
