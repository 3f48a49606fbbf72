//! Nodes: what the trie is made of, and how a branch finds, gains and loses a child.
//!
//! A branch looks at one byte position, its offset. All keys below it agree on the bytes in front of that offset and differ there, so
//! it has at least two children. Offsets rise on the way down. Together this makes the shape a function of the key set. Which
//! keys are stored, and how the caller walks, is left to the siblings of this file.

use std::hint::black_box;
use std::mem;

use triomphe::{Arc, HeaderSlice};

use super::Leaf;

/// What a key has at an offset: a byte, or `None` where the key ends. `None` sorts first, as a prefix sorts before what extends it.
pub(super) type Symbol = Option<u8>;

/// From this offset on branches are freed by a loop: recursion would go as deep as keys are long.
const DEEP: usize = 128;

/// One edge of the trie; 16 bytes while `L` is one non-null pointer.
///
/// `Leaf(None)` is the empty map's root and the hole that a moved child leaves behind; it is never below a branch that can be reached.
#[derive(Clone)]
pub(super) enum Node<L> {
    Leaf(Option<L>),
    Branch(Branch<L>),
}

/// A shared allocation that holds a [`Head`] and the children in the order of their symbols.
///
/// The pointer carries the number of children: an enum of two pointers needs that second word anyway.
pub(super) struct Branch<L>(Arc<HeaderSlice<Head, Nodes<L>>>);

/// Children in the order of their symbols.
pub(super) type Nodes<L> = [Node<L>];

/// Which byte a branch looks at, and which symbols have a child.
#[derive(Clone, Copy)]
struct Head {
    offset: u32,
    /// How many children stand before those of each word of `bytes`; the first is 1 exactly when the end of a key has a child.
    before: [u8; 4],
    bytes: [u64; 4],
}

/// Where a key leaves the keys of a map, and what those have there.
#[derive(Clone, Copy)]
pub(super) struct Fork {
    pub(super) offset: usize,
    pub(super) theirs: Symbol,
}

impl Fork {
    /// The fork with no key at all.
    pub(super) const NOWHERE: Self = Self { offset: 0, theirs: None };

    /// Finds the first symbol at which `key` differs from a stored key; `None` when they are equal.
    pub(super) fn between(theirs: &[u8], key: &[u8]) -> Option<Self> {
        let offset = shared_len(theirs, key);
        let ends = offset == theirs.len() && offset == key.len();
        (!ends).then(|| Self { offset, theirs: symbol(theirs, offset) })
    }
}

/// The symbol of `key` at `offset`.
#[inline]
pub(super) fn symbol(key: &[u8], offset: usize) -> Symbol {
    key.get(offset).copied()
}

/// The length of the longest prefix that both share.
fn shared_len(one: &[u8], other: &[u8]) -> usize {
    let (ones, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let whole = ones.iter().zip(others).take_while(|(one, other)| one == other).count() * 8;
    whole + one[whole..].iter().zip(&other[whole..]).take_while(|(one, other)| one == other).count()
}

impl<L> Node<L> {
    pub(super) const EMPTY: Self = Self::Leaf(None);

    /// The offset that a branch looks at; for a leaf the largest number, since it looks at none.
    pub(super) fn offset(&self) -> usize {
        match self {
            Self::Leaf(_) => usize::MAX,
            Self::Branch(branch) => branch.offset(),
        }
    }

    /// The leaf with the smallest key.
    pub(super) fn first(&self) -> Option<&L> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf.as_ref(),
                Self::Branch(branch) => node = branch.children().first()?,
            }
        }
    }

    /// The leaf with the largest key.
    pub(super) fn last(&self) -> Option<&L> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf.as_ref(),
                Self::Branch(branch) => node = branch.children().last()?,
            }
        }
    }
}

impl<L: Leaf> Node<L> {
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<&L> {
        let mut node = self;
        loop {
            match node {
                Self::Branch(branch) => node = branch.child(key)?,
                Self::Leaf(leaf) => return leaf.as_ref().filter(|leaf| leaf.key() == key),
            }
        }
    }

    /// Finds a leaf whose key agrees with `key` at least as far as that of any other; `None` only below an empty root.
    ///
    /// Where the way ends it takes the neighbour in front: keys that arrive in order find the leaf stored last, which is still cached.
    pub(super) fn nearest(&self, key: &[u8]) -> Option<&L> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf.as_ref(),
                Self::Branch(branch) => match branch.child(key) {
                    Some(child) => node = child,
                    None => return branch.neighbour(key),
                },
            }
        }
    }

    #[inline]
    pub(super) fn is_leaf_of(&self, key: &[u8]) -> bool {
        matches!(self, Self::Leaf(Some(leaf)) if leaf.key() == key)
    }

    /// Where an absent `key` leaves the nearest key stored, after a walk that ended at this node. Below an empty root any answer does.
    pub(super) fn fork(&self, key: &[u8]) -> Fork {
        let nearest = match self {
            Self::Leaf(leaf) => leaf.as_ref(),
            Self::Branch(branch) => branch.neighbour(key),
        };
        nearest.and_then(|leaf| Fork::between(leaf.key(), key)).unwrap_or(Fork::NOWHERE)
    }

    /// Adds a leaf whose key leaves this subtree's keys at `fork`: as a child of the branch there, or beside this node under a new one.
    pub(super) fn join(&mut self, leaf: L, fork: Fork) {
        let ours = symbol(leaf.key(), fork.offset);
        match self {
            Self::Leaf(None) => *self = Self::Leaf(Some(leaf)),
            Self::Branch(branch) if branch.offset() == fork.offset => branch.add(ours, leaf),
            _ => {
                let pair = (mem::take(self), Self::Leaf(Some(leaf)));
                let children = if fork.theirs < ours { [pair.0, pair.1] } else { [pair.1, pair.0] };
                let head = Head::new(fork.offset).with(fork.theirs).with(ours);
                *self = Self::Branch(Branch(Arc::from_header_and_iter(head, children.into_iter())));
            }
        }
    }

    /// Whether a branch is held by another version too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Branch(branch) if branch.is_shared())
    }

    /// Whether both are one allocation, or both nothing.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Branch(one), Self::Branch(other)) => Arc::ptr_eq(&one.0, &other.0),
            (Self::Leaf(Some(one)), Self::Leaf(Some(other))) => one.is_same(other),
            (Self::Leaf(None), Self::Leaf(None)) => true,
            _ => false,
        }
    }

    /// The position of the child that `key` leads to.
    #[inline]
    pub(super) fn slot(&self, key: &[u8]) -> Option<usize> {
        match self {
            Self::Branch(branch) => branch.slot(key),
            Self::Leaf(_) => None,
        }
    }

    pub(super) fn leaf_mut(&mut self) -> Option<&mut L> {
        match self {
            Self::Leaf(leaf) => leaf.as_mut(),
            Self::Branch(_) => None,
        }
    }

    /// The position of the child that `key` leads to, if that is a branch again.
    pub(super) fn inner_slot(&self, key: &[u8]) -> Option<usize> {
        let Self::Branch(branch) = self else { return None };
        branch.slot(key).filter(|slot| matches!(branch.children()[*slot], Self::Branch(_)))
    }

    /// Takes out the leaf that is this node, or its child for `key`. A branch left with one child gives way to that child.
    pub(super) fn detach(&mut self, key: &[u8]) -> Option<L> {
        let Self::Branch(branch) = self else { return self.take_leaf() };
        let slot = branch.slot(key)?;
        if branch.children().len() > 2 {
            return branch.remove(symbol(key, branch.offset()), slot);
        }
        let (mut leaf, sibling) = match Arc::get_mut(&mut branch.0) {
            Some(own) => (mem::take(&mut own.slice[slot]), mem::take(&mut own.slice[1 - slot])),
            None => (branch.children()[slot].clone(), branch.children()[1 - slot].clone()),
        };
        *self = sibling;
        leaf.take_leaf()
    }

    fn take_leaf(&mut self) -> Option<L> {
        match self {
            Self::Leaf(leaf) => leaf.take(),
            Self::Branch(_) => None,
        }
    }
}

impl<L> Default for Node<L> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<L> Drop for Node<L> {
    #[inline]
    fn drop(&mut self) {
        if let Self::Branch(branch) = self
            && branch.offset() >= DEEP
        {
            branch.dismantle();
        }
    }
}

impl<L> Clone for Branch<L> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L> Branch<L> {
    #[inline]
    pub(super) fn offset(&self) -> usize {
        self.0.header.offset as usize
    }

    #[inline]
    pub(super) fn children(&self) -> &Nodes<L> {
        &self.0.slice
    }

    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        !self.0.is_unique()
    }

    /// The position of the child that `key` leads to.
    #[inline]
    pub(super) fn slot(&self, key: &[u8]) -> Option<usize> {
        self.0.header.slot(symbol(key, self.offset()))
    }

    /// How many children stand before the place of `symbol`, whether it has a child or not.
    pub(super) fn rank(&self, symbol: Symbol) -> usize {
        self.0.header.rank(symbol)
    }

    #[inline]
    pub(super) fn child(&self, key: &[u8]) -> Option<&Node<L>> {
        self.slot(key).and_then(|slot| self.0.slice.get(slot))
    }

    /// The children in front of `symbol`, the one it leads to, and those behind.
    pub(super) fn split(&self, symbol: Symbol) -> (&Nodes<L>, Option<&Node<L>>, &Nodes<L>) {
        let (front, rest) = self.0.slice.split_at(self.rank(symbol));
        match self.0.header.slot(symbol) {
            Some(_) => (front, rest.first(), &rest[1..]),
            None => (front, None, rest),
        }
    }

    /// Which bytes have a child.
    pub(super) fn bytes(&self) -> [u64; 4] {
        self.0.header.bytes
    }

    /// The leaf in front of where `key` would stand among the children, or the first one behind.
    #[cold]
    pub(super) fn neighbour(&self, key: &[u8]) -> Option<&L> {
        match self.rank(symbol(key, self.offset())) {
            0 => self.0.slice[0].first(),
            rank => self.0.slice[rank - 1].last(),
        }
    }

    /// Moves all child branches that nobody else holds into a list and frees them from there.
    ///
    /// When another thread lets go of the same branch between the look and the drop, this drop is the last after all and frees it by
    /// entering here once more. Each such race deepens the stack by one call; a key's length never does.
    #[cold]
    fn dismantle(&mut self) {
        let mut pending = Vec::new();
        self.drain_into(&mut pending);
        while let Some(mut node) = pending.pop() {
            if let Node::Branch(branch) = &mut node {
                branch.drain_into(&mut pending);
            }
        }
    }

    fn drain_into(&mut self, pending: &mut Vec<Node<L>>) {
        if let Some(own) = Arc::get_mut(&mut self.0) {
            let branches = own.slice.iter_mut().filter(|child| matches!(child, Node::Branch(_)));
            pending.extend(branches.map(mem::take));
        }
    }
}

impl<L: Leaf> Branch<L> {
    /// The children for writing; a branch that others hold too is replaced by a copy first.
    #[inline]
    pub(super) fn own(&mut self) -> &mut Nodes<L> {
        if self.is_shared() {
            self.copy();
        }
        &mut Arc::get_mut(&mut self.0).expect("the copy has one holder").slice
    }

    /// Replaces a shared branch by a copy of this map's own.
    ///
    /// Counting the references up one by one would wait for each child's cache line in turn; reading the children first lets the waits
    /// overlap.
    #[inline(never)]
    fn copy(&mut self) {
        let touch = |sum: usize, child: &Node<L>| match child {
            Node::Leaf(leaf) => sum ^ leaf.as_ref().map_or(0, |leaf| leaf.key().len()),
            Node::Branch(branch) => sum ^ branch.offset(),
        };
        black_box(self.0.slice.iter().fold(0, touch));
        self.0 = Arc::from_header_and_iter(self.0.header, self.0.slice.iter().cloned());
    }

    /// Adds a leaf for a `symbol` that has no child.
    pub(super) fn add(&mut self, symbol: Symbol, leaf: L) {
        let head = self.0.header.with(symbol);
        let slot = head.rank(symbol);
        let mut leaf = Node::Leaf(Some(leaf));
        let len = self.0.slice.len() + 1;
        let source = |at: usize| if at < slot { at } else { at - 1 };
        self.0 = match Arc::get_mut(&mut self.0) {
            Some(own) => {
                let mut pick = |at| mem::take(if at == slot { &mut leaf } else { &mut own.slice[source(at)] });
                Arc::from_header_and_iter(head, (0..len).map(&mut pick))
            }
            None => {
                let mut pick = |at| if at == slot { mem::take(&mut leaf) } else { self.0.slice[source(at)].clone() };
                Arc::from_header_and_iter(head, (0..len).map(&mut pick))
            }
        };
    }

    /// Removes the leaf at `slot`, where at least two children remain.
    fn remove(&mut self, symbol: Symbol, slot: usize) -> Option<L> {
        let head = self.0.header.without(symbol);
        let len = self.0.slice.len() - 1;
        let source = |at: usize| if at < slot { at } else { at + 1 };
        let (branch, mut leaf) = match Arc::get_mut(&mut self.0) {
            Some(own) => {
                let leaf = mem::take(&mut own.slice[slot]);
                let mut pick = |at| mem::take(&mut own.slice[source(at)]);
                (Arc::from_header_and_iter(head, (0..len).map(&mut pick)), leaf)
            }
            None => {
                let pick = |at| self.0.slice[source(at)].clone();
                (Arc::from_header_and_iter(head, (0..len).map(pick)), self.0.slice[slot].clone())
            }
        };
        self.0 = branch;
        leaf.take_leaf()
    }
}

impl Head {
    fn new(offset: usize) -> Self {
        let offset = u32::try_from(offset).expect("keys agree on less than 4 GiB");
        Self { offset, before: [0; 4], bytes: [0; 4] }
    }

    #[inline]
    fn slot(&self, symbol: Symbol) -> Option<usize> {
        let Some(byte) = symbol else { return (self.before[0] == 1).then_some(0) };
        let word = self.bytes[usize::from(byte >> 6)];
        (word >> (byte & 63) & 1 == 1).then(|| self.rank(symbol))
    }

    #[inline]
    fn rank(&self, symbol: Symbol) -> usize {
        let Some(byte) = symbol else { return 0 };
        let word = usize::from(byte >> 6);
        let smaller = self.bytes[word] & ((1 << (byte & 63)) - 1);
        usize::from(self.before[word]) + smaller.count_ones() as usize
    }

    fn with(mut self, symbol: Symbol) -> Self {
        let behind = self.flip(symbol);
        self.before[behind..].iter_mut().for_each(|count| *count += 1);
        self
    }

    fn without(mut self, symbol: Symbol) -> Self {
        let behind = self.flip(symbol);
        self.before[behind..].iter_mut().for_each(|count| *count -= 1);
        self
    }

    /// Flips the bit of `symbol` and returns the first word whose children stand behind it.
    fn flip(&mut self, symbol: Symbol) -> usize {
        let Some(byte) = symbol else { return 0 };
        let word = usize::from(byte >> 6);
        self.bytes[word] ^= 1 << (byte & 63);
        word + 1
    }
}
