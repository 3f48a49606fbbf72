//! The writing connection, and how transactions begin and end on it.
//!
//! Batches that wait while one commits go into the next transaction together, each all or nothing on its own: a refusal changes
//! nothing, and where SQLite itself fails the whole transaction is rolled back and each batch gets one of its own. Between
//! processes a writer tries again in short, random steps instead of sleeping as SQLite does, and leaves a gap for the others
//! while they are in its way.

use std::hash::{BuildHasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use super::batch;
use super::changes::{Attempt, Changes, Stop};
use super::connection::Link;
use super::{fault, sql};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::{Batch, Outcome};

/// Due entries that one transaction removes besides its own work, at the most.
const SWEPT_PER_COMMIT: usize = 32;
/// The first and the longest pause between two tries to begin.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// Between two of our transactions, while other processes want to write: half of it to all of it.
const GAP: Duration = Duration::from_micros(150);
/// For so long after it met another process a writer leaves gaps.
const WARY_FOR: Duration = Duration::from_millis(10);

/// The connection that writes. Whoever leads the line has it to itself.
pub(super) struct Writer {
    link: Link,
    clock: Clock,
    /// When it last met another process that was writing.
    met_at: Option<Instant>,
    committed_at: Option<Instant>,
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
    pub(super) fn new(link: Link, clock: Clock) -> Result<Self> {
        // What waits for the lock is `begin`.
        link.busy_timeout(Duration::ZERO).map_err(|error| fault::opening(error, link.file.place()))?;
        Ok(Self { link, clock, met_at: None, committed_at: None, random: RandomState::new(), pauses: 0 })
    }

    /// Carries out batches in the transaction that has begun and, where that fails, each in its own. Answers one result for each.
    pub(super) fn write(&mut self, batches: &[&Batch<'_>], deadline: Deadline) -> Vec<Result<Vec<Outcome>>> {
        match self.transact(|changes| carry_out(changes, batches)) {
            Ok(Ok(results)) => results,
            Ok(Err(error)) => batches.iter().map(|_| Err(error.clone())).collect(),
            Err(Failure::Undone(_)) if batches.len() > 1 => {
                batches.iter().map(|batch| self.write_alone(batch, deadline)).collect()
            }
            Err(failure) => {
                let error = self.named(&failure);
                batches.iter().map(|_| Err(error.clone())).collect()
            }
        }
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
        self.committed_at = self.met_at.map(|_| Instant::now());
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
        let mut pause = FIRST_PAUSE;
        loop {
            match self.link.run(sql::BEGIN_WRITE, []) {
                // Only now: waiting for the lock may have taken long.
                Ok(_) => return self.require_in_place(),
                Err(error) if fault::is_busy(&error) && !deadline.is_over() => {
                    self.met_at = Some(Instant::now());
                    thread::sleep(self.part_of(pause));
                    pause = (pause * 2).min(LONGEST_PAUSE);
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
        let Some(committed_at) = self.committed_at.take() else { return };
        let is_wary = self.met_at.is_some_and(|met_at| met_at.elapsed() < WARY_FOR);
        if !is_wary {
            self.met_at = None;
            return;
        }
        let gap = self.part_of(GAP);
        if let Some(rest) = gap.checked_sub(committed_at.elapsed()) {
            thread::sleep(rest);
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

    /// Gives back free pages in slices, and then the log's room.
    pub(super) fn shrink(&mut self, deadline: Deadline) -> Result<bool> {
        self.begin(deadline)?;
        let free = self.give_back();
        self.link.roll_back();
        free.map_err(|error| fault::named(&error, self.link.file.place()))
    }

    fn give_back(&self) -> rusqlite::Result<bool> {
        self.link.execute_batch(sql::SHRINK)?;
        let free: i64 = self.link.query_row(sql::FREE_PAGES, [], |row| row.get(0))?;
        self.link.run(sql::COMMIT, [])?;
        Ok(free > 0)
    }

    /// Copies the log into the file and cuts it off, as far as readers allow.
    pub(super) fn cut_log(&self) -> Result<()> {
        let done = self.link.query_row(sql::TRUNCATE_LOG, [], |row| row.get::<_, i64>(0));
        match done {
            Ok(_) => Ok(()),
            Err(error) if fault::is_busy(&error) => Ok(()),
            Err(error) => Err(fault::named(&error, self.link.file.place())),
        }
    }
}

/// Each batch in turn: one that is refused leaves what the others did.
fn carry_out(changes: &mut Changes<'_>, batches: &[&Batch<'_>]) -> Attempt<Vec<Result<Vec<Outcome>>>> {
    changes.sweep(SWEPT_PER_COMMIT)?;
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        results.push(match batch::write(changes, batch) {
            Ok(outcomes) => Ok(outcomes),
            Err(Stop::Refused(error)) => Err(error),
            Err(failed) => return Err(failed),
        });
    }
    Ok(results)
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
