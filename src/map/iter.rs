//! Iteration in key order, either way, from any place.
//!
//! An iterator is the list of siblings still to come at each level of the path. Finding the place to begin is one walk to the nearest
//! key and one to the fork with it; nothing is read twice after that.

use std::fmt;
use std::iter::FusedIterator;
use std::mem;
use std::slice;

use super::Leaf;
use super::node::{Fork, Node, symbol};

/// Leaves in ascending order of their keys.
pub struct Iter<'a, L>(Path<'a, L>);

/// Leaves in descending order of their keys.
pub struct IterBack<'a, L>(Path<'a, L>);

/// What is still to come: `here`, then the lists in `above` from its end. None in `above` is empty, so that a path at its end needs no climb.
struct Path<'a, L> {
    here: slice::Iter<'a, Node<L>>,
    above: Vec<slice::Iter<'a, Node<L>>>,
}

/// On which side of the cursor the wanted keys are.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    After,
    Before,
}

impl<'a, L> Iter<'a, L> {
    pub(super) fn new(root: &'a Node<L>) -> Self {
        Self(Path::over(slice::from_ref(root)))
    }

    pub(super) fn range(root: &'a Node<L>, prefix: &[u8], after: Option<&[u8]>) -> Self
    where
        L: Leaf,
    {
        Self(Path::range(root, prefix, after, Side::After).unwrap_or_else(|| Path::over(&[])))
    }
}

impl<'a, L> IterBack<'a, L> {
    pub(super) fn new(root: &'a Node<L>) -> Self {
        Self(Path::over(slice::from_ref(root)))
    }

    pub(super) fn range(root: &'a Node<L>, prefix: &[u8], before: Option<&[u8]>) -> Self
    where
        L: Leaf,
    {
        Self(Path::range(root, prefix, before, Side::Before).unwrap_or_else(|| Path::over(&[])))
    }
}

impl<'a, L> Iterator for Iter<'a, L> {
    type Item = &'a L;

    #[inline]
    fn next(&mut self) -> Option<&'a L> {
        loop {
            match self.0.here.next() {
                Some(Node::Leaf(Some(leaf))) => return Some(leaf),
                Some(Node::Leaf(None)) => {}
                Some(Node::Branch(branch)) => self.0.enter(branch.children()),
                None => self.0.here = self.0.above.pop()?,
            }
        }
    }
}

impl<'a, L> Iterator for IterBack<'a, L> {
    type Item = &'a L;

    #[inline]
    fn next(&mut self) -> Option<&'a L> {
        loop {
            match self.0.here.next_back() {
                Some(Node::Leaf(Some(leaf))) => return Some(leaf),
                Some(Node::Leaf(None)) => {}
                Some(Node::Branch(branch)) => self.0.enter(branch.children()),
                None => self.0.here = self.0.above.pop()?,
            }
        }
    }
}

impl<L> FusedIterator for Iter<'_, L> {}
impl<L> FusedIterator for IterBack<'_, L> {}

impl<L> Clone for Iter<'_, L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L> Clone for IterBack<'_, L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: fmt::Debug> fmt::Debug for Iter<'_, L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.clone()).finish()
    }
}

impl<L: fmt::Debug> fmt::Debug for IterBack<'_, L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.clone()).finish()
    }
}

impl<'a, L> Path<'a, L> {
    fn over(nodes: &'a [Node<L>]) -> Self {
        Self { here: nodes.iter(), above: Vec::new() }
    }

    /// Puts `nodes` in front of all that is still to come.
    #[inline]
    fn enter(&mut self, nodes: &'a [Node<L>]) {
        let rest = mem::replace(&mut self.here, nodes.iter());
        if !rest.as_slice().is_empty() {
            self.above.push(rest);
        }
    }
}

impl<'a, L: Leaf> Path<'a, L> {
    /// The keys with `prefix` on one side of the cursor; `None` where there are none.
    fn range(root: &'a Node<L>, prefix: &[u8], cursor: Option<&[u8]>, side: Side) -> Option<Self> {
        let top = subtree(root, prefix)?;
        let inside = cursor.filter(|cursor| cursor.starts_with(prefix));
        let nearest = top.nearest(inside.unwrap_or(prefix)).filter(|leaf| leaf.key().starts_with(prefix))?;
        match (inside, cursor) {
            (Some(cursor), _) => Some(Self::beside(top, nearest, cursor, side)),
            (None, Some(cursor)) if (cursor < prefix) != (side == Side::After) => None,
            _ => Some(Self::over(slice::from_ref(top))),
        }
    }

    /// The keys below `top` on one side of the cursor, of which `nearest` is the nearest key there.
    fn beside(top: &'a Node<L>, nearest: &L, cursor: &[u8], side: Side) -> Self {
        let fork = Fork::between(nearest.key(), cursor);
        let offset = fork.map_or(usize::MAX, |fork| fork.offset);
        let mut path = Self::over(&[]);
        let mut node = top;
        while let Node::Branch(branch) = node
            && branch.offset() <= offset
        {
            let (children, rank) = (branch.children(), branch.rank(symbol(cursor, branch.offset())));
            let skipped = usize::from(branch.offset() < offset);
            path.enter(if side == Side::After { &children[rank + skipped..] } else { &children[..rank] });
            if skipped == 0 {
                return path;
            }
            node = &children[rank];
        }
        if fork.is_some_and(|fork| (fork.theirs > symbol(cursor, offset)) == (side == Side::After)) {
            path.enter(slice::from_ref(node));
        }
        path
    }
}

impl<L> Clone for Path<'_, L> {
    fn clone(&self) -> Self {
        Self { here: self.here.clone(), above: self.above.clone() }
    }
}

/// Where the keys with `prefix` are, if there are any; otherwise nothing, or a subtree of which no key has it.
fn subtree<'a, L: Leaf>(root: &'a Node<L>, prefix: &[u8]) -> Option<&'a Node<L>> {
    let mut node = root;
    while let Node::Branch(branch) = node
        && branch.offset() < prefix.len()
    {
        node = branch.child(prefix)?;
    }
    Some(node)
}
