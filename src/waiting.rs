//! What a thread does before it waits.
//!
//! A door that holds an interpreter's lock must let go of it before its thread waits for a lock, a disk or a network, and
//! before work that takes long; only the engine knows when that is. So a handle to a store carries a [`Waiting`], and the
//! engine runs whatever waits inside it. Work of nanoseconds stays outside.

/// Runs work that waits, or takes long, as the caller of a store wants it run.
#[derive(Clone, Copy)]
pub struct Waiting(fn(&mut (dyn FnMut() + Send)));

impl Waiting {
    /// Just runs the work.
    pub const fn plainly() -> Self {
        Self(|work| work())
    }

    /// Runs the work inside `around`, which calls it exactly once.
    pub const fn around(around: fn(&mut (dyn FnMut() + Send))) -> Self {
        Self(around)
    }

    /// Runs `work` and returns what it returns.
    pub fn run<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        let mut work = Some(work);
        let mut result = None;
        (self.0)(&mut || result = work.take().map(|work| work()));
        result.expect("`around` calls its work")
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self::plainly()
    }
}
