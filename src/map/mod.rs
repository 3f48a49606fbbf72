//! The ordered persistent map: a radix trie over key bytes whose versions share what they have in common.
//!
//! Equal key sets have equal shapes, whatever the history: nothing is hashed, seeded or rebalanced. A node that another version
//! holds is never changed; it is copied, and only along the path to the written leaf. What a leaf holds besides its key, how keys are made of
//! names and what entries mean is left to the rungs above.

mod diff;
mod iter;
mod node;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;

pub use diff::{Change, Diff};
pub use iter::{Iter, IterBack};
use node::{Fork, Node};

/// What a map stores: a handle that is cheap to clone and knows its own key.
///
/// Let it be one pointer, so that a node of the map stays at 16 bytes.
pub trait Leaf: Clone {
    /// The bytes that the leaf is found by; the same as long as a map holds it, and shorter than 4 GiB.
    fn key(&self) -> &[u8];

    /// Whether both are the same allocation, so that a diff need not look inside.
    fn is_same(&self, other: &Self) -> bool;
}

/// An ordered map from byte strings to leaves; a clone is a snapshot that costs one reference count.
///
/// Any bytes are a key: empty ones, zero bytes, and prefixes of other keys. Order is that of the bytes.
///
/// # Cost
/// With k the length of the key and d ≤ k + 1 the number of branches on the way to it (about log₁₀ n for decimal numbers, log₁₆ n for
/// hex digits): reading and writing are O(d) steps plus one comparison of keys. A write copies only those branches on the way
/// that another version shares. No operation recurses by the length of a key.
///
/// # Example
/// ```
/// use swarmstate::map::{Change, Leaf, Map};
///
/// #[derive(Clone)]
/// struct Name(std::sync::Arc<str>);
///
/// impl Leaf for Name {
///     fn key(&self) -> &[u8] {
///         self.0.as_bytes()
///     }
///     fn is_same(&self, other: &Self) -> bool {
///         std::sync::Arc::ptr_eq(&self.0, &other.0)
///     }
/// }
///
/// let mut map = Map::new();
/// map.insert(Name("agent/1".into()));
/// let snapshot = map.clone();
/// map.insert(Name("agent/2".into()));
/// assert!(snapshot.get(b"agent/2").is_none());
/// let changes: Vec<_> = map.diff(&snapshot).collect();
/// assert!(matches!(changes[..], [Change::Added(name)] if &*name.0 == "agent/2"));
/// ```
#[derive(Clone)]
pub struct Map<L> {
    root: Node<L>,
    len: usize,
}

impl<L> Map<L> {
    /// Makes an empty map without allocating.
    pub const fn new() -> Self {
        Self { root: Node::EMPTY, len: 0 }
    }

    /// The number of leaves.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the map holds no leaf.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The leaf with the smallest key.
    pub fn first(&self) -> Option<&L> {
        self.root.first()
    }

    /// The leaf with the largest key.
    pub fn last(&self) -> Option<&L> {
        self.root.last()
    }

    /// Iterates over all leaves in ascending order of their keys.
    pub fn iter(&self) -> Iter<'_, L> {
        Iter::new(&self.root)
    }

    /// Iterates over all leaves in descending order of their keys.
    pub fn iter_back(&self) -> IterBack<'_, L> {
        IterBack::new(&self.root)
    }
}

impl<L: Leaf> Map<L> {
    /// Finds the leaf of `key`.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&L> {
        self.root.get(key)
    }

    /// Finds the leaf of `key` for writing; the caller must leave its key as it is.
    ///
    /// # Cost
    /// Copies the shared part of the path, so other versions do not see the write; a miss copies nothing.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut L> {
        let mut node = &mut self.root;
        let mut is_found = false;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.as_mut().filter(|leaf| is_found || leaf.key() == key),
                Node::Branch(branch) => {
                    if !is_found && branch.is_shared() {
                        branch.child(key)?.get(key)?;
                        is_found = true;
                    }
                    let slot = branch.slot(key)?;
                    node = &mut branch.own()[slot];
                }
            }
        }
    }

    /// Stores a leaf under its own key and returns the one it replaces.
    pub fn insert(&mut self, leaf: L) -> Option<L> {
        match self.seek(leaf.key()) {
            Place::Taken(present) => return Some(mem::replace(present, leaf)),
            Place::Free(node, fork) => node.join(leaf, fork),
            Place::Above(fork) => self.site(leaf.key(), fork).join(leaf, fork),
        }
        self.len += 1;
        None
    }

    /// Stores what `make` returns for the leaf that `key` has, if any, and returns that leaf; one walk where the key is present.
    ///
    /// The new leaf must have the same `key`. When `make` panics the map holds what it held.
    pub fn upsert(&mut self, key: &[u8], make: impl FnOnce(Option<&L>) -> L) -> Option<L> {
        self.write(key, |present| Some(make(present.as_deref())))
    }

    /// Lets `write` change the leaf that `key` has, or make the one to store instead, and returns the leaf that this replaces.
    ///
    /// As [`Map::upsert`], but `write` may change what it is given, as long as the key stays, and return `None`: then nothing is
    /// stored. Whether other versions see the change is up to the leaf, which they hold too where it is not unique.
    #[inline]
    pub fn write(&mut self, key: &[u8], write: impl FnOnce(Option<&mut L>) -> Option<L>) -> Option<L> {
        let write = |present: Option<&mut L>| {
            let leaf = write(present)?;
            debug_assert_eq!(leaf.key(), key, "a leaf is stored under its own key");
            Some(leaf)
        };
        match self.seek(key) {
            Place::Taken(present) => {
                let leaf = write(Some(&mut *present))?;
                return Some(mem::replace(present, leaf));
            }
            Place::Free(node, fork) => node.join(write(None)?, fork),
            Place::Above(fork) => {
                let leaf = write(None)?;
                self.site(key, fork).join(leaf, fork);
            }
        }
        self.len += 1;
        None
    }

    /// Removes and returns the leaf of `key`.
    ///
    /// # Cost
    /// Copies the shared part of the path; a miss copies nothing.
    pub fn remove(&mut self, key: &[u8]) -> Option<L> {
        self.get(key)?;
        self.len -= 1;
        let mut node = &mut self.root;
        while let Some(slot) = node.inner_slot(key) {
            let Node::Branch(branch) = node else { unreachable!("only a branch has slots") };
            node = &mut branch.own()[slot];
        }
        node.detach(key)
    }

    /// Iterates upwards over the keys that begin with `prefix` and are greater than `after`.
    ///
    /// The cursor may be any bytes, stored or not. To go on after a pause, pass the last key seen.
    ///
    /// # Cost
    /// O(d) to begin, then amortised O(1) per leaf.
    pub fn range<'a>(&'a self, prefix: &[u8], after: Option<&[u8]>) -> Iter<'a, L> {
        Iter::range(&self.root, prefix, after)
    }

    /// Iterates downwards over the keys that begin with `prefix` and are less than `before`.
    ///
    /// # Cost
    /// As for [`Map::range`].
    pub fn range_back<'a>(&'a self, prefix: &[u8], before: Option<&[u8]>) -> IterBack<'a, L> {
        IterBack::range(&self.root, prefix, before)
    }

    /// Iterates over what differs between `base` and this map, in ascending order of keys.
    ///
    /// A leaf counts as replaced when [`Leaf::is_same`] denies that it is the one of `base`. Either map may be the older, and they need no
    /// common history.
    ///
    /// # Cost
    /// O(changes · d) branches where one map grew from the other, since shared branches are skipped; O(n) for strangers.
    pub fn diff<'a>(&'a self, base: &'a Self) -> Diff<'a, L> {
        Diff::new(&self.root, &base.root)
    }

    /// Whether both are the same version, so that nothing can differ; false says nothing.
    pub fn is_same(&self, other: &Self) -> bool {
        self.root.is_same(&other.root)
    }

    /// Whether another version holds the root branch, so that dropping this one frees nothing; false for fewer than two leaves.
    pub fn is_shared(&self) -> bool {
        self.root.is_shared()
    }

    /// Walks to the place of `key` and makes the path to it this map's own.
    #[inline]
    fn seek(&mut self, key: &[u8]) -> Place<'_, L> {
        let mut node = &mut self.root;
        let mut passed = 0;
        while let Some(slot) = node.slot(key) {
            let Node::Branch(branch) = node else { unreachable!("only a branch has slots") };
            passed = branch.offset() + 1;
            node = &mut branch.own()[slot];
        }
        if node.is_leaf_of(key) {
            return node.leaf_mut().map_or(Place::Above(Fork::NOWHERE), Place::Taken);
        }
        let fork = node.fork(key);
        if fork.offset < passed { Place::Above(fork) } else { Place::Free(node, fork) }
    }

    /// Walks to the node that a new leaf for `key` joins, when the walk by `key` alone went past it.
    #[cold]
    fn site(&mut self, key: &[u8], fork: Fork) -> &mut Node<L> {
        let mut node = &mut self.root;
        while node.offset() < fork.offset {
            let Node::Branch(branch) = node else { unreachable!("only a branch looks at a byte") };
            let slot = branch.slot(key).expect("before the fork the key follows stored keys");
            node = &mut branch.own()[slot];
        }
        node
    }
}

/// What stands where a key belongs.
enum Place<'a, L> {
    /// The leaf of the key.
    Taken(&'a mut L),
    /// The node that a leaf of the key joins.
    Free(&'a mut Node<L>, Fork),
    /// Keys that differ from the key in bytes that branches skip; the node to join is further up.
    Above(Fork),
}

impl<L> Default for Map<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: fmt::Debug> fmt::Debug for Map<L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

impl<'a, L> IntoIterator for &'a Map<L> {
    type Item = &'a L;
    type IntoIter = Iter<'a, L>;

    fn into_iter(self) -> Iter<'a, L> {
        self.iter()
    }
}
