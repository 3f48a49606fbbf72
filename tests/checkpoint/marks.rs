//! What a thread's records name, found without the code under test: `rmpv` reads the records, and a key is spelled anew.

use std::collections::BTreeSet;

use rmpv::Value;
use swarmstate::store::{Range, Reader};
use swarmstate::{Key, Namespace, Prefix};

const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

pub(crate) fn namespace(thread_id: &str) -> Namespace<'static> {
    Namespace::new(format!("\u{1f}thread:{thread_id}\0")).expect("it is short")
}

/// The keys of a thread that begin with `prefix`.
pub(crate) fn keys(store: &dyn Reader, thread_id: &str, prefix: &str) -> BTreeSet<String> {
    let range = Range::of(Prefix::new(prefix).expect("it is short"));
    store.keys(&namespace(thread_id), &range).expect("it can be listed").into_iter().collect()
}

/// The keys of the chunks, blocks and nodes that the rows of a thread name.
pub(crate) fn named_chunks(store: &dyn Reader, thread_id: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for row in keys(store, thread_id, "value:") {
        let record = read(store, thread_id, &row).expect("the row is there");
        let Some(tree) = record.as_array().map(|fields| fields[3].clone()).filter(|tree| !tree.is_nil()) else {
            continue;
        };
        let fields = tree.as_array().expect("a tree is a list");
        for (level, hashes) in fields[2].as_array().expect("levels are a list").iter().enumerate() {
            mark(store, thread_id, level, hashes.as_slice().expect("hashes are bytes"), &mut named);
        }
        mark(store, thread_id, 0, fields[3].as_slice().expect("hashes are bytes"), &mut named);
    }
    named
}

fn mark(store: &dyn Reader, thread_id: &str, level: usize, hashes: &[u8], named: &mut BTreeSet<String>) {
    for hash in hashes.chunks(16) {
        let key = spelled(hash);
        let is_new = named.insert(key.clone());
        if is_new && level > 0 {
            let node = read(store, thread_id, &key).expect("a node that is named is there");
            mark(store, thread_id, level - 1, node.as_slice().expect("a node is bytes"), named);
        }
    }
}

fn spelled(hash: &[u8]) -> String {
    let bits = hash.iter().flat_map(|byte| (0..8).rev().map(move |bit| usize::from(byte >> bit & 1)));
    let mut bits = [0; 22 * 6 - 16 * 8].into_iter().chain(bits);
    let digits = (0..22).map(|_| (0..6).fold(0, |digit, _| digit * 2 + bits.next().expect("22 digits have 132 bits")));
    "chunk:".chars().chain(digits.map(|digit| char::from(DIGITS[digit]))).collect()
}

fn read(store: &dyn Reader, thread_id: &str, key: &str) -> Option<Value> {
    let entry = store.get(&namespace(thread_id), &Key::new(key).expect("it is short")).expect("it can be read")?;
    Some(rmpv::decode::read_value(&mut entry.value()).expect("it is msgpack"))
}
