//! How much may be sent and not `Got`; docs/spec/links.md §5.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::MAX_FRAME_BYTES;

/// The window never falls below this.
pub(super) const MIN_WINDOW_BYTES: u64 = 8 * 1024;
/// The window never rises above this.
pub(super) const MAX_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// The largest frame before the rate is measured, so that the first frames of a slow link leave it soon.
const UNMEASURED_FRAME_BYTES: u64 = 4 * 1024;
/// The smallest piece a parcel is cut into.
pub(super) const MIN_FRAME_BYTES: u64 = 1024;
/// A frame takes no longer than this at the measured rate.
const FRAME_TIME: Duration = Duration::from_millis(50);
/// The smallest round trip that the window is computed from: two busy processes need that long to take turns,
/// however near they are, and the backlog is worth no more than twice this time.
const MIN_ROUND_TRIP: Duration = Duration::from_millis(25);
/// How many round trips the best rate is taken from.
const ROUNDS: usize = 10;
/// Frames with the want-`Got` bit whose round trip is measured at once. More are sent, and not measured.
const MAX_WANTS: usize = 64;

/// The window of one link, in one direction.
#[derive(Debug)]
pub(super) struct Window {
    sent: u64,
    got: u64,
    /// `sent` after the last frame that asked for `Got`.
    wanted_at: u64,
    wants: VecDeque<Want>,
    round: Option<Round>,
    /// When data last waited for the window.
    blocked: Option<Instant>,
    /// Bytes per second of the last round trips that count.
    rates: VecDeque<u64>,
    size: u64,
}

#[derive(Clone, Copy, Debug)]
struct Want {
    end: u64,
    at: Instant,
}

/// The round trip whose rate is being measured.
#[derive(Clone, Copy, Debug)]
struct Round {
    end: u64,
    at: Instant,
    got_before: u64,
}

/// A `Got` beyond what was sent, or below what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadGot;

impl Window {
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            got: 0,
            wanted_at: 0,
            wants: VecDeque::new(),
            round: None,
            blocked: None,
            rates: VecDeque::new(),
            size: MIN_WINDOW_BYTES,
        }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.sent - self.got
    }

    /// How much more may be sent now. Where nothing in flight asks for `Got`, one frame may always go and ask.
    pub(super) fn room(&self) -> u64 {
        let room = self.size.saturating_sub(self.in_flight());
        if self.nothing_asks() { room.max(self.frame_limit()) } else { room }
    }

    /// Whether nothing in flight asks for `Got`, so that nothing would ever make room in the window.
    pub(super) fn nothing_asks(&self) -> bool {
        self.wanted_at <= self.got
    }

    /// The best measured rate, in bytes per second.
    pub(super) fn rate(&self) -> Option<u64> {
        self.rates.iter().copied().max()
    }

    /// The largest frame now, header included; spec §5.4.
    pub(super) fn frame_limit(&self) -> u64 {
        let Some(rate) = self.rate() else {
            return UNMEASURED_FRAME_BYTES;
        };
        bytes_in(rate, FRAME_TIME).clamp(MIN_FRAME_BYTES, MAX_FRAME_BYTES as u64)
    }

    /// Something could have been sent but for the window.
    pub(super) fn on_blocked(&mut self, now: Instant) {
        self.blocked = Some(now);
    }

    /// Whether a frame of so many bytes must ask for `Got`; spec §5.3.
    pub(super) fn must_ask(&self, frame: u64, is_last: IsLast) -> bool {
        is_last == IsLast::Yes
            || self.sent + frame - self.wanted_at >= self.size / 4
            || self.nothing_asks() && self.in_flight() + frame >= self.size
    }

    /// A counted frame was handed to the link.
    pub(super) fn on_sent(&mut self, now: Instant, frame: u64, asks: bool) {
        self.sent += frame;
        if !asks {
            return;
        }
        self.wanted_at = self.sent;
        if self.wants.len() < MAX_WANTS {
            self.wants.push_back(Want { end: self.sent, at: now });
        }
        self.round.get_or_insert(Round { end: self.sent, at: now, got_before: self.got });
    }

    /// Takes a `Got` and returns the round trip it measured.
    pub(super) fn on_got(
        &mut self,
        now: Instant,
        got: u64,
        smallest: Option<Duration>,
    ) -> Result<Option<Duration>, BadGot> {
        if got > self.sent || got < self.got {
            return Err(BadGot);
        }
        self.got = got;
        let mut round_trip = None;
        while let Some(want) = self.wants.front().filter(|want| want.end <= got) {
            round_trip = Some(now.since(want.at));
            self.wants.pop_front();
        }
        if let Some(round) = self.round.filter(|round| round.end <= got) {
            self.round = None;
            self.measure(now, round);
        }
        let smallest = [smallest, round_trip].into_iter().flatten().min();
        self.resize(smallest);
        Ok(round_trip)
    }

    /// A round trip counts if data waited for the window during it, or if it was better than the best.
    fn measure(&mut self, now: Instant, round: Round) {
        let micros = u64::try_from(now.since(round.at).as_micros()).unwrap_or(u64::MAX).max(1);
        let rate = (self.got - round.got_before).saturating_mul(1_000_000) / micros;
        let filled = self.blocked.is_some_and(|blocked| blocked >= round.at);
        if filled || self.rate().is_some_and(|best| rate > best) {
            if self.rates.len() == ROUNDS {
                self.rates.pop_front();
            }
            self.rates.push_back(rate);
        }
    }

    fn resize(&mut self, smallest: Option<Duration>) {
        if let (Some(rate), Some(smallest)) = (self.rate(), smallest) {
            self.size = bytes_in(rate, smallest.max(MIN_ROUND_TRIP) * 2).clamp(MIN_WINDOW_BYTES, MAX_WINDOW_BYTES);
        }
    }
}

/// Whether something is queued behind a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsLast {
    Yes,
    No,
}

fn bytes_in(rate: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    u64::try_from(u128::from(rate) * u128::from(micros) / 1_000_000).unwrap_or(u64::MAX)
}
