//! The three clocks of the protocol, all handed in from outside.
//!
//! *Monotonic* time ([`Instant`]) runs timers. The *wall* clock ([`Wall`]) only dates cards and what people
//! read. The *age* clock ([`Age`]) counts the seconds a database has lived: monotonic while the node runs, the
//! wall-clock difference clamped to 0…24 h while it is off. Every stored deadline and retention is an age, so
//! that no clock jump can lose a message. docs/spec/engine.md §2.

use std::ops::Add;
use std::time::Duration;

/// A moment of the monotonic clock, in microseconds since a start the runtime chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The time from `earlier` to this moment, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A moment of the wall clock, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

/// A moment of the age clock, in milliseconds the database has lived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(pub u64);

impl Add<Duration> for Age {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Age {
    /// The time from this moment to `later`, zero if `later` is past.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

/// What the clocks say when an input happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Instant,
    /// The wall clock.
    pub wall: Wall,
}

/// The longest time off that the age clock counts.
pub const MAX_TIME_OFF: Duration = Duration::from_hours(24);

/// Turns monotonic time into ages, from a checkpoint in the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgeClock {
    start: Instant,
    age_at_start: Age,
}

impl AgeClock {
    /// Resumes from the last checkpoint: age and wall clock when it was written.
    pub(crate) fn resume(now: Now, age: Age, wall: Wall) -> Self {
        let off = Duration::from_millis(now.wall.0.saturating_sub(wall.0)).min(MAX_TIME_OFF);
        Self { start: now.mono, age_at_start: age + off }
    }

    pub(crate) fn age(&self, mono: Instant) -> Age {
        self.age_at_start + mono.since(self.start)
    }

    /// The moment at which `age` is reached, at the earliest the start.
    pub(crate) fn instant_of_age(&self, age: Age) -> Instant {
        self.start + self.age_at_start.until(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_jumps_while_off_count_between_zero_and_a_day() {
        let hour = 3_600_000;
        let age_after = |wall_at_start: u64| {
            let now = Now { mono: Instant(5), wall: Wall(wall_at_start) };
            AgeClock::resume(now, Age(10), Wall(100 * hour)).age(Instant(5))
        };
        assert_eq!(age_after(0), Age(10));
        assert_eq!(age_after(102 * hour), Age(10 + 2 * hour));
        assert_eq!(age_after(900_000 * hour), Age(10 + 24 * hour));
    }
}
