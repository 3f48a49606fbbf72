//! Differences between two maps, found by walking only what they do not share.
//!
//! Two subtrees are compared at the smaller of their offsets. If their keys part before it, one subtree lies wholly before the other;
//! if not, the children with equal symbols are compared, and identical ones are skipped. So the answer holds for any two maps, comes in
//! the order of keys, and costs what differs.

use std::cmp::Ordering;
use std::fmt;
use std::iter::FusedIterator;

use super::Leaf;
use super::node::{Branch, Fork, Node, Symbol, symbol};

/// One key that differs between two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a, L> {
    /// Only the later map has the key.
    Added(&'a L),
    /// Only the base has the key.
    Removed(&'a L),
    /// Both have the key, with leaves that are not the same.
    Replaced {
        /// The leaf of the base.
        base: &'a L,
        /// The leaf of the later map.
        now: &'a L,
    },
}

/// The changes between two maps, in ascending order of keys.
pub struct Diff<'a, L> {
    /// What is still to do, the next step last.
    steps: Vec<Step<'a, L>>,
}

enum Step<'a, L> {
    Added(&'a Node<L>),
    Removed(&'a Node<L>),
    /// Two subtrees that are not the same; all their keys agree on the first `agreed` bytes.
    Both {
        now: &'a Node<L>,
        base: &'a Node<L>,
        agreed: usize,
    },
}

impl<'a, L: Leaf> Diff<'a, L> {
    pub(super) fn new(now: &'a Node<L>, base: &'a Node<L>) -> Self {
        let mut diff = Self { steps: Vec::new() };
        diff.compare(Some(now), Some(base), 0);
        diff
    }

    /// Notes what is to do about the children of one symbol, unless they are the same.
    #[inline]
    fn compare(&mut self, now: Option<&'a Node<L>>, base: Option<&'a Node<L>>, agreed: usize) {
        match (now, base) {
            (Some(now), Some(base)) if now.is_same(base) => {}
            (Some(now), Some(base)) => self.steps.push(Step::Both { now, base, agreed }),
            (Some(now), None) => self.steps.push(Step::Added(now)),
            (None, Some(base)) => self.steps.push(Step::Removed(base)),
            (None, None) => {}
        }
    }

    /// Compares two subtrees as far as their first branches.
    fn both(&mut self, now: &'a Node<L>, base: &'a Node<L>, agreed: usize) -> Option<Change<'a, L>> {
        let offset = now.offset().min(base.offset());
        if let (Node::Branch(now), Node::Branch(base)) = (now, base)
            && now.offset() == base.offset()
            && offset == agreed
        {
            self.merge(now, base);
            return None;
        }
        let (Some(first), Some(base_first)) = (now.first(), base.first()) else {
            self.apart(now, base, Ordering::Less);
            return None;
        };
        match Fork::between(base_first.key(), first.key()) {
            None if offset == usize::MAX => return Some(Change::Replaced { base: base_first, now: first }),
            Some(fork) if fork.offset < offset => {
                self.apart(now, base, symbol(first.key(), fork.offset).cmp(&fork.theirs));
            }
            _ => self.align(now, base, symbol(first.key(), offset), symbol(base_first.key(), offset)),
        }
        None
    }

    /// Notes two subtrees that have no key in common.
    fn apart(&mut self, now: &'a Node<L>, base: &'a Node<L>, order: Ordering) {
        let steps = [Step::Removed(base), Step::Added(now)];
        self.steps.extend(steps);
        if order == Ordering::Greater {
            let last = self.steps.len() - 1;
            self.steps.swap(last - 1, last);
        }
    }

    /// Compares two subtrees whose keys agree in front of the smaller of their offsets, where the first keys have these symbols.
    fn align(&mut self, now: &'a Node<L>, base: &'a Node<L>, symbol: Symbol, base_symbol: Symbol) {
        match (now, base) {
            (Node::Branch(now), Node::Branch(base)) if now.offset() == base.offset() => self.merge(now, base),
            (Node::Branch(branch), _) if branch.offset() < base.offset() => {
                let (front, child, behind) = branch.split(base_symbol);
                self.steps.extend(behind.iter().rev().map(Step::Added));
                self.compare(child, Some(base), branch.offset() + 1);
                self.steps.extend(front.iter().rev().map(Step::Added));
            }
            (_, Node::Branch(branch)) => {
                let (front, child, behind) = branch.split(symbol);
                self.steps.extend(behind.iter().rev().map(Step::Removed));
                self.compare(Some(now), child, branch.offset() + 1);
                self.steps.extend(front.iter().rev().map(Step::Removed));
            }
            _ => unreachable!("two leaves differ in front of any offset, or in nothing"),
        }
    }

    /// Compares the children of two branches at one offset, last symbol first, so that the first is done next.
    fn merge(&mut self, now: &'a Branch<L>, base: &'a Branch<L>) {
        let agreed = now.offset() + 1;
        let (mut nows, mut bases) = (now.children().iter(), base.children().iter());
        for (word, base_word) in now.bytes().into_iter().zip(base.bytes()).rev() {
            let mut either = word | base_word;
            while either != 0 {
                let bit = 1 << (63 - either.leading_zeros());
                either ^= bit;
                let now = if word & bit != 0 { nows.next_back() } else { None };
                let base = if base_word & bit != 0 { bases.next_back() } else { None };
                self.compare(now, base, agreed);
            }
        }
        self.compare(nows.next_back(), bases.next_back(), agreed);
    }
}

impl<'a, L: Leaf> Iterator for Diff<'a, L> {
    type Item = Change<'a, L>;

    fn next(&mut self) -> Option<Change<'a, L>> {
        loop {
            match self.steps.pop()? {
                Step::Added(Node::Leaf(Some(leaf))) => return Some(Change::Added(leaf)),
                Step::Removed(Node::Leaf(Some(leaf))) => return Some(Change::Removed(leaf)),
                Step::Added(Node::Leaf(None)) | Step::Removed(Node::Leaf(None)) => {}
                Step::Added(Node::Branch(branch)) => self.steps.extend(branch.children().iter().rev().map(Step::Added)),
                Step::Removed(Node::Branch(branch)) => {
                    self.steps.extend(branch.children().iter().rev().map(Step::Removed));
                }
                Step::Both { now, base, agreed } => {
                    if let Some(change) = self.both(now, base, agreed) {
                        return Some(change);
                    }
                }
            }
        }
    }
}

impl<L: Leaf> FusedIterator for Diff<'_, L> {}

impl<L> Clone for Diff<'_, L> {
    fn clone(&self) -> Self {
        Self { steps: self.steps.clone() }
    }
}

impl<L: Leaf + fmt::Debug> fmt::Debug for Diff<'_, L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.clone()).finish()
    }
}

impl<L> Clone for Step<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Step<'_, L> {}
