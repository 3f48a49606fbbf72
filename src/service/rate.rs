//! How often each caller may ask: a bucket of requests per key or token, which fills as time goes by.

use std::collections::HashMap;
use std::num::NonZeroU32;

use parking_lot::Mutex;

use super::refusal::{Reason, Result};
use crate::clock::Clock;

/// The most buckets that are kept; full ones are forgotten first.
const MAX_BUCKETS: usize = 10_000;

/// A limit on the requests of each caller.
pub(super) struct Rate {
    /// The most at once.
    most: f64,
    /// How fast a bucket fills.
    per_second: f64,
    clock: Clock,
    /// What is left to each caller, and since when. Held for a look into the map.
    buckets: Mutex<HashMap<String, (f64, i64)>>,
}

impl Rate {
    /// At most so many requests a second from each caller.
    pub(super) fn new(per_second: NonZeroU32, clock: Clock) -> Self {
        let per_second = per_second.get().into();
        Self { most: per_second, per_second, clock, buckets: Mutex::default() }
    }

    /// At most so many tries a minute from each caller.
    pub(super) fn per_minute(tries: NonZeroU32, clock: Clock) -> Self {
        let most: f64 = tries.get().into();
        Self { most, per_second: most / 60.0, clock, buckets: Mutex::default() }
    }

    /// Takes a request out of the caller's bucket.
    ///
    /// # Errors
    /// `Often` where it is empty.
    pub(super) fn take(&self, caller: &str) -> Result<()> {
        let now = self.clock.now().as_millis();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.most);
        }
        let left = buckets.get(caller).map_or(self.most, |bucket| self.filled(*bucket, now));
        if left < 1.0 {
            return Err(Reason::Often.into());
        }
        buckets.insert(caller.to_owned(), (left - 1.0, now));
        Ok(())
    }

    fn filled(&self, (left, since): (f64, i64), now: i64) -> f64 {
        let passed = (now - since).max(0) as f64 / 1000.0;
        (left + passed * self.per_second).min(self.most)
    }
}
