//! The order of the changes in one namespace, whose writers end in any order.
//!
//! A change is held back until every write that was under way when it was told has ended, since one of those may have a lower
//! revision, and until all that is held back below it goes out. So it waits for no write that began later.

use std::collections::BTreeMap;

use super::log::Change;
use crate::value::Revision;

/// The writes of a namespace that are under way, and what they wrote.
#[derive(Default)]
pub(super) struct Flow {
    /// Their tickets, ascending.
    under_way: Vec<u64>,
    /// What is held back, with the first ticket that it does not wait for.
    held: BTreeMap<Revision, (u64, Change)>,
    /// Where a write may have happened: the first ticket that this was not waiting for.
    doubt: Option<u64>,
}

impl Flow {
    /// Counts a write in; tickets ascend.
    pub(super) fn begin(&mut self, ticket: u64) {
        self.under_way.push(ticket);
    }

    /// Counts a write out, which made these changes before a write with the ticket `next` began.
    pub(super) fn end(&mut self, ticket: u64, next: u64, changes: Vec<(Revision, Change)>) {
        self.under_way.retain(|other| *other != ticket);
        self.held.extend(changes.into_iter().map(|(revision, change)| (revision, (next, change))));
    }

    /// Has it told, once every write under way has ended, that anything may have changed.
    pub(super) fn doubt(&mut self, next: u64) {
        self.doubt = Some(next);
    }

    /// What can be told by now, in its order.
    pub(super) fn due(&mut self) -> Vec<Change> {
        let oldest = self.under_way.first().copied().unwrap_or(u64::MAX);
        let mut due = Vec::new();
        while let Some(first) = self.held.first_entry() {
            if first.get().0 > oldest {
                break;
            }
            due.push(first.remove().1);
        }
        if self.doubt.is_some_and(|next| next <= oldest) {
            self.doubt = None;
            due.push(Change::Reset);
        }
        due
    }

    /// Whether nothing is under way and nothing held back.
    pub(super) fn is_over(&self) -> bool {
        self.under_way.is_empty() && self.held.is_empty() && self.doubt.is_none()
    }
}
