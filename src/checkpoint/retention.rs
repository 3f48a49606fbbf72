//! How long checkpoints are kept: by number, and by the time since a thread's last put.
//!
//! A thread's time to live is the expiry of its head, which every put sets anew; nothing else of a thread expires, so what
//! its checkpoints share dies with the thread and never before. What an expired head leaves behind is removed before the next
//! write to the thread, and some of it whenever another thread is written.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::layout;
use super::listing::threads_in;
use super::sweep;
use super::thread::Thread;
use crate::error::Result;
use crate::store::{Expiry, Store};

/// One put in so many looks for threads whose time is over, at so many of them.
const PUTS_PER_LOOK: usize = 16;
const THREADS_PER_LOOK: usize = 32;

/// How long checkpoints are kept; the default is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A thread is gone when its last put is so long ago.
    pub ttl: Option<Duration>,
    /// The newest so many of each namespace stay; up to twice as many may stand for a while.
    pub keep_last: Option<NonZeroUsize>,
}

/// The retention that a saver's puts give, and how far it got in looking for expired threads.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub(super) retention: Retention,
    puts: AtomicUsize,
    /// The thread that was looked at last.
    looked_at: Mutex<Option<String>>,
}

impl Keeper {
    pub(super) fn new(retention: Retention) -> Self {
        Self { retention, ..Self::default() }
    }

    /// The expiry of a head that is written now.
    pub(super) fn expiry(&self) -> Expiry {
        self.retention.ttl.map_or(Expiry::Never, Expiry::After)
    }

    /// Removes what has become old, after as many puts since the last sweep; answers whether the thread was swept.
    ///
    /// The put is done whatever becomes of this: what fails now is tried again by a later one.
    pub(super) fn after_put(&self, thread: &Thread<'_>, puts_since_sweep: u64) -> bool {
        let keep_last = self.retention.keep_last.filter(|most| puts_since_sweep >= most.get() as u64);
        if let Some(most) = keep_last {
            let _ = sweep::sweep(thread, &|census| census.newest(most.get()).map(Some));
        }
        if self.retention.ttl.is_some() && self.puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(PUTS_PER_LOOK) {
            let _ = self.look(thread.store);
        }
        keep_last.is_some()
    }

    /// Looks at some threads, and removes those whose time is over; the next look goes on behind them.
    fn look(&self, store: &dyn Store) -> Result<()> {
        let Some(mut looked_at) = self.looked_at.try_lock() else { return Ok(()) };
        let names = threads_in(store, "", looked_at.as_deref(), THREADS_PER_LOOK)?;
        *looked_at = names.last().cloned().filter(|_| names.len() == THREADS_PER_LOOK);
        drop(looked_at);
        for thread_id in names {
            remove_expired(&Thread::new(store, &thread_id)?)?;
        }
        Ok(())
    }
}

/// Removes a thread whose time is over; `false` where it is not.
pub(super) fn remove_expired(thread: &Thread<'_>) -> Result<bool> {
    let is_live = thread.store.get(&thread.namespace, &layout::head())?.is_some();
    if is_live { Ok(false) } else { thread.remove_remains() }
}
