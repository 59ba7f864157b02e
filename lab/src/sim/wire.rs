//! A link as the transports make it: bytes arrive in order and unaltered, or the link ends.
//!
//! Loss is not silence: a transport sends again what was lost, so that lost packets show as delay for everything behind
//! them, and as the end of the link where one packet is lost again and again for [`GIVE_UP`]. A silent direction takes
//! bytes and confirms none; what it took arrives late if the silence ends first, else the link ends at each end that
//! waits for a confirmation.

use std::collections::VecDeque;

use bytes::Bytes;
use tidings_core::ids::LinkId;

use super::dice::Dice;
use crate::scenario::{Link, Percent};

/// What a writer may take ahead of its link.
pub(crate) const GRANT: u64 = 256 * 1024;
/// How much of it is used before it is renewed.
pub(crate) const RENEWAL: u64 = GRANT / 8;
/// How long a transport waits for a confirmation, in microseconds: QUIC's usual idle timeout.
pub(crate) const GIVE_UP: u64 = 30_000_000;
/// The shortest time after which a packet is sent again.
const LEAST_RESEND: u64 = 30_000;

/// One direction of a link: what its packets meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quality {
    /// Microseconds.
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    /// Bytes per second.
    pub(crate) rate: u64,
    pub(crate) loss: Percent,
    /// Packets lost in a row, on average.
    pub(crate) burst: u32,
    pub(crate) mtu: u64,
}

impl Default for Quality {
    fn default() -> Self {
        Self { delay: 300, jitter: 0, rate: 100_000_000, loss: Percent(0), burst: 1, mtu: 1_400 }
    }
}

impl Quality {
    /// This one, but for what is named.
    pub(crate) fn with(self, link: &Link) -> Self {
        Self {
            delay: link.delay.map_or(self.delay, |delay| delay.micros()),
            jitter: link.jitter.map_or(self.jitter, |jitter| jitter.micros()),
            rate: link.rate.map_or(self.rate, |rate| rate.0),
            loss: link.loss.unwrap_or(self.loss),
            burst: link.burst.unwrap_or(self.burst).max(1),
            mtu: link.mtu.map_or(self.mtu, u64::from),
        }
    }
}

/// A link of the topology, whether there is a connection over it or not.
#[derive(Clone, Debug)]
pub(crate) struct Road {
    pub(crate) ends: [usize; 2],
    /// From the first end to the second, and back.
    pub(crate) usual: [Quality; 2],
    pub(crate) now: [Quality; 2],
    /// How many faults cut it.
    pub(crate) cuts: u32,
    /// How many faults silence each direction.
    pub(crate) silences: [u32; 2],
    /// Whether the last packet of each direction was lost.
    pub(crate) in_burst: [bool; 2],
}

impl Road {
    pub(crate) fn new(ends: [usize; 2], quality: Quality) -> Self {
        Self { ends, usual: [quality; 2], now: [quality; 2], cuts: 0, silences: [0; 2], in_burst: [false; 2] }
    }

    /// The direction that leads away from a node.
    pub(crate) fn from(&self, node: usize) -> usize {
        usize::from(self.ends[0] != node)
    }

    /// The longest round trip, without loss.
    pub(crate) fn round_trip(&self) -> u64 {
        self.now.iter().map(|quality| quality.delay + quality.jitter).sum()
    }

    /// Whether anything gets through both ways.
    pub(crate) fn is_silent(&self) -> bool {
        self.silences != [0, 0]
    }

    /// What the losses of so many bytes add to their way; `None` if the transport gives up.
    pub(crate) fn stall(&mut self, direction: usize, bytes: u64, dice: &mut Dice) -> Option<u64> {
        let quality = self.now[direction];
        if quality.loss == Percent(0) {
            return Some(0);
        }
        let packets = bytes.div_ceil(quality.mtu.max(1));
        let lost = (0..packets).filter(|_| self.is_lost(direction, dice)).count() as u64;
        // All that was lost is sent again together, and what is lost of it again.
        let (mut left, mut pause, mut stall) = (lost, self.round_trip().max(LEAST_RESEND), 0);
        while left > 0 {
            stall += pause;
            pause *= 2;
            if stall > GIVE_UP {
                return None;
            }
            left = (0..left).filter(|_| dice.chance(quality.loss.0)).count() as u64;
        }
        Some(stall)
    }

    /// The model of Gilbert and Elliott, with a bad state in which everything is lost.
    pub(super) fn is_lost(&mut self, direction: usize, dice: &mut Dice) -> bool {
        let quality = self.now[direction];
        let (loss, burst) = (u64::from(quality.loss.0), u64::from(quality.burst.max(1)));
        let stays = 1_000_000 - 1_000_000 / burst;
        let begins =
            if loss >= 1_000_000 { 1_000_000 } else { (loss * 1_000_000 / (1_000_000 - loss) / burst).min(1_000_000) };
        let bad = if burst == 1 {
            dice.below(1_000_000) < loss
        } else if self.in_burst[direction] {
            dice.below(1_000_000) < stays
        } else {
            dice.below(1_000_000) < begins
        };
        self.in_burst[direction] = bad;
        bad
    }
}

/// A connection over a road.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) road: usize,
    /// Node, its life, and its name for the link, at each end.
    pub(crate) ends: [End; 2],
    pub(crate) lanes: [Lane; 2],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) link: LinkId,
    /// Whether the node there still has the link.
    pub(crate) up: bool,
}

/// What leaves one end.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// When the last byte will have left.
    pub(crate) free: u64,
    /// When the last byte will have arrived.
    pub(crate) last_arrival: u64,
    /// Written since the writer was told that it may write more.
    pub(crate) taken: u64,
    /// Whether it will be told.
    pub(crate) renewing: bool,
    /// What silence swallows.
    pub(crate) held: VecDeque<Bytes>,
    /// A packet was lost so often that nothing behind it arrives any more.
    pub(crate) given_up: bool,
    /// Since when confirmations are missing.
    pub(crate) stuck: Option<u64>,
}
