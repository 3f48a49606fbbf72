//! How the log gets into the file, beside the writers.
//!
//! SQLite copies the log in the commit that makes it long, whose writer then waits for the disk while megabytes are written. Here a
//! thread does that on a connection of its own, and a commit copies only the little that came meanwhile. SQLite begins the log anew
//! at the first write that finds all of it copied and read by nobody.

use std::sync::Arc;
use std::thread::Builder;

use parking_lot::{Condvar, Mutex};
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;

use super::connection::{File, Link};
use super::{SqliteOptions, fault, sql};
use crate::error::Result;

/// How many pages of the log are copied at a time, 8 MiB: fewer would wait for the disk oftener, and copy a page that is written over
/// and over oftener too.
pub(super) const COPIED_PAGES: i64 = 2048;
/// Where a reader keeps a log that is copied from being begun anew, it is tried again when so many pages have come.
const RETRY_PAGES: i64 = 64;
/// The pages of a very long log, 32 MiB. It is tried by every commit, which so waits for the disk where writers are faster than that.
pub(super) const MOST_PAGES: i64 = 4 * COPIED_PAGES;
/// How often the thread goes over the log: the second time it finds what came during the first.
const PASSES: usize = 2;

/// Copies the log of one store.
pub(super) struct Copier {
    file: Arc<File>,
    options: SqliteOptions,
    /// Taken for moments; who holds it takes no other lock.
    state: Mutex<State>,
    done: Condvar,
}

struct State {
    is_copying: bool,
    /// The pages that the log had, how many of them were copied, and how many it has when that is looked at next.
    pages: i64,
    copied: i64,
    next: i64,
}

impl Default for State {
    fn default() -> Self {
        Self { is_copying: false, pages: 0, copied: 0, next: COPIED_PAGES }
    }
}

/// What is to be done about the log.
#[derive(PartialEq)]
enum Due {
    Nothing,
    /// By a thread.
    Beside,
    /// By the commit.
    Here,
}

impl Copier {
    pub(super) fn new(file: Arc<File>, options: SqliteOptions) -> Arc<Self> {
        Arc::new(Self { file, options, state: Mutex::default(), done: Condvar::new() })
    }

    /// Learns in each commit how many pages the log has by then, and copies it, or has it copied, where that is due.
    pub(super) fn committed(self: &Arc<Self>, wal: &mut Wal, pages: i64) {
        let due = self.state.lock().due(pages);
        if due == Due::Nothing || (due == Due::Beside && self.start()) {
            return;
        }
        if let Ok((_, copied)) = wal.checkpoint_v2(CheckpointMode::PASSIVE) {
            self.state.lock().copied = i64::from(copied);
        }
    }

    /// Starts a thread that copies, if there is one to be had.
    fn start(self: &Arc<Self>) -> bool {
        let copying = Copying(self.clone());
        Builder::new().name("swarmstate-log".to_owned()).spawn(move || copying.run()).is_ok()
    }

    /// Waits until nothing is copied.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        while state.is_copying {
            self.done.wait(&mut state);
        }
    }

    /// Makes believe that somebody copies, and that is not over.
    #[cfg(test)]
    pub(super) fn stall(&self, is_copying: bool) {
        self.state.lock().is_copying = is_copying;
    }

    /// Copies what readers allow.
    pub(super) fn copy(&self) -> Result<()> {
        let link = Link::open(&self.file, &self.options)?;
        for _ in 0..PASSES {
            let copied = link.query_row(sql::COPY_LOG, [], |row| row.get(2));
            let copied: i64 = copied.map_err(|error| fault::named(&error, self.file.place()))?;
            // It is -1 where another process copies at the moment.
            let mut state = self.state.lock();
            state.copied = state.copied.max(copied);
        }
        Ok(())
    }
}

impl State {
    fn due(&mut self, pages: i64) -> Due {
        if pages < self.pages {
            *self = Self { is_copying: self.is_copying, ..Self::default() };
        }
        self.pages = pages;
        if pages >= MOST_PAGES {
            return Due::Here;
        }
        if self.is_copying || pages < self.next {
            return Due::Nothing;
        }
        if pages - self.copied < COPIED_PAGES {
            self.next = pages + RETRY_PAGES;
            return Due::Here;
        }
        (self.is_copying, self.next) = (true, pages + COPIED_PAGES);
        Due::Beside
    }

    /// Has the next commit copy what is left, unless it is much: then a reader keeps it, and may do so for long.
    fn end(&mut self) {
        self.is_copying = false;
        if self.pages - self.copied < COPIED_PAGES {
            self.next = self.pages;
        }
    }
}

/// That the log is copied, which ends however that ends.
struct Copying(Arc<Copier>);

impl Copying {
    fn run(self) {
        // What fails here, on a full disk for one, is tried again when the log has grown.
        let _ = self.0.copy();
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.state.lock().end();
        self.0.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_copies_what_has_come_and_a_commit_what_little_is_left() {
        let mut state = State::default();

        assert!(state.due(COPIED_PAGES - 1) == Due::Nothing);
        assert!(state.due(COPIED_PAGES) == Due::Beside);
        assert!(state.due(COPIED_PAGES + 50) == Due::Nothing, "it is copied at the moment");
        state.copied = COPIED_PAGES + 40;
        state.end();
        assert!(state.due(COPIED_PAGES + 60) == Due::Here);
        assert!(state.due(COPIED_PAGES + 61) == Due::Nothing);
        assert!(state.due(1) == Due::Nothing, "the log was begun anew");
        assert!(state.due(COPIED_PAGES) == Due::Beside);
    }

    #[test]
    fn a_log_that_is_copied_and_not_begun_anew_is_tried_again_soon() {
        let mut state = State { copied: COPIED_PAGES, ..State::default() };

        let tried: Vec<i64> = (COPIED_PAGES..2 * COPIED_PAGES).filter(|pages| state.due(*pages) == Due::Here).collect();

        assert_eq!(tried[..3], [0, 1, 2].map(|step| COPIED_PAGES + step * RETRY_PAGES));
        assert_eq!(tried.len() as i64, COPIED_PAGES / RETRY_PAGES);
    }

    #[test]
    fn what_a_reader_keeps_is_tried_by_a_thread_when_as_much_has_come_and_by_every_commit_in_the_end() {
        let mut state = State::default();

        let mut tried = Vec::new();
        for pages in 1..=MOST_PAGES + 1 {
            match state.due(pages) {
                Due::Nothing => {}
                Due::Here => tried.push(-pages),
                Due::Beside => {
                    tried.push(pages);
                    state.end();
                }
            }
        }

        assert_eq!(tried, [COPIED_PAGES, 2 * COPIED_PAGES, 3 * COPIED_PAGES, -MOST_PAGES, -MOST_PAGES - 1]);
    }
}
