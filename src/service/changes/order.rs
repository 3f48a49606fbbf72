//! The order of the changes in one namespace, whose writers end in any order.
//!
//! A write that begins after another was told has the higher revision. So a change is held back while a write is under way that
//! began before it was told, or before a change with a higher revision was; no later write holds it back.

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
    doubt: Doubt,
}

/// Whether it is still to be told that anything may have changed.
#[derive(Clone, Copy, Default)]
enum Doubt {
    #[default]
    None,
    /// Once every write with a lower ticket has ended.
    Until(u64),
    /// Once every change up to this revision is told.
    Behind(Revision),
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
        self.doubt = Doubt::Until(next);
    }

    /// What can be told by now, in its order.
    pub(super) fn due(&mut self) -> Vec<Change> {
        let oldest = self.under_way.first().copied().unwrap_or(u64::MAX);
        if matches!(self.doubt, Doubt::Until(next) if next <= oldest) {
            self.doubt = Doubt::Behind(self.held.last_key_value().map_or(0, |(revision, _)| *revision));
        }
        let last = self.held.iter().rev().find(|(_, (next, _))| *next <= oldest).map(|(revision, _)| *revision);
        let rest = self.held.split_off(&last.map_or(0, |last| last + 1));
        let mut due: Vec<_> = std::mem::replace(&mut self.held, rest).into_values().map(|(_, change)| change).collect();
        let is_told = |last: Revision| self.held.first_key_value().is_none_or(|(first, _)| *first > last);
        if matches!(self.doubt, Doubt::Behind(last) if is_told(last)) {
            self.doubt = Doubt::None;
            due.push(Change::Reset);
        }
        due
    }

    /// Whether nothing is under way and nothing held back.
    pub(super) fn is_over(&self) -> bool {
        self.under_way.is_empty() && self.held.is_empty() && matches!(self.doubt, Doubt::None)
    }
}
