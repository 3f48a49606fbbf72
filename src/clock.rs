//! The system's clock, and one that tests move by hand.
//!
//! An engine is given its clock when it is made and asks it when it must: every write needs the time, while a read needs it
//! only for an entry that can expire. Nothing else in the crate reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last moment; as an expiry it stands for none.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `duration` later, rounded up to a whole millisecond; `None` when it cannot be represented.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        self.0.checked_add(i64::try_from(millis).ok()?).map(Self)
    }
}

/// Tells the time. Clones tell the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.0))))
    }

    /// The time now.
    ///
    /// # Cost
    /// The system's clock: one read of `CLOCK_REALTIME`, on Linux without a system call.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(millis) => Timestamp(millis.load(Ordering::SeqCst)),
            None => Timestamp(since_epoch(|time| time.as_secs() as i64 * 1000 + i64::from(time.subsec_millis()))),
        }
    }

    /// The time now, and the same moment in microseconds since the Unix epoch, from one reading.
    ///
    /// Microseconds end 292,000 years from 1970: a manual clock beyond that tells them as the last that there are.
    pub fn now_and_micros(&self) -> (Timestamp, i64) {
        match &self.0 {
            Some(millis) => {
                let now = millis.load(Ordering::SeqCst);
                (Timestamp(now), now.saturating_mul(1000))
            }
            None => {
                let micros = since_epoch(|time| time.as_secs() as i64 * 1_000_000 + i64::from(time.subsec_micros()));
                (Timestamp(micros.div_euclid(1000)), micros)
            }
        }
    }

    /// Moves a manual clock forward, in every clone of it; the system's clock stays as it is and `false` comes back.
    pub fn advance(&self, by: Duration) -> bool {
        let Some(millis) = &self.0 else { return false };
        let step = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        millis.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(step))).is_ok()
    }
}

fn since_epoch(count: impl Fn(Duration) -> i64) -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => count(after),
        Err(before) => -count(before.duration()),
    }
}
