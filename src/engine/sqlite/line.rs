//! Who writes next: one leader at a time, and a line of those who wait.
//!
//! Whoever finds no leader leads; others stand in line. A leader takes the batches at the front of the line along into its own
//! transaction and answers them, then hands the lead to whoever is first by then. So a lone writer pays for no hand-over, and
//! the more wait, the more travel in one commit. What must stand alone in its transaction waits in the same line without a
//! batch. Nothing here knows what a batch means.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::fault;
use crate::error::{Error, Result};
use crate::store::{Batch, Outcome};

/// The most bytes, and the most batches, that a leader takes along besides its own.
const MOST_TAKEN_BYTES: u64 = 16 * 1024 * 1024;
const MOST_TAKEN: usize = 256;

/// The line in front of the writing connection.
#[derive(Default)]
pub(super) struct Line(Mutex<Order>);

/// Taken before a ticket's lock, never after it.
#[derive(Default)]
struct Order {
    waiting: VecDeque<Arc<Ticket>>,
    is_led: bool,
}

/// One that waits in the line.
pub(super) struct Ticket {
    /// What a leader may take along; `None` for what has to lead itself.
    batch: Option<Batch<'static>>,
    state: Mutex<State>,
    turned: Condvar,
}

enum State {
    Waiting,
    /// A leader carries the batch out.
    Taken,
    Leads,
    Answered(Result<Vec<Outcome>>),
}

/// How waiting in the line ended.
pub(super) enum Turn<'l> {
    /// The caller writes now.
    Lead(Lead<'l>),
    /// A leader has carried the batch out, or failed to.
    Answered(Result<Vec<Outcome>>),
    /// The deadline passed; nothing was done.
    Late,
}

impl Line {
    /// Waits until the caller leads, or its batch is answered. `batch` is asked for only if it has to wait.
    pub(super) fn enter(&self, batch: impl FnOnce() -> Option<Batch<'static>>, deadline: Option<Instant>) -> Turn<'_> {
        let mut order = self.0.lock();
        if !order.is_led {
            order.is_led = true;
            return Turn::Lead(Lead(self));
        }
        // Owning the batch copies it, which others need not wait for; the lead may be free by then.
        drop(order);
        let ticket = Arc::new(Ticket { batch: batch(), state: Mutex::new(State::Waiting), turned: Condvar::new() });
        order = self.0.lock();
        if !order.is_led {
            order.is_led = true;
            return Turn::Lead(Lead(self));
        }
        order.waiting.push_back(ticket.clone());
        drop(order);
        self.wait(&ticket, deadline)
    }

    fn wait(&self, ticket: &Arc<Ticket>, mut deadline: Option<Instant>) -> Turn<'_> {
        let mut state = ticket.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Answered(answer) => return Turn::Answered(answer),
                State::Leads => return Turn::Lead(Lead(self)),
                standing => *state = standing,
            }
            let is_late = match deadline {
                Some(deadline) => ticket.turned.wait_until(&mut state, deadline).timed_out(),
                None => {
                    ticket.turned.wait(&mut state);
                    false
                }
            };
            if is_late && matches!(*state, State::Waiting | State::Taken) {
                drop(state);
                if self.leave(ticket) {
                    return Turn::Late;
                }
                // Whoever took it answers it: what is being written cannot be called back.
                deadline = None;
                state = ticket.state.lock();
            }
        }
    }

    /// Waits until so many wait.
    #[cfg(test)]
    pub(super) fn await_waiting(&self, count: usize) {
        while self.0.lock().waiting.len() < count {
            std::thread::yield_now();
        }
    }

    /// Takes a ticket out of the line; `false` when it no longer stands there.
    fn leave(&self, ticket: &Arc<Ticket>) -> bool {
        let mut order = self.0.lock();
        let position = order.waiting.iter().position(|other| Arc::ptr_eq(other, ticket));
        position.and_then(|position| order.waiting.remove(position)).is_some()
    }
}

/// The right to write. Dropping it hands it over.
pub(super) struct Lead<'l>(&'l Line);

impl Lead<'_> {
    /// Takes the batches at the front of the line along; `false` when none stands there, or enough were taken.
    pub(super) fn take_followers(&self, followers: &mut Followers) -> bool {
        let taken = followers.tickets.len();
        let mut order = self.0.0.lock();
        while followers.bytes < MOST_TAKEN_BYTES
            && followers.tickets.len() < MOST_TAKEN
            && let Some(batch) = order.waiting.front().and_then(|ticket| ticket.batch.as_ref())
        {
            followers.bytes += batch.size_bytes();
            followers.tickets.extend(order.waiting.pop_front());
        }
        drop(order);
        for ticket in &followers.tickets[taken..] {
            *ticket.state.lock() = State::Taken;
        }
        followers.tickets.len() > taken
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut order = self.0.0.lock();
        match order.waiting.pop_front() {
            None => order.is_led = false,
            Some(next) => {
                *next.state.lock() = State::Leads;
                next.turned.notify_one();
            }
        }
    }
}

/// Those whose batches a leader carries out. Every one of them is answered, whatever happens to the leader.
#[derive(Default)]
pub(super) struct Followers {
    tickets: Vec<Arc<Ticket>>,
    bytes: u64,
}

impl Followers {
    pub(super) fn batches(&self) -> impl Iterator<Item = &Batch<'static>> {
        self.tickets.iter().filter_map(|ticket| ticket.batch.as_ref())
    }

    /// Answers each, in the order of the batches.
    pub(super) fn answer(mut self, answers: impl Iterator<Item = Result<Vec<Outcome>>>) {
        for (ticket, answer) in self.tickets.drain(..).zip(answers) {
            ticket.answer(answer);
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        for ticket in &self.tickets {
            ticket.answer(Err(left_alone()));
        }
    }
}

impl Ticket {
    fn answer(&self, answer: Result<Vec<Outcome>>) {
        *self.state.lock() = State::Answered(answer);
        self.turned.notify_one();
    }
}

#[cold]
fn left_alone() -> Error {
    fault::unavailable("the thread that carried this write out came to an end; it may have happened".to_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn lead<'l>(turn: Turn<'l>) -> Lead<'l> {
        match turn {
            Turn::Lead(lead) => lead,
            _ => panic!("it leads"),
        }
    }

    #[test]
    fn a_leader_takes_along_what_stands_before_the_first_that_must_lead_itself() {
        let line = Line::default();
        let first = lead(line.enter(|| None, None));

        thread::scope(|scope| {
            let mut followers = Vec::new();
            for (count, has_batch) in [true, true, false, true].into_iter().enumerate() {
                let batch = has_batch.then(Batch::new);
                let line = &line;
                followers.push(scope.spawn(move || matches!(line.enter(|| batch, None), Turn::Answered(Ok(_)))));
                line.await_waiting(count + 1);
            }
            let mut taken = Followers::default();
            assert!(first.take_followers(&mut taken) && !first.take_followers(&mut taken));
            assert_eq!(taken.batches().count(), 2);
            taken.answer([Ok(Vec::new()), Ok(Vec::new())].into_iter());
            drop(first);
            let answered = followers.into_iter().map(|follower| follower.join().expect("it ends")).collect::<Vec<_>>();

            assert_eq!(answered, [true, true, false, false]);
        });
        assert!(!line.0.lock().is_led);
    }

    #[test]
    fn who_is_late_leaves_the_line() {
        let line = Line::default();
        let first = lead(line.enter(|| None, None));

        let turn = line.enter(|| Some(Batch::new()), Some(Instant::now() + Duration::from_millis(1)));

        assert!(matches!(turn, Turn::Late));
        assert!(!first.take_followers(&mut Followers::default()));
    }

    #[test]
    fn followers_of_a_leader_that_dies_are_answered() {
        let line = Line::default();
        let first = lead(line.enter(|| None, None));

        thread::scope(|scope| {
            let follower = scope.spawn(|| line.enter(|| Some(Batch::new()), None));
            line.await_waiting(1);
            let mut taken = Followers::default();
            assert!(first.take_followers(&mut taken));
            drop(taken);
            let Turn::Answered(answer) = follower.join().expect("it ends") else { panic!("it was taken") };

            assert!(matches!(answer, Err(Error::Unavailable { .. })));
        });
    }
}
