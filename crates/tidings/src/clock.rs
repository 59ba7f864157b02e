//! Reads the machine's clocks for the engine.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidings_core::time::{self, Now, Wall};

/// Turns the machine's clocks into the engine's, counting monotonic time from its own creation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks now.
    pub(crate) fn now(&self) -> Now {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { mono: time::Instant(micros), wall: wall() }
    }

    /// The machine's moment of an engine deadline.
    pub(crate) fn instant(&self, deadline: time::Instant) -> Instant {
        self.start + std::time::Duration::from_micros(deadline.0.min(FAR_FUTURE_MICROS))
    }
}

/// A thousand years: later deadlines would overflow the machine's clock.
const FAR_FUTURE_MICROS: u64 = 1_000 * 365 * 86_400 * 1_000_000;

/// The wall clock; a clock before 1970 reads as 1970.
pub(crate) fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
