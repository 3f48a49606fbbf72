//! The time that a store goes by: its own clock, corrected by the server's.
//!
//! Many machines write one store, and their clocks differ; the server's is one. How far it is off is measured with the first call,
//! and again every minute. A clock that is moved by hand is taken as it is.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::Value;

use super::connection::Transport;
use super::layout::Now;
use super::reply;
use super::script::{Effect, Request};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;

const MEASURED_EVERY: Duration = Duration::from_secs(60);

/// How far the server's clock is ahead, and when that was measured.
#[derive(Default)]
pub(super) struct Offset(Mutex<Option<(i64, Instant)>>);

impl Offset {
    /// The time now.
    ///
    /// # Errors
    /// As a call of the server, where the offset must be measured.
    pub(super) fn now(&self, clock: &Clock, transport: &Transport) -> Result<Now> {
        // Only a clock that is moved by hand says yes to a step of nothing.
        if clock.advance(Duration::ZERO) {
            let (at, micros) = clock.now_and_micros();
            return Ok(Now { at, micros });
        }
        let known = *self.0.lock();
        let ahead = match known {
            Some((ahead, measured)) if measured.elapsed() < MEASURED_EVERY => ahead,
            _ => {
                let ahead = measure(clock, transport)?;
                *self.0.lock() = Some((ahead, Instant::now()));
                ahead
            }
        };
        let micros = clock.now_and_micros().1.saturating_add(ahead);
        Ok(Now { at: Timestamp::from_millis(micros.div_euclid(1000)), micros })
    }
}

/// The server's time against the middle of the call that asked for it.
fn measure(clock: &Clock, transport: &Transport) -> Result<i64> {
    let before = clock.now_and_micros().1;
    let request = Request { key: Vec::new(), command: redis::cmd("TIME"), script: None, effect: Effect::Repeatable };
    let mut parts = reply::array(transport.call(&request)?.value)?.into_iter();
    let after = clock.now_and_micros().1;
    let mut number = || match parts.next() {
        Some(Value::BulkString(digits)) => std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| digits.parse::<i64>().ok())
            .ok_or_else(reply::unexpected),
        Some(Value::Int(number)) => Ok(number),
        _ => Err(reply::unexpected()),
    };
    let (seconds, micros) = (number()?, number()?);
    Ok(seconds * 1_000_000 + micros - (before + (after - before) / 2))
}
