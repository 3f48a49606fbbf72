//! `Clock`: time that tests move by hand.

use pyo3::prelude::*;

use super::argument::{self, Argument};
use super::error::to_py;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;

/// A clock that stands still until it is moved, for tests of what expires.
///
/// Args:
///     start: Where it stands, in seconds since the Unix epoch.
///
/// Raises:
///     InvalidError: `start` is not finite.
///
/// Example:
///     >>> clock = Clock()
///     >>> store = Store(clock=clock)
///     >>> revision = store.set("sessions", "a", "token", ttl=60)
///     >>> clock.advance(60)
///     >>> store.get("sessions", "a") is None
///     True
#[pyclass(frozen, name = "Clock", module = "swarmstate")]
pub(crate) struct PyClock(Clock);

/// The clock that `clock=` gives; the system's where it gives none.
pub(super) fn given(clock: Option<Argument<'_, '_>>) -> PyResult<Clock> {
    match clock {
        Some(clock) => Ok(argument::instance::<PyClock>("clock", clock)?.get().0.clone()),
        None => Ok(Clock::system()),
    }
}

#[pymethods]
impl PyClock {
    #[new]
    #[pyo3(signature = (start=None), text_signature = "(start=0.0)")]
    fn new(start: Option<Argument<'_, '_>>) -> PyResult<Self> {
        let start = start.map_or(Ok(0.0), |start| argument::number("start", start))?;
        let millis = start * 1000.0;
        if !millis.is_finite() || millis.abs() > 1e17 {
            return Err(to_py(Error::invalid(format!("a clock cannot stand at {start:?}"))));
        }
        Ok(Self(Clock::manual(Timestamp::from_millis(millis.round() as i64))))
    }

    /// Move the clock forward, for every store that goes by it.
    ///
    /// Args:
    ///     seconds: How far, an int or float above 0; whole milliseconds count.
    ///
    /// Raises:
    ///     InvalidError: `seconds` is not above 0.
    fn advance(&self, seconds: Argument<'_, '_>) -> PyResult<()> {
        self.0.advance(argument::seconds("seconds", seconds)?);
        Ok(())
    }

    /// Tell the time.
    ///
    /// Returns:
    ///     Seconds since the Unix epoch.
    fn now(&self) -> f64 {
        self.0.now_and_micros().1 as f64 / 1e6
    }

    fn __repr__(&self) -> String {
        format!("Clock(start={})", self.0.now_and_micros().1 as f64 / 1e6)
    }
}
