//! What one direction of a connection does to the frames in it, in virtual time: no sockets, no clock.

use std::time::Duration;

use crate::sim::Dice;

/// How one direction behaves. The default carries everything at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    /// How long a frame is under way at least.
    pub(crate) delay: Duration,
    /// What may come on top of it, evenly spread. Frames stay in order.
    pub(crate) jitter: Duration,
    /// What the line carries; `None` has no limit.
    pub(crate) bytes_per_second: Option<u64>,
    /// How much may wait for a line with a limit; what comes on top is lost.
    pub(crate) queue_bytes: u64,
    pub(crate) loss: Loss,
    /// How many of a million frames arrive twice.
    pub(crate) duplicate: u32,
    /// How many are held back, so that later ones overtake them.
    pub(crate) reorder: u32,
    /// In how many one bit is turned.
    pub(crate) corrupt: u32,
    /// The largest frame that gets through, with its Ethernet header.
    pub(crate) largest_frame: Option<usize>,
    /// Whether everything vanishes without a sign.
    pub(crate) blackhole: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            bytes_per_second: None,
            queue_bytes: 256 * 1024,
            loss: Loss::even(0),
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
            largest_frame: None,
            blackhole: false,
        }
    }
}

/// Loss by a line with two states, drawn anew at each frame (Gilbert 1960, Elliott 1963), in millionths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Loss {
    /// The share lost while the line is good.
    pub(crate) good: u32,
    /// The share lost while it is bad.
    pub(crate) bad: u32,
    /// How likely a good line turns bad at a frame.
    pub(crate) to_bad: u32,
    /// How likely a bad one turns good.
    pub(crate) to_good: u32,
}

const MILLION: u32 = 1_000_000;

impl Loss {
    /// Each frame alike.
    pub(crate) fn even(share: u32) -> Self {
        Self { good: share, bad: share, to_bad: 0, to_good: MILLION }
    }

    /// Loses a share of all in bursts of `length` frames on average; nothing gets through within one.
    pub(crate) fn bursts(share: u32, length: u32) -> Self {
        if share >= MILLION || length <= 1 {
            return Self::even(share);
        }
        let to_good = MILLION / length;
        // In the long run the line is bad for to_bad / (to_bad + to_good) of all frames.
        let to_bad = u64::from(to_good) * u64::from(share) / u64::from(MILLION - share);
        Self { good: 0, bad: MILLION, to_bad: u32::try_from(to_bad).unwrap_or(MILLION), to_good }
    }
}

/// A frame that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When, on the clock that [`Shaper::offer`] was told.
    pub(crate) at: Duration,
    /// Which bit is turned.
    pub(crate) turned_bit: Option<u64>,
}

/// Why a frame does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drop {
    Blackhole,
    TooLarge,
    Lost,
    QueueFull,
}

/// What becomes of a frame: it is dropped, or arrives once or twice.
pub(crate) type Fate = Result<(Arrival, Option<Arrival>), Drop>;

/// One direction and what it remembers.
#[derive(Debug)]
pub(crate) struct Shaper {
    shape: Shape,
    dice: Dice,
    bad: bool,
    /// When the line has sent what it has taken.
    idle_at: Duration,
    /// The latest arrival of a frame in order.
    last_arrival: Duration,
}

/// What a held back frame is late at least.
const HELD_BACK: Duration = Duration::from_millis(5);

impl Shaper {
    pub(crate) fn new(shape: Shape, dice: Dice) -> Self {
        Self { shape, dice, bad: false, idle_at: Duration::ZERO, last_arrival: Duration::ZERO }
    }

    /// Changes how it behaves; frames under way stay as they were.
    pub(crate) fn set(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Decides over a frame offered at `now`, which never goes back.
    pub(crate) fn offer(&mut self, now: Duration, frame_bytes: usize) -> Fate {
        if self.shape.blackhole {
            return Err(Drop::Blackhole);
        }
        if self.shape.largest_frame.is_some_and(|largest| frame_bytes > largest) {
            return Err(Drop::TooLarge);
        }
        let sent = self.queue(now, frame_bytes as u64)?;
        if self.loses() {
            return Err(Drop::Lost);
        }
        let first = self.arrival(sent, frame_bytes);
        let second = self.dice.chance(self.shape.duplicate).then(|| self.arrival(sent, frame_bytes));
        Ok((first, second))
    }

    /// Takes a frame into the line's queue and returns when its last bit has left.
    fn queue(&mut self, now: Duration, frame_bytes: u64) -> Result<Duration, Drop> {
        let Some(rate) = self.shape.bytes_per_second else { return Ok(now) };
        let start = self.idle_at.max(now);
        let waiting = (start - now).as_nanos() * u128::from(rate) / NANOS_PER_SECOND;
        if waiting + u128::from(frame_bytes) > u128::from(self.shape.queue_bytes) {
            return Err(Drop::QueueFull);
        }
        let takes = u128::from(frame_bytes) * NANOS_PER_SECOND / u128::from(rate.max(1));
        self.idle_at = start + Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
        Ok(self.idle_at)
    }

    fn loses(&mut self) -> bool {
        let loss = self.shape.loss;
        let turns = if self.bad { loss.to_good } else { loss.to_bad };
        self.bad ^= self.dice.chance(turns);
        self.dice.chance(if self.bad { loss.bad } else { loss.good })
    }

    fn arrival(&mut self, sent: Duration, frame_bytes: usize) -> Arrival {
        let mut at = sent + self.shape.delay + self.up_to(self.shape.jitter);
        if self.dice.chance(self.shape.reorder) {
            at += HELD_BACK + self.up_to(self.shape.delay.max(HELD_BACK));
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        let turned_bit = self.dice.chance(self.shape.corrupt).then(|| self.dice.below(frame_bytes as u64 * 8));
        Arrival { at, turned_bit }
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        // 585 years of nanoseconds fit.
        Duration::from_nanos(self.dice.below(longest.as_nanos() as u64))
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests;
