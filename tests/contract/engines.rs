//! How each engine is opened for a test, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use swarmstate::{Clock, Memory, MemoryOptions, Store, Timestamp};

/// One engine, ready to open empty stores that share a clock.
pub(crate) struct Engine {
    pub(crate) clock: Clock,
    /// Opens an empty store that goes by the clock and retains so many snapshots.
    pub(crate) open: fn(&Clock, Option<usize>) -> Arc<dyn Store>,
}

/// Where the clocks of all cases begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl Engine {
    pub(crate) fn memory() -> Self {
        Self::new(|clock, max_history| {
            let options = MemoryOptions { max_history, clock: clock.clone() };
            Arc::new(Memory::with_options(options).expect("the options are valid"))
        })
    }

    fn new(open: fn(&Clock, Option<usize>) -> Arc<dyn Store>) -> Self {
        Self { clock: Clock::manual(START), open }
    }

    /// An empty store that retains every snapshot.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        (self.open)(&self.clock, None)
    }

    /// Lets `millis` milliseconds pass.
    pub(crate) fn pass(&self, millis: u64) {
        assert!(self.clock.advance(Duration::from_millis(millis)));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
