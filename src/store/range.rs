//! Which names a listing shows, in which order.

use crate::key::{Key, Prefix};

/// The order of a listing, by the bytes of the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    #[default]
    Ascending,
    /// Greatest first.
    Descending,
}

/// Which names a listing shows. The default is all of them, ascending.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    /// What the names begin with.
    pub prefix: Prefix<'a>,
    /// Only names that come after this one in the order of the listing; the name itself need not exist.
    pub after: Option<Key<'a>>,
    /// The order.
    pub order: Order,
    /// The most names.
    pub limit: usize,
}

impl Default for Range<'_> {
    fn default() -> Self {
        let prefix = Prefix::new("").expect("an empty prefix is short enough");
        Self { prefix, after: None, order: Order::Ascending, limit: usize::MAX }
    }
}

impl<'a> Range<'a> {
    /// All names that begin with `prefix`.
    pub fn of(prefix: Prefix<'a>) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// The same range, from behind `cursor`.
    pub fn after(mut self, cursor: Key<'a>) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The same range with at most `limit` names.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The same range, greatest name first.
    pub fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }
}
