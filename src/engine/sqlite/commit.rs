//! The writing connection, and how transactions begin and end on it.
//!
//! Batches that wait while one commits go into the next transaction together, each all or nothing on its own: a refusal changes
//! nothing, and where SQLite itself fails the whole transaction is rolled back and each batch gets one of its own. Between
//! processes a writer tries again in short, random steps instead of sleeping as SQLite does, and leaves a gap for the others
//! while they are in its way.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::batch;
use super::changes::{Attempt, Changes, Stop};
use super::connection::Link;
use super::copier::Copier;
use super::line::{Followers, Lead};
use super::{fault, sql};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::{Batch, Outcome};

/// Due entries that one transaction removes besides its own work, at the most.
const SWEPT_PER_COMMIT: usize = 32;
/// The shortest pause between two tries to begin, and the longest in a wait of a tenth of a second, and in any.
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
const LONG_PAUSE: Duration = Duration::from_micros(250);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// While other processes want to write, they get a gap after each turn of ours: half of it to all of it, as long as their
/// pauses are.
const TURN: Duration = Duration::from_millis(1);
const GAP: Duration = Duration::from_micros(250);
/// For so long after it met another process a writer leaves gaps.
const WARY_FOR: Duration = Duration::from_millis(50);

/// The connection that writes. Whoever leads the line has it to itself.
pub(super) struct Writer {
    link: Link,
    clock: Clock,
    copier: Arc<Copier>,
    /// When it last met another process that was writing.
    met_at: Option<Instant>,
    /// When its turn began, between gaps.
    turn_began_at: Option<Instant>,
    random: RandomState,
    pauses: u64,
}

/// How a transaction failed.
enum Failure {
    /// Nothing of it was kept.
    Undone(rusqlite::Error),
    /// Its last step failed: it may have been kept.
    Unclear(rusqlite::Error),
}

impl Writer {
    pub(super) fn new(mut link: Link, clock: Clock, copier: Arc<Copier>) -> Result<Self> {
        // What waits for the lock is `begin`.
        let set_up = link.busy_timeout(Duration::ZERO).and_then(|()| {
            let copier = copier.clone();
            link.on_commit(move |wal, pages| copier.committed(wal, pages))
        });
        set_up.map_err(|error| fault::opening(error, link.file.place()))?;
        Ok(Self { link, clock, copier, met_at: None, turn_began_at: None, random: RandomState::new(), pauses: 0 })
    }

    /// Carries out a batch in the transaction that has begun, together with those that wait in the line by the time that it ends;
    /// where that fails, each in a transaction of its own. Answers the followers.
    pub(super) fn write(&mut self, own: &Batch<'_>, lead: &Lead<'_>, deadline: Deadline) -> Result<Vec<Outcome>> {
        let (mut followers, mut results) = (Followers::default(), Vec::new());
        let done = self.transact(|changes| {
            if changes.is_anything_due {
                changes.sweep(SWEPT_PER_COMMIT)?;
            }
            results.push(carry_out(changes, own)?);
            while lead.take_followers(&mut followers) {
                for batch in followers.batches().skip(results.len() - 1) {
                    results.push(carry_out(changes, batch)?);
                }
            }
            Ok(())
        });
        let mut batches: Vec<&Batch<'_>> = vec![own];
        followers.batches().for_each(|batch| batches.push(batch));
        let mut results = match done {
            Ok(Ok(())) => results,
            Ok(Err(error)) => vec![Err(error); batches.len()],
            Err(Failure::Undone(_)) if batches.len() > 1 => {
                batches.iter().map(|batch| self.write_alone(batch, deadline)).collect()
            }
            Err(failure) => vec![Err(self.named(&failure)); batches.len()],
        }
        .into_iter();
        let own = results.next().expect("there is a result for each batch");
        followers.answer(results);
        own
    }

    fn write_alone(&mut self, batch: &Batch<'_>, deadline: Deadline) -> Result<Vec<Outcome>> {
        self.run(deadline, |changes| batch::write(changes, batch))
    }

    /// Runs `work` in a transaction of its own.
    ///
    /// # Errors
    /// What `work` refuses, and what SQLite fails at: nothing is kept. `Unavailable` when the end failed: it may be kept.
    pub(super) fn run<R>(
        &mut self,
        deadline: Deadline,
        work: impl FnOnce(&mut Changes<'_>) -> Attempt<R>,
    ) -> Result<R> {
        self.begin(deadline)?;
        match self.transact(work) {
            Ok(result) => result,
            Err(failure) => Err(self.named(&failure)),
        }
    }

    /// Runs `work` in the transaction that has begun, and ends it; what `work` refuses ends it without a change.
    fn transact<R>(&mut self, work: impl FnOnce(&mut Changes<'_>) -> Attempt<R>) -> Result<Result<R>, Failure> {
        let done = self.attempt(work);
        self.link.roll_back();
        done
    }

    fn attempt<R>(&self, work: impl FnOnce(&mut Changes<'_>) -> Attempt<R>) -> Result<Result<R>, Failure> {
        let mut changes = Changes::begin(&self.link, self.clock.now()).map_err(Failure::Undone)?;
        let result = match work(&mut changes) {
            Ok(result) => result,
            Err(Stop::Refused(error)) => return Ok(Err(error)),
            Err(Stop::Failed(error)) => return Err(Failure::Undone(error)),
        };
        match changes.commit() {
            Ok(()) => Ok(Ok(result)),
            Err(error) if fault::is_full(&error) || fault::is_busy(&error) => Err(Failure::Undone(error)),
            Err(error) => Err(Failure::Unclear(error)),
        }
    }

    /// Takes the file's write lock, and begins a transaction.
    ///
    /// # Errors
    /// `Unavailable` when another process holds it until the deadline, or the file is gone.
    pub(super) fn begin(&mut self, deadline: Deadline) -> Result<()> {
        self.link.file.require_own_process()?;
        // A panic may have left a transaction open.
        self.link.roll_back();
        self.leave_a_gap();
        let mut waiting_since = None;
        loop {
            match self.link.run(sql::BEGIN_WRITE, []) {
                // Only now: waiting for the lock may have taken long.
                Ok(_) => return self.require_in_place(),
                Err(error) if fault::is_busy(&error) && !deadline.is_over() => {
                    let now = Instant::now();
                    let since = *waiting_since.get_or_insert(now);
                    (self.met_at, self.turn_began_at) = (Some(now), None);
                    thread::sleep(self.part_of(pause_after(now - since)));
                }
                Err(error) if fault::is_busy(&error) => return Err(self.late(deadline, &error)),
                Err(error) => return Err(fault::named(&error, self.link.file.place())),
            }
        }
    }

    /// Refuses to write where nobody would find it, and ends the transaction that has begun.
    fn require_in_place(&self) -> Result<()> {
        self.link.file.require_in_place().inspect_err(|_| self.link.roll_back())
    }

    #[cold]
    fn late(&self, deadline: Deadline, error: &rusqlite::Error) -> Error {
        let who = format!("another connection holds its write lock, as a rule that of another process ({error})");
        fault::late(self.link.file.place(), deadline.timeout, &who)
    }

    fn leave_a_gap(&mut self) {
        let Some(met_at) = self.met_at else { return };
        let now = Instant::now();
        if now - met_at > WARY_FOR {
            (self.met_at, self.turn_began_at) = (None, None);
            return;
        }
        if now - *self.turn_began_at.get_or_insert(now) >= TURN {
            thread::sleep(self.part_of(GAP));
            self.turn_began_at = Some(Instant::now());
        }
    }

    /// Half of a pause to all of it, at random, so that two processes do not keep step.
    fn part_of(&mut self, pause: Duration) -> Duration {
        self.pauses += 1;
        let share = 128 + (self.random.hash_one(self.pauses) & 127) as u32;
        pause * share / 256
    }

    fn named(&self, failure: &Failure) -> Error {
        match failure {
            Failure::Undone(error) => fault::named(error, self.link.file.place()),
            Failure::Unclear(error) => match fault::named(error, self.link.file.place()) {
                Error::Unavailable { what } => fault::unavailable(format!("{what}; the write may have happened")),
                other => other,
            },
        }
    }

    /// Gives a slice of the free pages back; tells how many are left.
    pub(super) fn shrink(&mut self, deadline: Deadline) -> Result<i64> {
        self.begin(deadline)?;
        let free = self.give_back();
        self.link.roll_back();
        free.map_err(|error| fault::named(&error, self.link.file.place()))
    }

    fn give_back(&self) -> rusqlite::Result<i64> {
        // It gives back one page for each row that is asked for.
        let mut shrinking = self.link.prepare_cached(sql::SHRINK)?;
        let mut pages = shrinking.query([])?;
        while pages.next()?.is_some() {}
        drop(pages);
        let free = self.link.query_row(sql::FREE_PAGES, [], |row| row.get(0))?;
        self.link.run(sql::COMMIT, [])?;
        Ok(free)
    }

    /// Copies the log into the file and cuts it off, as far as readers allow.
    pub(super) fn cut_log(&self) -> Result<()> {
        self.copier.finish();
        let done = self.link.query_row(sql::TRUNCATE_LOG, [], |row| row.get::<_, i64>(0));
        match done {
            Ok(_) => Ok(()),
            Err(error) if fault::is_busy(&error) => Ok(()),
            Err(error) => Err(fault::named(&error, self.link.file.place())),
        }
    }
}

/// Carries out one batch of several: a refusal is its own affair.
fn carry_out(changes: &mut Changes<'_>, batch: &Batch<'_>) -> Attempt<Result<Vec<Outcome>>> {
    match batch::write(changes, batch) {
        Ok(outcomes) => Ok(Ok(outcomes)),
        Err(Stop::Refused(error)) => Ok(Err(error)),
        Err(failed) => Err(failed),
    }
}

/// How long to pause before the next try, in a wait that has lasted for `waited`: the longer it lasts, the longer the holder needs.
fn pause_after(waited: Duration) -> Duration {
    (waited / 8).clamp(SHORTEST_PAUSE, LONG_PAUSE).max(waited / 400).min(LONGEST_PAUSE)
}

/// Until when a write waits for others.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Option<Instant>,
    timeout: Duration,
}

impl Deadline {
    /// `timeout` from now; one beyond all time is never.
    pub(super) fn after(timeout: Duration) -> Self {
        Self { at: Instant::now().checked_add(timeout), timeout }
    }

    fn is_over(self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }
}
