//! The values that were stored last, as they were cut, so that the next of a channel need not be read to be compared; and the
//! heads that were written last, so that the next put of a thread need not read one.
//!
//! An entry is found by the address and the revision of its row, which name one value for ever: a row that somebody else wrote,
//! or that a restore brought back, is never mistaken for another. Nothing here is needed for correctness, and nobody waits:
//! where the lock is taken, there is no entry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::content::{Content, Trust};
use super::record::Secret;
use super::shape::{Hash, Shape};
use super::thread::Head;
use crate::value::Revision;

/// The most bytes of values that are kept, and of one of them.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// The most heads that are kept, of some 200 bytes each.
const MOST_HEADS: usize = 10_000;
const MOST_BYTES_OF_ONE: usize = 8 * 1024 * 1024;

/// A value with its shape and all that it names.
#[derive(Debug)]
pub(super) struct CutValue {
    pub(super) bytes: Vec<u8>,
    pub(super) shape: Shape,
    pub(super) names: HashSet<Hash>,
}

impl CutValue {
    /// What a row that was read stands for; `None` where it is whole, or not what was stored.
    pub(super) fn of(secret: &Secret, content: &Content) -> Option<Self> {
        let shape = content.shape()?;
        let bytes = content.read(Trust::Nothing)?.to_vec();
        let names = shape.names(&shape.levels(secret));
        Some(Self { bytes, shape, names })
    }
}

/// Namespace and key of a row.
type Address = (String, String);

/// The values and heads that were stored last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    values: Mutex<Values>,
    /// By thread. A put that a head from here was wrong for is told so by its own condition.
    heads: Mutex<HashMap<String, Head, RandomState>>,
}

#[derive(Debug, Default)]
struct Values {
    by_row: HashMap<Address, Kept>,
    bytes: usize,
    /// Rises with each value, so that the oldest is known.
    turn: u64,
}

#[derive(Debug)]
struct Kept {
    revision: Revision,
    value: Arc<CutValue>,
    turn: u64,
}

impl Recent {
    /// The value of a row at a revision.
    pub(super) fn get(&self, namespace: &str, row: &str, revision: Revision) -> Option<Arc<CutValue>> {
        let values = self.values.try_lock()?;
        let kept = values.by_row.get(&(namespace.to_owned(), row.to_owned()))?;
        (kept.revision == revision).then(|| kept.value.clone())
    }

    /// The head that was written last, which is then no longer kept.
    pub(super) fn take_head(&self, thread_id: &str) -> Option<Head> {
        self.heads.try_lock()?.remove(thread_id)
    }

    /// Keeps the head that was written last.
    pub(super) fn keep_head(&self, thread_id: &str, head: Head) {
        let Some(mut heads) = self.heads.try_lock() else { return };
        if heads.len() >= MOST_HEADS {
            heads.clear();
        }
        heads.insert(thread_id.to_owned(), head);
    }

    /// Keeps a value, in the place of the one that it followed.
    pub(super) fn keep(&self, namespace: &str, row: &str, revision: Revision, value: CutValue, before: Option<&str>) {
        if value.bytes.len() > MOST_BYTES_OF_ONE {
            return;
        }
        let Some(mut values) = self.values.try_lock() else { return };
        let replaced = before.and_then(|before| values.remove(&(namespace.to_owned(), before.to_owned())));
        let dropped = values.insert((namespace.to_owned(), row.to_owned()), revision, Arc::new(value));
        drop(values);
        drop((replaced, dropped));
    }
}

impl Values {
    fn remove(&mut self, address: &Address) -> Option<Kept> {
        let kept = self.by_row.remove(address)?;
        self.bytes -= kept.value.bytes.len();
        Some(kept)
    }

    /// Answers what had to go, to be freed outside the lock.
    fn insert(&mut self, address: Address, revision: Revision, value: Arc<CutValue>) -> Vec<Kept> {
        let mut dropped: Vec<Kept> = self.remove(&address).into_iter().collect();
        self.bytes += value.bytes.len();
        self.turn += 1;
        self.by_row.insert(address, Kept { revision, value, turn: self.turn });
        while self.bytes > MOST_BYTES {
            let oldest = self.by_row.iter().min_by_key(|(_, kept)| kept.turn).map(|(address, _)| address.clone());
            let Some(kept) = oldest.and_then(|oldest| self.remove(&oldest)) else { break };
            dropped.push(kept);
        }
        dropped
    }
}
