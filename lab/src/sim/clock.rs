//! A node's clocks, as far from the true time as its faults make them.

use tidings_core::time::{Instant, Now, Wall};

/// The wall clock when a run begins, in milliseconds.
const WALL_START: u64 = 1_800_000_000_000;

/// Maps the simulation's time, in microseconds, to what a node's clocks say, and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Where the present speed began.
    since: u64,
    /// What the monotonic clock said then.
    mono: u64,
    /// The wall clock's milliseconds then.
    wall: i128,
    /// How much too fast both run, in millionths.
    ppm: i64,
}

impl Clock {
    /// A clock that is `offset_ms` off at time 0 and keeps its speed.
    pub(crate) fn new(offset_ms: i64) -> Self {
        Self { since: 0, mono: 0, wall: i128::from(WALL_START) + i128::from(offset_ms), ppm: 0 }
    }

    /// What the clocks say.
    pub(crate) fn at(&self, time: u64) -> Now {
        let passed = self.passed(time);
        let wall = self.wall + i128::from(passed / 1000);
        Now { mono: Instant(self.mono + passed), wall: Wall(u64::try_from(wall).unwrap_or(0)) }
    }

    /// When the monotonic clock will say this, at the earliest.
    pub(crate) fn time_of(&self, mono: Instant) -> u64 {
        let local = u128::from(mono.0.saturating_sub(self.mono));
        let speed = u128::from((1_000_000 + self.ppm).unsigned_abs());
        let passed = if self.ppm == 0 { local } else { (local * 1_000_000).div_ceil(speed) };
        self.since.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn passed(&self, time: u64) -> u64 {
        let passed = time.saturating_sub(self.since);
        if self.ppm == 0 {
            return passed;
        }
        let speed = u128::from((1_000_000 + self.ppm).unsigned_abs());
        u64::try_from(u128::from(passed) * speed / 1_000_000).unwrap_or(u64::MAX)
    }

    fn rebase(&mut self, time: u64) {
        let passed = self.passed(time);
        self.wall += i128::from(passed / 1000);
        self.mono += passed;
        self.since = time;
    }

    /// The wall clock jumps by so many milliseconds.
    pub(crate) fn jump(&mut self, time: u64, by_ms: i64) {
        self.rebase(time);
        self.wall += i128::from(by_ms);
    }

    /// The wall clock is set right.
    pub(crate) fn set_right(&mut self, time: u64) {
        self.rebase(time);
        self.wall = i128::from(WALL_START) + i128::from(time / 1000);
    }

    /// The clocks run so much too fast from now on.
    pub(crate) fn drift(&mut self, time: u64, ppm: i64) {
        self.rebase(time);
        self.ppm = ppm.clamp(-500_000, 500_000);
    }

    /// The machine starts anew: the monotonic clock begins somewhere else.
    pub(crate) fn restart(&mut self, time: u64, mono: u64) {
        self.rebase(time);
        self.mono = mono;
    }
}
