//! What only the inside of the map can show: that its shape is a function of the key set, and how large a node is.

use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::node::{Fork, Node, symbol};
use super::{Leaf, Map};

#[derive(Clone, Debug)]
struct Key(Arc<Vec<u8>>);

impl Leaf for Key {
    fn key(&self) -> &[u8] {
        &self.0
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn leaf(key: &[u8]) -> Key {
    Key(Arc::new(key.to_vec()))
}

/// Writes down each node of the trie with its depth, offset and symbols, and checks what must hold at a branch.
fn shape(map: &Map<Key>) -> Vec<String> {
    let mut nodes = Vec::new();
    let mut pending = vec![(0, &map.root)];
    while let Some((depth, node)) = pending.pop() {
        match node {
            Node::Leaf(leaf) => nodes.push(format!("{depth} {leaf:?}")),
            Node::Branch(branch) => {
                nodes.push(format!("{depth} {} {:?} {}", branch.offset(), branch.bytes(), branch.rank(Some(0))));
                assert!(branch.children().len() > 1, "a branch with one child");
                let first = node.first().unwrap().key();
                for (slot, child) in branch.children().iter().enumerate() {
                    let key = child.last().unwrap().key();
                    assert!(child.offset() > branch.offset(), "offsets rise");
                    assert_eq!(key[..branch.offset()], first[..branch.offset()], "keys agree before the offset");
                    assert_eq!(branch.slot(key), Some(slot));
                    assert_eq!(branch.rank(symbol(key, branch.offset())), slot);
                    pending.push((depth + 1, child));
                }
            }
        }
    }
    nodes
}

fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let narrow = vec(prop::sample::select(&b"\0\x01ab\xFF"[..]), 0..7);
    let wide = vec(any::<u8>(), 0..4);
    let any_key = prop_oneof![narrow, wide];
    (0_usize..300, btree_set(any_key, 0..60))
        .prop_map(|(shared, tails)| tails.into_iter().map(|tail| [vec![b'p'; shared], tail].concat()).collect())
}

proptest! {
    #[test]
    fn the_shape_depends_on_the_key_set_alone(kept in keys(), passing in keys(), order in any::<u64>()) {
        let mut straight = Map::new();
        for key in &kept {
            straight.insert(leaf(key));
        }

        let mut all = [kept.clone(), passing.clone()].concat();
        let turn = order as usize % all.len().max(1);
        all.rotate_left(turn);
        let mut detour = Map::new();
        for key in all.iter().rev() {
            detour.insert(leaf(key));
        }
        let snapshot = (order % 2 == 0).then(|| detour.clone());
        for key in passing.iter().filter(|key| !kept.contains(key)) {
            detour.remove(key);
        }

        prop_assert_eq!(shape(&detour), shape(&straight));
        prop_assert_eq!(detour.len(), straight.len());
        if let Some(snapshot) = snapshot {
            shape(&snapshot);
        }
    }
}

#[test]
fn a_node_is_two_words_when_a_leaf_is_one() {
    assert_eq!(size_of::<Node<triomphe::Arc<u8>>>(), 16);
    assert_eq!(size_of::<Node<triomphe::ThinArc<u64, u8>>>(), 16);
    assert_eq!(size_of::<Node<Arc<u8>>>(), 16);
}

#[test]
fn a_fork_is_the_first_symbol_that_differs() {
    let fork = |theirs: &[u8], key: &[u8]| Fork::between(theirs, key).map(|fork| (fork.offset, fork.theirs));

    assert_eq!(fork(b"", b""), None);
    assert_eq!(fork(b"0123456789", b"0123456789"), None);
    assert_eq!(fork(b"", b"\0"), Some((0, None)));
    assert_eq!(fork(b"\0", b""), Some((0, Some(0))));
    assert_eq!(fork(b"01234567", b"0123456789"), Some((8, None)));
    assert_eq!(fork(b"0123456789", b"012x456789"), Some((3, Some(b'3'))));
    assert_eq!(fork(b"0123456789", b"012345678x"), Some((9, Some(b'9'))));
}
