//! How each engine is opened for a test, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use swarmstate::{Clock, Memory, MemoryOptions, Store, Timestamp};
#[cfg(feature = "redis")]
use swarmstate::{Redis, RedisOptions};

#[cfg(feature = "redis")]
#[path = "servers.rs"]
pub(crate) mod servers;

/// Opens an empty store that goes by a clock and retains so many snapshots.
type Open = dyn Fn(&Clock, Option<usize>) -> Arc<dyn Store> + Sync;

/// One engine, ready to open empty stores that share a clock.
pub(crate) struct Engine {
    pub(crate) clock: Clock,
    pub(crate) open: Box<Open>,
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

    #[cfg(feature = "redis")]
    pub(crate) fn redis() -> Self {
        Self::new(|clock, max_history| open_redis(servers::single(), clock, max_history))
    }

    #[cfg(feature = "redis")]
    pub(crate) fn redis_cluster() -> Self {
        Self::new(|clock, max_history| open_redis(servers::cluster(), clock, max_history))
    }

    /// Files in a folder that goes with the engine.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};

        use swarmstate::{Durability, Sqlite, SqliteOptions};

        let folder = tempfile::tempdir().expect("there is room for a folder");
        let opened = AtomicU32::new(0);
        Self::new(move |clock, max_history| {
            let path = folder.path().join(format!("{}.db", opened.fetch_add(1, Ordering::Relaxed)));
            let durability = Durability::Normal;
            let options = SqliteOptions { durability, max_history, clock: clock.clone(), ..SqliteOptions::default() };
            Arc::new(Sqlite::open(&path, options).expect("the options are valid"))
        })
    }

    fn new(open: impl Fn(&Clock, Option<usize>) -> Arc<dyn Store> + Sync + 'static) -> Self {
        Self { clock: Clock::manual(START), open: Box::new(open) }
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

/// An empty store on a server that all tests share: its prefix is new.
#[cfg(feature = "redis")]
fn open_redis(url: &str, clock: &Clock, max_history: Option<usize>) -> Arc<dyn Store> {
    let options =
        RedisOptions { prefix: servers::fresh_prefix(), max_history, clock: clock.clone(), ..RedisOptions::default() };
    Arc::new(Redis::open(url, options).expect("the server answers"))
}
